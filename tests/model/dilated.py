"""A dilated convolution as three operators, with everything about it free. Without TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tests.model_builders import Graph


@dataclass(frozen=True)
class Dilated:
    """SPACE_TO_BATCH_ND → CONV_2D or DEPTHWISE_CONV_2D → BATCH_TO_SPACE_ND.

    Each pair is (height, width). ``last`` is how many samples of the padded input are too many for
    the block; they are padded up to it, as the converter does. ``flat``: a 1-D convolution on the
    axis of that number (0: height, 1: width), its other axis of size 1; ``style`` is how it gets
    its second axis. ``dynamic``: shapes are stored as the converter stores them for an unknown
    batch size.
    """

    size: tuple[int, int] = (7, 6)
    block: tuple[int, int] = (2, 2)
    kernel: tuple[int, int] = (3, 2)
    before: tuple[int, int] = (0, 0)
    after: tuple[int, int] = (0, 0)
    crop_before: tuple[int, int] = (0, 0)
    crop_after: tuple[int, int] = (0, 0)
    same: bool = False
    depthwise: bool = False
    own_dilation: tuple[int, int] = (1, 1)
    dtype: str = "int8"
    activation: str = "RELU6"
    batch: int = 1
    flat: int | None = None
    style: str = "EXPAND_DIMS"
    dynamic: bool = False
    seed: int = 0

    def axes(self) -> list[tuple[int, int, int, int, int, int]]:
        """For each axis: size, block, both paddings, dense output, size of the result."""
        found = []
        for a in range(2):
            size, block = self.size[a], self.block[a]
            before, after = self.before[a], self.after[a]
            if self.flat is not None and a != self.flat:
                size, block, before, after = 1, 1, 0, 0
            after += -(size + before + after) % block
            phase = (size + before + after) // block
            dense = phase if self.same else phase - self.own_dilation[a] * (self.kernel[a] - 1)
            result = dense * block
            if self.flat is None or a == self.flat:
                result -= self.crop_before[a] + self.crop_after[a]
            found.append((size, block, before, after, dense, result))
        return found

    @property
    def possible(self) -> bool:
        return all(dense > 0 and result > 0 for *_, dense, result in self.axes())


CHANNELS = 3


def dilated(d: Dilated) -> bytes:
    """The model; its input is what SPACE_TO_BATCH_ND takes, its output what comes at the end."""
    rng = np.random.default_rng(d.seed)
    g = Graph()
    axes = d.axes()
    used = [0, 1] if d.flat is None else [d.flat]
    filters = CHANNELS * 2 if d.depthwise else 4
    is_float = d.dtype == "float32"
    zero = 0 if d.dtype == "int16" else -9

    def activation(name: str, sizes: list[int], times: int, channels: int, out: bool) -> int:
        batch = 1 if d.dynamic else d.batch * times
        scale = None if is_float else (0.05 if out else 0.1)
        code = (-128 if d.dtype == "int8" else 0) if out else zero
        index = g.tensor(name, (batch, *sizes, channels), d.dtype, scale, code)
        if d.dynamic:
            g.graph.tensors[index].shapeSignature = [-1, *sizes, channels]
        return index

    times = int(np.prod([axes[a][1] for a in used]))
    sizes = [axes[a][0] for a in used]
    phases = [(axes[a][0] + axes[a][2] + axes[a][3]) // axes[a][1] for a in used]
    dense = [axes[a][4] for a in used]
    block = g.tensor("block", (len(used),), "int32", data=[axes[a][1] for a in used])
    pads = g.tensor("pads", (len(used), 2), "int32", data=[[axes[a][2], axes[a][3]] for a in used])
    crops = g.tensor(
        "crops", (len(used), 2), "int32", data=[[d.crop_before[a], d.crop_after[a]] for a in used]
    )
    x = activation("x", sizes, 1, CHANNELS, False)
    batches = activation("batches", phases, times, CHANNELS, False)
    g.operator("SPACE_TO_BATCH_ND", (x, block, pads), (batches,), "SpaceToBatchNDOptions", 2)
    source = batches
    if d.flat is not None:
        at = 1 - d.flat  # where the axis of 1 goes, counted behind the batch
        source = activation("expanded", _with_one(phases, at), times, CHANNELS, False)
        _reshape(g, d, batches, source, at + 1, "EXPAND_DIMS")
    y = activation("dense", [axis[4] for axis in axes], times, filters, True)
    _convolution(g, d, source, y, filters, rng)
    last = y
    if d.flat is not None:
        last = activation("squeezed", dense, times, filters, True)
        _reshape(g, d, y, last, 2 - d.flat, "SQUEEZE")
    result = activation("y", [axes[a][5] for a in used], 1, filters, True)
    g.operator("BATCH_TO_SPACE_ND", (last, block, crops), (result,), "BatchToSpaceNDOptions", 2)
    return g.finish((x,), (result,))


def _with_one(sizes: list[int], at: int) -> list[int]:
    return [*sizes[:at], 1, *sizes[at:]]


def _reshape(g: Graph, d: Dilated, source: int, target: int, at: int, other: str) -> None:
    """EXPAND_DIMS or SQUEEZE at axis ``at``, or RESHAPE."""
    if d.style == "RESHAPE":
        shape = [-1, *g.graph.tensors[target].shape[1:]]
        s = g.tensor("shape", (len(shape),), "int32", data=shape)
        g.operator("RESHAPE", (source, s), (target,), "ReshapeOptions", newShape=shape)
    elif other == "EXPAND_DIMS":
        axis = g.tensor("axis", (), "int32", data=at)
        g.operator("EXPAND_DIMS", (source, axis), (target,), "ExpandDimsOptions")
    else:
        g.operator("SQUEEZE", (source,), (target,), "SqueezeOptions", squeezeDims=[at])


def _convolution(g: Graph, d: Dilated, x: int, y: int, filters: int, rng: Any) -> None:
    shape = (1, *d.kernel, filters) if d.depthwise else (filters, *d.kernel, CHANNELS)
    if d.dtype == "float32":
        w = g.tensor("weights", shape, "float32", data=rng.normal(size=shape))
        b = g.tensor("bias", (filters,), "float32", data=rng.normal(size=filters))
    else:
        scales = [0.004 * (i + 1) for i in range(filters)]
        axis = 3 if d.depthwise else 0
        w = g.tensor("weights", shape, "int8", scales, 0, rng.integers(-127, 128, shape), axis=axis)
        wide = "int64" if d.dtype == "int16" else "int32"
        biases = rng.integers(-900, 900, filters)
        b = g.tensor("bias", (filters,), wide, [0.1 * s for s in scales], 0, biases)
    fields = {
        "padding": schema.Padding.SAME if d.same else schema.Padding.VALID,
        "strideW": 1,
        "strideH": 1,
        "dilationHFactor": d.own_dilation[0],
        "dilationWFactor": d.own_dilation[1],
        "fusedActivationFunction": getattr(schema.ActivationFunctionType, d.activation),
    }
    version = {"int8": 3, "int16": 4 if not d.depthwise else 5}.get(d.dtype, 1)
    if d.depthwise:
        version = max(version, 1 if d.own_dilation == (1, 1) else 2)
        g.operator(
            "DEPTHWISE_CONV_2D", (x, w, b), (y,), "DepthwiseConv2DOptions", version,
            depthMultiplier=2, **fields,
        )  # fmt: skip
    else:
        g.operator("CONV_2D", (x, w, b), (y,), "Conv2DOptions", version, **fields)
