"""Models that contradict themselves are refused before native code sees them."""

from __future__ import annotations

import struct
from typing import Any

import model_builders as builders
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from bending import Bend, assign, bent, refused

from pytest_tflm.errors import DamagedModel
from pytest_tflm.model import model_from_bytes


@pytest.fixture
def fc() -> bytes:
    return builders.fully_connected()


@pytest.mark.parametrize("name", sorted(builders.ALL))
def test_packing_again_changes_nothing(name: str) -> None:
    model_from_bytes(bent(builders.ALL[name](), lambda model: None))


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("subgraphs", [], ["no subgraph"]),
        ("subgraphs", None, ["no subgraph"]),
        ("subgraphs[0].tensors", None, ["missing"]),
        ("subgraphs[0].inputs", None, ["missing"]),
        ("subgraphs[0].outputs", None, ["missing"]),
        ("subgraphs[0].outputs", [], ["no outputs"]),
        ("subgraphs[0].inputs", [4], ["input 0", "tensor 4", "4 tensors"]),
        ("subgraphs[0].inputs", [-1], ["input 0", "tensor -1"]),
        ("subgraphs[0].outputs", [2**31 - 1], ["output 0"]),
        ("subgraphs[0].operators[0].opcodeIndex", 1, ["operator 0", "operator code 1"]),
        ("subgraphs[0].operators[0].inputs", [0, 1, 9], ["input 2", "tensor 9"]),
        ("subgraphs[0].operators[0].inputs", [0, 1, -2], ["tensor -2"]),
        ("subgraphs[0].operators[0].inputs", None, ["no list"]),
        ("subgraphs[0].operators[0].outputs", None, ["no list"]),
        ("subgraphs[0].operators[0].outputs", [-1], ["tensor -1"]),
        ("subgraphs[0].operators[0].outputs", [1], ["output tensor 1 is a constant"]),
        ("subgraphs[0].operators[0].intermediates", [-1], ["intermediate", "tensor -1"]),
        ("subgraphs[0].operators[0].intermediates", [77], ["intermediate", "tensor 77"]),
        ("subgraphs[0].operators[0].largeCustomOptionsSize", 10**9, ["custom options"]),
        ("operatorCodes", [], ["operator code 0"]),
        ("subgraphs[0].tensors[1].buffer", 3, ["'weights'", "buffer 3", "3 buffers"]),
        ("subgraphs[0].tensors[1].type", 23, ["'weights'", "type 23"]),
        ("subgraphs[0].tensors[1].type", -1, ["type -1"]),
        ("subgraphs[0].tensors[1].shape", [4, -8], ["shape [4, -8]"]),
        ("subgraphs[0].tensors[1].shape", [2**16, 2**15], ["2 GiB"]),
        ("subgraphs[0].tensors[1].shape", [2**31 - 1] * 4, ["2 GiB"]),
        ("subgraphs[0].tensors[1].shape", [0, 2**31 - 1, 2**31 - 1], ["2 GiB"]),
        ("subgraphs[0].tensors[1].shape", [1] * 7 + [4, 8], ["9 dimensions"]),
        ("subgraphs[0].tensors[1].shape", [4, 9], ["needs 36 bytes", "has 32"]),
        ("subgraphs[0].tensors[2].type", schema.TensorType.INT64, ["needs 32", "has 16"]),
        ("subgraphs[0].tensors[0].externalBuffer", 1, ["another file"]),
        ("subgraphs[0].tensors[0].quantization.scale", [float("nan")], ["scale nan"]),
        ("subgraphs[0].tensors[0].quantization.scale", [float("inf")], ["scale inf"]),
        ("subgraphs[0].tensors[0].quantization.scale", [-0.5], ["scale -0.5"]),
        ("subgraphs[0].tensors[0].quantization.zeroPoint", [128], ["zero point 128"]),
        ("subgraphs[0].tensors[0].quantization.zeroPoint", None, ["1 scales and 0 zero points"]),
        ("subgraphs[0].tensors[0].quantization.zeroPoint", [1, 2], ["1 scales and 2 zero"]),
        ("subgraphs[0].tensors[2].quantization.zeroPoint", [2**40], ["zero point"]),
        ("subgraphs[0].tensors[1].quantization.scale", [0.1] * 7, ["7 scales"]),
    ],
)
def test_contradictions(fc: bytes, path: str, value: object, words: list[str]) -> None:
    refused(fc, assign(path, value), *words)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("subgraphs[0].name", None),
        ("subgraphs[0].name", ""),
        ("description", None),
        ("subgraphs[0].operators[0].inputs", [0, 1, -1]),
        ("subgraphs[0].tensors[3].name", None),
        ("subgraphs[0].tensors[3].shapeSignature", [-1, 4]),
        ("subgraphs[0].tensors[1].quantization.quantizedDimension", 7),
        ("subgraphs[0].tensors[1].quantization.quantizedDimension", -1),
        ("subgraphs[0].tensors[1].shape", [4, 7]),  # the buffer is too large: TFLM runs that
        ("operatorCodes[0].builtinCode", 1000),  # newer than the schema: the runtime will say
    ],
)
def test_what_real_models_have_is_accepted(fc: bytes, path: str, value: object) -> None:
    model_from_bytes(bent(fc, assign(path, value)))


def test_no_operators_is_a_model() -> None:
    g = builders.Graph()
    x = g.tensor("x", (1, 4), "int8", 0.1)
    model = model_from_bytes(g.finish((x,), (x,)))
    assert model.operators == ()


def test_per_channel_with_one_zero_point_is_accepted() -> None:
    def bend(model: Any) -> None:
        model.subgraphs[0].tensors[1].quantization.zeroPoint = [0]

    model = model_from_bytes(bent(builders.conv_2d(), bend))
    assert model.tensors[1].zero_points == (0, 0, 0, 0)
    assert model.tensors[1].scale is None


def test_custom_operator_needs_a_name(fc: bytes) -> None:
    def bend(model: Any, name: bytes | None = None) -> None:
        code = model.operatorCodes[0]
        code.builtinCode = code.deprecatedBuiltinCode = 32
        code.customCode = name

    refused(fc, bend, "custom operator without a name")
    model = model_from_bytes(bent(fc, lambda m: bend(m, b"MyOp")))
    assert model.operators[0].name == "MyOp"


def test_empty_constant_is_no_constant(fc: bytes) -> None:
    def bend(model: Any) -> None:
        model.buffers[1].data = np.zeros(0, np.uint8)

    assert not model_from_bytes(bent(fc, bend)).tensors[1].is_constant


@pytest.mark.parametrize(("dtype", "elements", "size"), [("INT4", 9, 5), ("INT2", 9, 3)])
def test_packed_types_need_fewer_bytes(dtype: str, elements: int, size: int) -> None:
    def bend(model: Any, short: int = 0) -> None:
        tensor = model.subgraphs[0].tensors[1]
        tensor.type = getattr(schema.TensorType, dtype)
        tensor.shape = [elements]
        model.buffers[1].data = np.zeros(size - short, np.uint8)

    fc = builders.fully_connected()
    assert model_from_bytes(bent(fc, bend)).tensors[1].nbytes == size
    refused(fc, lambda model: bend(model, 1), f"needs {size} bytes")


def test_buffer_behind_the_flatbuffer(fc: bytes) -> None:
    """Buffer.offset and size, which writers of large models use."""
    size = len(bent(fc, assign("buffers[1].data", None))) + 32  # the two fields and padding

    def bend(model: Any, count: int = 32) -> None:
        model.buffers[1].data = None
        model.buffers[1].offset, model.buffers[1].size = size, count

    packed = bent(fc, bend)
    assert len(packed) <= size
    whole = packed + b"\0" * (size - len(packed)) + b"\1" * 32
    assert model_from_bytes(whole).tensors[1].is_constant
    with pytest.raises(DamagedModel, match="cut short"):
        model_from_bytes(whole[:-1])
    with pytest.raises(DamagedModel, match="needs 32 bytes, but its buffer has 31"):
        model_from_bytes(bent(fc, lambda m: bend(m, 31)) + b"\1" * 200)
    with pytest.raises(DamagedModel, match="cut short"):
        model_from_bytes(bent(fc, lambda m: bend(m, 2**64 - 1)))

    def test_a_buffer_of_no_tensor_beyond_the_end(self, fc: bytes) -> None:
        """It was read when the model was written anew: by freeze, cut and repair."""

        def bend(model: Any) -> None:
            buffer = schema.BufferT()
            buffer.offset, buffer.size = 16, 1 << 20
            model.buffers.append(buffer)

        refused(fc, bend, "cut short")


class TestSubgraphs:
    loop = builders.while_loop()

    def test_accepted(self) -> None:
        model = model_from_bytes(self.loop)
        assert model.subgraph_count == 3
        assert [operator.name for operator in model.operators] == ["WHILE"]

    @pytest.mark.parametrize("index", [3, -1, 2**31 - 1])
    def test_calls_a_subgraph_that_is_missing(self, index: int) -> None:
        path = "subgraphs[0].operators[0].builtinOptions.bodySubgraphIndex"
        refused(self.loop, assign(path, index), f"refers to subgraph {index}", "3")

    def test_calls_itself(self) -> None:
        path = "subgraphs[0].operators[0].builtinOptions.bodySubgraphIndex"
        refused(self.loop, assign(path, 0), "subgraph 0 calls itself")

    def test_options_missing(self) -> None:
        def bend(model: Any) -> None:
            operator = model.subgraphs[0].operators[0]
            operator.builtinOptions, operator.builtinOptionsType = None, 0

        refused(self.loop, bend, "WhileOptions are missing")

    def test_indices_of_other_subgraphs(self) -> None:
        refused(self.loop, assign("subgraphs[2].inputs", [8]), "subgraph 2: input 0")
        refused(self.loop, assign("subgraphs[1].operators[0].outputs", [8]), "subgraph 1: operator")
        refused(self.loop, assign("subgraphs[2].tensors[0].type", 99), "subgraph 2: tensor 0")

    def test_value_handed_over_must_fit(self) -> None:
        """TFLM copies by the source's size."""
        for subgraph, tensor in ((0, 0), (2, 2)):  # WHILE's input; the body's output
            path = f"subgraphs[{subgraph}].tensors[{tensor}].shape"
            refused(self.loop, assign(path, [2]), "passed to or from subgraph")

    def test_calls_that_multiply(self) -> None:
        """Twenty subgraphs, each called twice by the one before: a million plans of memory."""

        def bend(model: Any) -> None:
            body = model.subgraphs[2]
            loop = model.subgraphs[0].operators[0]
            for number in range(2, 24):
                operator = schema.OperatorT()
                operator.opcodeIndex = loop.opcodeIndex
                operator.inputs, operator.outputs = [0], [2]
                operator.builtinOptionsType = loop.builtinOptionsType
                operator.builtinOptions = schema.WhileOptionsT()
                operator.builtinOptions.condSubgraphIndex = number + 1
                operator.builtinOptions.bodySubgraphIndex = number + 1
                graph = schema.SubGraphT()
                graph.tensors, graph.inputs, graph.outputs = body.tensors, [0], [2]
                graph.operators = [operator]
                model.subgraphs[number:] = [graph, body]

        refused(self.loop, bend, "called more than 100000 times")


class TestMetadata:
    @staticmethod
    def plan(*numbers: int) -> np.ndarray:
        return np.frombuffer(struct.pack(f"<{len(numbers)}i", *numbers), np.uint8)

    def bend(self, plan: np.ndarray | None, index: int | None = None) -> Bend:
        def bend(model: Any) -> None:
            entry = schema.MetadataT()
            entry.name = b"OfflineMemoryAllocation"
            entry.buffer = len(model.buffers) if index is None else index
            buffer = schema.BufferT()
            buffer.data = plan
            model.buffers.append(buffer)
            model.metadata = [entry]

        return bend

    def test_plan_accepted(self, fc: bytes) -> None:
        model_from_bytes(bent(fc, self.bend(self.plan(1, 0, 4, 0, -1, -1, 16))))

    @pytest.mark.parametrize(
        ("numbers", "words"),
        [
            ((1, 0), "cut short"),
            ((1, 0, 4, 0, -1, -1), "memory plan"),
            ((1, 0, 3, 0, -1, -1), "for 3 tensors"),
            ((1, 0, -1, 0, -1, -1, 0), "tensors"),
            ((1, 0, 4, -2, -1, -1, 16), "at byte -2"),
            ((1, 0, 4, 2**31 - 1, -1, -1, 16), "puts tensor 0"),
        ],
    )
    def test_plan_refused(self, fc: bytes, numbers: tuple[int, ...], words: str) -> None:
        refused(fc, self.bend(self.plan(*numbers)), words)

    def test_plan_without_bytes(self, fc: bytes) -> None:
        refused(fc, self.bend(None), "cut short")

    def test_buffer_missing(self, fc: bytes) -> None:
        refused(fc, self.bend(self.plan(1), 99), "metadata entry 0", "buffer 99")

    def test_name_missing(self, fc: bytes) -> None:
        def bend(model: Any) -> None:
            model.metadata = [schema.MetadataT()]

        refused(fc, bend, "metadata entry 0 has no name")


class TestSignatures:
    @staticmethod
    def bend(subgraph: int = 0, tensor: int = 0, key: str | None = "main", name: str | None = "x"):  # type: ignore[no-untyped-def]
        def bend(model: Any) -> None:
            signature = schema.SignatureDefT()
            signature.signatureKey, signature.subgraphIndex = key, subgraph
            entry = schema.TensorMapT()
            entry.name, entry.tensorIndex = name, tensor
            signature.inputs, signature.outputs = [entry], []
            model.signatureDefs = [signature]

        return bend

    def test_accepted(self, fc: bytes) -> None:
        model_from_bytes(bent(fc, self.bend()))

    def test_refused(self, fc: bytes) -> None:
        refused(fc, self.bend(subgraph=1), "signature 0", "subgraph 1")
        refused(fc, self.bend(tensor=4), "refers to tensor 4")
        refused(fc, self.bend(key=None), "has no name")
        refused(fc, self.bend(name=None), "without a name")


class TestStrings:
    @staticmethod
    def bend(raw: bytes) -> Bend:
        def bend(model: Any) -> None:
            tensor = model.subgraphs[0].tensors[1]
            tensor.type, tensor.shape = schema.TensorType.STRING, [2]
            model.buffers[1].data = np.frombuffer(raw, np.uint8)

        return bend

    def test_accepted(self, fc: bytes) -> None:
        model_from_bytes(bent(fc, self.bend(struct.pack("<iiii", 2, 16, 17, 19) + b"abc")))

    @pytest.mark.parametrize(
        "raw",
        [
            b"\1",
            struct.pack("<i", -1),
            struct.pack("<i", 2**30),
            struct.pack("<iiii", 2, 16, 17, 20) + b"abc",
            struct.pack("<iiii", 2, 16, 99, 19) + b"abc",
            struct.pack("<iiii", 2, 0, 17, 19) + b"abc",
        ],
    )
    def test_refused(self, fc: bytes, raw: bytes) -> None:
        refused(fc, self.bend(raw), "strings")


class TestSparsity:
    """A 4x8 matrix: rows dense, columns compressed."""

    @staticmethod
    def bend(
        segments: tuple[int, ...] = (0, 2, 2, 3, 5),
        indices: tuple[int, ...] = (0, 7, 3, 1, 2),
        order: tuple[int, ...] = (0, 1),
        rows: int = 4,
        stored: int = 5,
    ) -> Bend:
        def bend(model: Any) -> None:
            dense, sparse = schema.DimensionMetadataT(), schema.DimensionMetadataT()
            dense.format, dense.denseSize = schema.DimensionType.DENSE, rows
            sparse.format = schema.DimensionType.SPARSE_CSR
            sparse.arraySegmentsType = sparse.arrayIndicesType = 3
            sparse.arraySegments, sparse.arrayIndices = schema.Uint8VectorT(), schema.Uint8VectorT()
            sparse.arraySegments.values, sparse.arrayIndices.values = list(segments), list(indices)
            sparsity = schema.SparsityParametersT()
            sparsity.traversalOrder, sparsity.dimMetadata = list(order), [dense, sparse]
            model.subgraphs[0].tensors[1].sparsity = sparsity
            model.buffers[1].data = np.zeros(stored, np.uint8)

        return bend

    def test_accepted(self, fc: bytes) -> None:
        model_from_bytes(bent(fc, self.bend()))

    def test_too_few_values(self, fc: bytes) -> None:
        refused(fc, self.bend(stored=4), "needs 5 bytes")

    @pytest.mark.parametrize(
        "changes",
        [
            {"segments": (0, 2, 2, 3)},
            {"segments": (0, 2, 1, 3, 5)},
            {"segments": (0, 2, 2, 3, 200)},
            {"indices": (0, 8, 3, 1, 2)},
            {"order": (0, 2)},
            {"order": (0,)},
            {"order": (0, 0)},
            {"rows": 5},
        ],
    )
    def test_refused(self, fc: bytes, changes: dict[str, Any]) -> None:
        refused(fc, self.bend(**changes), "sparsity")
