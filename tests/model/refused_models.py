"""Models that TFLM refuses, and one that it computes wrongly."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from pytest_tflm.model import Model, model_from_bytes
from tests.model_builders import Graph, fully_connected, pack, unpack

T = schema.TensorType


def _float16() -> bytes:
    """float32 → FULLY_CONNECTED whose weights are float16 made float32 → float32."""
    g = Graph()
    x, y = g.tensor("x", (1, 4), "float32"), g.tensor("y", (1, 3), "float32")
    half = g.tensor("half", (3, 4), "int16", data=np.ones((3, 4), np.float16).view(np.int16))
    g.graph.tensors[half].type = T.FLOAT16
    w = g.tensor("w", (3, 4), "float32")
    g.operator("DEQUANTIZE", (half,), (w,), "DequantizeOptions")
    g.operator("FULLY_CONNECTED", (x, w, -1), (y,), "FullyConnectedOptions")
    return g.finish((x,), (y,))


def _uint8() -> bytes:
    return pack(_bent(fully_connected(), "UINT8"))


def _hybrid() -> bytes:
    g = Graph()
    x, y = g.tensor("x", (1, 4), "float32"), g.tensor("y", (1, 3), "float32")
    w = g.tensor("w", (3, 4), "int8", 0.5, data=np.ones((3, 4)))
    g.operator("FULLY_CONNECTED", (x, w, -1), (y,), "FullyConnectedOptions")
    return g.finish((x,), (y,))


def _mixed_types() -> bytes:
    parts = unpack(fully_connected())
    parts.subgraphs[0].tensors[3].type = T.INT16
    parts.subgraphs[0].tensors[3].quantization.zeroPoint = [0]
    return pack(parts)


def _pool() -> bytes:
    g = Graph()
    x = g.tensor("x", (1, 4, 4, 2), "int8", 0.05, -20)
    y = g.tensor("y", (1, 2, 2, 2), "int8", 0.03, -128)
    g.operator(
        "AVERAGE_POOL_2D", (x,), (y,), "Pool2DOptions", version=2, padding=1, strideW=2, strideH=2,
        filterWidth=2, filterHeight=2, fusedActivationFunction=0,
    )  # fmt: skip
    return g.finish((x,), (y,))


def _arg_max() -> bytes:
    g = Graph()
    x, y = g.tensor("x", (1, 4), "int8", 0.05), g.tensor("y", (1,), "int64")
    a = g.tensor("axis", (), "int32", data=1)
    g.operator("ARG_MAX", (x, a), (y,), "ArgMaxOptions", outputType=T.INT64)
    return g.finish((x,), (y,))


def _softmax() -> bytes:
    """ADD, which is healthy, and then a SOFTMAX that aborts."""
    g = Graph()
    x, m = (g.tensor(name, (1, 4), "int8", 0.05, 0) for name in "xm")
    y = g.tensor("y", (1, 4), "int8", 1 / 256, -128)
    g.operator("ADD", (x, x), (m,), "AddOptions", version=2, potScaleInt16=False)
    g.operator("SOFTMAX", (m,), (y,), "SoftmaxOptions", version=2, beta=0.0)
    return g.finish((x,), (y,))


def _cast() -> bytes:
    g = Graph()
    x, y = g.tensor("x", (1, 4), "float32"), g.tensor("y", (1, 4), "float32")
    g.graph.tensors[y].type = T.FLOAT64
    g.operator("CAST", (x,), (y,), "CastOptions", inDataType=T.FLOAT32, outDataType=T.FLOAT64)
    return g.finish((x,), (y,))


def _gather() -> bytes:
    """RELU, and then GATHER of int16, which TFLM has no kernel for."""
    g = Graph()
    x, m, y = (g.tensor(name, (4,), "int16", 0.5) for name in "xmy")
    i = g.tensor("i", (4,), "int32", data=[0, 1, 2, 3])
    g.operator("RELU", (x,), (m,), version=2)
    g.operator("GATHER", (m, i), (y,), "GatherOptions", axis=0, batchDims=0)
    return g.finish((x,), (y,))


def _flex() -> bytes:
    g = Graph()
    x, y = g.tensor("x", (1, 4), "float32"), g.tensor("y", (1, 4), "float32")
    g.operator("CUSTOM", (x,), (y,))
    g.model.operatorCodes[0].customCode = "FlexErf"
    return g.finish((x,), (y,))


def _in_a_subgraph() -> bytes:
    """IF, of which both branches have a CAST that TFLM refuses as their operator 0."""
    g = Graph()
    c = g.tensor("c", (1,), "bool")
    x, y = g.tensor("x", (4,), "float32"), g.tensor("y", (4,), "float32")
    g.operator("IF", (c, x), (y,), "IfOptions", thenSubgraphIndex=1, elseSubgraphIndex=1)
    g.graph.inputs, g.graph.outputs = [c, x], [y]
    g.graph = schema.SubGraphT()
    g.graph.name, g.graph.tensors, g.graph.operators = "branch", [], []
    a, b, d = (g.tensor(name, (4,), "float32") for name in "abd")
    g.graph.tensors[b].type = T.FLOAT64
    g.operator("CAST", (a,), (b,), "CastOptions", inDataType=T.FLOAT32, outDataType=T.FLOAT64)
    g.operator("CAST", (b,), (d,), "CastOptions", inDataType=T.FLOAT64, outDataType=T.FLOAT32)
    g.graph.inputs, g.graph.outputs = [a], [d]
    g.model.subgraphs.append(g.graph)
    return pack(g.model)


def _bent(file: bytes, dtype: str) -> schema.ModelT:
    """The int8 activations of a model (and, for uint8, its weights) as another type."""
    parts = unpack(file)
    constants = {t.index for t in model_from_bytes(file).tensors if t.is_constant}
    for index, tensor in enumerate(parts.subgraphs[0].tensors):
        if tensor.type != T.INT8 or (dtype != "UINT8" and index in constants):
            continue
        tensor.type = getattr(T, dtype)
        quantization = tensor.quantization
        if dtype == "UINT8" and quantization is not None and quantization.zeroPoint is not None:
            tensor.quantization.zeroPoint = [int(z) + 128 for z in tensor.quantization.zeroPoint]
    return parts


def retyped(file: bytes, dtype: str) -> Model:
    """A model of one int8 operator with ``UINT8`` or ``FLOAT16`` in its place."""
    return model_from_bytes(pack(_bent(file, dtype)), "retyped")


_MAKE: dict[str, Callable[[], bytes]] = {
    "float16-model": _float16,
    "uint8-model": _uint8,
    "hybrid-model": _hybrid,
    "mixed-types": _mixed_types,
    "rescaling-pool": _pool,
    "int64-index": _arg_max,
    "softmax-beta": _softmax,
    "cast": _cast,
    "gather": _gather,
    "flex": _flex,
    "in a subgraph": _in_a_subgraph,
}
KNOWN = {
    "float16-model": 0,
    "uint8-model": 0,
    "hybrid-model": 0,
    "mixed-types": 0,
    "rescaling-pool": 0,
    "int64-index": 0,
    "softmax-beta": 1,
}
"""What lint knows without a run: the finding's name, and the operator that it names."""


def data(name: str) -> bytes:
    """One of the models, by the name of the finding that it is for."""
    return _MAKE[name]()


def model(name: str) -> Model:
    """The same, read."""
    return model_from_bytes(data(name), name)
