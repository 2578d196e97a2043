"""Resource variables, which live in one interpreter and cannot be shared by several.

A model that is run in parts has its variables here. They behave as in TFLM
(``tensorflow/lite/micro/micro_resource_variable.cc``, ``kernels/call_once.cc``): each begins with
its zero point, a reset puts that back, and what CALL_ONCE does is not done again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_tflm.errors import CannotCut
from pytest_tflm.model import accessors
from pytest_tflm.model.dtypes import DTYPES
from pytest_tflm.model.graph import unpack

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_tflm.model.model import Model
    from pytest_tflm.model.tensor import Operator

    Tensors = dict[int, NDArray[Any]]
    Variable = tuple[Any, Any]
    """Its container and its name."""

    Step = Callable[[Tensors], None]
    """Computes some tensors from others, by their indices in the whole model."""

OPERATORS = ("VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "CALL_ONCE")


class Variables:
    """The resource variables of ``model``, and its operators that work on them."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._table = unpack(model.data)
        self._values: dict[Variable, bytes] = {}
        self._handles: dict[tuple[int, int], Variable] = {}
        self._initial: dict[Variable, bytes] = {}

    def reset(self) -> None:
        """Put all variables back, as TFLM's Reset does."""
        self._values = dict(self._initial)

    def step(self, operator: Operator) -> Step:
        """What runs in the place of ``operator``, one of :data:`OPERATORS`.

        To be asked for in the model's order. Raises CannotCut if it does more than variables.
        """
        return self._step(0, self._table.subgraphs[0].operators[operator.index], operator.name)

    def _step(self, graph: int, operator: Any, name: str) -> Step:
        tensors = self._table.subgraphs[graph].tensors
        inputs, outputs = ([int(i) for i in ends] for ends in (operator.inputs, operator.outputs))
        if name == "VAR_HANDLE":
            options = operator.builtinOptions
            self._handles[graph, outputs[0]] = (options.container, options.sharedName)
            return lambda held: None
        if name == "CALL_ONCE":
            return self._once(operator.builtinOptions.initSubgraphIndex)
        variable = self._handles.get((graph, inputs[0]))
        if variable is None:
            raise CannotCut(f"{name} of {self._model.name} uses a handle that it was given")
        if name == "READ_VARIABLE":
            made = tensors[outputs[0]]
            shape, dtype = tuple(made.shape), np.dtype(DTYPES[made.type].name)

            def read(held: Tensors) -> None:
                data = self.read(variable)
                held[outputs[0]] = np.frombuffer(data, dtype).reshape(shape).copy()

            return read
        value = tensors[inputs[1]]
        zero_points = getattr(value.quantization, "zeroPoint", None)
        zero_point = int(zero_points[0]) if zero_points is not None and len(zero_points) else 0
        begins = np.full(tuple(value.shape), zero_point, DTYPES[value.type].name).tobytes()
        self._initial[variable] = self._values[variable] = begins
        stored = self._table.buffers[value.buffer].data
        constant = None if stored is None else np.asarray(stored, np.uint8).tobytes()

        def assign(held: Tensors) -> None:
            given = held.get(inputs[1])
            if constant is not None:
                self.write(variable, constant)
            elif given is not None:
                self.write(variable, given.tobytes())

        return assign

    def read(self, variable: Variable) -> bytes:
        """What a variable holds."""
        return self._values[variable]

    def write(self, variable: Variable, data: bytes) -> None:
        """A variable holds these bytes now, as many as it has."""
        self._values[variable] = data

    def _once(self, graph: int) -> Step:
        names = accessors.builtin_names()
        steps = []
        for operator in self._table.subgraphs[graph].operators:
            code = self._table.operatorCodes[operator.opcodeIndex]
            name = names.get(max(code.builtinCode, code.deprecatedBuiltinCode), "?")
            if name not in OPERATORS:
                raise CannotCut(f"{self._model.name}: CALL_ONCE calls {name}")
            steps.append(self._step(graph, operator, name))
        is_done = False

        def once(held: Tensors) -> None:
            nonlocal is_done
            made: Tensors = {}
            for step in [] if is_done else steps:
                step(made)
            is_done = True

        return once
