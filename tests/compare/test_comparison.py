"""A difference is counted in LSBs, element by element, and nothing cancels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pytest_tflm import OutputMismatch, within
from pytest_tflm.compare.comparison import compare
from pytest_tflm.compare.words import comparison_lines
from pytest_tflm.errors import SampleError
from pytest_tflm.model import model_from_bytes
from pytest_tflm.runtime.base import Outputs
from tests import model_builders as build

INTEGERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")


@given(data=st.data(), dtype=st.sampled_from(INTEGERS), lsb=st.integers(0, 300))
def test_integers_pass_exactly_up_to_the_tolerance(data, dtype, lsb):
    shape = data.draw(arrays.array_shapes(max_dims=3, max_side=4))
    got = data.draw(arrays.arrays(dtype, shape))
    expected = data.draw(arrays.arrays(dtype, shape))
    exact = [abs(int(g) - int(e)) for g, e in zip(got.ravel(), expected.ravel(), strict=True)]
    comparison = compare(got, expected, lsb=lsb)
    (tensor,) = comparison.tensors
    assert comparison.passed == all(d <= lsb for d in exact)
    assert tensor.beyond == sum(d > lsb for d in exact)
    assert tensor.different == sum(d > 0 for d in exact)
    assert tensor.largest == min(max(exact), np.iinfo(np.int64).max)
    at = np.ravel_multi_index(tensor.largest_at, shape)
    assert min(exact[at], np.iinfo(np.int64).max) == tensor.largest


def test_differences_of_opposite_sign_do_not_cancel():
    got, expected = np.array([1, -1] * 50, np.int8), np.zeros(100, np.int8)
    assert compare(got, expected, lsb=0).tensors[0].different == 100


def test_extremes_of_int8_are_255_apart():
    comparison = compare(np.array([127], np.int8), np.array([-128], np.int8))
    assert comparison.largest_lsb == 255


def test_bool_differs_by_one():
    comparison = compare(np.array([True, False]), np.array([False, False]))
    assert comparison.largest_lsb == 1
    assert not comparison.passed


@pytest.mark.parametrize(
    ("got", "expected", "passes"),
    [
        (1.00005, 1.0, True),
        (1.0002, 1.0, False),
        (1000.05, 1000.0, True),
        (np.nan, np.nan, True),
        (np.nan, 1.0, False),
        (1.0, np.nan, False),
        (np.inf, np.inf, True),
        (np.inf, -np.inf, False),
        (3.4e38, np.inf, False),
    ],
)
def test_floats_pass_within_a_share_of_the_largest_magnitude(got, expected, passes):
    ours, theirs = np.array([got], np.float32), np.array([expected], np.float32)
    assert compare(ours, theirs, float_tolerance=1e-4).passed is passes


def test_a_large_element_allows_more_to_small_ones_of_the_same_tensor():
    expected = np.array([1000.0, 0.0], np.float32)
    assert compare(np.array([1000.0, 0.05], np.float32), expected, float_tolerance=1e-4).passed


def test_different_shapes_are_not_outputs_of_one_model():
    with pytest.raises(SampleError, match="outputs of the same model"):
        compare(np.zeros(3, np.int8), np.zeros(4, np.int8))
    with pytest.raises(SampleError, match="outputs of the same model"):
        compare(np.zeros(3, np.int8), np.zeros(3, np.uint8))
    with pytest.raises(SampleError, match="1 output and expected 2 outputs"):
        compare([np.zeros(3)], [np.zeros(3), np.zeros(3)])


def test_an_empty_output_equals_an_empty_output():
    assert compare(np.zeros((0, 3), np.int8), np.zeros((0, 3), np.int8)).passed


def test_within_works_from_both_sides_and_with_arrays():
    expected = np.array([1, 2, 3], np.int8)
    assert np.array([1, 2, 4], np.int8) == within(expected)
    assert within(expected) == np.array([1, 2, 4], np.int8)
    assert np.array([1, 2, 5], np.int8) != within(expected, lsb=1)
    assert within(expected) != "another thing"
    assert within(expected) is not None


def test_check_raises_with_the_whole_report():
    with pytest.raises(OutputMismatch, match=r"largest: 4 LSB at \[1\]: got 6, expected 2"):
        within(np.array([1, 2], np.int8), lsb=3).check(np.array([1, 6], np.int8))


@pytest.mark.parametrize("lsb", [-1, 1.5, True, "1"])
def test_a_tolerance_is_a_whole_number_of_lsbs(lsb):
    with pytest.raises(ValueError, match="whole number of LSBs"):
        within(np.zeros(1, np.int8), lsb=lsb)


def test_the_float_output_of_a_dequantize_is_compared_in_lsbs_of_the_codes_before_it() -> None:
    model = model_from_bytes(build.dequantize_op("int8", 0.05, 3))
    (output,) = model.outputs
    assert output.step == pytest.approx(0.05)
    codes = np.linspace(-1, 1, output.size, dtype=np.float32).reshape(output.shape) // 0.05 * 0.05
    expected = Outputs((codes,), model.outputs, "reference")
    near, far = codes.copy(), codes.copy()
    near.flat[1] += 0.05
    far.flat[1] -= 0.1
    found = compare(Outputs((near,), model.outputs, "board"), expected, lsb=1)
    assert found.passed and found.largest_lsb == 1 and found.largest_float is None
    found = compare(Outputs((far,), model.outputs, "board"), expected, lsb=1)
    assert not found.passed and found.largest_lsb == 2
    assert "2 LSB = 0.1 in real units" in "\n".join(comparison_lines(found))
    far.flat[2] = np.nan
    assert not compare(Outputs((far,), model.outputs, "board"), expected, lsb=10**6).passed
