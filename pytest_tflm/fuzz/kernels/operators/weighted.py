"""Operators that multiply by weights: CONV_2D, DEPTHWISE_CONV_2D, TRANSPOSE_CONV, FULLY_CONNECTED.

As a converter writes them: weights symmetric, the bias' scale the product of the input's and the
weights', int32 for int8 and int64 for 16x8.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_tflm.fuzz.kernels.operators.case import PADDINGS, Drawing, OperatorCase

if TYPE_CHECKING:
    from numpy.typing import NDArray

# |bias| in accumulator codes. A bias may be large: it alone brings an accumulator above 2^23, where
# a float has no room for its last bit. An int32 accumulator has room for it and for every sum here.
_BIASES = {"int8": (2**10, 2**15, 2**24, 2**27), "int16": (2**10, 2**20, 2**31, 2**34)}
# For int8 and for int16: tensorflow/compiler/mlir/lite/tools/versioning/op_version.cc.
_VERSIONS = {
    "CONV_2D": (3, 4),
    "DEPTHWISE_CONV_2D": (3, 5),
    "TRANSPOSE_CONV": (4, 4),
    "FULLY_CONNECTED": (4, 7),
}
_SPAN = {"int8": 255, "int16": 32768}
# Windows as real models have them, the simplest first.
_CONVOLUTIONS = (*[(1, 1)] * 6, *[(3, 3)] * 5, *[(1, 3)] * 2, *[(1, 5)] * 2, (5, 1))
_DEPTHWISE = ((1, 1), *[(3, 3)] * 4, (5, 1), (9, 1))


def conv_2d(d: Drawing) -> OperatorCase:
    kernel = d.window(5, _CONVOLUTIONS)
    padding = d.pick(list(PADDINGS), "padding")
    strides, dilation = _strides(d)
    deep = d.pick((1, 1, 1, 1, 1, 1, 1, 1, 40))
    depth = d.channels() if deep == 1 else d.whole(1, 8) * deep
    groups = d.pick((1, 1, 1, 1, 1, 2), "groups")
    filters = d.channels(5) * groups
    size = _size(d, kernel, strides, dilation, padding, 3 if depth > 8 else 6)
    found = _output(size, kernel, strides, dilation, padding)
    shape = (d.batch(), *size, depth * groups)
    return _weighted(
        d,
        shape,
        d.weights((filters, *kernel, depth)),
        (shape[0], *found, filters),
        "Conv2DOptions",
        axis=0,
        padding=PADDINGS[padding],
        strideH=strides[0],
        strideW=strides[1],
        dilationHFactor=dilation[0],
        dilationWFactor=dilation[1],
        fusedActivationFunction=d.activation(),
    )


def depthwise_conv_2d(d: Drawing) -> OperatorCase:
    kernel = d.window(5, _DEPTHWISE)
    padding = d.pick(list(PADDINGS), "padding")
    strides, dilation = _strides(d)
    multiplier = d.pick((1, 1, 1, 1, 1, 1, 1, 1, 8, 8, 8, 4, 4, 2, 3), "depth multiplier")
    depth = d.channels() if multiplier == 1 else d.whole(1, 4)
    size = _size(d, kernel, strides, dilation, padding, 6)
    found = _output(size, kernel, strides, dilation, padding)
    shape = (d.batch(), *size, depth)
    return _weighted(
        d,
        shape,
        d.weights((1, *kernel, depth * multiplier)),
        (shape[0], *found, depth * multiplier),
        "DepthwiseConv2DOptions",
        axis=3,
        padding=PADDINGS[padding],
        strideH=strides[0],
        strideW=strides[1],
        dilationHFactor=dilation[0],
        dilationWFactor=dilation[1],
        depthMultiplier=multiplier,
        fusedActivationFunction=d.activation(),
    )


def transpose_conv(d: Drawing) -> OperatorCase:
    kernel = d.window(4)
    padding = d.pick(list(PADDINGS), "padding")
    strides = d.window(3)
    d.note(f"stride {strides[0]}x{strides[1]}")
    depth, filters = d.whole(1, 8) * d.pick((1, 1, 1, 8)), d.whole(1, 4)
    size = d.window(5)
    if padding == "SAME":
        found = tuple(n * s for n, s in zip(size, strides, strict=True))
    else:
        found = tuple(n * s + max(k - s, 0) for n, s, k in zip(size, strides, kernel, strict=True))
    batch = d.batch()
    return _weighted(
        d,
        (batch, *size, depth),
        d.weights((filters, *kernel, depth)),
        (batch, *found, filters),
        "TransposeConvOptions",
        axis=0,
        transposed=True,
        padding=PADDINGS[padding],
        strideH=strides[0],
        strideW=strides[1],
        fusedActivationFunction=d.activation(),
    )


def fully_connected(d: Drawing) -> OperatorCase:
    depth = d.whole(1, 16) * d.pick((1, 1, 4, 20))
    units = d.channels(5)
    batch = (1,) if d.flag() else d.shape(1, 2, 3)
    keep = len(batch) > 1 and d.flag("keeps dimensions")
    rows = batch if keep else (int(np.prod(batch)),)
    return _weighted(
        d,
        (*batch, depth),
        d.weights((units, depth)),
        (*rows, units),
        "FullyConnectedOptions",
        axis=0,
        keepNumDims=keep,
        fusedActivationFunction=d.activation(),
    )


def _weighted(
    d: Drawing,
    shape: Sequence[int],
    weights: NDArray[Any],
    result: Sequence[int],
    options: str,
    *,
    axis: int,
    transposed: bool = False,
    **fields: Any,
) -> OperatorCase:
    """The rest is the same: scales, bias, the output's scale by what the accumulators can reach."""
    dtype = d.activation_type()
    scale, zero_point = d.scale(), d.zero_point(dtype)
    channels = weights.shape[axis]
    dense = d.operator == "FULLY_CONNECTED"
    per_channel = channels > 1 and d.pick(
        (False, True, True) if not dense else (False, False, True)
    )
    steps = np.full(channels if per_channel else 1, d.scale(), np.float32)
    if per_channel:
        spread = d.pick((0, 1, 8))
        powers = np.random.default_rng(d.whole(0, 999)).integers(-spread, spread + 1, len(steps))
        steps *= np.exp2(powers).astype(np.float32)
    products = (np.float32(scale) * steps).astype(np.float32)
    x = d.input("x", shape, (dtype, scale, zero_point))
    w = d.constant("w", weights, "int8", steps.tolist(), 0, axis)
    operands = [x, w]
    bias = None
    # A converter gives every convolution a bias, of zeros where the model has none; LiteRT refuses
    # CONV_2D without, TFLM and XNNPACK die of some. FULLY_CONNECTED may well have none.
    if d.flag() if dense or transposed else not d.rare():
        limit = d.pick(_BIASES[dtype])
        kind = "int32" if dtype == "int8" else "int64"
        bias = d.codes(kind, (channels,), (-limit, limit))
        operands.append(d.constant("b", bias, kind, products.tolist(), 0))
    elif dense:
        operands.append(-1)  # convolutions have one operand less instead: LiteRT refuses a -1
    if bias is None:
        d.note("no bias")
    if transposed:
        size = d.constant("size", result, "int32")
        operands = [size, w, x, *operands[2:]]
    finest, reach = _reach(weights, axis, bias, products, _SPAN[dtype])
    step = d.output_scale(finest, reach, dtype)
    y = d.output("y", result, (dtype, step, d.zero_point(dtype)))
    version = _VERSIONS[d.operator][dtype == "int16"]
    d.graph.operator(d.operator, operands, (y,), options, version=version, **fields)
    return d.finish(dtype)


def _reach(
    weights: NDArray[Any], axis: int, bias: Any, products: NDArray[Any], span: int
) -> tuple[float, float]:
    """The step of the coarsest accumulator, and the largest real value of any, about: inputs are
    seldom all at the far end, and never are more than a few where the sum is long."""
    rows = np.moveaxis(weights.astype(np.float64), axis, 0).reshape(weights.shape[axis], -1)
    # The root of the sum of squares, and the whole sum where that is no more than three times it.
    likely = np.minimum(np.abs(rows).sum(1), 3 * np.sqrt((rows**2).sum(1))) * span
    if bias is not None:
        likely = likely + np.abs(np.asarray(bias, np.float64))
    return float(products.max()), float((likely * products).max())


def _strides(d: Drawing) -> tuple[tuple[int, int], tuple[int, int]]:
    """Strides, or dilation: Keras takes either above 1, not both."""
    strides = dilation = (1, 1)
    if d.pick((True, True, True, False)):
        strides = d.window(3, ((1, 1), (1, 1), (1, 1), (2, 2), (2, 2)))
    else:
        dilation = d.window(3, ((1, 1),))
    for name, found in (("stride", strides), ("dilation", dilation)):
        if found != (1, 1):
            d.note(f"{name} {found[0]}x{found[1]}")
    return strides, dilation


def _size(
    d: Drawing,
    kernel: tuple[int, int],
    strides: tuple[int, int],
    dilation: tuple[int, int],
    padding: str,
    most: int,
) -> tuple[int, int]:
    """Height and width of an input that has an output. One in two has outputs in fours, and most
    that a kernel of one row slides over have one row, as sounds have."""
    least = [
        (k - 1) * f + 1 if padding == "VALID" else 1 for k, f in zip(kernel, dilation, strict=True)
    ]
    is_row = kernel[0] == 1 < kernel[1] and d.pick((True, True, True, False))
    height = 1 if is_row else d.whole(least[0], least[0] + most)
    width = d.whole(least[1], least[1] + most)
    (found,) = _output((width,), kernel[1:], strides[1:], dilation[1:], padding)
    return height, width + (-found % 4 * strides[1] if d.flag() else 0)


def _output(
    size: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilation: Sequence[int],
    padding: str,
) -> tuple[int, ...]:
    """tensorflow/lite/kernels/padding.h, ComputeOutSize."""
    out = []
    for n, k, s, f in zip(size, kernel, strides, dilation, strict=True):
        if padding == "SAME":
            out.append(-(-n // s))
        else:
            out.append((n - ((k - 1) * f + 1) + s) // s)
    return tuple(out)
