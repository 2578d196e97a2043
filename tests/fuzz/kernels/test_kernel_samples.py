"""Contents of tensors: within bounds, and simple where nothing speaks against it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from pytest_tflm.fuzz import patterns
from pytest_tflm.fuzz.kernels.samples import sample_lists
from pytest_tflm.fuzz.patterns import one_of
from pytest_tflm.model.graph import Graph

pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from pytest_tflm.model import Model

QUICK = hypothesis.settings(max_examples=300, database=None, deadline=None, derandomize=True)


def model(*inputs: tuple[str, tuple[int, ...], int]) -> Model:
    """With inputs of these (dtype, shape, zero point), and an int8 output of scale 0.5."""
    graph = Graph()
    found = [
        graph.tensor(f"x{i}", shape, dtype, None if dtype == "float32" else 0.5, zero_point)
        for i, (dtype, shape, zero_point) in enumerate(inputs)
    ]
    return graph.model_of(found, [graph.tensor("y", (4,), "int8", 0.5)], "model")


@st.composite
def codes(draw, *arguments):
    return patterns.codes(draw, *arguments)


def smallest(strategy, condition=lambda value: True):
    settings = hypothesis.settings(QUICK, max_examples=2000, derandomize=False)
    return hypothesis.find(strategy, condition, settings=settings, random=random.Random(0))


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64"])
def test_codes_have_the_type_and_shape_and_keep_within_limits(dtype):
    @QUICK
    @hypothesis.given(codes(dtype, (2, 3), 5, (-7, 9)))
    def check(found):
        assert found.shape == (2, 3) and found.dtype == dtype
        assert found.min() >= -7 and found.max() <= 9

    check()


@pytest.mark.parametrize("zero_point", [-128, -3, 0, 127])
def test_codes_shrink_to_the_zero_point(zero_point):
    assert (smallest(codes("int8", (3, 2), zero_point)) == zero_point).all()


@pytest.mark.parametrize("wanted", [-128, 127, 17])
def test_every_code_of_a_type_comes_up(wanted):
    assert wanted in smallest(codes("int8", (8,), 0), lambda values: (values == wanted).any())


def test_both_extremes_come_up_together():
    found = smallest(codes("int8", (64,), 0), lambda v: (v == 127).sum() > 9 < (v == -128).sum())
    assert {-128, 127} <= set(found.tolist())


def test_samples_that_sweep_hold_every_code():
    def has_all(samples):
        return len({int(code) for (array,) in samples for code in array.ravel()}) == 256

    samples = smallest(sample_lists(model(("int8", (4, 4), 0))), has_all)
    assert len(samples) == 16


def test_sample_lists_shrink_to_one_sample_at_the_zero_point():
    samples = smallest(sample_lists(model(("int8", (4,), 9), ("int16", (4,), 0))))
    assert [[array.tolist() for array in sample] for sample in samples] == [[[9] * 4, [0] * 4]]


def test_float_inputs_lie_between_codes_too():
    def is_between(samples):
        steps = samples[0][0] / 0.5
        return (steps != np.round(steps)).any()

    assert smallest(sample_lists(model(("float32", (4,), 0))), is_between)[0][0].dtype == np.float32


def test_options_that_are_equal_and_of_other_types_are_not_mistaken_for_each_other():
    assert isinstance(smallest(one_of((1, 2))), int)
    assert isinstance(smallest(one_of((1.0, 2.0))), float)
    assert smallest(one_of((True, False))) is True
    assert isinstance(smallest(st.one_of(one_of((1, 0)))), int)
