"""Defects of a board's memory: the model is not what was sent, a tensor not what was computed."""

from __future__ import annotations

import itertools
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_tflm.errors import ModelError
from pytest_tflm.model import accessors, model_from_bytes
from pytest_tflm.model.arithmetic.requantise import ACCUMULATING
from pytest_tflm.simulator.defects.link import Frames, OtherModelSaid, input_altered
from pytest_tflm.simulator.defects.registry import DefectiveEngine, defect, plan_defect
from pytest_tflm.simulator.defects.variables import Variables
from pytest_tflm.simulator.defects.wrapper import CODES, end_zeroed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_tflm.model import Model
    from pytest_tflm.simulator.defects.operators import Plan
    from pytest_tflm.simulator.defects.registry import Chosen
    from pytest_tflm.simulator.defects.variables import Variable
    from pytest_tflm.simulator.engine.base import Loaded, SimulatedEngine

_GOOD = 4096  # bytes of memory that are good, from the model's first on
_DATA = 4  # schema.fbs: where a Buffer's table has its first field


def weights(model: bytes) -> list[range]:
    """Where the int8 constants of a model's operators lie in its bytes, by operator.

    Of what is no model there are none: an engine says what it is.
    """
    return _constants(model, accessors.schema().TensorType.INT8)


def _constants(model: bytes, dtype: int, *, biases: bool = False) -> list[range]:
    """Of one TensorType: of all operators, or only biases."""
    try:
        operators = model_from_bytes(model).operators
    except ModelError:
        return []
    root = accessors.schema().Model.GetRootAs(model, 0)
    graph = root.Subgraphs(0)
    found = []
    used = (
        i
        for each in operators
        for at, i in enumerate(each.inputs)
        if not biases or (each.name in ACCUMULATING and at == 2)
    )
    for index in dict.fromkeys(i for i in used if i >= 0):
        tensor = graph.Tensors(index)
        if tensor.Type() == dtype:
            buffer = root.Buffers(tensor.Buffer())
            start, size = buffer.Offset(), buffer.Size()
            if buffer.DataLength():
                table = buffer._tab
                start, size = table.Vector(table.Offset(_DATA)), buffer.DataLength()
            if size:
                found.append(range(start, start + size))
    return found


@defect(
    "weight-changed",
    says=(
        "one byte of the models' memory after the first 4096 is bad, so the weight there is"
        " wrong. The first model of that size decides which byte: a weight of its last operator"
        " with weights there"
    ),
    cause="constant-changed",
    shows="models with int8 weights after their first 4096 bytes",
)
class _WeightChanged(DefectiveEngine):
    """One byte of the model's memory is bad, the same for every model and after every load.

    It is in the middle of the weights of the last operator that has any behind the good bytes.
    """

    _bad: int | None = None

    def prepare(self, model: bytes) -> Loaded:
        spans = weights(model)
        if self._bad is None:
            behind = [each[len(each) // 2] for each in spans if each[len(each) // 2] >= _GOOD]
            self._bad = behind[-1] if behind else None
        if self._bad is not None and any(self._bad in each for each in spans):
            changed = bytearray(model)
            changed[self._bad] ^= 0x80
            model = bytes(changed)
        return replace(super().prepare(model), memory=model)


@defect(
    "bias-bit",
    says=(
        "one bit of a bias of the first model with so many is inverted in flash: 2^14 of the"
        " middle element. Models loaded later are intact"
    ),
    cause="constant-changed",
    shows="the first model with int32 biases",
    number=0,
    number_is="which operator with such a bias, counted from 0",
    numbers=range(10000),
)
class _BiasBit(DefectiveEngine):
    _flashed: bytes | None = None

    def prepare(self, model: bytes) -> Loaded:
        spans = _constants(model, accessors.schema().TensorType.INT32, biases=True)
        number = self.chosen.number or 0
        if self._flashed is None and number < len(spans):
            self._flashed = model
        if model == self._flashed:
            span = spans[number]
            changed = bytearray(model)
            changed[span[len(span) // 8 * 4] + 1] ^= 1 << 6  # little-endian
            model = bytes(changed)
        return replace(super().prepare(model), memory=model)


@defect(
    "other-model",
    says="runs a model with weights other than those sent, and reports its CRC-32",
    cause="wrong-model",
    shows="models with int8 weights",
)
class _OtherModel(DefectiveEngine):
    """All weights of the model's largest constant have another sign."""

    def __init__(self, engine: SimulatedEngine, chosen: Chosen, seed: int) -> None:
        super().__init__(engine, chosen, seed)
        self._says = OtherModelSaid()

    def prepare(self, model: bytes) -> Loaded:
        sent = zlib.crc32(model)
        if spans := weights(model):
            largest = max(spans, key=len)
            changed = bytearray(model)
            for at in largest:
                changed[at] ^= 0xFF
            model = bytes(changed)
        self._says.instead(sent, zlib.crc32(model))
        return super().prepare(model)

    def received(self, data: bytes) -> bytes:
        return super().received(self._says.request(data))

    def sent(self, data: bytes) -> bytes:
        return self._says.reply(super().sent(data))


@defect(
    "input-altered",
    says="one byte of the first input is changed in the board's memory before Invoke",
    cause="input-altered",
)
class _InputAltered(DefectiveEngine):
    def __init__(self, engine: SimulatedEngine, chosen: Chosen, seed: int) -> None:
        super().__init__(engine, chosen, seed)
        self._frames = Frames(input_altered)

    def received(self, data: bytes) -> bytes:
        return super().received(self._frames(data))


@plan_defect(
    "arena-overlap",
    says="in the middle of the model, the last quarter of a tensor is overwritten with code 0",
    cause="memory-altered",
    shows="models of more than one operator",
)
def _arena_overlap(plan: Plan) -> None:
    found = _in_the_middle(plan.model)
    if found is None:
        return
    middle, made = found

    def overwrite(tensors: dict[int, NDArray[Any]]) -> None:
        if (array := tensors.get(made)) is not None:
            tensors[made] = end_zeroed(array, -(-array.nbytes // 4))

    plan.after(middle, overwrite)


def _in_the_middle(model: Model) -> tuple[int, int] | None:
    """An operator near the model's middle, not the last, and the tensor of codes that it makes."""
    count = len(model.operators)
    for middle in sorted(range(count - 1), key=lambda k: abs(2 * k - count + 2)):
        made = model.operators[middle].outputs[:1]
        if made and model.tensors[made[0]].dtype in CODES:
            return middle, made[0]
    return None


@plan_defect(
    "interrupt",
    says="in each third run bit 6 of one element of a tensor in the middle of the model is"
    " inverted, as by an interrupt that writes there",
    cause="nondeterministic-board",
    shows="models of more than one operator",
)
def _interrupt(plan: Plan) -> None:
    found = _in_the_middle(plan.model)
    if found is None:
        return
    middle, made = found
    runs = itertools.count(1)

    def overwrite(tensors: dict[int, NDArray[Any]]) -> None:
        array = tensors.get(made)
        if next(runs) % 3 or array is None:
            return
        data = bytearray(array.tobytes())
        data[len(data) // 2] ^= 1 << 6
        tensors[made] = np.frombuffer(data, array.dtype).reshape(array.shape)

    plan.after(middle, overwrite)


@plan_defect(
    "last-operator-lost",
    says="the last operator of a model with several does not run: its outputs are code 0",
    cause="last-operator-lost",
    shows="models of more than one operator",
)
def _last_operator_lost(plan: Plan) -> None:
    last = plan.model.operators[-1]
    if len(plan.model.operators) < 2:
        return

    def lose(tensors: dict[int, NDArray[Any]]) -> None:
        for index in last.outputs:
            if index in tensors:
                tensors[index] = np.zeros_like(tensors[index])

    plan.after(last.index, lose)


@plan_defect(
    "tensors-overlap",
    says=(
        "two tensors that are needed at the same time share memory: writing the later one"
        " overwrites the first quarter of the earlier one, or as much as the later one has"
    ),
    cause="tensors-overlap",
    shows="models that use a tensor again after writing another one",
)
def _tensors_overlap(plan: Plan) -> None:
    found = _live_at_once(plan.model)
    if found is None:
        return
    at, earlier, later = found

    def overwrite(tensors: dict[int, NDArray[Any]]) -> None:
        kept, written = tensors[earlier], tensors[later].tobytes()
        data = bytearray(kept.tobytes())
        shared = min(-(-len(data) // 4), len(written))
        data[:shared] = written[:shared]
        tensors[earlier] = np.frombuffer(data, kept.dtype).reshape(kept.shape)

    plan.after(at, overwrite)


def _live_at_once(model: Model) -> tuple[int, int, int] | None:
    """The first operator that writes a tensor while another one is still to be used: its index,
    the tensor that was there before, and the one that it writes."""
    last_use = {index: each.index for each in model.operators for index in each.inputs}
    made = [each.index for each in model.inputs if each.dtype in CODES]
    for each in model.operators:
        for later in each.outputs:
            used = [i for i in made if last_use.get(i, -1) > each.index]
            if used and model.tensors[later].dtype in CODES and later in last_use:
                return each.index, used[-1], later
        made += [i for i in each.outputs if model.tensors[i].dtype in CODES]
    return None


class _Shared(Variables):
    """All variables are one piece of memory."""

    _memory = b""

    def reset(self) -> None:
        super().reset()
        self._memory = b""

    def read(self, variable: Variable) -> bytes:
        initial = super().read(variable)
        return self._memory[: len(initial)] + initial[len(self._memory) :]

    def write(self, variable: Variable, data: bytes) -> None:
        self._memory = data + self._memory[len(data) :]


class _Halved(Variables):
    """The second half of what is assigned to a variable is not kept."""

    def write(self, variable: Variable, data: bytes) -> None:
        half = -(-len(data) // 2)
        super().write(variable, data[:half] + super().read(variable)[half:])


@plan_defect(
    "variables-shared",
    says="all resource variables of a model are one piece of memory",
    cause="state-operators",
    shows="models with several resource variables",
)
def _variables_shared(plan: Plan) -> None:
    plan.variables = _Shared


@plan_defect(
    "variables-halved",
    says="of what is assigned to a resource variable only the first half is kept",
    cause="state-operators",
    shows="models with resource variables",
)
def _variables_halved(plan: Plan) -> None:
    plan.variables = _Halved
