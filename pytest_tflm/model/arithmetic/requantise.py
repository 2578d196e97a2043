"""From accumulators to codes: TFLM's fixed-point arithmetic in numpy.

All after ``tensorflow/lite/kernels/internal/common.cc`` (``MultiplyByQuantizedMultiplier``),
``quantization_util.cc`` (``QuantizeMultiplier``) and ``kernels/kernel_util.cc`` (the real
multipliers, ``CalculateActivationRangeQuantized``) of tflite-micro.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_tflm.model.arithmetic.single import NO_ACTIVATION, RELU, RELU6, RELU_N1_TO_1, Single

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pytest_tflm.model.tensor import Tensor

ACCUMULATING = ("FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D")
"""The operators whose accumulators :mod:`~pytest_tflm.model.arithmetic.accumulators` knows."""

_LIMITS = {RELU: (0.0, None), RELU_N1_TO_1: (-1.0, 1.0), RELU6: (0.0, 6.0)}


@dataclass(frozen=True, eq=False)
class Requantisation:
    """How an operator's accumulators become codes.

    ``reals`` are the multipliers before they are quantised (float64), ``multipliers`` (int64, of 31
    fractional bits) and ``shifts`` (int64, positive to the left) what TFLM computes with: one for
    each output channel, or one for all. ``zero_point`` is the output's; codes are clamped to
    ``lowest`` … ``highest``. ``is_wide``: the accumulators have 64 bits, as with int16 activations
    and an int64 bias; then only 15 bits of the multiplier are used.
    """

    reals: NDArray[np.float64]
    multipliers: NDArray[np.int64]
    shifts: NDArray[np.int64]
    zero_point: int
    lowest: int
    highest: int
    dtype: np.dtype[Any]
    is_wide: bool = False

    def codes(
        self,
        accumulators: NDArray[np.int64],
        *,
        single_rounding: bool = False,
        cut_off: bool = False,
    ) -> NDArray[Any]:
        """The output's codes, in its dtype, of accumulators whose last axis are its channels.
        ``cut_off``: scaled once, and rounded down."""
        if cut_off:
            return self.clamped((accumulators * self.multipliers) >> (31 - self.shifts))
        scaled = requantise(
            accumulators,
            self.multipliers,
            self.shifts,
            single_rounding=single_rounding,
            wide=self.is_wide,
        )
        return self.clamped(scaled)

    def clamped(self, scaled: NDArray[np.int64]) -> NDArray[Any]:
        """Codes of accumulators that have been scaled: zero point added, clamped."""
        codes = np.clip(scaled + self.zero_point, self.lowest, self.highest)
        return codes.astype(self.dtype)


def requantise(
    accumulators: NDArray[np.int64],
    multipliers: NDArray[np.int64] | int,
    shifts: NDArray[np.int64] | int,
    *,
    single_rounding: bool = False,
    wide: bool = False,
) -> NDArray[np.int64]:
    """``MultiplyByQuantizedMultiplier`` of every element; both arguments broadcast over the last
    axis.

    TFLM rounds twice unless it is built with ``TFLITE_SINGLE_ROUNDING``. ``wide`` is the overload
    for accumulators of 64 bits, which rounds once whatever the build.
    """
    x = np.asarray(accumulators, np.int64)
    result: NDArray[np.int64]
    multiplier, shift = np.asarray(multipliers, np.int64), np.asarray(shifts, np.int64)
    if wide:
        reduced = np.where(multiplier < 0x7FFF0000, (multiplier + (1 << 15)) >> 16, 0x7FFF)
        total = 15 - shift
        result = (x * reduced + (np.int64(1) << (total - 1))) >> total
        return result
    if single_rounding:
        total = 31 - shift
        result = (x * multiplier + (np.int64(1) << (total - 1))) >> total
        return result
    left, right = np.maximum(shift, 0), np.maximum(-shift, 0)
    # The shift to the left is one of 32 bits.
    product = (x << left).astype(np.int32).astype(np.int64) * multiplier
    nudged = product + np.where(product >= 0, 1 << 30, 1 - (1 << 30))
    high = np.where(nudged >= 0, nudged >> 31, -((-nudged) >> 31))
    mask = (np.int64(1) << right) - 1
    threshold = (mask >> 1) + (high < 0)
    result = (high >> right) + ((high & mask) > threshold)
    return result


def quantise_multiplier(real: float) -> tuple[int, int]:
    """``QuantizeMultiplier``: a real multiplier as one of 31 fractional bits, and a shift."""
    if real == 0:
        return 0, 0
    fraction, shift = math.frexp(real)
    fixed = math.floor(fraction * (1 << 31) + 0.5)  # never negative: halves go away from zero
    if fixed == 1 << 31:
        fixed, shift = fixed // 2, shift + 1
    return (0, 0) if shift < -31 else (fixed, shift)


def requantisation(single: Single) -> Requantisation | None:
    """That of a quantised FULLY_CONNECTED, CONV_2D or DEPTHWISE_CONV_2D; None for any other."""
    if single.name not in ACCUMULATING:
        return None
    source, weights, bias = (*single.inputs, None, None)[:3]
    output = single.outputs[0] if single.outputs else None
    if source is None or weights is None or output is None:
        return None
    if output.scale is None or source.scale is None or not weights.scales:
        return None
    reals = _reals(single.name, source.scale, weights, bias, output.scale)
    fixed = [quantise_multiplier(real) for real in reals]
    lowest, highest = activation_range(single.options.fusedActivationFunction, output)
    if bias is not None:
        wide = bias.dtype == "int64"
    else:
        # TFLite's QuantizedBiasType: 2 is int32. Of DEPTHWISE_CONV_2D it is not stored.
        narrow = getattr(single.options, "quantizedBiasType", 0) == _INT32
        wide = source.dtype == "int16" and not narrow
    return Requantisation(
        reals=np.array(reals),
        multipliers=np.array([each[0] for each in fixed], np.int64),
        shifts=np.array([each[1] for each in fixed], np.int64),
        zero_point=output.zero_point or 0,
        lowest=lowest,
        highest=highest,
        dtype=np.dtype(output.dtype),
        is_wide=wide,
    )


_INT32 = 2  # TFLite's TensorType


def _reals(
    name: str, source: float, weights: Tensor, bias: Tensor | None, output: float
) -> Sequence[float]:
    if name == "FULLY_CONNECTED" and len(weights.scales) == 1:
        # GetQuantizedConvolutionMultipler multiplies two float32, and only then becomes double.
        return [float(np.float32(source) * np.float32(weights.scales[0])) / output]
    return [source * scale / output for scale in weights.scales]


def activation_range(activation: int, output: Tensor) -> tuple[int, int]:
    """The lowest and highest code of a quantised output with this fused activation."""
    lowest, highest = output.code_range
    if activation == NO_ACTIVATION or activation not in _LIMITS or output.scale is None:
        return lowest, highest
    low, high = _LIMITS[activation]
    zero_point = output.zero_point or 0

    def code(value: float) -> int:
        real = float(np.float32(value) / np.float32(output.scale))
        return zero_point + int(math.copysign(math.floor(abs(real) + 0.5), real))

    lowest = max(lowest, code(low)) if low is not None else lowest
    highest = min(highest, code(high)) if high is not None else highest
    return lowest, highest
