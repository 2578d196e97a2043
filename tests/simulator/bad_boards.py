"""Engines with defects, and the models that they are tried on, all in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import model_builders
import numpy as np
from convolutions import random_convolution

from pytest_tflm.model import model_from_bytes
from pytest_tflm.simulator.defects.catalogue import defective, parse_defects
from pytest_tflm.simulator.engine.base import Loaded
from pytest_tflm.simulator.engine.tflm import TflmEngine

EXAMPLES = Path(__file__).parents[2] / "examples"

SPATIAL: dict[str, Any] = {
    "dtype": "int8",
    "batch": 1,
    "height": 8,
    "width": 8,
    "channels": 3,
    "size": (3, 3),
    "stride": (1, 2),
    "dilation": (1, 1),
    "same": True,
    "activation": 1,
    "zero_point": 7,
    "per_channel": True,
    "bias": True,
}
FLAT: dict[str, Any] = {
    "dtype": "int8",
    "batch": 3,
    "channels": 37,
    "filters": 9,
    "activation": 0,
    "zero_point": -9,
    "per_channel": False,
    "bias": True,
}


def convolution(name: str, **fixed: Any) -> bytes:
    """One operator, always the same but for ``fixed``."""
    base = FLAT if name == "FULLY_CONNECTED" else SPATIAL
    return random_convolution(name, np.random.default_rng(5), **(base | fixed))


def split() -> bytes:
    """int8 (1, 8) → SPLIT → two int8 (1, 4)."""
    g = model_builders.Graph()
    axis = g.tensor("axis", (), "int32", data=1)
    x = g.tensor("x", (1, 8), "int8", 0.1, 3)
    outputs = [g.tensor(f"y{i}", (1, 4), "int8", 0.1, 3) for i in range(2)]
    g.operator("SPLIT", (axis, x), outputs, "SplitOptions", numSplits=2)
    return g.finish((x,), outputs)


def pad() -> bytes:
    """int8 (1, 4, 3) → PAD → int8 (1, 7, 3), zero point 5."""
    g = model_builders.Graph()
    x = g.tensor("x", (1, 4, 3), "int8", 0.1, 5)
    p = g.tensor("paddings", (3, 2), "int32", data=[[0, 0], [2, 1], [0, 0]])
    y = g.tensor("y", (1, 7, 3), "int8", 0.1, 5)
    g.operator("PAD", (x, p), (y,), "PadOptions")
    return g.finish((x,), (y,))


def svdf() -> bytes:
    """float32 (1, 1) → SVDF with a memory of two → QUANTIZE → int8: the sum of the last two."""
    g = model_builders.Graph()
    x = g.tensor("x", (1, 1), "float32")
    feature = g.tensor("feature", (1, 1), "float32", data=np.ones((1, 1)))
    time = g.tensor("time", (1, 2), "float32", data=np.ones((1, 2)))
    bias = g.tensor("bias", (1,), "float32", data=np.zeros(1))
    state = g.tensor("state", (1, 2), "float32")
    real = g.tensor("real", (1, 1), "float32")
    y = g.tensor("y", (1, 1), "int8", 1.0, 0)
    g.graph.tensors[state].isVariable = True
    g.operator("SVDF", (x, feature, time, bias, state), (real,), "SVDFOptions", rank=1)
    g.operator("QUANTIZE", (real,), (y,), "QuantizeOptions")
    return g.finish((x,), (y,))


def running_sum(zero_point: int = 5, begins: int | None = None) -> bytes:
    """int8 (1, 4) → ADD to a resource variable → int8, everything of scale 1. CALL_ONCE makes the
    variable the code ``begins``, if that is given."""
    g = model_builders.Graph()
    schema = model_builders.schema

    def code(name: str, **data: Any) -> int:
        return g.tensor(name, (1, 4), "int8", 1.0, zero_point, **data)

    def variable() -> int:
        handle = g.tensor("handle", (1,), "int32")
        g.graph.tensors[handle].type = schema.TensorType.RESOURCE
        named = {"container": "", "sharedName": "v"}
        g.operator("VAR_HANDLE", (), (handle,), "VarHandleOptions", **named)
        return handle

    x = code("x")
    if begins is not None:
        g.operator("CALL_ONCE", (), (), "CallOnceOptions", initSubgraphIndex=1)
    handle, old, new = variable(), code("old"), code("new")
    g.operator("READ_VARIABLE", (handle,), (old,), "ReadVariableOptions")
    g.operator("ADD", (old, x), (new,), "AddOptions", version=2, potScaleInt16=False)
    g.operator("ASSIGN_VARIABLE", (handle, new), (), "AssignVariableOptions")
    if begins is None:
        return g.finish((x,), (new,))
    g.graph.inputs, g.graph.outputs = [x], [new]
    g.graph = schema.SubGraphT()
    g.graph.name, g.graph.tensors, g.graph.operators = "begin", [], []
    handle = variable()
    start = code("start", data=np.full((1, 4), begins))
    g.operator("ASSIGN_VARIABLE", (handle, start), (), "AssignVariableOptions")
    g.graph.inputs, g.graph.outputs = [], []
    g.model.subgraphs.append(g.graph)
    return model_builders.pack(g.model)


def two_variables() -> bytes:
    """int8 (1, 4) → the sum of it and the two inputs before it, which two resource variables keep →
    int8, everything of scale 1."""
    g = model_builders.Graph()

    def code(name: str) -> int:
        return g.tensor(name, (1, 4), "int8", 1.0, 0)

    x = code("x")
    handles, kept = [], []
    for name in "ab":
        handle = g.tensor(f"handle {name}", (1,), "int32")
        g.graph.tensors[handle].type = model_builders.schema.TensorType.RESOURCE
        g.operator("VAR_HANDLE", (), (handle,), "VarHandleOptions", container="", sharedName=name)
        handles.append(handle)
        kept.append(code(f"kept {name}"))
        g.operator("READ_VARIABLE", (handle,), kept[-1:], "ReadVariableOptions")
    total = x
    for each in kept:
        made = code("total")
        g.operator("ADD", (total, each), (made,), "AddOptions", version=2, potScaleInt16=False)
        total = made
    g.operator("ASSIGN_VARIABLE", (handles[0], x), (), "AssignVariableOptions")
    g.operator("ASSIGN_VARIABLE", (handles[1], kept[0]), (), "AssignVariableOptions")
    return g.finish((x,), (total,))


def averaging(name: str) -> bytes:
    """int8 (1, 6, 6, 3) → AVERAGE_POOL_2D of 2 x 2, or MEAN of rows and columns → int8."""
    g = model_builders.Graph()
    x = g.tensor("x", (1, 6, 6, 3), "int8", 0.1, 5)
    if name == "MEAN":
        axes = g.tensor("axes", (2,), "int32", data=[1, 2])
        y = g.tensor("y", (1, 3), "int8", 0.05, -7)
        g.operator(name, (x, axes), (y,), "ReducerOptions", version=2, keepDims=False)
    else:
        y = g.tensor("y", (1, 3, 3, 3), "int8", 0.1, 5)
        window = {"filterWidth": 2, "filterHeight": 2, "strideW": 2, "strideH": 2}
        g.operator(name, (x,), (y,), "Pool2DOptions", version=2, padding=1, **window)
    return g.finish((x,), (y,))


def softmax(scale: float, beta: float = 1.0) -> bytes:
    """int8 (1, 8) → SOFTMAX → int8."""
    g = model_builders.Graph()
    x = g.tensor("x", (1, 8), "int8", scale, 0)
    y = g.tensor("y", (1, 8), "int8", 1 / 256, -128)
    g.operator("SOFTMAX", (x,), (y,), "SoftmaxOptions", version=2, beta=beta)
    return g.finish((x,), (y,))


MODELS: dict[str, Callable[[], bytes]] = {
    "tcn": lambda: (EXAMPLES / "tcn.tflite").read_bytes(),
    "conv": lambda: convolution("CONV_2D"),
    "depthwise": lambda: convolution("DEPTHWISE_CONV_2D"),
    "connected": lambda: convolution("FULLY_CONNECTED"),
    "connected16": lambda: convolution("FULLY_CONNECTED", dtype="int16"),
    "deep": lambda: convolution("FULLY_CONNECTED", channels=2048, batch=1),
    "add": model_builders.add_int8,
    "mixed": model_builders.mixed,
    "chain": model_builders.chain,
    "split": split,
    "pad": pad,
    "svdf": svdf,
}

Outputs = list[list[np.ndarray]]


class Bench:
    """An engine with the defects of ``spec``; none if it is empty."""

    def __init__(self, spec: str = "", seed: int = 0) -> None:
        self.engine: Any = TflmEngine(memory=4 << 20)
        if spec:
            self.engine = defective(self.engine, parse_defects(spec), seed)
        self.loaded = Loaded(None, 0, (), ())

    def load(self, model: bytes) -> None:
        self.engine.open(len(model), 0)
        self.loaded = self.engine.prepare(model)

    def run(self, sample: Sequence[np.ndarray]) -> list[np.ndarray]:
        for tensor, array in zip(self.loaded.inputs, sample, strict=True):
            tensor.data[...] = array
        self.engine.invoke()
        return [tensor.data.copy() for tensor in self.loaded.outputs]

    def run_all(self, model: bytes, samples: Sequence[Sequence[np.ndarray]]) -> Outputs:
        self.load(model)
        return [self.run(sample) for sample in samples]


def samples_for(model: bytes, count: int = 4, seed: int = 1) -> list[list[np.ndarray]]:
    """Codes of the whole range, and real numbers around 0; of the example, real samples."""
    rng = np.random.default_rng(seed)
    read = model_from_bytes(model)
    if read.inputs[0].shape == (1, 1000, 1):
        with np.load(EXAMPLES / "tcn_samples.npz") as file:
            return [list(read.quantize(each)) for each in file["inputs"][:count]]
    samples = []
    for _ in range(count):
        arrays = []
        for tensor in read.inputs:
            if tensor.dtype == "float32":
                arrays.append(rng.uniform(-20, 20, tensor.shape).astype(np.float32))
            else:
                limits = np.iinfo(tensor.dtype)
                arrays.append(
                    rng.integers(limits.min, limits.max, tensor.shape, tensor.dtype, endpoint=True)
                )
        samples.append(arrays)
    return samples


def differs(one: Outputs, other: Outputs) -> bool:
    pairs = zip(one, other, strict=True)
    return any(not np.array_equal(a, b) for x, y in pairs for a, b in zip(x, y, strict=True))
