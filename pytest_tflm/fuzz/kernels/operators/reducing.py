"""Operators that reduce: pools, MEAN, SUM, ARG_MAX."""

from __future__ import annotations

import math

import numpy as np

from pytest_tflm.fuzz.kernels.operators.case import PADDINGS, Drawing, OperatorCase


def pool_2d(d: Drawing) -> OperatorCase:
    """AVERAGE_POOL_2D and MAX_POOL_2D keep scale and zero point."""
    dtype = d.activation_type()
    kernel = d.window(5, ((1, 1), (2, 2), (2, 2), (3, 3)))
    strides = kernel if d.flag() else d.window(3)
    d.note(f"window {kernel[0]}x{kernel[1]}")
    d.note(f"stride {strides[0]}x{strides[1]}")
    padding = d.pick(list(PADDINGS), "padding")
    size = tuple(d.whole(k if padding == "VALID" else 1, k + 6) for k in kernel)
    if padding == "VALID" and d.pick((False, False, True)):
        size = kernel  # over all of it, which is how most averages are taken
    if padding == "SAME":
        found = tuple(-(-n // s) for n, s in zip(size, strides, strict=True))
    else:
        found = tuple((n - k + s) // s for n, k, s in zip(size, kernel, strides, strict=True))
    batch, depth = d.batch(), d.channels(6)
    quantisation = d.quantisation(dtype)
    x = d.input("x", (batch, *size, depth), quantisation)
    y = d.output("y", (batch, *found, depth), quantisation)
    d.graph.operator(
        d.operator, (x,), (y,), "Pool2DOptions", version=3 if dtype == "int16" else 2,
        padding=PADDINGS[padding], strideH=strides[0], strideW=strides[1],
        filterHeight=kernel[0], filterWidth=kernel[1], fusedActivationFunction=d.activation(),
    )  # fmt: skip
    return d.finish(dtype)


def reduction(d: Drawing) -> OperatorCase:
    """MEAN and SUM over any axes, also given as negative numbers."""
    dtype = d.activation_type()
    shape = d.shape(1, 4, 7)
    axes = [axis for axis in range(len(shape)) if d.flag()] or [d.whole(0, len(shape) - 1)]
    if len(shape) == 4 and d.flag():
        axes = [1, 2]
    keep = d.flag("keeps dimensions")
    d.note(f"axes {axes}")
    left = [1 if axis in axes else n for axis, n in enumerate(shape)]
    if not keep:
        left = [n for axis, n in enumerate(shape) if axis not in axes]
    quantisation = d.quantisation(dtype)
    count = math.prod(shape[axis] for axis in axes) if d.operator == "SUM" else 1
    if d.operator == "MEAN" and d.flag():
        result = quantisation
    else:
        limit = quantisation[1] * count * (255 if dtype == "int8" else 32767)
        scale = d.output_scale(quantisation[1], limit, dtype)
        if scale == quantisation[1]:
            scale = float(np.float32(1.5 * scale))  # ranges of a sum and of its terms are not equal
        result = (dtype, scale, d.zero_point(dtype))
    if d.flag():
        axes = [axis - len(shape) for axis in axes]
    x = d.input("x", shape, quantisation)
    a = d.constant("axes", axes, "int32")
    y = d.output("y", left, result)
    d.graph.operator(d.operator, (x, a), (y,), "ReducerOptions", version=2, keepDims=keep)
    return d.finish(dtype)


def arg_max(d: Drawing) -> OperatorCase:
    shape = d.shape(1, 4, 7)
    axis = d.whole(0, len(shape) - 1)
    d.note(f"axis {axis}")
    left = shape[:axis] + shape[axis + 1 :]
    x = d.input("x", shape, d.quantisation("int8"))
    a = d.constant("axis", axis - len(shape) if d.flag() else axis, "int32")
    y = d.output("y", left, ("int32", None, 0))
    d.graph.operator("ARG_MAX", (x, a), (y,), "ArgMaxOptions", version=2, outputType=2)
    return d.finish("int8")
