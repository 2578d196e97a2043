"""Accumulators, requantised and clamped, are what host TFLM's kernels give: proof of both."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import model_builders
import numpy as np
import pytest
from convolutions import random_convolution

from pytest_tflm.model import model_from_bytes
from pytest_tflm.model.arithmetic.accumulators import accumulators
from pytest_tflm.model.arithmetic.requantise import (
    quantise_multiplier,
    requantisation,
    requantise,
)
from pytest_tflm.model.arithmetic.single import Single
from pytest_tflm.runtime.interpreter import InterpreterHost, interpreter


@pytest.fixture(scope="module")
def tflm() -> Iterator[InterpreterHost]:
    pytest.importorskip("tflite_micro")
    with interpreter("tflm", timeout=30) as host:
        yield host


def random_codes(shape: tuple[int, ...], dtype: str, rng: np.random.Generator) -> np.ndarray:
    limits = np.iinfo(dtype)
    kind = rng.integers(4)
    if kind == 0:
        return np.full(shape, rng.choice([limits.min, limits.max]), dtype)
    return rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ["FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D"])
def test_they_are_what_tflm_computes(name: str, seed: int, tflm: InterpreterHost) -> None:
    rng = np.random.default_rng([seed, len(name)])
    compared = 0
    for _ in range(60):
        model = model_from_bytes(random_convolution(name, rng))
        single = Single(model)
        samples = [
            random_codes(model.inputs[0].shape, model.inputs[0].dtype, rng) for _ in range(3)
        ]
        how = requantisation(single)
        assert how is not None
        made = tflm.attempt(model, samples).outputs()
        for sample, arrays in zip(samples, made, strict=True):
            sums = accumulators(single, [sample])
            assert sums is not None
            np.testing.assert_array_equal(how.codes(sums), arrays[0], str(single.options))
            compared += len(np.unique(arrays[0])) > 2
    assert compared > 50


def test_examples_kernels(tflm: InterpreterHost) -> None:
    for make in (model_builders.conv_2d, model_builders.fully_connected):
        model = model_from_bytes(make())
        single, how = Single(model), requantisation(Single(model))
        sample = np.random.default_rng(1).integers(-128, 128, model.inputs[0].shape, np.int8)
        sums = accumulators(single, [sample])
        assert how is not None and sums is not None
        expected = tflm.attempt(model, [sample]).outputs()[0][0]
        np.testing.assert_array_equal(how.codes(sums), expected)


def test_a_group_of_channels_for_each_filter(tflm: InterpreterHost) -> None:
    g = model_builders.Graph()
    rng = np.random.default_rng(2)
    x = g.tensor("x", (1, 4, 4, 6), "int8", 0.1, 5)
    w = g.tensor("w", (4, 3, 3, 3), "int8", [0.1] * 4, 0, rng.integers(-127, 128, (4, 3, 3, 3)))
    y = g.tensor("y", (1, 4, 4, 4), "int8", 20.0, -3)
    g.operator("CONV_2D", (x, w, -1), (y,), "Conv2DOptions", version=3, strideW=1, strideH=1)
    model = model_from_bytes(g.finish((x,), (y,)))
    sample = rng.integers(-128, 128, (1, 4, 4, 6), np.int8)
    how, sums = requantisation(Single(model)), accumulators(Single(model), [sample])
    assert how is not None and sums is not None
    expected = tflm.attempt(model, [sample]).outputs()[0][0]
    np.testing.assert_array_equal(how.codes(sums), expected)


def test_there_are_none_of_other_operators() -> None:
    single = Single(model_from_bytes(model_builders.add_int8()))
    assert accumulators(single, [np.zeros((1, 16), np.int8)] * 2) is None
    assert requantisation(single) is None
    g = model_builders.Graph()
    x, y = g.tensor("x", (1, 2), "float32"), g.tensor("y", (1, 2), "float32")
    w = g.tensor("w", (2, 2), "int8", 0.1, 0, [[1, 2], [3, 4]])
    g.operator("FULLY_CONNECTED", (x, w, -1), (y,), "FullyConnectedOptions", version=4)
    single = Single(model_from_bytes(g.finish((x,), (y,))))
    assert accumulators(single, [np.ones((1, 2), np.float32)]) is None
    assert requantisation(single) is None


def test_more_than_one_operator_is_not_single() -> None:
    with pytest.raises(ValueError, match="has 10 operators"):
        Single(model_from_bytes(model_builders.chain()))


def test_a_multiplier_is_the_nearest_of_31_bits() -> None:
    for real in (1e-9, 0.37, 0.5, 0.9999999999, 1.0, 17.3):
        fixed, shift = quantise_multiplier(real)
        assert 1 << 30 <= fixed < 1 << 31
        nearest = Fraction(fixed, 1 << 31) * Fraction(2) ** shift
        assert abs(nearest / Fraction(real) - 1) <= Fraction(1, 1 << 30)
    assert quantise_multiplier(0.0) == quantise_multiplier(2.0**-40) == (0, 0)


def test_rounding_twice_is_not_rounding_once() -> None:
    x = np.arange(-100_000, 100_000, dtype=np.int64)
    fixed, shift = quantise_multiplier(0.0371)
    once = requantise(x, fixed, shift, single_rounding=True)
    twice = requantise(x, fixed, shift)
    exact = np.floor(x * (fixed / 2**31 * 2.0**shift) + 0.5).astype(np.int64)
    np.testing.assert_array_equal(once, exact)
    assert 0 < np.count_nonzero(once != twice) < 10_000
    assert abs(once - twice).max() == 1
