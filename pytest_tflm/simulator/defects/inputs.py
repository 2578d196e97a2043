"""Defects of what goes in: inputs that are not, when Invoke runs, what has arrived."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_tflm.simulator.defects.registry import DefectiveEngine, defect
from pytest_tflm.simulator.defects.wrapper import end_zeroed, moved

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_tflm.simulator.engine.base import Loaded

_CUT = 50  # bytes: one batch of the sketches that send 50 at a time
_LINE = slice(32, 64)  # bytes: a line of a Cortex-M7's cache


class _OtherInputs(DefectiveEngine):
    """Computes with other inputs than have arrived; those that have arrived stay in memory."""

    def invoke(self) -> int:
        arrived = [tensor.data.copy() for tensor in self.inputs]
        for tensor, other in zip(self.inputs, self.others(arrived), strict=True):
            tensor.data[...] = other
        try:
            return super().invoke()
        finally:
            for tensor, data in zip(self.inputs, arrived, strict=True):
                tensor.data[...] = data

    def others(self, arrived: list[NDArray[Any]]) -> list[NDArray[Any]]:
        """What to compute with."""
        raise NotImplementedError


@defect(
    "input-stale",
    says="Invoke uses the previous run's input, although the new one has arrived",
    cause="stale-outputs",
)
class _InputStale(_OtherInputs):
    def prepare(self, model: bytes) -> Loaded:
        loaded = super().prepare(model)
        self._before = [np.zeros_like(tensor.data) for tensor in loaded.inputs]
        return loaded

    def others(self, arrived: list[NDArray[Any]]) -> list[NDArray[Any]]:
        before, self._before = self._before, arrived
        return before


@defect(
    "input-line-stale",
    says="bytes 32 to 63 of each input are those of the run before, as from a cache line that is"
    " not invalidated",
    cause="input-changed",
    shows="models with more than 32 bytes of an input",
)
class _InputLineStale(_InputStale):
    def others(self, arrived: list[NDArray[Any]]) -> list[NDArray[Any]]:
        before = super().others(arrived)
        return [_with_line(new, old) for new, old in zip(arrived, before, strict=True)]


def _with_line(new: NDArray[Any], old: NDArray[Any]) -> NDArray[Any]:
    data = bytearray(new.tobytes())
    data[_LINE] = old.tobytes()[_LINE]
    return np.frombuffer(data, new.dtype).reshape(new.shape)


@defect(
    "input-truncated",
    says="the last 50 bytes of each input, at most half of it, stay code 0, as when the model was"
    " loaded",
    cause="input-truncated",
)
class _InputTruncated(_OtherInputs):
    def others(self, arrived: list[NDArray[Any]]) -> list[NDArray[Any]]:
        return [end_zeroed(array, min(_CUT, array.nbytes // 2)) for array in arrived]


@defect(
    "input-requantised",
    says="codes are quantised again before Invoke: code c becomes c / scale + zero point",
    cause="input-changed",
    shows="models with quantised inputs",
)
class _InputRequantised(_OtherInputs):
    def others(self, arrived: list[NDArray[Any]]) -> list[NDArray[Any]]:
        return [
            moved(array, np.rint(array / tensor.scale) + tensor.zero_point - array)
            if tensor.scale
            else array
            for tensor, array in zip(self.inputs, arrived, strict=True)
        ]


@defect(
    "input-end-zeroed",
    says="the last byte of each input is 0 when Invoke runs, after the check",
    cause="input-changed",
)
class _InputEndZeroed(_OtherInputs):
    def others(self, arrived: list[NDArray[Any]]) -> list[NDArray[Any]]:
        return [end_zeroed(array, 1) for array in arrived]


@defect(
    "input-byte-swapped",
    says="the two bytes of each code of int16 inputs are swapped before Invoke",
    cause="input-changed",
    shows="models with int16 inputs",
)
class _InputByteSwapped(_OtherInputs):
    def others(self, arrived: list[NDArray[Any]]) -> list[NDArray[Any]]:
        return [each.byteswap() if each.dtype == np.int16 else each for each in arrived]


@defect(
    "input-sign-flipped",
    says="the highest bit of each code of int8 inputs is inverted before Invoke",
    cause="input-changed",
    shows="models with int8 inputs",
)
class _InputSignFlipped(_OtherInputs):
    def others(self, arrived: list[NDArray[Any]]) -> list[NDArray[Any]]:
        return [each ^ np.int8(-128) if each.dtype == np.int8 else each for each in arrived]


@defect(
    "input-dithered",
    says="each second element of inputs is 1 LSB higher when Invoke runs",
    cause="input-changed",
    shows="models with quantised inputs of more than one element",
)
class _InputDithered(_OtherInputs):
    def others(self, arrived: list[NDArray[Any]]) -> list[NDArray[Any]]:
        return [
            moved(each, np.arange(each.size).reshape(each.shape) % 2)
            if each.dtype.kind != "f"
            else each
            for each in arrived
        ]


@defect(
    "input-reused",
    says="Invoke leaves its outputs in the memory of the inputs",
    cause="input-reused",
    shows="every model, when inputs are read back after a run",
)
class _InputReused(DefectiveEngine):
    def invoke(self) -> int:
        microseconds = super().invoke()
        left = b"".join(tensor.data.tobytes() for tensor in self.outputs)
        for tensor in self.inputs:
            data = (left + tensor.data.tobytes()[len(left) :])[: tensor.data.nbytes]
            tensor.data[...] = np.frombuffer(data, tensor.data.dtype).reshape(tensor.data.shape)
        return microseconds
