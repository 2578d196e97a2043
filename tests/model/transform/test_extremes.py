"""Inputs that show whether two models are the same function."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_tflm.errors import SampleError
from pytest_tflm.model import model_from_bytes
from pytest_tflm.model.transform.extremes import RANDOM, extreme_samples
from tests import model_builders as build
from tests.model import odd_models as odd


@pytest.mark.parametrize("name", sorted(build.ALL | odd.ALL))
def test_each_is_a_sample_of_its_model(name: str) -> None:
    model = model_from_bytes((build.ALL | odd.ALL)[name](), name)
    names = []
    for word, arrays in extreme_samples(model):
        names.append(word)
        for given, taken in zip(arrays, model.quantize(arrays), strict=True):
            assert given.dtype == taken.dtype and (given == taken).all()
    assert len(names) == len(set(names)) > RANDOM + 10


def test_codes_from_end_to_end() -> None:
    model = model_from_bytes(build.conv_2d())
    found = {word: arrays[0].ravel() for word, arrays in extreme_samples(model)}
    assert set(found["all smallest"]) == {-128} and set(found["all largest"]) == {127}
    assert set(found["all zero point"]) == {-10}
    assert found["smallest, then largest"][[0, -1]].tolist() == [-128, 127]
    (place,) = np.flatnonzero(found["one largest, the last"] != -10)
    assert place == len(found["one largest, the last"]) - 1
    (place,) = np.flatnonzero(found["one smallest, the first"] != -10)
    assert place == 0
    codes = np.concatenate([found[f"random codes {i}"] for i in range(RANDOM)])
    assert codes.min() == -128 and codes.max() == 127
    assert len({tuple(found[f"random codes {i}"]) for i in range(RANDOM)}) == RANDOM


def test_indices_stay_small() -> None:
    """Without a scale a number is no code but an index or a size."""
    model = model_from_bytes(build.identity("int32"))
    for _, arrays in extreme_samples(model):
        assert arrays[0].min() >= 0 and arrays[0].max() <= 3


def test_what_are_no_numbers_cannot_be_made() -> None:
    parts = build.unpack(build.identity("int8"))
    parts.subgraphs[0].tensors[0].type = build.schema.TensorType.STRING
    with pytest.raises(SampleError, match="words: input 'input' is string"):
        next(extreme_samples(model_from_bytes(build.pack(parts), "words")))
