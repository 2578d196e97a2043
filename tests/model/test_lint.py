"""What lint finds in a model, and what it does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ai_edge_litert import schema_py_generated as schema

from pytest_tflm.firmware.model_header import members
from pytest_tflm.model import Model, model_from_bytes, open_model
from pytest_tflm.model.lint import CAUSE_PAGES, SEVERITIES, Finding, lint
from pytest_tflm.model.tflm_operators import TFLM_OPERATORS
from tests import model_builders as build
from tests.model import odd_models as odd
from tests.model.dilated import Dilated, dilated


def find(model: Model, name: str, **known: Any) -> Finding | None:
    found = [finding for finding in lint(model, **known) if finding.name == name]
    assert len(found) < 2
    return found[0] if found else None


def test_the_list_of_operators_is_the_firmwares() -> None:
    assert members().keys() == TFLM_OPERATORS


@pytest.mark.parametrize("name", sorted(build.ALL))
def test_nothing_wrong_with_healthy_models(name: str) -> None:
    found = {f.name for f in lint(model_from_bytes(build.ALL[name]()), memory=1 << 20, arena=4096)}
    assert found <= {"float-input", "float-output"}
    assert (not found) == (name != "mixed")


def test_the_example_is_healthy(tcn: Path) -> None:
    assert lint(open_model(tcn)) == []


def test_stored_shapes_without_a_run(tcn_dynamic: Path) -> None:
    finding = find(open_model(tcn_dynamic), "stored-shapes")
    assert finding is not None
    assert (finding.severity, finding.operator, finding.tensor) == ("error", 5, 67)
    assert finding.sentence.startswith(
        "operator 5, SPACE_TO_BATCH_ND: the file stores the shape [1, 502, 16], the actual shape"
        " is [2, 502, 16] (32 tensors in all)"
    )
    assert finding.remedy.endswith(f"pytest-tflm model repair {tcn_dynamic} -o OUT")
    assert finding.page == "docs/causes/stored-shapes.md"


def test_stored_shapes_of_a_run(tcn_dynamic: Path) -> None:
    model = open_model(tcn_dynamic)
    shapes = {tensor.index: tensor.shape for tensor in model.tensors}
    assert find(model, "stored-shapes", shapes=shapes) is None
    finding = find(model, "stored-shapes", shapes=shapes | {0: (2, 1000, 1)})
    assert finding is not None and finding.operator is None
    assert "input 'serving_default_keras_tensor:0'" in finding.sentence
    assert "1 tensor in all" in finding.sentence


def test_padding_only_where_it_is_seen(tcn_dynamic: Path) -> None:
    assert find(open_model(tcn_dynamic), "space-to-batch-padding") is None
    finding = find(
        model_from_bytes(dilated(Dilated(before=(2, 0))), "my model"), "space-to-batch-padding"
    )
    assert finding is not None and finding.operator == 0 and finding.severity == "error"
    assert "pytest-tflm model repair 'my model' -o OUT" in finding.remedy


def test_padding_that_no_repair_takes_away() -> None:
    parts = build.unpack(dilated(Dilated(before=(2, 0))))
    parts.subgraphs[0].operators[1].builtinOptions.strideW = 2
    finding = find(model_from_bytes(build.pack(parts)), "space-to-batch-padding")
    assert finding is not None
    assert "repair does not change operator 0: CONV_2D has strides 1 and 2" in finding.remedy


def test_missing_operators() -> None:
    finding = find(model_from_bytes(odd.custom(large=False)), "missing-operator")
    assert finding is not None and finding.operator == 1
    assert finding.sentence == "operator 1, MyOwn: there is no kernel for it"
    # Also in subgraphs, and by what the board says of itself.
    model = model_from_bytes(build.while_loop())
    finding = find(model, "missing-operator", operators=["WHILE", "ADD"])
    assert finding is not None and finding.sentence.startswith("LESS in a subgraph")


@pytest.mark.parametrize(
    ("name", "sentence", "remedy"),
    [
        ("FlexErf", "a TensorFlow operator", "SELECT_TF_OPS"),
        ("ethos-u", "Ethos-U", "the model from before Vela"),
    ],
)
def test_operators_that_no_board_can_have(name: str, sentence: str, remedy: str) -> None:
    parts = build.unpack(odd.custom(large=False))
    parts.operatorCodes[1].customCode = name
    finding = find(model_from_bytes(build.pack(parts)), "missing-operator")
    assert finding is not None and finding.severity == "error"
    assert sentence in finding.sentence and remedy in finding.remedy


def test_a_transposed_convolution_is_hybrid_too() -> None:
    """Its activations are input 2, behind the output's shape and the weights."""
    g = build.Graph()
    x, y = g.tensor("x", (1, 2, 2, 1), "float32"), g.tensor("y", (1, 4, 4, 1), "float32")
    s = g.tensor("s", (4,), "int32", data=[1, 4, 4, 1])
    w = g.tensor("w", (1, 2, 2, 1), "int8", 0.5, data=[[[[1], [2]], [[3], [4]]]])
    g.operator("TRANSPOSE_CONV", (s, w, x), (y,), "TransposeConvOptions", strideW=2, strideH=2)
    finding = find(model_from_bytes(g.finish((x,), (y,))), "hybrid-model")
    assert finding is not None and "float32 activations with int8 weights" in finding.sentence


def test_hybrid(keras_model: Any) -> None:
    finding = find(open_model(keras_model("hybrid")), "hybrid-model")
    assert finding is not None and finding.operator == 0
    assert "FULLY_CONNECTED: float32 activations with int8 weights" in finding.sentence
    assert finding.page == "docs/causes/hybrid-model.md"


def test_softmax_at_the_end_and_float_interface(keras_model: Any) -> None:
    for name in ("classifier", "float_interface"):
        finding = find(open_model(keras_model(name)), "magnified")
        assert finding is not None and finding.severity == "note", name
        assert "SOFTMAX" in finding.sentence
    model = open_model(keras_model("float_interface"))
    for what in ("input", "output"):
        finding = find(model, f"float-{what}")
        assert finding is not None and f"inference_{what}_type" in finding.remedy
        assert find(open_model(keras_model("classifier")), f"float-{what}") is None


def test_computed_and_dynamic_shapes(keras_model: Any) -> None:
    model = open_model(keras_model("conv_2d"))
    finding = find(model, "computed-shape")
    assert finding is not None and model.operators[finding.operator or 0].name == "RESHAPE"
    finding = find(model, "dynamic-shapes")
    assert finding is not None and "[-1, 12, 10, 2] is unknown" in finding.sentence
    assert find(model_from_bytes(odd.computed_shape()), "computed-shape") is not None
    assert find(model_from_bytes(build.identity("int32")), "computed-shape") is None


def test_memory_in_four_sizes() -> None:
    model = model_from_bytes(build.conv_2d())
    size = model.size
    assert find(model, "memory", arena=1000) is None
    assert find(model, "memory", arena=1000, memory=size + 1000) is None
    # A board's arena is smaller than this machine's, but not by more than half.
    warning = find(model, "memory", arena=1000, memory=size + 999)
    assert warning is not None and warning.severity == "warning"
    error = find(model, "memory", arena=1000, memory=size + 499)
    assert error is not None and error.severity == "error"
    assert f"it needs {size + 1000} bytes" in error.sentence
    assert find(model, "memory", memory=size - 1) is not None


def test_int16_without_bias() -> None:
    for dtype, bias, expected in (
        ("INT16", False, True),
        ("INT16", True, False),
        ("INT8", False, False),
    ):
        parts = build.unpack(build.fully_connected(bias=bias))
        for tensor in parts.subgraphs[0].tensors:
            if tensor.name in (b"input", b"output"):
                tensor.type = getattr(schema.TensorType, dtype)
                tensor.quantization.zeroPoint = [0]
        found = find(model_from_bytes(build.pack(parts)), "int16-without-bias")
        assert (found is not None) == expected


def test_the_gravest_come_first(keras_model: Any) -> None:
    findings = lint(open_model(keras_model("conv_2d")), arena=10**6, memory=10**6)
    ranks = [SEVERITIES.index(finding.severity) for finding in findings]
    assert len(set(ranks)) == 3 and ranks == sorted(ranks)


def test_a_page_is_named_for_a_cause_alone(keras_model: Any) -> None:
    pages = {
        finding.name: finding.page
        for name in ("conv_2d", "hybrid", "float_interface")
        for finding in lint(open_model(keras_model(name)))
    }
    assert {name for name, page in pages.items() if page} == CAUSE_PAGES
    assert pages["dynamic-shapes"] is None
