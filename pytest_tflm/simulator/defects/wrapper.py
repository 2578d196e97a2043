"""An engine around an engine, and arrays of codes: what all defects have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_tflm.simulator.engine.base import EngineTensor, Loaded, SimulatedEngine

CODES = ("int8", "uint8", "int16")
"""The types of quantised tensors whose codes a defect can move."""


class EngineWrapper:
    """Does what ``engine`` does.

    ``inputs`` and ``outputs`` are the loaded model's, with the arrays that the board reads and
    writes.
    """

    def __init__(self, engine: SimulatedEngine) -> None:
        self._engine = engine
        self.inputs: tuple[EngineTensor, ...] = ()
        self.outputs: tuple[EngineTensor, ...] = ()

    @property
    def kernels(self) -> str:
        return self._engine.kernels

    @property
    def tflm(self) -> str:
        return self._engine.tflm

    @property
    def operators(self) -> str:
        return self._engine.operators

    @property
    def memory(self) -> int:
        return self._engine.memory

    def take_log(self) -> list[str]:
        return self._engine.take_log()

    def received(self, data: bytes) -> bytes:
        return self._engine.received(data)

    def sent(self, data: bytes) -> bytes:
        return self._engine.sent(data)

    def open(self, size: int, kept: int) -> None:
        self._engine.open(size, kept)
        self.inputs = self.outputs = ()

    def prepare(self, model: bytes) -> Loaded:
        loaded = self._engine.prepare(model)
        self.inputs, self.outputs = loaded.inputs, loaded.outputs
        return loaded

    def invoke(self) -> int:
        return self._engine.invoke()

    def reset_state(self) -> None:
        self._engine.reset_state()

    def unload(self) -> None:
        self._engine.unload()
        self.inputs = self.outputs = ()


def moved(array: NDArray[Any], by: NDArray[Any] | int) -> NDArray[Any]:
    """An array of codes, moved by so many LSBs and saturated; of float32, moved by so many 128ths
    of its largest magnitude, or of 1 if that is 0. Of another type, it is unchanged."""
    if array.dtype == np.float32:
        largest = float(np.abs(array).max(initial=0.0))
        return (array + np.asarray(by) * ((largest or 1.0) / 128)).astype(np.float32)
    if array.dtype.name not in CODES:
        return array
    limits = np.iinfo(array.dtype)
    codes = np.clip(array.astype(np.int64) + by, limits.min, limits.max)
    return codes.astype(array.dtype)


def halved(array: NDArray[Any]) -> NDArray[Any]:
    """Codes that end at half of their type's range. Of another type, it is unchanged."""
    if array.dtype.name not in CODES:
        return array
    limits = np.iinfo(array.dtype)
    quarter = (limits.max - limits.min + 1) // 4
    codes: NDArray[Any] = np.clip(array, limits.min + quarter, limits.max - quarter)
    return codes


def end_zeroed(array: NDArray[Any], count: int) -> NDArray[Any]:
    """An array whose last ``count`` bytes are 0."""
    data = bytearray(array.tobytes())
    data[len(data) - count :] = bytes(count)
    return np.frombuffer(data, array.dtype).reshape(array.shape)


def wrapped(values: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    """The lowest bits of integers, the highest of those as the sign."""
    half = 1 << (bits - 1)
    return ((values + half) & (2 * half - 1)) - half
