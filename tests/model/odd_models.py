"""Models with what few models have, to be cut: made without TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tests.model_builders import Graph, pack, unpack

CUSTOM_OPTIONS = bytes(range(40))


def many_outputs() -> bytes:
    """int8 (1, 8) → SPLIT in four, of which one is used by nobody, one is an output of the model
    and feeds an operator as well → CONCATENATION → int8; and a DEQUANTIZE of a constant."""
    g = Graph()
    x = g.tensor("x", (1, 8), "int8", 0.5, 3)
    axis = g.tensor("axis", (), "int32", data=1)
    parts = [g.tensor(f"part{i}", (1, 2), "int8", 0.5, 3) for i in range(4)]
    g.operator("SPLIT", (axis, x), parts, "SplitOptions", version=2, numSplits=4)
    y = g.tensor("y", (1, 4), "int8", 0.5, 3)
    g.operator(
        "CONCATENATION", (parts[3], parts[0]), (y,), "ConcatenationOptions", version=2, axis=1
    )
    fixed = g.tensor("fixed", (1, 2), "int8", 0.5, 3, [[-7, 100]])
    real = g.tensor("real", (1, 2), "float32")
    g.operator("DEQUANTIZE", (fixed,), (real,), "DequantizeOptions", version=2)
    return g.finish((x,), (parts[3], y, real))


def shared_constant() -> bytes:
    """int8 (1, 4) → ADD, ADD with two tensors of other scales in the same buffer → int8."""
    g = Graph()
    x = g.tensor("x", (1, 4), "int8", 0.5, 3)
    a = g.tensor("a", (1, 4), "int8", 0.25, 0, [[1, -2, 3, 100]])
    b = g.tensor("b", (1, 4), "int8", 0.75, 9)
    g.graph.tensors[b].buffer = g.graph.tensors[a].buffer
    last = x
    for i, constant in enumerate((a, b)):
        y = g.tensor(f"y{i}", (1, 4), "int8", 0.5, -1)
        g.operator("ADD", (last, constant), (y,), "AddOptions", version=2, potScaleInt16=False)
        last = y
    return g.finish((x,), (last,))


def computed_shape() -> bytes:
    """int8 (2, 6) → SHAPE → ADD (1, -2) → RESHAPE of the input by that → int8 (3, 4)."""
    g = Graph()
    x = g.tensor("x", (2, 6), "int8", 0.5, 3)
    shape = g.tensor("shape", (2,), "int32")
    g.operator("SHAPE", (x,), (shape,), "ShapeOptions", outType=schema.TensorType.INT32)
    change = g.tensor("change", (2,), "int32", data=[1, -2])
    other = g.tensor("other", (2,), "int32")
    g.operator("ADD", (shape, change), (other,), "AddOptions", potScaleInt16=False)
    y = g.tensor("y", (3, 4), "int8", 0.5, 3)
    g.operator("RESHAPE", (x, other), (y,))
    return g.finish((x,), (y,))


def nested_if() -> bytes:
    """bool, int32 (1,) → IF, IF whose else calls an IF → int32. Seven subgraphs."""
    g = Graph()
    flag = g.tensor("flag", (1,), "bool")
    x = g.tensor("x", (1,), "int32")
    y = g.tensor("y", (1,), "int32")
    z = g.tensor("z", (1,), "int32")
    g.operator("IF", (flag, x), (y,), "IfOptions", thenSubgraphIndex=1, elseSubgraphIndex=2)
    g.operator("IF", (flag, y), (z,), "IfOptions", thenSubgraphIndex=5, elseSubgraphIndex=3)
    g.graph.inputs, g.graph.outputs = [flag, x], [z]
    for name, operator in (
        ("first if", "ADD"),
        ("first else", "MUL"),
        ("outer else", "IF"),
        ("unused", "SUB"),
        ("inner if", "SUB"),
        ("inner else", "ADD"),
    ):
        g.graph = schema.SubGraphT()
        g.graph.name, g.graph.tensors, g.graph.operators = name, [], []
        a = g.tensor("a", (1,), "int32")
        out = g.tensor("out", (1,), "int32")
        if operator == "IF":
            zero = g.tensor("zero", (1,), "int32", data=[0])
            is_large = g.tensor("is_large", (1,), "bool")
            g.operator("GREATER", (a, zero), (is_large,), "GreaterOptions")
            g.operator(
                "IF", (is_large, a), (out,), "IfOptions", thenSubgraphIndex=5, elseSubgraphIndex=6
            )
        else:
            other = g.tensor("other", (1,), "int32", data=[3])
            options: dict[str, Any] = {"ADD": {"potScaleInt16": False}}.get(operator, {})
            g.operator(operator, (a, other), (out,), f"{operator.title()}Options", **options)
        g.graph.inputs, g.graph.outputs = [a], [out]
        g.model.subgraphs.append(g.graph)
    return pack(g.model)


def loop_with_variable(*, tensor: bool = False) -> bytes:
    """WHILE whose condition has a resource variable, or a variable ``tensor`` in place of it."""
    g = Graph()
    x, y = g.tensor("x", (1,), "int32"), g.tensor("y", (1,), "int32")
    g.operator("WHILE", (x,), (y,), "WhileOptions", condSubgraphIndex=1, bodySubgraphIndex=1)
    g.graph.inputs, g.graph.outputs = [x], [y]
    g.graph = schema.SubGraphT()
    g.graph.name, g.graph.tensors, g.graph.operators = "cond", [], []
    a = g.tensor("a", (1,), "int32")
    v = g.tensor("variable", (), "int32")
    if tensor:
        g.graph.tensors[v].isVariable = True
    else:
        g.graph.tensors[v].type = schema.TensorType.RESOURCE
        g.operator("VAR_HANDLE", (), (v,), "VarHandleOptions", container="", sharedName="v")
    g.graph.inputs, g.graph.outputs = [a], [a]
    g.model.subgraphs.append(g.graph)
    return pack(g.model)


def sparse_weights(block: int = 0, *, densify: bool = False) -> tuple[bytes, Any]:
    """float32 (1, 16) → FULLY_CONNECTED with weights (8, 16) whose zeros are not stored → float32,
    and the weights. ``block``: the stored pieces are (1, block), 0 for single values. ``densify``:
    a DENSIFY operator makes the weights dense."""
    rng = np.random.default_rng(3)
    piece = block or 1
    dense = rng.normal(0, 1, (8, 16 // piece, piece)).astype(np.float32)
    is_stored = rng.random((8, 16 // piece)) < 0.4
    is_stored[3] = False  # a row of zeros
    dense *= is_stored[..., np.newaxis]
    g = Graph()
    x, y = g.tensor("x", (1, 16), "float32"), g.tensor("y", (1, 8), "float32")
    w = g.tensor("w", (8, 16), "float32", data=dense[is_stored])
    rows = schema.DimensionMetadataT()
    rows.format, rows.denseSize = schema.DimensionType.DENSE, 8
    columns = schema.DimensionMetadataT()
    columns.format = schema.DimensionType.SPARSE_CSR
    columns.arraySegmentsType = schema.SparseIndexVector.Uint8Vector
    columns.arraySegments = schema.Uint8VectorT()
    columns.arraySegments.values = [0, *np.cumsum(is_stored.sum(1)).tolist()]
    columns.arrayIndicesType = schema.SparseIndexVector.Int32Vector
    columns.arrayIndices = schema.Int32VectorT()
    columns.arrayIndices.values = np.nonzero(is_stored)[1].tolist()
    sparsity = schema.SparsityParametersT()
    sparsity.traversalOrder, sparsity.dimMetadata = [0, 1], [rows, columns]
    if block:
        inside = schema.DimensionMetadataT()
        inside.format, inside.denseSize = schema.DimensionType.DENSE, block
        sparsity.traversalOrder, sparsity.blockMap = [0, 1, 2], [1]
        sparsity.dimMetadata.append(inside)
    g.graph.tensors[w].sparsity = sparsity
    used = w
    if densify:
        used = g.tensor("whole", (8, 16), "float32")
        g.operator("DENSIFY", (w,), (used,), "DensifyOptions")
    g.operator("FULLY_CONNECTED", (x, used, -1), (y,), "FullyConnectedOptions")
    return g.finish((x,), (y,)), dense.reshape(8, 16)


def custom(large: bool) -> bytes:
    """int8 (1, 4) → RELU → a custom operator that no interpreter has → int8. Its options are in
    the flatbuffer or, ``large``, behind it."""
    g = Graph()
    x, m, y = (g.tensor(name, (1, 4), "int8", 0.5, 3) for name in "xmy")
    g.operator("RELU", (x,), (m,), version=2)
    g.operator("CUSTOM", (m,), (y,))
    g.model.operatorCodes[1].customCode = "MyOwn"
    operator = g.graph.operators[1]
    if not large:
        operator.customOptions = np.frombuffer(CUSTOM_OPTIONS, np.uint8)
        return g.finish((x,), (y,))
    operator.largeCustomOptionsOffset, operator.largeCustomOptionsSize = 2, len(CUSTOM_OPTIONS)
    operator.largeCustomOptionsOffset = len(g.finish((x,), (y,)))
    return g.finish((x,), (y,)) + CUSTOM_OPTIONS


def behind(data: bytes) -> bytes:
    """A model with its buffers' data behind the flatbuffer."""
    model = unpack(data)
    raw = [b"" if b.data is None else bytes(b.data) for b in model.buffers]
    for buffer, content in zip(model.buffers, raw, strict=True):
        if content:
            buffer.data, buffer.offset, buffer.size = None, 16, len(content)
    place = -(-len(pack(model)) // 16) * 16
    tail = b""
    for buffer, content in zip(model.buffers, raw, strict=True):
        if content:
            buffer.offset = place + len(tail)
            tail += content + bytes(-len(content) % 16)
    return pack(model).ljust(place, b"\0") + tail


def sparse() -> bytes:
    """float32 (1, 4) → FULLY_CONNECTED with sparse weights (2, 4) → float32."""
    g = Graph()
    x = g.tensor("x", (1, 4), "float32")
    w = g.tensor("w", (2, 4), "float32", data=np.asarray([1.0, 2.0, 3.0]))
    sparsity = schema.SparsityParametersT()
    sparsity.traversalOrder = [0, 1]
    dense, compressed = schema.DimensionMetadataT(), schema.DimensionMetadataT()
    dense.format, dense.denseSize = schema.DimensionType.DENSE, 2
    compressed.format = schema.DimensionType.SPARSE_CSR
    for field, values in (("arraySegments", [0, 2, 3]), ("arrayIndices", [0, 2, 1])):
        vector = schema.Int32VectorT()
        vector.values = values
        setattr(compressed, f"{field}Type", schema.SparseIndexVector.Int32Vector)
        setattr(compressed, field, vector)
    sparsity.dimMetadata = [dense, compressed]
    g.graph.tensors[w].sparsity = sparsity
    y = g.tensor("y", (1, 2), "float32")
    g.operator("FULLY_CONNECTED", (x, w, -1), (y,), "FullyConnectedOptions")
    return g.finish((x,), (y,))


def lstm(inputs: int = 3, units: int = 4, steps: int = 5, weight: float = 0.006) -> bytes:
    """int8 (1, 5, 3) → UNIDIRECTIONAL_SEQUENCE_LSTM → int8 (1, 5, 4) → RELU → int8.

    ``weight`` is the scale of the weights. 24 inputs, of which 9 are left out; two of them are
    variables of two types; five intermediate tensors, which have no other place in the graph than
    their mention.
    """
    rng = np.random.default_rng(5)
    g = Graph()
    x = g.tensor("x", (1, steps, inputs), "int8", 1 / 64, 3)

    def gates(name: str, size: int) -> list[int]:
        values = [rng.integers(-127, 128, (units, size)) for _ in range(4)]
        return [
            g.tensor(f"{name}{i}", (units, size), "int8", weight, 0, v)
            for i, v in enumerate(values)
        ]

    from_input, from_state = gates("input", inputs), gates("state", units)
    biases = [
        g.tensor(f"bias{i}", (units,), "int32", weight / 64, 0, rng.integers(-4000, 4000, units))
        for i in range(4)
    ]
    hidden = g.tensor("hidden", (1, units), "int8", 1 / 128, -1)
    cell = g.tensor("cell", (1, units), "int16", 2**-12)
    for variable in (hidden, cell):
        g.graph.tensors[variable].isVariable = True
    between = [g.tensor(f"between{i}", (0,), "int16", 2**-12) for i in range(4)]
    between.append(g.tensor("between4", (0,), "int8", 1 / 128, -1))
    y = g.tensor("y", (1, steps, units), "int8", 1 / 128, -1)
    nothing = [-1] * 4
    g.operator(
        "UNIDIRECTIONAL_SEQUENCE_LSTM",
        (x, *from_input, *from_state, -1, -1, -1, *biases, -1, -1, hidden, cell, *nothing),
        (y,), "UnidirectionalSequenceLSTMOptions", version=1, cellClip=10.0,
        fusedActivationFunction=schema.ActivationFunctionType.TANH,
    )  # fmt: skip
    g.graph.operators[0].intermediates = between
    z = g.tensor("z", (1, steps, units), "int8", 1 / 128, -1)
    g.operator("RELU", (y,), (z,), version=2)
    return g.finish((x,), (z,))


def empty() -> bytes:
    """A model that gives its input back, without an operator."""
    g = Graph()
    x = g.tensor("x", (1, 4), "int8", 0.5, 3)
    return g.finish((x,), (x,))


def large(layers: int = 60, width: int = 128) -> bytes:
    """int8 (1, width) → FULLY_CONNECTED so many times → int8: about layers * width² bytes."""
    rng = np.random.default_rng(1)
    g = Graph()
    first = last = g.tensor("t", (1, width), "int8", 0.5, 3)
    for i in range(layers):
        w = g.tensor(f"w{i}", (width, width), "int8", 0.01, 0, rng.integers(-99, 99, (width,) * 2))
        y = g.tensor(f"t{i}", (1, width), "int8", 0.5, 3)
        g.operator("FULLY_CONNECTED", (last, w, -1), (y,), "FullyConnectedOptions", version=4)
        last = y
    return g.finish((first,), (last,))


# Those that LiteRT runs.
ALL = {
    "many_outputs": many_outputs,
    "shared_constant": shared_constant,
    "computed_shape": computed_shape,
    "nested_if": nested_if,
    "behind": lambda: behind(many_outputs()),
    "sparse": sparse,
    "lstm": lstm,
}
# It has no kernels for sparse weights.
NOT_IN_TFLM = {"sparse"}
