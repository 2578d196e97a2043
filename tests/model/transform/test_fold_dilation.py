"""Three operators become one dilated convolution, and every bit stays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from pytest_tflm.model import Model, model_from_bytes
from pytest_tflm.model.transform.dilation import find_chains
from pytest_tflm.model.transform.extremes import extreme_samples
from pytest_tflm.model.transform.fold_dilation import fold_dilation
from pytest_tflm.runtime.interpreter import interpreter
from tests import model_builders as build
from tests.model.dilated import Dilated, dilated

Outputs = list[tuple[bytes, ...]]
Run = Callable[[str, Model], Outputs]


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """The bytes of a model's outputs over random and extreme inputs."""
    with interpreter("litert") as litert, interpreter("tflm") as tflm:

        def run(kind: str, model: Model) -> Outputs:
            samples = [arrays for _, arrays in extreme_samples(model)]
            made = (litert if kind == "litert" else tflm).attempt(model, samples).outputs()
            return [tuple(a.tobytes() for a in arrays) for arrays in made]

        yield run


def names(model: Model) -> list[str]:
    return [operator.name for operator in model.operators]


def fold(model: Model) -> Model:
    folded = fold_dilation(model)
    assert folded.data is not None, folded.left
    assert not folded.left
    return model_from_bytes(folded.data, "folded")


# What one convolution needs, and what it then consists of.
CASES = {
    "valid": (Dilated(size=(8, 6)), ["CONV_2D"], "VALID"),
    "causal, padded up to the block and cropped": (
        Dilated(size=(7, 5), crop_after=(1, 1)), ["CONV_2D"], "VALID",
    ),
    "same": (
        Dilated(size=(8, 6), kernel=(3, 3), before=(2, 2), after=(2, 2)), ["CONV_2D"], "SAME",
    ),
    "padded before alone": (
        Dilated(size=(8, 6), before=(4, 0)), ["PAD", "CONV_2D"], "explicit",
    ),
    "cropped before alone": (
        Dilated(size=(8, 6), crop_before=(0, 1)), ["SLICE", "CONV_2D"], "explicit",
    ),
    "padded here and cropped there": (
        Dilated(size=(8, 6), before=(2, 0), crop_after=(0, 1)), ["SLICE", "PAD", "CONV_2D"],
        "explicit",
    ),
    "a dense convolution that pads itself": (
        Dilated(size=(8, 6), kernel=(3, 3), same=True), ["CONV_2D"], "SAME",
    ),
    "a convolution that is dilated already": (
        Dilated(size=(12, 12), own_dilation=(2, 1)), ["CONV_2D"], "VALID",
    ),
    "depthwise": (Dilated(depthwise=True, crop_after=(1, 0)), ["DEPTHWISE_CONV_2D"], "VALID"),
    "other blocks": (Dilated(size=(12, 9), block=(3, 1), kernel=(2, 3)), ["CONV_2D"], "VALID"),
    "along the width": (
        Dilated(flat=1, kernel=(1, 3), size=(1, 9), crop_after=(0, 1)),
        ["EXPAND_DIMS", "CONV_2D", "SQUEEZE"], "VALID",
    ),
    "along the height, reshaped": (
        Dilated(flat=0, kernel=(3, 1), size=(8, 1), before=(2, 0), after=(2, 0), style="RESHAPE"),
        ["RESHAPE", "CONV_2D", "RESHAPE"], "SAME",
    ),
    "1-D, padded before alone": (
        Dilated(flat=1, kernel=(1, 3), size=(1, 8), before=(0, 4), style="RESHAPE"),
        ["PAD", "RESHAPE", "CONV_2D", "RESHAPE"], "explicit",
    ),
    "one sample in each batch": (
        Dilated(flat=0, kernel=(1, 1), size=(4, 1), block=(4, 1)),
        ["EXPAND_DIMS", "CONV_2D", "SQUEEZE"], "VALID",
    ),
}  # fmt: skip


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("case", sorted(CASES))
def test_folded(run: Run, case: str, dynamic: bool) -> None:
    d, operators, padding = CASES[case]
    model = model_from_bytes(dilated(replace(d, dynamic=dynamic)), case)
    ((chain,), _) = find_chains(model)
    assert chain.padding == padding
    folded = fold(model)
    assert names(folded) == operators
    reference = run("litert", model)
    assert len(set(reference)) > 1, "inputs must matter"
    assert run("litert", folded) == reference
    assert run("tflm", folded) == reference
    assert folded.outputs[0].shape == (1, *folded.outputs[0].shape[1:])
    is_dynamic = {t.shape_signature is not None for t in folded.tensors if not t.is_constant}
    assert is_dynamic == {dynamic}


pairs = {
    "size": st.tuples(st.integers(1, 11), st.integers(1, 11)),
    "block": st.tuples(st.integers(1, 4), st.integers(1, 4)),
    "kernel": st.tuples(st.integers(1, 3), st.integers(1, 3)),
    "before": st.tuples(st.integers(0, 5), st.integers(0, 5)),
    "after": st.tuples(st.integers(0, 5), st.integers(0, 5)),
    "crop_before": st.tuples(st.integers(0, 4), st.integers(0, 4)),
    "crop_after": st.tuples(st.integers(0, 4), st.integers(0, 4)),
    "own_dilation": st.tuples(st.integers(1, 2), st.integers(1, 2)),
}


@st.composite
def dilations(draw: Any) -> Dilated:
    flat = draw(st.sampled_from([None, 0, 1]))
    d = draw(
        st.builds(
            Dilated,
            same=st.booleans(),
            depthwise=st.booleans(),
            dtype=st.sampled_from(["int8", "float32", "int16"]),
            batch=st.integers(1, 2),
            flat=st.just(flat),
            style=st.sampled_from(["EXPAND_DIMS", "RESHAPE"]),
            seed=st.integers(0, 9),
            **pairs,
        )
    )
    if flat is not None:  # a 1-D convolution has a kernel of 1 on the other axis
        d = replace(d, kernel=(d.kernel[0], 1) if flat == 0 else (1, d.kernel[1]))
    assume(d.possible)
    return d


@given(d=dilations())
@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.function_scoped_fixture],
)
@pytest.mark.slow
def test_any_is_the_same_bit_for_bit(run: Run, d: Dilated) -> None:
    model = model_from_bytes(dilated(d), "any")
    folded = fold_dilation(model)
    assert folded.data is not None or "nothing is left" in folded.left[0].reason
    if folded.data is not None:
        result = model_from_bytes(folded.data, "folded")
        assert not {"SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND"} & set(names(result))
        assert result.inputs[0].shape == model.inputs[0].shape
        assert result.outputs[0].shape == model.outputs[0].shape
        reference = run("litert", model)
        assert run("litert", result) == reference
        assert d.dtype == "float32" or run("tflm", result) == reference


def test_the_first_version_of_depthwise_has_no_dilation() -> None:
    model = model_from_bytes(dilated(Dilated(size=(8, 6), depthwise=True, dtype="float32")))
    assert model.operators[1].version == 1
    assert fold(model).operators[0].version == 2


def test_padding_that_is_cropped_away_is_not_seen() -> None:
    def sees(d: Dilated) -> bool:
        ((chain,), _) = find_chains(model_from_bytes(dilated(d)))
        return chain.sees_padding

    assert not sees(Dilated(size=(8, 6)))
    assert not sees(Dilated(size=(7, 6), crop_after=(1, 0)))  # 7 is padded up to 8
    assert sees(Dilated(size=(7, 6)))
    assert sees(Dilated(size=(8, 6), before=(2, 0)))
    assert sees(Dilated(size=(7, 6), crop_after=(1, 0), same=True))


def bend_block(g: Any) -> None:
    g.operators[0].inputs[1] = g.operators[0].inputs[0]


def output_too(g: Any) -> None:
    g.outputs = [*g.outputs, int(g.operators[0].outputs[0])]


def used_twice(g: Any) -> None:
    relu = schema.OperatorT()
    relu.opcodeIndex = 3
    relu.inputs = [int(g.operators[0].outputs[0])]
    relu.outputs = [len(g.tensors)]
    g.tensors.append(g.tensors[int(g.operators[0].outputs[0])])
    g.operators.insert(1, relu)
    g.outputs = [*g.outputs, len(g.tensors) - 1]


def strided(g: Any) -> None:
    g.operators[1].builtinOptions.strideH = 2


def no_dilation(g: Any) -> None:
    g.operators[1].builtinOptions.dilationWFactor = 0


def float_pads(g: Any) -> None:
    g.tensors[int(g.operators[0].inputs[2])].type = schema.TensorType.FLOAT32


def rescaled(g: Any) -> None:
    g.tensors[int(g.operators[0].outputs[0])].quantization.scale = [0.5]


def dynamic_size(g: Any) -> None:
    tensor = g.tensors[int(g.inputs[0])]
    tensor.shapeSignature = [1, -1, *tensor.shape[2:]]


def other_block(g: Any) -> None:
    block = schema.TensorT()
    block.name, block.type, block.shape = "other", schema.TensorType.INT32, [2]
    block.buffer = -1
    g.tensors.append(block)
    g.operators[2].inputs = [int(g.operators[2].inputs[0]), len(g.tensors) - 1, 2]


def no_batch_to_space(g: Any) -> None:
    g.operators[2].opcodeIndex = 3
    g.operators[2].inputs = [int(g.operators[2].inputs[0])]
    g.operators[2].builtinOptionsType, g.operators[2].builtinOptions = 0, None


@pytest.mark.parametrize(
    ("bend", "reason"),
    [
        (bend_block, "the block or the borders of SPACE_TO_BATCH_ND are computed at run time"),
        (output_too, "SPACE_TO_BATCH_ND's output is an output of the model"),
        (used_twice, "SPACE_TO_BATCH_ND's output is used by 2 operators, not by one"),
        (strided, "CONV_2D has strides 2 and 1"),
        (no_dilation, "CONV_2D has a kernel of 2 and a dilation of 0"),
        (float_pads, "SPACE_TO_BATCH_ND has blocks [2, 2], borders [[0.0, "),
        (rescaled, "SPACE_TO_BATCH_ND's input and output have different scales or zero points"),
        (dynamic_size, "the size of its input is unknown until run time"),
        (other_block, "its blocks are [2, 2], but BATCH_TO_SPACE_ND's are [1, 4]"),
        (no_batch_to_space, "RELU follows CONV_2D instead of BATCH_TO_SPACE_ND"),
    ],
)
def test_what_cannot_be_folded_stays_and_says_why(bend: Callable[[Any], None], reason: str) -> None:
    parts = build.unpack(dilated(Dilated()))
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.RELU
    code.version = 2
    parts.operatorCodes.append(code)
    graph = parts.subgraphs[0]
    for operator in graph.operators:
        operator.inputs = [int(i) for i in operator.inputs]
    graph.outputs = [int(i) for i in graph.outputs]
    bend(graph)
    for tensor in graph.tensors:
        if tensor.buffer == -1:
            tensor.buffer = len(parts.buffers)
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.asarray([1, 4], np.int32).tobytes(), np.uint8)
            parts.buffers.append(buffer)
    folded = fold_dilation(model_from_bytes(build.pack(parts), "bent"))
    assert folded.data is None
    (left,) = folded.left
    assert reason in left.reason and left.operator == 0


def test_an_axis_that_is_not_one_number_stays() -> None:
    parts = build.unpack(dilated(Dilated(flat=1, kernel=(1, 3), size=(1, 8))))
    graph = parts.subgraphs[0]
    axis = graph.tensors[int(graph.operators[1].inputs[1])]
    axis.shape = [2]
    parts.buffers[axis.buffer].data = np.zeros(8, np.uint8)
    (left,) = fold_dilation(model_from_bytes(build.pack(parts))).left
    assert "the axis of EXPAND_DIMS" in left.reason


def test_hybrid_convolutions_stay() -> None:
    """Their kernel quantises each batch by itself: batches are not to be joined."""
    parts = build.unpack(dilated(Dilated(dtype="float32")))
    weights = parts.subgraphs[0].tensors[int(parts.subgraphs[0].operators[1].inputs[1])]
    weights.type = schema.TensorType.INT8
    (left,) = fold_dilation(model_from_bytes(build.pack(parts))).left
    assert "hybrid" in left.reason


def test_several_chains_in_a_row(keras_model: Any, run: Run) -> None:
    from pytest_tflm.model import open_model

    model = open_model(keras_model("conv_2d"))
    folded = fold(model)
    assert [n for n in names(folded) if "CONV" in n] == ["CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D"]
    assert run("litert", folded) == run("litert", model)
    # What was dropped is gone from the file too.
    used = {i for o in folded.operators for i in (*o.inputs, *o.outputs) if i >= 0}
    assert used == set(range(len(folded.tensors)))
    parts = build.unpack(folded.data)
    assert len(parts.operatorCodes) == len({(o.name, o.version) for o in folded.operators})
    assert parts.signatureDefs and parts.signatureDefs[0].inputs[0].tensorIndex == (
        folded.inputs[0].index
    )
