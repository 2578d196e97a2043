"""Models with variables, made without TensorFlow."""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tests.model_builders import Graph, pack


def svdf(units: int = 4, memory: int = 5, activation: int = 1) -> bytes:
    """int8 (1, 3) → SVDF with a memory of 5 inputs → int8. Its state is an int16 variable.

    LiteRT demands RELU (1) in Invoke, and refuses the operator there with another one.
    """
    rng = np.random.default_rng(2)
    g = Graph()
    x = g.tensor("x", (1, 3), "int8", 0.05, 3)
    feature = rng.integers(-127, 128, (units, 3))
    time = rng.integers(-9000, 9000, (units, memory))
    f = g.tensor("feature", (units, 3), "int8", 0.01, 0, feature)
    t = g.tensor("time", (units, memory), "int16", 0.0001, 0, time)
    b = g.tensor("bias", (units,), "int32", 0.001 * 0.0001, 0, np.arange(units) * 1000)
    s = g.tensor("state", (1, units * memory), "int16", 0.001)
    g.graph.tensors[s].isVariable = True
    y = g.tensor("y", (1, units), "int8", 0.004, -128)
    g.operator(
        "SVDF", (x, f, t, b, s), (y,), "SVDFOptions", version=3,
        rank=1, fusedActivationFunction=activation,
    )  # fmt: skip
    return g.finish((x,), (y,))


def unwritten_variable(zero_point: int = 10) -> bytes:
    """int8 (1, 4) → ADD with an int8 variable that nothing writes → int8: shows what a variable
    begins as and is reset to, which should be its zero point."""
    g = Graph()
    x = g.tensor("x", (1, 4), "int8", 0.5, 3)
    s = g.tensor("state", (1, 4), "int8", 0.5, zero_point)
    g.graph.tensors[s].isVariable = True
    y = g.tensor("y", (1, 4), "int8", 0.5, -7)
    g.operator("ADD", (x, s), (y,), "AddOptions", version=2, potScaleInt16=False)
    return g.finish((x,), (y,))


def running_sum(initial: float = 5.0) -> bytes:
    """float32 (1, 4) → added to a resource variable that begins as ``initial`` → float32."""
    g = Graph()
    x = g.tensor("x", (1, 4), "float32")

    def variable() -> int:
        v = g.tensor("variable", (), "int32")
        g.graph.tensors[v].type = schema.TensorType.RESOURCE
        g.operator("VAR_HANDLE", (), (v,), "VarHandleOptions", container="", sharedName="sum")
        return v

    g.operator("CALL_ONCE", (), (), "CallOnceOptions", initSubgraphIndex=1)
    v = variable()
    old = g.tensor("old", (1, 4), "float32")
    new = g.tensor("new", (1, 4), "float32")
    g.operator("READ_VARIABLE", (v,), (old,), "ReadVariableOptions")
    g.operator("ADD", (old, x), (new,), "AddOptions", potScaleInt16=False)
    g.operator("ASSIGN_VARIABLE", (v, new), (), "AssignVariableOptions")
    g.graph.inputs, g.graph.outputs = [x], [new]
    g.graph = schema.SubGraphT()
    g.graph.name, g.graph.tensors, g.graph.operators = "begin", [], []
    v = variable()
    start = g.tensor("start", (1, 4), "float32", data=np.full((1, 4), initial))
    g.operator("ASSIGN_VARIABLE", (v, start), (), "AssignVariableOptions")
    g.graph.inputs, g.graph.outputs = [], []
    g.model.subgraphs.append(g.graph)
    return pack(g.model)


def delayed(frames: int = 5) -> bytes:
    """int8 (1, 3) → FULLY_CONNECTED → SVDF that looks at the oldest of its frames alone → int8."""
    g = Graph()
    rng = np.random.default_rng(3)
    x = g.tensor("x", (1, 3), "int8", 0.05, 3)
    w = g.tensor("weights", (3, 3), "int8", 0.02, 0, rng.integers(-127, 128, (3, 3)))
    b = g.tensor("bias", (3,), "int32", 0.05 * 0.02, 0, np.zeros(3))
    h = g.tensor("hidden", (1, 3), "int8", 0.05, 0)
    g.operator("FULLY_CONNECTED", (x, w, b), (h,), "FullyConnectedOptions")
    time = np.zeros((4, frames))
    time[:, 0] = 9000
    f = g.tensor("feature", (4, 3), "int8", 0.01, 0, rng.integers(40, 128, (4, 3)))
    t = g.tensor("time", (4, frames), "int16", 0.0001, 0, time)
    c = g.tensor("second bias", (4,), "int32", 0.001 * 0.0001, 0, np.zeros(4))
    s = g.tensor("state", (1, 4 * frames), "int16", 0.001)
    g.graph.tensors[s].isVariable = True
    y = g.tensor("y", (1, 4), "int8", 0.002, -128)
    g.operator(
        "SVDF", (h, f, t, c, s), (y,), "SVDFOptions", version=3, rank=1, fusedActivationFunction=1
    )  # fmt: skip
    return g.finish((x,), (y,))
