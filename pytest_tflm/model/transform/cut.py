"""Cut one operator, or a run of neighbouring ones, out of a model as a model of its own.

A cut model has the operator's constants and variables; its other inputs are the graph's inputs. Fed
with the tensors of a run of the whole model, it computes what that run computed there, so a
kernel's own difference is told from one that it inherited.

Only the parts that a cut needs are read from the file, by the accessors: what a cut costs does not
grow with the model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_tflm.errors import CannotCut, ModelError
from pytest_tflm.model.accessors import ints, root_of, schema, stored_length
from pytest_tflm.model.dtypes import DTYPES
from pytest_tflm.model.graph import pack, take_in_buffer, take_in_options
from pytest_tflm.model.model import model_from_bytes
from pytest_tflm.model.verify.structure import SUBGRAPH_FIELDS

if TYPE_CHECKING:
    from pytest_tflm.model.model import Model
    from pytest_tflm.model.tensor import Operator

    Shapes = Mapping[int, tuple[int, ...]]


@dataclass(frozen=True, eq=False)
class Cut:
    """Operators of a model as a model of their own.

    ``model`` is verified; its name tells where it is from, for example
    ``tcn.tflite#5-SPACE_TO_BATCH_ND``. ``operator`` is the original model's, of several the last.
    ``inputs`` and ``outputs`` hold, for each input and output of ``model``, the index of that
    tensor in the original (subgraph 0). Constants are in the cut, and so are variables, which begin
    anew: an operator with state computes what it computed in the whole model if it is given all
    inputs since that one's reset.
    """

    model: Model
    operator: Operator
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def cut_operator(model: Model, index: int, *, shapes: Shapes | None = None) -> Cut:
    """Operator ``index`` of ``model`` (of subgraph 0) as a model of its own.

    ``shapes`` gives the shape that a tensor really has in a run, by its index; it replaces the
    stored shape and the shape signature. Tensors that are not in it keep both: TFLM computes with
    the stored shape. Subgraphs that the operator calls are carried along.

    Raises :class:`~pytest_tflm.errors.CannotCut`, which says why.
    """
    return cut_operators(model, index, index, shapes=shapes)


def cut_operators(model: Model, first: int, last: int, *, shapes: Shapes | None = None) -> Cut:
    """Operators ``first`` to ``last``, both included, as one model; otherwise as
    :func:`cut_operator`.

    Its outputs are the tensors that are used behind ``last``, that are outputs of the model, or
    that nobody uses.
    """
    _check_range(model, first, last)
    run = model.operators[first : last + 1]
    operator = run[-1]
    name = f"{model.name}#{first if first == last else f'{first}..{last}'}-{operator.name}"
    outputs = _outputs(model, first, last)
    inputs = _inputs(model, run)
    _check_handles(model, run)
    if not outputs:
        raise CannotCut(
            f"{operator.name} (operator {operator.index} of {model.name}) has no outputs: its"
            " effect stays inside the interpreter"
        )
    carrier = _Carrier(model, shapes or {})
    data = carrier.carry(run, inputs, outputs)
    try:
        return Cut(model_from_bytes(data, name), operator, inputs, outputs)
    except ModelError as error:
        # Shapes that do not fit each other, or what the verifier refuses of a model alone.
        raise CannotCut(f"{name} cannot be a model of its own: {error}") from None


def _check_range(model: Model, first: int, last: int) -> None:
    count = len(model.operators)
    if not count:
        raise CannotCut(f"{model.name} has no operators")
    for index in (first, last):
        if not 0 <= index < count:
            raise CannotCut(
                f"{model.name} has no operator {index}: its operators are 0 to {count - 1}"
            )
    if first > last:
        raise CannotCut(
            f"operators {first} to {last} of {model.name}: invalid range, {first} > {last}"
        )


def _inputs(model: Model, run: Iterable[Operator]) -> tuple[int, ...]:
    """The tensors that must be fed, in the order in which they are first used."""
    made: set[int] = set()
    found: dict[int, None] = {}
    for operator in run:
        for index in operator.inputs:
            if index < 0 or index in made:
                continue
            tensor = model.tensors[index]
            if not (tensor.is_constant or tensor.is_variable):
                found[index] = None
        made.update(operator.outputs)
    return tuple(found)


def _outputs(model: Model, first: int, last: int) -> tuple[int, ...]:
    run = model.operators[first : last + 1]
    made = {index: None for operator in run for index in operator.outputs}
    if first == last:
        return tuple(made)
    used_inside = {index for operator in run for index in operator.inputs}
    used_outside = {tensor.index for tensor in model.outputs}
    for operator in model.operators[last + 1 :]:
        used_outside.update(operator.inputs)
    return tuple(i for i in made if i in used_outside or i not in used_inside)


def _check_handles(model: Model, run: Iterable[Operator]) -> None:
    for operator in run:
        for index in (*operator.inputs, *operator.outputs):
            if index >= 0 and model.tensors[index].is_handle:
                raise CannotCut(
                    f"{operator.name} (operator {operator.index} of {model.name}) uses a"
                    f" {model.tensors[index].dtype} that it shares with other operators"
                )


class _Carrier:
    """Carries parts of a model over into a new one, and knows what became of their numbers."""

    def __init__(self, model: Model, shapes: Shapes) -> None:
        self.model = model
        self.shapes = shapes
        self.schema = schema()
        self.root = root_of(model.data)
        self.new = self.schema.ModelT()
        self.new.version = 3
        self.new.description = f"cut from {model.name}"
        self.new.operatorCodes, self.new.subgraphs = [], []
        self.new.buffers = [self.schema.BufferT()]  # buffer 0 is empty by convention
        self.codes: dict[int, int] = {}
        self.buffers: dict[int, int] = {}
        self.graphs: dict[int, int] = {0: 0}

    def carry(
        self, run: tuple[Operator, ...], inputs: tuple[int, ...], outputs: tuple[int, ...]
    ) -> bytes:
        numbers = [operator.index for operator in run]
        self.graph(0, numbers, inputs, outputs)
        # Carrying a subgraph may find others that it calls.
        for number in iter(self._next_subgraph, None):
            self._whole_subgraph(number)
        return pack(self.new)

    def graph(
        self, number: int, operators: Iterable[int], inputs: Iterable[int], outputs: Iterable[int]
    ) -> None:
        """Append a subgraph with these operators and the tensors that they need."""
        old = self.root.Subgraphs(number)
        new = self.schema.SubGraphT()
        new.name = old.Name()
        new.tensors, new.operators = [], []
        self.new.subgraphs.append(new)
        places: dict[int, int] = {}

        def place(index: int) -> int:
            if index not in places:
                if index < 0:
                    return -1  # an input left out
                places[index] = len(new.tensors)
                tensor = self.schema.TensorT.InitFromObj(old.Tensors(index))
                new.tensors.append(tensor)
                self._finish_tensor(tensor, self.shapes.get(index) if number == 0 else None)
                # Block-wise scales are tensors, which nothing else mentions.
                details = tensor.quantization and tensor.quantization.details
                for attribute in ("scales", "zeroPoints"):
                    if isinstance(getattr(details, attribute, None), int):
                        setattr(details, attribute, place(getattr(details, attribute)))
            return places[index]

        new.inputs = [place(index) for index in inputs]
        for k in operators:
            operator = self.schema.OperatorT.InitFromObj(old.Operators(k))
            for attribute in ("inputs", "outputs", "intermediates"):
                indices = getattr(operator, attribute)
                if indices is not None:
                    setattr(operator, attribute, [place(int(i)) for i in indices])
            self._finish_operator(operator)
            new.operators.append(operator)
        new.outputs = [place(index) for index in outputs]

    def _next_subgraph(self) -> int | None:
        done = len(self.new.subgraphs)
        return next((old for old, new in self.graphs.items() if new == done), None)

    def _whole_subgraph(self, number: int) -> None:
        old = self.root.Subgraphs(number)
        for index in range(old.TensorsLength()):
            if DTYPES[old.Tensors(index).Type()].is_handle:
                raise CannotCut(
                    f"{self.model.name}: an operator calls subgraph {number}, which uses a"
                    " variable that other operators share"
                )
        self.graph(number, range(old.OperatorsLength()), ints(old, "Inputs"), ints(old, "Outputs"))

    def _finish_tensor(self, tensor: Any, shape: tuple[int, ...] | None) -> None:
        is_constant = stored_length(self.root.Buffers(tensor.buffer)) > 0
        tensor.buffer = self._buffer(tensor.buffer) if is_constant else 0
        if shape is not None and not is_constant:
            tensor.shape, tensor.shapeSignature = list(shape), None

    def _buffer(self, number: int) -> int:
        if number not in self.buffers:
            buffer = self.schema.BufferT.InitFromObj(self.root.Buffers(number))
            take_in_buffer(buffer, self.model.data)
            self.buffers[number] = len(self.new.buffers)
            self.new.buffers.append(buffer)
        return self.buffers[number]

    def _finish_operator(self, operator: Any) -> None:
        operator.opcodeIndex = self._code(operator.opcodeIndex)
        operator.debugMetadataIndex = -1  # metadata stays behind
        take_in_options(operator, self.model.data)
        for options in (operator.builtinOptions, operator.builtinOptions2):
            name = type(options).__name__.removesuffix("T")
            for field in SUBGRAPH_FIELDS.get(name, ()):
                attribute = field[0].lower() + field[1:]
                setattr(options, attribute, self._called(getattr(options, attribute)))
            if name == "StablehloCaseOptions" and options.branchSubgraphIndices is not None:
                called = [self._called(int(i)) for i in options.branchSubgraphIndices]
                options.branchSubgraphIndices = called

    def _called(self, number: int) -> int:
        return self.graphs.setdefault(number, len(self.graphs))

    def _code(self, number: int) -> int:
        if number not in self.codes:
            code = self.schema.OperatorCodeT.InitFromObj(self.root.OperatorCodes(number))
            self.codes[number] = len(self.new.operatorCodes)
            self.new.operatorCodes.append(code)
        return self.codes[number]
