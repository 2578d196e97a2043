"""Small TFLite models made without TensorFlow, for tests. Every ``bytes`` here is a whole model.

:class:`pytest_tflm.model.graph.Graph` writes any model; the functions here write the ones that many
tests want. All of them run in LiteRT and in TFLM.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from pytest_tflm.model.graph import TYPES, Graph, pack, unpack

__all__ = ["TYPES", "Graph", "pack", "unpack"]


def fully_connected(
    inputs: int = 8, outputs: int = 4, seed: int = 0, batch: int = 1, bias: bool = True
) -> bytes:
    """int8 (batch, inputs) → FULLY_CONNECTED → int8 (batch, outputs)."""
    rng = np.random.default_rng(seed)
    g = Graph()
    x = g.tensor("input", (batch, inputs), "int8", 0.05, -3)
    weights = rng.integers(-127, 128, (outputs, inputs))
    w = g.tensor("weights", (outputs, inputs), "int8", 0.01, 0, weights)
    b = g.tensor("bias", (outputs,), "int32", 0.05 * 0.01, 0, rng.integers(-500, 500, outputs))
    y = g.tensor("output", (batch, outputs), "int8", 0.08, 5)
    operands = (x, w, b) if bias else (x, w, -1)
    g.operator("FULLY_CONNECTED", operands, (y,), "FullyConnectedOptions", version=4)
    return g.finish((x,), (y,))


def add_int8(shape: Sequence[int] = (1, 16)) -> bytes:
    """Two int8 inputs of other scales and zero points → ADD → int8."""
    g = Graph()
    a = g.tensor("a", shape, "int8", 0.1, 3)
    b = g.tensor("b", shape, "int8", 0.03, -7)
    y = g.tensor("sum", shape, "int8", 0.12, 1)
    g.operator("ADD", (a, b), (y,), "AddOptions", version=2, potScaleInt16=False)
    return g.finish((a, b), (y,))


def conv_2d(height: int = 6, channels: int = 3, filters: int = 4, seed: int = 0) -> bytes:
    """int8 (1, height, height, channels) → CONV_2D, quantised per channel, RELU6 → int8."""
    rng = np.random.default_rng(seed)
    g = Graph()
    x = g.tensor("image", (1, height, height, channels), "int8", 0.04, -10)
    weights = rng.integers(-127, 128, (filters, 3, 3, channels))
    scales = [0.004 * (i + 1) for i in range(filters)]
    w = g.tensor("weights", weights.shape, "int8", scales, 0, weights)
    biases = rng.integers(-900, 900, filters)
    b = g.tensor("bias", (filters,), "int32", [0.04 * s for s in scales], 0, biases)
    y = g.tensor("map", (1, height, height, filters), "int8", 6 / 255, -128)
    g.operator(
        "CONV_2D", (x, w, b), (y,), "Conv2DOptions", version=3, strideW=1, strideH=1,
        padding=schema.Padding.SAME,
        fusedActivationFunction=schema.ActivationFunctionType.RELU6,
    )  # fmt: skip
    return g.finish((x,), (y,))


def mixed(size: int = 12) -> bytes:
    """Two inputs and three outputs of four types.

    Inputs: ``signal`` int8 (1, size), ``gain`` float32 (1, size). Outputs: ``total`` int8
    (1, size), the quantised sum; ``real`` float32 (1, size), the product of the dequantised signal
    and the gain; ``loud`` bool (1, size), where that is larger than 0.5.
    """
    g = Graph()
    shape = (1, size)
    signal = g.tensor("signal", shape, "int8", 0.02, 4)
    gain = g.tensor("gain", shape, "float32")
    level = g.tensor("level", shape, "float32")
    real = g.tensor("real", shape, "float32")
    half = g.tensor("half", shape, "float32", data=np.full(shape, 0.5))
    loud = g.tensor("loud", shape, "bool")
    coded = g.tensor("coded", shape, "int8", 0.03, -2)
    total = g.tensor("total", shape, "int8", 0.04, -5)
    g.operator("DEQUANTIZE", (signal,), (level,), "DequantizeOptions", version=2)
    g.operator("MUL", (level, gain), (real,), "MulOptions")
    g.operator("GREATER", (real, half), (loud,), "GreaterOptions")
    g.operator("QUANTIZE", (real,), (coded,), "QuantizeOptions")
    g.operator("ADD", (signal, coded), (total,), "AddOptions", version=2, potScaleInt16=False)
    return g.finish((signal, gain), (total, real, loud))


def quantize_op(dtype: str, scale: float, zero_point: int, size: int = 64) -> bytes:
    """float32 (size,) → QUANTIZE → ``dtype``: TFLite's own quantisation, to compare with."""
    g = Graph()
    x = g.tensor("real", (size,), "float32")
    y = g.tensor("code", (size,), dtype, scale, zero_point)
    g.operator("QUANTIZE", (x,), (y,), "QuantizeOptions")
    return g.finish((x,), (y,))


def dequantize_op(dtype: str, scale: float, zero_point: int, size: int = 64) -> bytes:
    """``dtype`` (size,) → DEQUANTIZE → float32."""
    g = Graph()
    x = g.tensor("code", (size,), dtype, scale, zero_point)
    y = g.tensor("real", (size,), "float32")
    version = {"int8": 2, "int16": 3}.get(dtype, 1)
    g.operator("DEQUANTIZE", (x,), (y,), "DequantizeOptions", version=version)
    return g.finish((x,), (y,))


def identity(dtype: str, shape: Sequence[int] = (1, 4), scale: float | None = None) -> bytes:
    """``dtype`` → RESHAPE to the same shape → ``dtype``: any type and any shape."""
    g = Graph()
    x = g.tensor("input", shape, dtype, scale)
    y = g.tensor("output", shape, dtype, scale)
    s = g.tensor("shape", (len(shape),), "int32", data=np.asarray(shape))
    g.operator("RESHAPE", (x, s), (y,), "ReshapeOptions", newShape=list(shape))
    return g.finish((x,), (y,))


def chain(operators: int = 10, size: int = 8) -> bytes:
    """int8 (1, size) → ``operators`` times ADD with itself → int8: many tables, little else."""
    g = Graph()
    shape = (1, size)
    first = last = g.tensor("t0", shape, "int8", 0.1, 0)
    for i in range(operators):
        new = g.tensor(f"t{i + 1}", shape, "int8", 0.1, 0)
        g.operator("ADD", (last, last), (new,), "AddOptions", version=2, potScaleInt16=False)
        last = new
    return g.finish((first,), (last,))


def while_loop(limit: int = 5) -> bytes:
    """int32 (1,) → WHILE (x < limit) x = x + 1 → int32. Three subgraphs."""
    g = Graph()
    x = g.tensor("x", (1,), "int32")
    y = g.tensor("y", (1,), "int32")
    g.operator("WHILE", (x,), (y,), "WhileOptions", condSubgraphIndex=1, bodySubgraphIndex=2)
    main = g.graph
    main.inputs, main.outputs = [x], [y]
    for name, operator, options, value, result in (
        ("cond", "LESS", "LessOptions", limit, "bool"),
        ("body", "ADD", "AddOptions", 1, "int32"),
    ):
        g.graph = schema.SubGraphT()
        g.graph.name = name
        g.graph.tensors, g.graph.operators = [], []
        a = g.tensor(f"{name}_in", (1,), "int32")
        b = g.tensor(f"{name}_constant", (1,), "int32", data=np.asarray([value]))
        out = g.tensor(f"{name}_out", (1,), result)
        g.operator(operator, (a, b), (out,), options)
        g.graph.inputs, g.graph.outputs = [a], [out]
        g.model.subgraphs.append(g.graph)
    return pack(g.model)


ALL = {
    "fully_connected": fully_connected,
    "add_int8": add_int8,
    "conv_2d": conv_2d,
    "mixed": mixed,
    "chain": chain,
    "while_loop": while_loop,
    "identity_int32": lambda: identity("int32"),
}
