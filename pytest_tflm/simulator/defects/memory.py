"""Defects of a board's memory: the model is not what was sent, a tensor not what was computed."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_tflm.errors import ModelError
from pytest_tflm.model import accessors, model_from_bytes
from pytest_tflm.model.transform.cut import cut_operator
from pytest_tflm.simulator.defects.kernel import Kernel
from pytest_tflm.simulator.engine.segments import SegmentedEngine, Segments
from pytest_tflm.simulator.engine.wrapper import CODES, EngineWrapper

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_tflm.model import Model
    from pytest_tflm.simulator.engine.base import Loaded
    from pytest_tflm.simulator.engine.segments import Arrays, Run

_GOOD = 4096  # bytes of memory that are good, from the model's first on
_DATA = 4  # schema.fbs: where a Buffer's table has its first field


def weights(model: bytes) -> list[range]:
    """Where the int8 constants of a model's operators lie in its bytes, by operator.

    Of what is no model there are none: an engine says what it is.
    """
    try:
        operators = model_from_bytes(model).operators
    except ModelError:
        return []
    root = accessors.schema().Model.GetRootAs(model, 0)
    graph = root.Subgraphs(0)
    found = []
    for index in dict.fromkeys(i for each in operators for i in each.inputs if i >= 0):
        tensor = graph.Tensors(index)
        if tensor.Type() == accessors.schema().TensorType.INT8:
            buffer = root.Buffers(tensor.Buffer())
            start, size = buffer.Offset(), buffer.Size()
            if buffer.DataLength():
                table = buffer._tab
                start, size = table.Vector(table.Offset(_DATA)), buffer.DataLength()
            if size:
                found.append(range(start, start + size))
    return found


class WeightChanged(EngineWrapper):
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
        return super().prepare(model)


class OtherModel(EngineWrapper):
    """All weights of the model's largest constant have another sign.

    ``sent`` and ``crc32`` are the CRC-32 of the model that was sent and of the one that runs.
    """

    sent = 0
    crc32 = 0

    def prepare(self, model: bytes) -> Loaded:
        self.sent = zlib.crc32(model)
        if spans := weights(model):
            largest = max(spans, key=len)
            changed = bytearray(model)
            for at in largest:
                changed[at] ^= 0xFF
            model = bytes(changed)
        self.crc32 = zlib.crc32(model)
        return super().prepare(model)


class ArenaOverlap(SegmentedEngine):
    """Something is written over a tensor between two operators in the middle of the model."""

    def cut(self, model: Model, arena: int) -> Segments | None:
        count = len(model.operators)
        for middle in sorted(range(count - 1), key=lambda k: abs(2 * k - count + 2)):
            made = model.operators[middle].outputs[:1]
            if not made or model.tensors[made[0]].dtype not in CODES:
                continue
            segments = Segments(model, arena)
            segments.add_healthy(0, middle - 1)
            cut = cut_operator(model, middle)
            kernel = Kernel(cut, segments)
            segments.add(cut, _overwritten(kernel.run))
            segments.add_healthy(middle + 1, count - 1)
            return segments
        return None


def _overwritten(run: Run) -> Run:
    """``run``, and then the last quarter of its first output overwritten."""

    def overwriting(arrays: Arrays) -> list[NDArray[Any]]:
        first, *rest = run(arrays)
        data = bytearray(first.tobytes())
        lost = -(-len(data) // 4)
        data[len(data) - lost :] = bytes(lost)
        return [np.frombuffer(data, first.dtype).reshape(first.shape), *rest]

    return overwriting
