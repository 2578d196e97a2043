"""Operators that move codes and compute nothing: the same codes elsewhere. One scale for all."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pytest_tflm.fuzz.kernels.operators.case import Drawing, OperatorCase


# Of the input from and to, and of the output (0: any): two in three as most models have it.
_RANKS = ((1, 4, 0), (1, 4, 0), (4, 4, 2), (3, 3, 4), (4, 4, 3), (4, 4, 4))


def pad(d: Drawing) -> OperatorCase:
    """PAD, and PADV2 with a value of its own."""
    dtype = d.activation_type() if d.operator == "PAD" else d.activation_type("int8")
    shape = d.shape(1, 4, 5)
    amounts = [(d.whole(0, 3), d.whole(0, 3)) for _ in shape]
    if len(shape) == 4 and d.flag():
        amounts[0] = amounts[3] = (0, 0)
    d.note(f"padding {amounts}")
    quantisation = d.quantisation(dtype)
    x = d.input("x", shape, quantisation)
    p = d.constant("padding", amounts, "int32")
    operands = [x, p]
    if d.operator == "PADV2":
        value = d.codes(dtype, (1,), zero=quantisation[2])
        operands.append(d.constant("value", value, dtype, quantisation[1], quantisation[2]))
    result = [n + before + after for n, (before, after) in zip(shape, amounts, strict=True)]
    y = d.output("y", result, quantisation)
    options = "PadOptions" if d.operator == "PAD" else "PadV2Options"
    d.graph.operator(d.operator, operands, (y,), options, version=2)
    return d.finish(dtype)


def concatenation(d: Drawing) -> OperatorCase:
    dtype = d.activation_type()
    shape = list(d.shape(1, 4, 5))
    axis = d.whole(0, len(shape) - 1)
    d.note(f"axis {axis}")
    sizes = [d.whole(1, 5) for _ in range(d.whole(2, 4))]
    quantisation = d.quantisation(dtype)
    operands = []
    for number, size in enumerate(sizes):
        shape[axis] = size
        operands.append(d.input(f"x{number}", shape, quantisation))
    shape[axis] = sum(sizes)
    y = d.output("y", shape, quantisation)
    stored = axis - len(shape) if d.flag() else axis
    version = 3 if dtype == "int16" else 2
    d.graph.operator(
        "CONCATENATION", operands, (y,), "ConcatenationOptions", version=version, axis=stored
    )
    return d.finish(dtype)


def split(d: Drawing) -> OperatorCase:
    dtype = d.activation_type()
    shape = list(d.shape(1, 4, 5))
    axis, parts = d.whole(0, len(shape) - 1), d.whole(1, 4)
    d.note(f"axis {axis}")
    part = list(shape)
    shape[axis] *= parts
    quantisation = d.quantisation(dtype)
    a = d.constant("axis", axis - len(shape) if d.flag() else axis, "int32")
    x = d.input("x", shape, quantisation)
    results = [d.output(f"y{number}", part, quantisation) for number in range(parts)]
    version = 4 if dtype == "int16" else 2
    d.graph.operator("SPLIT", (a, x), results, "SplitOptions", version=version, numSplits=parts)
    return d.finish(dtype)


def reshape(d: Drawing) -> OperatorCase:
    """To any other shape, one size of which may be left to be computed (-1)."""
    dtype = d.activation_type()
    least, most, rank = d.pick(_RANKS)
    shape = d.shape(least, most, 6)
    size, result = math.prod(shape), []
    for _ in range((rank or d.whole(1, 4)) - 1):
        factor = d.pick([n for n in range(1, size + 1) if size % n == 0])
        result.append(factor)
        size //= factor
    result.append(size)
    asked = list(result)
    if d.flag("a size is -1"):
        asked[d.whole(0, len(asked) - 1)] = -1
    quantisation = d.quantisation(dtype)
    x = d.input("x", shape, quantisation)
    s = d.constant("shape", asked, "int32")
    y = d.output("y", result, quantisation)
    d.graph.operator("RESHAPE", (x, s), (y,), "ReshapeOptions", newShape=asked)
    return d.finish(dtype)


def transpose(d: Drawing) -> OperatorCase:
    dtype = d.activation_type()
    shape = d.shape(1, 5, 4)
    axes: list[int] = []
    left = list(range(len(shape)))
    while left:
        axes.append(left.pop(d.whole(0, len(left) - 1)))
    d.note(f"axes {axes}")
    quantisation = d.quantisation(dtype)
    x = d.input("x", shape, quantisation)
    p = d.constant("axes", axes, "int32")
    y = d.output("y", [shape[axis] for axis in axes], quantisation)
    version = 5 if dtype == "int16" else 2
    d.graph.operator("TRANSPOSE", (x, p), (y,), "TransposeOptions", version=version)
    return d.finish(dtype)


def strided_slice(d: Drawing) -> OperatorCase:
    """As Python slices: ``x[begin:end:stride, ...]``, either end open, an axis dropped."""
    dtype = d.activation_type()
    shape = d.shape(1, 4, 6)
    begin, end, strides, slices = [], [], [], []
    masks = {"beginMask": 0, "endMask": 0, "shrinkAxisMask": 0}
    for axis, size in enumerate(shape):
        bit = 1 << axis
        first, count = d.whole(0, size - 1), d.whole(1, size)
        if len(shape) > 1 and d.pick((False, False, False, True)):
            masks["shrinkAxisMask"] |= bit
            one: slice | int = first
            begin.append(first)
            end.append(first + 1)
            strides.append(1)
        else:
            step = d.pick((1, 2, 3, -1, -2))
            stop = min(size, first + count) if step > 0 else first - min(count, first + 1)
            open_begin, open_end = d.flag(), d.flag()
            # -1 as the end of a slice backwards means the last element: only open does.
            open_end = open_end or stop < 0
            one = slice(None if open_begin else first, None if open_end else stop, step)
            masks["beginMask"] |= bit * open_begin
            masks["endMask"] |= bit * open_end
            begin.append(first - size if d.flag() else first)
            end.append(max(stop, 0))
            strides.append(step)
        slices.append(one)
    result = np.empty(shape, np.int8)[tuple(slices)].shape
    d.note(f"[{', '.join(map(_slice_text, slices))}]")
    quantisation = d.quantisation(dtype)
    x = d.input("x", shape, quantisation)
    operands = [x] + [
        d.constant(name, values, "int32")
        for name, values in (("begin", begin), ("end", end), ("strides", strides))
    ]
    y = d.output("y", result, quantisation)
    version = 4 if dtype == "int16" else 2
    d.graph.operator(
        "STRIDED_SLICE", operands, (y,), "StridedSliceOptions", version=version, **masks
    )
    return d.finish(dtype)


def _slice_text(one: slice | int) -> str:
    if isinstance(one, int):
        return str(one)
    ends = ["" if n is None else str(n) for n in (one.start, one.stop)]
    return ":".join(ends) + ("" if one.step == 1 else f":{one.step}")
