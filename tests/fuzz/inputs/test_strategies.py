"""Generated inputs: of the right kind, of every pattern, reproducible, shrinking to the rest."""

from __future__ import annotations

import hypothesis
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_tflm.errors import SampleError
from pytest_tflm.fuzz.hypothesis_setup import profile
from pytest_tflm.fuzz.inputs import strategies as inputs
from pytest_tflm.model import Tensor, model_from_bytes
from pytest_tflm.model.graph import Graph
from pytest_tflm.model.quantise import quantize_array

pytestmark = pytest.mark.slow

FEW = settings(profile(), max_examples=60, database=None)


def model_of(*tensors):
    """A model with inputs of these (name, shape, dtype, scale, zero point)."""
    g = Graph()
    made = [g.tensor(*each) for each in tensors]
    return model_from_bytes(g.finish(made, made[:1]), "inputs")


INT8 = ("x", (1, 1000), "int8", 0.05, 3)
SEVERAL = model_of(
    INT8,
    ("u", (1, 7), "uint8", 0.5, 128),
    ("w", (2, 3), "int16", 0.001, 0),
    ("i", (4,), "int32"),
    ("f", (1, 5), "float32"),
    ("b", (1, 6), "bool"),
    ("none", (1, 0), "int8", 0.5, 0),
    ("one", (), "int8", 0.5, -128),
)


def fits(model, sample):
    assert len(sample) == len(model.inputs)
    for tensor, array in zip(model.inputs, sample, strict=True):
        assert (array.dtype, array.shape) == (np.dtype(tensor.dtype), tensor.shape)
        if array.dtype.kind == "f":
            assert np.isfinite(array).all()
    for ours, theirs in zip(model.quantize(sample), sample, strict=True):
        assert ours.tobytes() == theirs.tobytes()


@FEW
@given(inputs.samples(SEVERAL))
def test_samples_have_the_types_and_shapes_of_the_model(sample):
    fits(SEVERAL, sample)
    assert 0 <= sample[3].min() <= sample[3].max() <= 9, "indices are not checked by kernels"


@pytest.mark.parametrize("pattern", inputs.PATTERNS)
def test_every_pattern(pattern):
    maker = inputs.Maker(
        SEVERAL, [SEVERAL.quantize(inputs.Maker(SEVERAL).sample(n)) for n in (5, 6)]
    )

    @FEW
    @given(maker.strategy([pattern]))
    def check(sample):
        fits(SEVERAL, sample)

    check()


def test_a_number_is_always_the_same_sample_and_they_are_of_all_kinds():
    model = model_of(INT8)
    real = [np.full((1, 1000), 50, np.int8)]
    maker, again = inputs.Maker(model, real), inputs.Maker(model, real)
    samples = [maker.sample(number)[0].reshape(-1) for number in range(400)]
    for number in (0, 17, 399):
        np.testing.assert_array_equal(again.sample(number)[0].reshape(-1), samples[number])
        fits(model, maker.sample(number))
        fits(model, maker.mutant(maker.sample(number), number))
    distinct = [len(np.unique(each)) for each in samples]
    assert min(distinct) == 1
    assert max(distinct) > 200
    assert any((each == 50).all() for each in samples), "real ones"
    assert any(0.9 < (each == 3).mean() < 1 for each in samples), "sparse ones"
    for code in (-128, 127, 2, 3, 4):
        assert any(code in each for each in samples)
    hit = sum(each[417] == 127 for each in samples)
    assert hit >= 5, "the highest code of one element in a hundred"


def test_real_values_are_quantised_as_tflite_does():
    tensor = model_of(INT8).inputs[0]
    values = np.array([0.125, -0.125, 1e9], np.float32)
    assert quantize_array(tensor, values).tolist() == [6, 0, 127], "halves away from zero"


@pytest.mark.parametrize("seed", range(4))
def test_hypothesis_shrinks_to_the_zero_point_everywhere_but_where_it_matters(seed):
    model = model_of(INT8)
    import random

    (found,) = hypothesis.find(
        inputs.samples(model),
        lambda sample: sample[0][0, 417] > 100,
        settings=settings(profile(), max_examples=3000, database=None),
        random=random.Random(seed),
    )
    off = np.flatnonzero(found[0] != 3)
    assert off.tolist() == [417]


def test_real_samples_say_how_large_floats_and_indices_are():
    model = model_of(("f", (1, 5), "float32"), ("i", (4,), "int32"))
    real = [(np.full((1, 5), 1000.0, np.float32), np.array([0, 77, 3, 4], np.int32))]
    maker = inputs.Maker(model, real)
    samples = [maker.sample(number) for number in range(200)]
    assert max(np.abs(f).max() for f, _ in samples) > 1000
    assert max(i.max() for _, i in samples) == 77


def test_what_cannot_be_made():
    with pytest.raises(SampleError, match="string"):
        inputs.range_of(Tensor(0, "text", (1,), None, "string"))
    with pytest.raises(ValueError, match="unknown patterns"):
        inputs.samples(SEVERAL, patterns=["odd"])
    with pytest.raises(ValueError, match="need real samples"):
        inputs.samples(SEVERAL, patterns=["real"])


@FEW
@given(st.from_type(Tensor))
def test_hypothesis_knows_tensors(tensor):
    low, high = tensor.code_range
    assert low <= tensor.zero_point <= high
    assert 1 <= tensor.size <= 64
