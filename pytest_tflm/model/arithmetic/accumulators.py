"""The exact accumulators of a quantised FULLY_CONNECTED, CONV_2D or DEPTHWISE_CONV_2D.

An accumulator is the sum over a window of (input code - zero point) · (weight - zero point), and
the bias: what TFLM has in 32 bits (64 for int16 activations with an int64 bias) before it
requantises. Here it is exact, so that an overflow can be seen.
:mod:`~pytest_tflm.model.arithmetic.requantise` makes the codes of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_tflm.model.arithmetic.single import Single

_CODES = ("int8", "uint8", "int16")


def accumulators(single: Single, arrays: Sequence[NDArray[Any]]) -> NDArray[np.int64] | None:
    """The accumulators of an operator, bias included, in the shape of its output.

    ``arrays`` are the inputs of ``single.model`` in their order, as codes. None for other
    operators, for float or hybrid ones, and for weights that are not stored as plain int8.
    """
    if single.name not in _COMPUTE:
        return None
    source, weights, bias = (*single.operands(arrays), None, None)[:3]
    tensors = single.inputs
    if source is None or weights is None or tensors[0] is None or tensors[1] is None:
        return None
    if tensors[0].dtype not in _CODES or tensors[1].dtype not in _CODES:
        return None
    if not (tensors[0].is_quantized and tensors[1].is_quantized):
        return None
    # Products are at most 2^24 and exact in float64, whose sums are exact to 2^53 and quick.
    x = source.astype(np.float64) - (tensors[0].zero_point or 0)
    w = weights.astype(np.float64) - (tensors[1].zero_point or 0)
    sums: NDArray[np.float64] | None = _COMPUTE[single.name](single, x, w)
    if sums is None:
        return None
    exact = sums.astype(np.int64)
    return exact if bias is None else exact + bias.astype(np.int64)


def _fully_connected(
    single: Single, x: NDArray[np.float64], w: NDArray[np.float64]
) -> NDArray[np.float64]:
    rows: NDArray[np.float64] = x.reshape(-1, w.shape[-1]) @ w.T
    return rows.reshape(single.outputs[0].shape)


def windows(single: Single, x: NDArray[Any], padding: float = 0.0) -> list[NDArray[Any]] | None:
    """For each place of the window, row by row: what every output element sees there.

    Each array has the shape (batch, output height, output width, input channels). ``padding`` is
    what lies outside the input ``x``. None for an operator without a window.
    """
    window = single.window
    if window is None:
        return None
    _, high, wide, _ = single.outputs[0].shape
    edges = [(low, max(0, more)) for low, more in zip(window.before, window.after, strict=True)]
    padded = np.pad(x, [(0, 0), *edges, (0, 0)], constant_values=padding)
    (down, across), seen = window.stride, []
    for row in range(window.size[0]):
        top = row * window.dilation[0]
        rows = padded[:, top : top + (high - 1) * down + 1 : down]
        for column in range(window.size[1]):
            left = column * window.dilation[1]
            seen.append(rows[:, :, left : left + (wide - 1) * across + 1 : across])
    return seen


def _conv_2d(
    single: Single, x: NDArray[np.float64], w: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    seen = windows(single, x)
    if seen is None:
        return None
    filters, channels = w.shape[0], w.shape[3]
    groups = x.shape[3] // channels  # the filter may see a part of the channels only
    each = filters // groups
    flat = w.reshape(filters, -1, channels)
    total: NDArray[np.float64] = np.zeros((*seen[0].shape[:3], filters))
    for place, part in enumerate(seen):
        for group in range(groups):
            some = slice(group * each, (group + 1) * each)
            those = part[..., group * channels : (group + 1) * channels]
            total[..., some] += those @ flat[some, place].T
    return total


def _depthwise_conv_2d(
    single: Single, x: NDArray[np.float64], w: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    seen = windows(single, np.repeat(x, w.shape[3] // x.shape[3], axis=3))
    if seen is None:
        return None
    flat = w.reshape(-1, w.shape[3])
    total: NDArray[np.float64] = sum(
        (part * flat[place] for place, part in enumerate(seen)), np.zeros(seen[0].shape)
    )
    return total


_COMPUTE: dict[str, Any] = {
    "FULLY_CONNECTED": _fully_connected,
    "CONV_2D": _conv_2d,
    "DEPTHWISE_CONV_2D": _depthwise_conv_2d,
}
