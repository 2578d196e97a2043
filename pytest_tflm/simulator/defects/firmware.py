"""Defects of a board's firmware: what goes in, what comes out, and what is refused."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_tflm.model import model_from_bytes
from pytest_tflm.simulator.defects.registry import DefectiveEngine, defect
from pytest_tflm.simulator.defects.wrapper import CODES, end_zeroed, halved, moved
from pytest_tflm.simulator.engine.base import Refusal, Status

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


@defect("zeros", says="all outputs are code 0", cause="constant-outputs")
class _Zeros(_AfterInvoke):
    def changed(self, tensor: EngineTensor) -> int:
        return 0


@defect("constant", says="all outputs are at their zero point", cause="constant-outputs")
class _Constant(_AfterInvoke):
    def changed(self, tensor: EngineTensor) -> int:
        return tensor.zero_point


@defect(
    "saturation",
    says="outputs end at half of their range (int8: -64 to 63); with an operator, its kernel's",
    cause="saturated-outputs",
    shows="models and operators with int8, uint8 or int16 outputs",
    kernel=lambda kernel, number: kernel.changed(lambda output, inputs: halved(output)),
)
class _Saturation(_AfterInvoke):
    def changed(self, tensor: EngineTensor) -> NDArray[Any]:
        return halved(tensor.data)


@defect(
    "drift",
    says="outputs are 1 LSB higher with each run since the model was loaded",
    cause="drifting-outputs",
)
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


@defect("output-stale", says="gives the outputs of the run before", cause="stale-outputs")
class _OutputStale(DefectiveEngine):
    share = 1
    """One of how many parts of each output, the last one, is the previous run's."""

    def prepare(self, model: bytes) -> Loaded:
        loaded = super().prepare(model)
        self._before = [np.zeros_like(tensor.data) for tensor in loaded.outputs]
        return loaded

    def invoke(self) -> int:
        microseconds = super().invoke()
        computed = [tensor.data.copy() for tensor in self.outputs]
        for tensor, before in zip(self.outputs, self._before, strict=True):
            stale = slice(before.size - -(-before.size // self.share), None)
            tensor.data.reshape(-1)[stale] = before.reshape(-1)[stale]
        self._before = computed
        return microseconds


@defect(
    "tail-stale",
    says="the last quarter of each output is that of the run before",
    cause="stale-tail",
)
class _TailStale(_OutputStale):
    share = 4


@defect(
    "tail-lost",
    says="the last quarter of each output is code 0 in all runs",
    cause="constant-tail",
)
class _TailLost(_AfterInvoke):
    def changed(self, tensor: EngineTensor) -> NDArray[Any]:
        return end_zeroed(tensor.data, -(-tensor.data.size // 4) * tensor.data.itemsize)


class _Cached(DefectiveEngine):
    """Does not run a model again if the inputs have the same key as those of the run before."""

    def prepare(self, model: bytes) -> Loaded:
        self._held: tuple[object, list[NDArray[Any]]] | None = None
        return super().prepare(model)

    def invoke(self) -> int:
        key = self.key(b"".join(tensor.data.tobytes() for tensor in self.inputs))
        if self._held is None or self._held[0] != key:
            microseconds = super().invoke()
            self._held = key, [tensor.data.copy() for tensor in self.outputs]
            return microseconds
        for tensor, held in zip(self.outputs, self._held[1], strict=True):
            tensor.data[...] = held
        return 0

    def key(self, inputs: bytes) -> object:
        """What is compared of the inputs' bytes."""
        raise NotImplementedError


@defect(
    "cached-by-prefix",
    says="gives the outputs of the run before if the first 64 bytes of the inputs are the same",
    cause="stale-outputs",
    shows="models with more than 64 bytes of inputs",
)
class _CachedByPrefix(_Cached):
    def key(self, inputs: bytes) -> object:
        return inputs[:64]


@defect(
    "cached-by-sum",
    says="gives the outputs of the run before if the sum of the inputs' bytes is the same",
    cause="stale-outputs",
)
class _CachedBySum(_Cached):
    def key(self, inputs: bytes) -> object:
        return sum(inputs)


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
    says="Invoke computes with the input of the run before, although the new one has arrived",
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
    "input-truncated",
    says="the last 50 bytes of each input, at most half of it, are not the new ones but code 0, as"
    " when the model was loaded",
    cause="input-truncated",
)
class _InputTruncated(_OtherInputs):
    def others(self, arrived: list[NDArray[Any]]) -> list[NDArray[Any]]:
        return [end_zeroed(array, min(_CUT, array.nbytes // 2)) for array in arrived]


@defect(
    "input-requantised",
    says="codes are quantised once more before Invoke: code c becomes c / scale + zero point",
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
    "input-reused",
    says="Invoke leaves its outputs in the memory of the inputs",
    cause="input-reused",
    shows="every model, by what is in the inputs after a run",
)
class _InputReused(DefectiveEngine):
    def invoke(self) -> int:
        microseconds = super().invoke()
        left = b"".join(tensor.data.tobytes() for tensor in self.outputs)
        for tensor in self.inputs:
            data = (left + tensor.data.tobytes()[len(left) :])[: tensor.data.nbytes]
            tensor.data[...] = np.frombuffer(data, tensor.data.dtype).reshape(tensor.data.shape)
        return microseconds


@defect(
    "one-element",
    says="one output code is 40 higher when one input element has its highest code",
    cause="input-changed",
    shows="models of which an input has that code there",
    number=417,
    number_is="index of the element (modulo the first input's size)",
)
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


@defect(
    "state-kept",
    says="a reset leaves the model's variables as they are",
    cause="state-not-reset",
    shows="models with variables",
)
class _StateKept(DefectiveEngine):
    def reset_state(self) -> None:
        pass


@defect(
    "random",
    says="one element of the outputs is 1 LSB off, another one in each run (by the seed)",
    cause="nondeterministic-board",
)
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


@defect(
    "outputs-swapped",
    says="the first two outputs of equal size and type are exchanged",
    cause="outputs-swapped",
    shows="models with two such outputs",
)
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


@defect(
    "lost-version",
    says="refuses operators whose version is above 1; with an operator, of that type",
    cause="operator-version",
    shows="models with such operators",
    operator=True,
)
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


@defect(
    "only-first-operator",
    says="only the type of the first operator of the first model is registered",
    cause="operator-missing",
    shows="models with another type of operator",
)
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


@defect("crash", says="the board's process dies in Invoke", cause="board-broke")
class _Crash(DefectiveEngine):
    def invoke(self) -> int:
        os.kill(os.getpid(), signal.SIGSEGV)
        return 0
