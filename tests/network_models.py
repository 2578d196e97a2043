"""Small quantised networks made without TensorFlow: several kinds of operators in a row."""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from model_builders import Graph

NONE, RELU = schema.ActivationFunctionType.NONE, schema.ActivationFunctionType.RELU
SAME, VALID = schema.Padding.SAME, schema.Padding.VALID


def _conv(
    g: Graph,
    x: int,
    channels: int,
    filters: int,
    size: int,
    name: str,
    seed: int,
    scale: float,
    weight: float = 0.003,
) -> int:
    """CONV_2D 3x3 SAME, RELU, quantised per channel; (1, size, size, channels) → filters."""
    rng = np.random.default_rng(seed)
    weights = rng.integers(-127, 128, (filters, 3, 3, channels))
    scales = [weight * (1 + i % 3) for i in range(filters)]
    w = g.tensor(f"{name} weights", weights.shape, "int8", scales, 0, weights)
    source = g.graph.tensors[x].quantization.scale[0]
    biases = rng.integers(-400, 400, filters)
    b = g.tensor(f"{name} bias", (filters,), "int32", [source * s for s in scales], 0, biases)
    y = g.tensor(name, (1, size, size, filters), "int8", scale, -100)
    g.operator(
        "CONV_2D", (x, w, b), (y,), "Conv2DOptions", version=3, strideW=1, strideH=1,
        dilationWFactor=1, dilationHFactor=1, padding=SAME, fusedActivationFunction=RELU,
    )  # fmt: skip
    return y


def _depthwise(g: Graph, x: int, channels: int, size: int, name: str, seed: int) -> int:
    rng = np.random.default_rng(seed)
    weights = rng.integers(-127, 128, (1, 3, 3, channels))
    scales = [0.006 * (1 + i % 2) for i in range(channels)]
    w = g.tensor(f"{name} weights", weights.shape, "int8", scales, 0, weights, axis=3)
    source = g.graph.tensors[x].quantization.scale[0]
    biases = rng.integers(-300, 300, channels)
    b = g.tensor(f"{name} bias", (channels,), "int32", [source * s for s in scales], 0, biases)
    y = g.tensor(name, (1, size, size, channels), "int8", 0.06, -20)
    g.operator(
        "DEPTHWISE_CONV_2D", (x, w, b), (y,), "DepthwiseConv2DOptions", version=3,
        strideW=1, strideH=1, dilationWFactor=1, dilationHFactor=1, depthMultiplier=1,
        padding=SAME, fusedActivationFunction=NONE,
    )  # fmt: skip
    return y


def _dense(g: Graph, x: int, inputs: int, outputs: int, name: str, seed: int, scale: float) -> int:
    rng = np.random.default_rng(seed)
    weights = rng.integers(-127, 128, (outputs, inputs))
    w = g.tensor(f"{name} weights", weights.shape, "int8", 0.008, 0, weights)
    source = g.graph.tensors[x].quantization.scale[0]
    b = g.tensor(
        f"{name} bias", (outputs,), "int32", source * 0.008, 0, rng.integers(-900, 900, outputs)
    )
    y = g.tensor(name, (1, outputs), "int8", scale, 4)
    g.operator("FULLY_CONNECTED", (x, w, b), (y,), "FullyConnectedOptions", version=4)
    return y


def image_network(size: int = 8, channels: int = 5, softmax: bool = False) -> bytes:
    """int8 (1, size, size, 3) → CONV_2D, DEPTHWISE_CONV_2D, ADD, CONV_2D, MAX_POOL_2D, RESHAPE,
    FULLY_CONNECTED → int8 (1, 10), and SOFTMAX if asked for. 7 operators."""
    g = Graph()
    x = g.tensor("image", (1, size, size, 3), "int8", 0.02, 6)
    first = _conv(g, x, 3, channels, size, "first", 1, 0.05)
    deep = _depthwise(g, first, channels, size, "deep", 2)
    total = g.tensor("total", (1, size, size, channels), "int8", 0.08, -40)
    g.operator("ADD", (first, deep), (total,), "AddOptions", version=2, potScaleInt16=False)
    second = _conv(g, total, channels, 6, size, "second", 3, 0.15)
    half = size // 2
    pooled = g.tensor("pooled", (1, half, half, 6), "int8", 0.15, -100)
    g.operator(
        "MAX_POOL_2D", (second,), (pooled,), "Pool2DOptions", version=2, padding=VALID,
        strideW=2, strideH=2, filterWidth=2, filterHeight=2,
    )  # fmt: skip
    count = half * half * 6
    flat = g.tensor("flat", (1, count), "int8", 0.15, -100)
    shape = g.tensor("shape", (2,), "int32", data=np.asarray([1, count]))
    g.operator("RESHAPE", (pooled, shape), (flat,), "ReshapeOptions", newShape=[1, count])
    scores = _dense(g, flat, count, 10, "scores", 4, 0.8)
    if not softmax:
        return g.finish((x,), (scores,))
    shares = g.tensor("shares", (1, 10), "int8", 1 / 256, -128)
    g.operator("SOFTMAX", (scores,), (shares,), "SoftmaxOptions", version=2, beta=0.05)
    return g.finish((x,), (shares,))


def two_outputs(size: int = 8) -> bytes:
    """int8 (1, size) → two FULLY_CONNECTED side by side → two outputs int8 (1, 6)."""
    g = Graph()
    x = g.tensor("signal", (1, size), "int8", 0.05, -3)
    return g.finish(
        (x,), (_dense(g, x, size, 6, "left", 5, 0.07), _dense(g, x, size, 6, "right", 6, 0.07))
    )


def long_chain(operators: int = 60, size: int = 12, channels: int = 8) -> bytes:
    """int8 image → CONV_2D after CONV_2D → int8: as many operators as asked for."""
    g = Graph()
    x = last = g.tensor("image", (1, size, size, channels), "int8", 0.05, 6)
    for number in range(operators):
        last = _conv(g, last, channels, channels, size, f"layer {number}", number, 0.05, 0.0009)
    return g.finish((x,), (last,))


def strided(size: int = 8) -> bytes:
    """int8 (1, size, size, 3) → CONV_2D 3x3 with stride 2 and SAME padding, of an even size: no
    padding before the input, one row and column behind it → int8 (1, size / 2, size / 2, 4)."""
    g = Graph()
    rng = np.random.default_rng(7)
    x = g.tensor("image", (1, size, size, 3), "int8", 0.02, 6)
    weights = rng.integers(-127, 128, (4, 3, 3, 3))
    w = g.tensor("weights", weights.shape, "int8", 0.006, 0, weights)
    b = g.tensor("bias", (4,), "int32", 0.02 * 0.006, 0, rng.integers(-400, 400, 4))
    y = g.tensor("map", (1, size // 2, size // 2, 4), "int8", 0.08, -5)
    g.operator(
        "CONV_2D", (x, w, b), (y,), "Conv2DOptions", version=3, strideW=2, strideH=2,
        dilationWFactor=1, dilationHFactor=1, padding=SAME, fusedActivationFunction=NONE,
    )  # fmt: skip
    return g.finish((x,), (y,))


def large_sums(inputs: int = 1024) -> bytes:
    """int8 (1, inputs) → FULLY_CONNECTED of large weights → int8 (1, 16): accumulators beyond 2^23
    for inputs far from the zero point."""
    g = Graph()
    rng = np.random.default_rng(8)
    x = g.tensor("signal", (1, inputs), "int8", 0.05, -20)
    weights = np.abs(rng.integers(40, 128, (16, inputs))) * np.linspace(0.05, 1, 16)[:, None]
    w = g.tensor("weights", weights.shape, "int8", 0.01, 0, weights.astype(np.int8))
    b = g.tensor("bias", (16,), "int32", 0.05 * 0.01, 0, rng.integers(-500, 500, 16))
    y = g.tensor("scores", (1, 16), "int8", 0.05 * 0.01 * 16e6 / 128, 4)
    g.operator("FULLY_CONNECTED", (x, w, b), (y,), "FullyConnectedOptions", version=4)
    return g.finish((x,), (y,))


def float_dense() -> bytes:
    """float32 (1, 16) → FULLY_CONNECTED → float32 (1, 8)."""
    g = Graph()
    rng = np.random.default_rng(1)
    x = g.tensor("x", (1, 16), "float32")
    w = g.tensor("w", (8, 16), "float32", data=rng.normal(0, 1, (8, 16)))
    b = g.tensor("b", (8,), "float32", data=np.zeros(8))
    y = g.tensor("y", (1, 8), "float32")
    g.operator("FULLY_CONNECTED", (x, w, b), (y,), "FullyConnectedOptions")
    return g.finish((x,), (y,))
