"""Defects of what comes out: outputs that are not what Invoke has computed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_tflm.simulator.defects.registry import DefectiveEngine, defect
from pytest_tflm.simulator.defects.wrapper import CODES, end_zeroed, halved, moved

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_tflm.simulator.engine.base import EngineTensor, Loaded

_JUMP = 40  # codes
_STUCK = 2  # which bit
_NUMBERS = (*CODES, "float32")


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
    says="outputs are limited to half of their range (int8: -64 to 63); with an operator, only its"
    " outputs",
    cause="saturated-outputs",
    shows="models and operators with int8, uint8 or int16 outputs",
    kernel=lambda kernel, number: kernel.changed(lambda output, inputs: halved(output)),
)
class _Saturation(_AfterInvoke):
    def changed(self, tensor: EngineTensor) -> NDArray[Any]:
        return halved(tensor.data)


@defect(
    "drift",
    says="outputs are 1 LSB (of floats: a 128th of the largest) higher with each run since the"
    " model was loaded",
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


@defect("output-stale", says="gives the previous run's outputs", cause="stale-outputs")
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
    says="the last quarter of each output is the previous run's",
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
    says="gives the previous run's outputs if the first 64 bytes of the inputs are the same",
    cause="stale-outputs",
    shows="models with more than 64 bytes of inputs",
)
class _CachedByPrefix(_Cached):
    def key(self, inputs: bytes) -> object:
        return inputs[:64]


@defect(
    "cached-by-sum",
    says="gives the previous run's outputs if the sum of the inputs' bytes is the same",
    cause="stale-outputs",
)
class _CachedBySum(_Cached):
    def key(self, inputs: bytes) -> object:
        return sum(inputs)


@defect(
    "output-bit-stuck",
    says="bit 2 of each output code is 1",
    cause="input-changed",
    shows="models with int8, uint8 or int16 outputs",
)
class _OutputBitStuck(_AfterInvoke):
    def changed(self, tensor: EngineTensor) -> NDArray[Any]:
        codes: NDArray[Any] = tensor.data
        return codes | codes.dtype.type(1 << _STUCK) if codes.dtype.name in CODES else codes


@defect(
    "halves-exchanged",
    says="the two halves of each output are exchanged",
    cause="input-changed",
    shows="models with outputs of more than one element",
)
class _HalvesExchanged(_AfterInvoke):
    def changed(self, tensor: EngineTensor) -> NDArray[Any]:
        return np.roll(tensor.data.reshape(-1), tensor.data.size // 2).reshape(tensor.data.shape)


@defect(
    "one-element",
    says="one output code is 40 higher when one input element has its highest code",
    cause="input-changed",
    shows="models with an input that has that code there",
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
    "random",
    says="one element of the outputs is 1 LSB off (of floats: a 128th of the largest), another one"
    " in each run (by the seed)",
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
        codes = [each for each in flat if each.dtype.name in _NUMBERS and each.size]
        if codes:
            one = codes[self._random.integers(len(codes))]
            at = int(self._random.integers(one.size))
            one[at : at + 1] = moved(one[at : at + 1], int(self._random.choice([-1, 1])))
        return microseconds


@defect(
    "outputs-swapped",
    says="the first two outputs of equal size and type are swapped",
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
    "not-a-number",
    says="the first element of each float output is NaN",
    cause="input-changed",
    shows="models with float outputs",
)
class _NotANumber(_AfterInvoke):
    def changed(self, tensor: EngineTensor) -> NDArray[Any]:
        made: NDArray[Any] = tensor.data.copy()
        if made.dtype == np.float32:
            made.reshape(-1)[:1] = np.nan
        return made


@defect(
    "outputs-misread",
    says="outputs are the first bytes of the inputs, over and over",
    cause="outputs-elsewhere",
)
class _OutputsMisread(_AfterInvoke):
    def changed(self, tensor: EngineTensor) -> NDArray[Any]:
        held = b"".join(each.data.tobytes() for each in self.inputs)
        size = tensor.data.nbytes
        data = (held * (size // len(held) + 1))[:size]
        return np.frombuffer(data, tensor.data.dtype).reshape(tensor.data.shape)
