"""Models of single operators: well-formed, within what a converter writes, and run by all."""

from __future__ import annotations

import dataclasses

import hypothesis
import numpy as np
import pytest

from pytest_tflm.errors import SettingsError
from pytest_tflm.fuzz.kernels.operators import OPERATORS, cases
from pytest_tflm.fuzz.kernels.pair import NEITHER, Pair
from pytest_tflm.fuzz.kernels.samples import sample_lists
from pytest_tflm.model import model_from_bytes
from pytest_tflm.model.graph import unpack
from pytest_tflm.runtime.hosts import Hosts
from pytest_tflm.runtime.spec import RuntimeSpec

pytestmark = pytest.mark.slow

FEW = hypothesis.settings(
    max_examples=6,
    database=None,
    deadline=None,
    derandomize=True,
    phases=[hypothesis.Phase.generate],
    suppress_health_check=list(hypothesis.HealthCheck),
)
NAMED_IN_THE_ISSUE = """CONV_2D DEPTHWISE_CONV_2D TRANSPOSE_CONV FULLY_CONNECTED ADD SUB MUL
AVERAGE_POOL_2D MAX_POOL_2D MEAN SUM SOFTMAX LOGISTIC TANH HARD_SWISH LEAKY_RELU RELU RELU6 PRELU
PAD PADV2 CONCATENATION SPLIT RESHAPE TRANSPOSE STRIDED_SLICE SPACE_TO_BATCH_ND BATCH_TO_SPACE_ND
RESIZE_NEAREST_NEIGHBOR RESIZE_BILINEAR QUANTIZE DEQUANTIZE ARG_MAX MAXIMUM MINIMUM
UNIDIRECTIONAL_SEQUENCE_LSTM SVDF"""
KEEP_THEIR_SCALE = [
    *("MAXIMUM", "MINIMUM", "AVERAGE_POOL_2D", "MAX_POOL_2D", "PAD", "PADV2", "CONCATENATION"),
    *("SPLIT", "RESHAPE", "TRANSPOSE", "STRIDED_SLICE", "SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND"),
    *("RESIZE_NEAREST_NEIGHBOR", "RESIZE_BILINEAR"),
]


@pytest.fixture(scope="module")
def pair():
    with Hosts() as hosts:
        specs = map(RuntimeSpec.parse, ("tflm", "litert:builtin_ref"))
        yield Pair(*map(hosts.for_search, specs))


def test_all_operators_are_drawn():
    assert set(OPERATORS) == set(NAMED_IN_THE_ISSUE.split())


def test_an_operator_that_is_not_drawn_is_a_mistake_with_a_list():
    with pytest.raises(SettingsError, match=r"CONV_3D.*CONV_2D"):
        cases("CONV_3D")


@pytest.mark.parametrize("operator", OPERATORS)
def test_models_are_verified_and_run_by_a_runtime(operator, pair):
    @FEW
    @hypothesis.given(hypothesis.strategies.data())
    def check(data):
        case = data.draw(cases(operator))
        model = model_from_bytes(case.model.data, case.model.name)
        assert [one.name for one in model.operators] == [operator]
        # The step of a float tensor is known once operators are wired: a case lacks it.
        tensors = tuple(dataclasses.replace(tensor, step=None) for tensor in model.tensors)
        outputs = tuple(tensors[tensor.index] for tensor in model.outputs)
        found = vars(model) | {"tensors": tensors, "outputs": outputs}
        assert found == vars(case.model), "what was put in is what the file says"
        outcome = pair.judge(case, data.draw(sample_lists(case.model)))
        assert outcome.kind != NEITHER, f"{outcome.text}\n{case.describe()}"

    check()


@pytest.mark.parametrize(
    "operator", ["CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED"]
)
def test_weights_are_symmetric_and_the_bias_has_the_product_of_the_scales(operator):
    seen = set()

    @hypothesis.settings(FEW, max_examples=40)
    @hypothesis.given(cases(operator))
    def check(case):
        tensors = {
            tensor.name.decode(): tensor for tensor in unpack(case.model.data).subgraphs[0].tensors
        }
        weights, x = tensors["w"].quantization, tensors["x"].quantization
        assert not weights.zeroPoint.any()
        seen.add(("per channel", len(weights.scale) > 1))
        seen.add(("bias", "b" in tensors))
        seen.add(("type", case.activations))
        if "b" in tensors:
            products = np.float32(x.scale[0]) * weights.scale.astype(np.float32)
            np.testing.assert_array_equal(tensors["b"].quantization.scale, products)

    check()
    assert {("per channel", True), ("per channel", False), ("bias", True)} <= seen
    assert {("type", "int8"), ("type", "int16")} <= seen


@pytest.mark.parametrize("operator", KEEP_THEIR_SCALE)
def test_what_only_moves_codes_keeps_scale_and_zero_point(operator):
    @FEW
    @hypothesis.given(cases(operator))
    def check(case):
        kept = {(t.scale, t.zero_point) for t in (*case.model.inputs, *case.model.outputs)}
        assert len(kept) == 1

    check()


@pytest.mark.parametrize("operator", ["CONV_2D", "ADD", "SOFTMAX", "PAD", "MEAN"])
def test_the_simplest_model_is_tiny(operator):
    case = hypothesis.find(cases(operator), lambda case: True, settings=FEW)
    assert case.model.size <= 1024
    for tensor in case.model.inputs:
        assert (tensor.size, tensor.scale, tensor.zero_point) == (1, 1.0, 0)


def test_a_case_says_what_it_is():
    def is_telling(case):
        return "stride 1x2" in case.parameters and len(case.model.tensors[1].scales) > 1

    settings = hypothesis.settings(FEW, max_examples=5000)
    case = hypothesis.find(cases("CONV_2D"), is_telling, settings=settings)
    text = case.describe()
    assert text.startswith(f"CONV_2D {case.activations}") and "stride 1x2" in text
    assert "along axis 0 constant " in text and f"x: {case.activations}[" in text
