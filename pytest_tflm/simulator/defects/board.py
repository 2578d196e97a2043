"""Defects of a board's firmware: what goes in, what comes out, and what is refused."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_tflm.model import model_from_bytes
from pytest_tflm.simulator.engine.base import Refusal, Status
from pytest_tflm.simulator.engine.wrapper import CODES, DefectiveEngine, halved, moved

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_tflm.simulator.engine.base import EngineTensor, Loaded

_CUT = 50  # bytes: one batch of the sketches that send 50 at a time
_JUMP = 40  # codes


class _AfterInvoke(DefectiveEngine):
    """Changes outputs once they are computed."""

    def invoke(self) -> int:
        microseconds = super().invoke()
        for tensor in self.outputs:
            tensor.data[...] = self.changed(tensor)
        return microseconds

    def changed(self, tensor: EngineTensor) -> NDArray[Any] | int:
        """What the output is to hold."""
        raise NotImplementedError


class _Zeros(_AfterInvoke):
    def changed(self, tensor: EngineTensor) -> int:
        return 0


class _Constant(_AfterInvoke):
    def changed(self, tensor: EngineTensor) -> int:
        return tensor.zero_point


class _Saturation(_AfterInvoke):
    def changed(self, tensor: EngineTensor) -> NDArray[Any]:
        return halved(tensor.data)


class _Drift(_AfterInvoke):
    _runs = 0

    def prepare(self, model: bytes) -> Loaded:
        self._runs = 0
        return super().prepare(model)

    def invoke(self) -> int:
        microseconds = super().invoke()
        self._runs += 1
        return microseconds

    def changed(self, tensor: EngineTensor) -> NDArray[Any]:
        return moved(tensor.data, self._runs)


class _OutputStale(DefectiveEngine):
    def prepare(self, model: bytes) -> Loaded:
        loaded = super().prepare(model)
        self._before = [np.zeros_like(tensor.data) for tensor in loaded.outputs]
        return loaded

    def invoke(self) -> int:
        microseconds = super().invoke()
        computed = [tensor.data.copy() for tensor in self.outputs]
        for tensor, before in zip(self.outputs, self._before, strict=True):
            tensor.data[...] = before
        self._before = computed
        return microseconds


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


class _InputStale(_OtherInputs):
    def prepare(self, model: bytes) -> Loaded:
        loaded = super().prepare(model)
        self._before = [np.zeros_like(tensor.data) for tensor in loaded.inputs]
        return loaded

    def others(self, arrived: list[NDArray[Any]]) -> list[NDArray[Any]]:
        before, self._before = self._before, arrived
        return before


class _InputTruncated(_OtherInputs):
    def others(self, arrived: list[NDArray[Any]]) -> list[NDArray[Any]]:
        return [_truncated(array) for array in arrived]


def _truncated(array: NDArray[Any]) -> NDArray[Any]:
    data = bytearray(array.tobytes())
    lost = min(_CUT, len(data) // 2)
    data[len(data) - lost :] = bytes(lost)
    return np.frombuffer(data, array.dtype).reshape(array.shape)


class _InputReused(DefectiveEngine):
    def invoke(self) -> int:
        microseconds = super().invoke()
        left = b"".join(tensor.data.tobytes() for tensor in self.outputs)
        for tensor in self.inputs:
            data = (left + tensor.data.tobytes()[len(left) :])[: tensor.data.nbytes]
            tensor.data[...] = np.frombuffer(data, tensor.data.dtype).reshape(tensor.data.shape)
        return microseconds


class _OneElement(DefectiveEngine):
    def invoke(self) -> int:
        microseconds = super().invoke()
        source, target = self.inputs[0].data, self.outputs[0].data
        if source.size and source.dtype.name in CODES and target.size:
            element = source.reshape(-1)[(self.chosen.number or 0) % source.size]
            if element == np.iinfo(source.dtype).max:
                flat = target.reshape(-1)
                flat[:1] = moved(flat[:1], _JUMP)
        return microseconds


class _StateKept(DefectiveEngine):
    def reset_state(self) -> None:
        pass


class _Random(DefectiveEngine):
    def prepare(self, model: bytes) -> Loaded:
        loaded = super().prepare(model)
        # Of all loads together, so that loading again does not repeat it.
        self._random = getattr(self, "_random", None) or np.random.default_rng(self.seed)
        return loaded

    def invoke(self) -> int:
        microseconds = super().invoke()
        flat = [tensor.data.reshape(-1) for tensor in self.outputs]
        codes = [each for each in flat if each.dtype.name in CODES and each.size]
        if codes:
            one = codes[self._random.integers(len(codes))]
            at = int(self._random.integers(one.size))
            one[at : at + 1] = moved(one[at : at + 1], int(self._random.choice([-1, 1])))
        return microseconds


class _OutputsSwapped(DefectiveEngine):
    def invoke(self) -> int:
        microseconds = super().invoke()
        data = [tensor.data for tensor in self.outputs]
        for second in range(1, len(data)):
            for first in range(second):
                one, other = data[first], data[second]
                if one.dtype == other.dtype and one.nbytes == other.nbytes:
                    kept = one.copy()
                    one[...] = other.reshape(one.shape)
                    other[...] = kept.reshape(other.shape)
                    return microseconds
        return microseconds


class _LostVersion(DefectiveEngine):
    def prepare(self, model: bytes) -> Loaded:
        loaded = super().prepare(model)
        for each in model_from_bytes(model).operators:
            if each.version > 1 and self.chosen.operator in (None, each.name):
                self.unload()
                # The words of TFLM's op resolver.
                raise Refusal(
                    Status.OPERATOR_MISSING,
                    f"Didn't find op for builtin opcode '{each.name}' version '{each.version}'",
                )
        return loaded


class _OnlyFirstOperator(DefectiveEngine):
    _registered = ""

    def prepare(self, model: bytes) -> Loaded:
        loaded = super().prepare(model)
        names = [each.name for each in model_from_bytes(model).operators]
        self._registered = self._registered or names[0]
        for name in names:
            if name != self._registered:
                self.unload()
                raise Refusal(
                    Status.OPERATOR_MISSING, f"Didn't find op for builtin opcode '{name}'"
                )
        return loaded


class _Crash(DefectiveEngine):
    def invoke(self) -> int:
        os.kill(os.getpid(), signal.SIGSEGV)
        return 0


WRAPPERS: dict[str, type[DefectiveEngine]] = {
    "zeros": _Zeros,
    "constant": _Constant,
    "output-stale": _OutputStale,
    "input-stale": _InputStale,
    "input-truncated": _InputTruncated,
    "input-reused": _InputReused,
    "one-element": _OneElement,
    "state-kept": _StateKept,
    "drift": _Drift,
    "random": _Random,
    "outputs-swapped": _OutputsSwapped,
    "saturation": _Saturation,
    "lost-version": _LostVersion,
    "only-first-operator": _OnlyFirstOperator,
    "crash": _Crash,
}
"""An engine for each defect of ``where`` "board", by its name."""
