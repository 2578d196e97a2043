"""A model run operator by operator by host TFLM, so that single operators can be bad.

Each bad operator, and each run of good ones between them, is a model of its own in an interpreter
of its own. A model in which nothing is bad runs as it does without a defect.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_tflm.errors import CannotCut
from pytest_tflm.model import accessors, model_from_bytes
from pytest_tflm.model.arithmetic.single import Single
from pytest_tflm.model.graph import pack, unpack
from pytest_tflm.model.transform.cut import cut_operator, cut_operators
from pytest_tflm.simulator.defects.variables import OPERATORS, Variables
from pytest_tflm.simulator.defects.wrapper import CODES, EngineWrapper
from pytest_tflm.simulator.engine.base import Refusal, Status

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_tflm.model.model import Model
    from pytest_tflm.model.transform.cut import Cut
    from pytest_tflm.simulator.defects.variables import Step
    from pytest_tflm.simulator.engine.base import EngineTensor, Loaded, SimulatedEngine

    Arrays = Sequence[NDArray[Any]]
    Run = Callable[[Arrays], list[NDArray[Any]]]
    """Computes a part of a model: its inputs' arrays, its outputs' arrays."""

    Change = Callable[[NDArray[Any], Arrays], NDArray[Any]]

    BadKernel = Callable[["Kernel", int], Run | None]
    """Makes a kernel bad, given the defect's number: what runs in its place, None if nothing."""

    BadPlan = Callable[["Plan"], None]
    """Makes some of a model bad; may raise CannotCut."""

_ROOM = 1 << 16
_FIRST = ("CONV_2D", "FULLY_CONNECTED")


class _Tflm:
    """Runs ``model``, whose outputs are so many, in an arena of so many bytes.

    Raises :class:`~pytest_tflm.simulator.engine.base.Refusal`.
    """

    def __init__(self, model: bytes, outputs: int, arena: int) -> None:
        from tflite_micro.python.tflite_micro import runtime

        self._outputs = outputs
        try:
            self._interpreter = runtime.Interpreter.from_bytes(model, arena_size=arena)
        except (RuntimeError, ValueError) as error:
            raise Refusal(Status.MODEL_REJECTED, f"a part of the model: {error}") from error

    def __call__(self, arrays: Arrays) -> list[NDArray[Any]]:
        try:
            for index, array in enumerate(arrays):
                self._interpreter.set_input(array.copy(order="C"), index)
            status = self._interpreter.invoke()
        except RuntimeError as error:
            raise Refusal(Status.INVOKE_FAILED, f"Invoke failed: {error}") from error
        if status:
            raise Refusal(Status.INVOKE_FAILED, f"Invoke returned status {status}")
        return [np.array(self._interpreter.get_output(i)) for i in range(self._outputs)]

    def reset(self) -> None:
        """Put the variables back."""
        self._interpreter.reset()


class Kernel:
    """An operator, cut out; ``ordinal`` counts those of its type in the model, from 0, and
    ``find_last`` finds the last of them.

    ``run`` computes it: TFLM's kernel, until a defect is put there.
    """

    def __init__(
        self,
        cut: Cut,
        ordinal: int,
        start: Callable[[bytes, int], Run],
        find_last: Callable[[], Kernel],
    ) -> None:
        self.cut = cut
        self.ordinal = ordinal
        self._find_last = find_last
        self.single = Single(cut.model)
        self.run: Run = lambda arrays: self._tflm(arrays)
        self.is_bad = False
        self._start = start

    def bent(self, bend: Callable[[Any], None]) -> Run:
        """TFLM's kernel on the operator's model as ``bend`` leaves it, a ``ModelT``."""
        table = unpack(self.cut.model.data)
        bend(table)
        return self._start(pack(table), len(self.cut.outputs))

    def changed(self, change: Change) -> Run | None:
        """What computes it now, and then ``change`` of each output of codes; None if it has none.

        ``change`` is given an output and the inputs.
        """
        if not any(tensor.dtype in CODES for tensor in self.single.outputs):
            return None
        before = self.run

        def run(arrays: Arrays) -> list[NDArray[Any]]:
            return [
                change(output, arrays) if output.dtype.name in CODES else output
                for output in before(arrays)
            ]

        return run

    @property
    def last(self) -> Kernel:
        """The last operator of its type in the model, perhaps itself. May raise CannotCut."""
        return self._find_last()

    @cached_property
    def _tflm(self) -> Run:
        # Only started where a defect needs it.
        return self._start(self.cut.model.data, len(self.cut.outputs))


class Plan:
    """How ``model`` is run in parts, each with an arena of so many bytes.

    Defects put their bad kernels into it (:meth:`kernel`), and what happens to tensors between two
    operators (:meth:`after`).
    """

    def __init__(self, model: Model, arena: int) -> None:
        self.model = model
        self.arena = arena
        self._kernels: dict[int, Kernel] = {}
        self._changes: dict[int, Step] = {}
        self._started: list[_Tflm] = []
        self._variables: Variables | None = None
        self.variables: type[Variables] = Variables
        """How the model's resource variables behave; Variables is as in TFLM."""
        self._steps: list[Step] = []

    def kernel(self, index: int) -> Kernel:
        """Operator ``index``; whoever makes it bad sets ``run`` and ``is_bad``. May raise
        CannotCut."""
        if index not in self._kernels:
            cut = cut_operator(self.model, index)
            alike = [o.index for o in self.model.operators if o.name == cut.operator.name]
            self._kernels[index] = Kernel(
                cut, alike.index(index), self._start, lambda: self.kernel(alike[-1])
            )
        return self._kernels[index]

    def after(self, index: int, change: Step) -> None:
        """Have ``change`` replace tensors when operator ``index`` has run."""
        self._changes[index] = change

    def build(self) -> bool:
        """Whether there is anything to be run in parts; if so, start what runs them.

        Raises CannotCut.
        """
        bad = {index: each for index, each in self._kernels.items() if each.is_bad}
        has_own = any(each.name in OPERATORS for each in self.model.operators)
        if not bad and not self._changes and (self.variables is Variables or not has_own):
            return False
        first = 0
        for operator in self.model.operators:
            index, is_own = operator.index, operator.name in OPERATORS
            if is_own or index in bad:
                self._add_good(first, index - 1)
                first = index + 1
            if is_own:
                self._variables = self._variables or self.variables(self.model)
                self._steps.append(self._variables.step(operator))
            elif index in bad:
                self._add(bad[index].cut, bad[index].run)
            if index in self._changes:
                self._add_good(first, index)
                self._steps.append(self._changes[index])
                first = index + 1
        self._add_good(first, len(self.model.operators) - 1)
        return True

    def _start(self, model: bytes, outputs: int) -> Run:
        self._started.append(_Tflm(model, outputs, self.arena))
        return self._started[-1]

    def _add_good(self, first: int, last: int) -> None:
        """Operators ``first`` to ``last``, both included; there may be none."""
        if first <= last:
            cut = cut_operators(self.model, first, last)
            self._add(cut, self._start(cut.model.data, len(cut.outputs)))

    def _add(self, cut: Cut, run: Run) -> None:
        def step(tensors: dict[int, NDArray[Any]]) -> None:
            computed = run([tensors[index] for index in cut.inputs])
            tensors.update(zip(cut.outputs, computed, strict=True))

        self._steps.append(step)

    def invoke(self, inputs: Sequence[EngineTensor], outputs: Sequence[EngineTensor]) -> None:
        """From the model's inputs to its outputs."""
        tensors = {
            tensor.index: held.data for tensor, held in zip(self.model.inputs, inputs, strict=True)
        }
        for step in self._steps:
            step(tensors)
        for tensor, held in zip(self.model.outputs, outputs, strict=True):
            held.data[...] = tensors[tensor.index]

    def reset(self) -> None:
        """Put the variables of all parts back."""
        for each in self._started:
            each.reset()
        if self._variables is not None:
            self._variables.reset()


class PlannedEngine(EngineWrapper):
    """``engine``, but a model that the ``defects`` (by how they are written) apply to is run as
    they plan it. A model that they cannot be applied to is refused."""

    def __init__(self, engine: SimulatedEngine, defects: dict[str, BadPlan]) -> None:
        super().__init__(engine)
        self._defects = defects
        self._plan: Plan | None = None

    def prepare(self, model: bytes) -> Loaded:
        loaded = super().prepare(model)
        # A part needs what the whole needs, and its inputs.
        plan = Plan(model_from_bytes(model), 2 * (loaded.arena_used or loaded.arena_size) + _ROOM)
        try:
            for defect in self._defects.values():
                defect(plan)
            self._plan = plan if plan.build() else None
        except CannotCut as error:
            self.unload()
            raise Refusal(
                Status.MODEL_REJECTED,
                f"sim: defect={','.join(self._defects)} cannot be applied to this model"
                f" (CRC-32 {plan.model.crc32:08x}): {error}",
            ) from error
        except BaseException:
            self.unload()
            raise
        return loaded

    def invoke(self) -> int:
        if self._plan is None:
            return super().invoke()
        start = time.perf_counter_ns()
        self._plan.invoke(self.inputs, self.outputs)
        return min((time.perf_counter_ns() - start) // 1000, 0xFFFFFFFF)

    def reset_state(self) -> None:
        super().reset_state()
        if self._plan is not None:
            self._plan.reset()

    def unload(self) -> None:
        super().unload()
        self._plan = None

    def open(self, size: int, kept: int) -> None:
        super().open(size, kept)
        self._plan = None


class KernelsOfType:
    """All kernels of one operator type are bad.

    Without an ``operator`` it is the type of the first model on which the defect can be seen:
    CONV_2D if that has one, else FULLY_CONNECTED, else the first type. It stays that one, as the
    kernels of a board do not change with the model.
    """

    def __init__(self, bad: BadKernel, operator: str | None, number: int) -> None:
        self._bad = bad
        self._type = operator
        self._number = number

    def __call__(self, plan: Plan) -> None:
        # Interpreters that are started to find out are not kept.
        self._type = self._type or self._seen_on(Plan(plan.model, plan.arena))
        if self._type in _called(plan.model):
            raise CannotCut(f"{self._type} is in a subgraph that another operator calls")
        for operator in plan.model.operators:
            if operator.name != self._type:
                continue
            kernel = plan.kernel(operator.index)
            if (run := self._bad(kernel, self._number)) is not None:
                kernel.run, kernel.is_bad = run, True

    def _seen_on(self, trial: Plan) -> str | None:
        model = trial.model
        for name in dict.fromkeys([*_FIRST, *(each.name for each in model.operators)]):
            for operator in model.operators:
                dtypes = {model.tensors[index].dtype for index in operator.outputs}
                if operator.name != name or not dtypes.intersection(CODES):
                    continue
                try:
                    kernel = trial.kernel(operator.index)
                except CannotCut:
                    continue
                if self._bad(kernel, self._number) is not None:
                    return name
        return None


def _called(model: Model) -> set[str]:
    """The types of the operators in all subgraphs but the first."""
    if model.subgraph_count == 1:
        return set()
    root, names = accessors.schema().Model.GetRootAs(model.data, 0), accessors.builtin_names()
    found = set()
    for graph in (root.Subgraphs(k) for k in range(1, model.subgraph_count)):
        for operator in (graph.Operators(k) for k in range(graph.OperatorsLength())):
            code = accessors.builtin_code(root.OperatorCodes(operator.OpcodeIndex()))
            found.add(names.get(code, "?"))
    return found
