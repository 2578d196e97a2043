"""The smallest sample that still shows it, in few questions."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_tflm.fuzz.shrink import shrunk
from pytest_tflm.model import Tensor
from pytest_tflm.record.words import sample_lines


def tensor(size: int, zero_point: int = -128, dtype: str = "int8", name: str = "x") -> Tensor:
    scale = 0.5
    return Tensor(0, name, (1, size, 1), None, dtype, scale, zero_point, (scale,), (zero_point,))


class Oracle:
    """Answers, and counts what it was asked."""

    def __init__(self, shows):
        self._shows, self.runs, self.rounds = shows, 0, 0

    def __call__(self, candidates):
        self.rounds += 1
        self.runs += len(candidates)
        return [bool(self._shows(*[array.reshape(-1) for array in each])) for each in candidates]


def noise(size: int, seed: int = 0):
    values = np.random.default_rng(seed).integers(-128, 128, (1, size, 1))
    return values.astype(np.int8)


def test_one_element_among_a_thousand_in_six_rounds():
    x = noise(1000)
    x[0, 417, 0] = 127
    oracle = Oracle(lambda flat: flat[417] == 127)
    found = shrunk([tensor(1000, 3)], (x,), oracle)
    assert sample_lines([tensor(1000, 3)], found) == [
        "zero point (3) everywhere but x[417] = 127 (62)"
    ]
    assert oracle.rounds <= 6
    assert oracle.runs <= 80


def test_elements_come_as_close_to_the_zero_point_as_they_can():
    x = noise(300)
    x[0, 7, 0], x[0, 250, 0] = 100, -90
    oracle = Oracle(lambda flat: flat[7] >= 42 and flat[250] <= -17)
    (found,) = shrunk([tensor(300, 0)], (x,), oracle)
    assert found[0, 7, 0] == 42
    assert found[0, 250, 0] == -17
    assert np.count_nonzero(found) == 2
    assert oracle.runs <= 400


@pytest.mark.parametrize("needed", [3, 6, 10])
def test_several_elements_that_are_all_needed(needed):
    places = np.random.default_rng(needed).choice(1000, needed, replace=False)
    x = np.maximum(noise(1000), 1)
    oracle = Oracle(lambda flat: (flat[places] > 0).all())
    (found,) = shrunk([tensor(1000, 0)], (x,), oracle, runs=3000)
    assert set(np.flatnonzero(found)) == set(places)
    assert (found.reshape(-1)[places] == 1).all()


def test_what_every_sample_shows_is_shown_at_the_zero_point():
    oracle = Oracle(lambda flat: True)
    (found,) = shrunk([tensor(1000, 5)], (noise(1000),), oracle)
    assert (found == 5).all()
    assert oracle.rounds == 1


def test_what_needs_most_elements_gets_fewer_codes():
    x = noise(500)
    oracle = Oracle(lambda flat: np.abs(flat.astype(int)).sum() > 20_000)
    (found,) = shrunk([tensor(500, 0)], (x,), oracle)
    assert len(np.unique(found)) <= 2
    assert np.abs(found.astype(int)).sum() > 20_000


def test_several_inputs_and_types():
    tensors = [tensor(50, 0, name="a"), tensor(40, 0, "int16", name="b")]
    random = np.random.default_rng(1)
    a = random.integers(-128, 128, (1, 50, 1)).astype(np.int8)
    b = random.integers(-32768, 32768, (1, 40, 1)).astype(np.int16)
    a[0, 3, 0], b[0, 39, 0] = -128, 30_000
    oracle = Oracle(lambda a, b: a[3] == -128 and b[39] > 20_000)
    found = shrunk(tensors, (a, b), oracle)
    assert sample_lines(tensors, found) == [
        "a: zero point (0) everywhere but a[3] = -128 (-64)",
        "b: zero point (0) everywhere but b[39] = 20001 (1e+04)",
    ]


def test_runs_are_limited_and_what_is_left_still_shows_it():
    x = np.maximum(noise(1000), 1)
    oracle = Oracle(lambda flat: np.count_nonzero(flat) > 700)
    (found,) = shrunk([tensor(1000, 0)], (x,), oracle, runs=100)
    assert oracle.runs <= 100
    assert np.count_nonzero(found) > 700
