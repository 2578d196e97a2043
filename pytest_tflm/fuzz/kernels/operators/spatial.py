"""Operators that rearrange or resample height and width: SPACE_TO_BATCH_ND, BATCH_TO_SPACE_ND,
RESIZE_NEAREST_NEIGHBOR, RESIZE_BILINEAR. One scale for input and output."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_tflm.fuzz.kernels.operators.case import Drawing, OperatorCase


def space_to_batch_nd(d: Drawing) -> OperatorCase:
    """Also as a converter writes it for a model of unknown batch size: the output's stored shape
    has batch 1, and -1 in its signature."""
    axes = d.whole(1, 2)
    block = [d.whole(1, 3) for _ in range(axes)]
    before = [d.whole(0, 3) for _ in range(axes)]
    size, after = [], []
    for axis in range(axes):
        size.append(d.whole(1, 6))
        rest = -(size[axis] + before[axis]) % block[axis]
        after.append(rest + block[axis] * d.whole(0, 1))
    d.note(f"block {block}")
    d.note(f"padding {[list(pair) for pair in zip(before, after, strict=True)]}")
    batch, depth = d.whole(1, 2), d.whole(1, 4)
    found = [(n + b + a) // k for n, b, a, k in zip(size, before, after, block, strict=True)]
    quantisation = d.quantisation("int8")
    signature = result = None
    stored = batch * math.prod(block)
    if d.flag("unknown batch size, stored as 1"):
        batch = stored = 1
        signature, result = (-1, *size, depth), (-1, *found, depth)
    x = d.input("x", (batch, *size, depth), quantisation, signature)
    k = d.constant("block", block, "int32")
    p = d.constant("padding", list(zip(before, after, strict=True)), "int32")
    y = d.output("y", (stored, *found, depth), quantisation, result)
    d.graph.operator("SPACE_TO_BATCH_ND", (x, k, p), (y,), "SpaceToBatchNDOptions", version=2)
    return d.finish("int8")


def batch_to_space_nd(d: Drawing) -> OperatorCase:
    axes = d.whole(1, 2)
    block = [d.whole(1, 3) for _ in range(axes)]
    size = [d.whole(1, 5) for _ in range(axes)]
    crops, found = [], []
    for n, k in zip(size, block, strict=True):
        first = d.whole(0, min(2, n * k - 1))
        last = d.whole(0, min(2, n * k - 1 - first))
        crops.append((first, last))
        found.append(n * k - first - last)
    d.note(f"block {block}")
    d.note(f"crops {[list(pair) for pair in crops]}")
    batch, depth = d.whole(1, 2), d.whole(1, 4)
    quantisation = d.quantisation("int8")
    x = d.input("x", (batch * math.prod(block), *size, depth), quantisation)
    k = d.constant("block", block, "int32")
    c = d.constant("crops", crops, "int32")
    y = d.output("y", (batch, *found, depth), quantisation)
    d.graph.operator("BATCH_TO_SPACE_ND", (x, k, c), (y,), "BatchToSpaceNDOptions", version=2)
    return d.finish("int8")


def resize(d: Drawing) -> OperatorCase:
    """RESIZE_NEAREST_NEIGHBOR and RESIZE_BILINEAR, in each of the three ways to place pixels."""
    nearest = d.operator == "RESIZE_NEAREST_NEIGHBOR"
    dtype = d.activation_type() if nearest else d.activation_type("int8")
    way = d.pick(("corners free", "align corners", "half pixel centers"))
    d.note(way)
    batch, depth = d.whole(1, 2), d.whole(1, 4)
    size, found = (d.whole(1, 8), d.whole(1, 8)), (d.whole(1, 16), d.whole(1, 16))
    quantisation = d.quantisation(dtype)
    x = d.input("x", (batch, *size, depth), quantisation)
    s = d.constant("size", found, "int32")
    y = d.output("y", (batch, *found, depth), quantisation)
    options = "ResizeNearestNeighborOptions" if nearest else "ResizeBilinearOptions"
    d.graph.operator(
        d.operator, (x, s), (y,), options, version=3 if way == "half pixel centers" else 2,
        alignCorners=way == "align corners", halfPixelCenters=way == "half pixel centers",
    )  # fmt: skip
    return d.finish(dtype)
