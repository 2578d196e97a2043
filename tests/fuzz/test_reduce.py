"""The smallest samples that still show it, in few questions."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_tflm.fuzz.reduce import Questions, fewest, off_rest, reduced
from pytest_tflm.model import Tensor
from pytest_tflm.record.words import sample_lines

X = Tensor(0, "x", (100,), None, "int8", 1.0, -3)
REAL = Tensor(1, "r", (4,), None, "float32", 1.0, 0)


def codes(seed: int):
    return np.random.default_rng(seed).integers(-128, 128, 100).astype(np.int8)


def one_by_one(tensors, samples, holds, runs: int = 400):
    """As kernels are run: the next question only when the one before it is answered."""
    questions = Questions(lambda several: [bool(holds(each)) for each in several], runs)
    return reduced(tensors, samples, questions)


def batched(tensors, sample, oracle, runs: int = 400):
    """As inputs are sent to a board behind a slow line."""
    questions = Questions(lambda several: oracle([each for (each,) in several]), runs, batch=64)
    (found,) = reduced(tensors, [sample], questions)
    return found


@pytest.mark.parametrize("batch", [1, 3, 64])
@pytest.mark.parametrize("needed", [(), (0,), (3, 4), (0, 17, 99), tuple(range(0, 100, 7))])
def test_the_fewest_items_are_those_that_are_needed(batch, needed):
    def shows(several):
        return [set(needed) <= set(each) for each in several]

    assert list(fewest(range(100), list, Questions(shows, 2000, batch))) == list(needed)


def test_one_element_that_matters_is_all_that_stays():
    samples = [(codes(1),), (codes(2),), (codes(3),)]
    samples[1][0][41] = 99
    found = one_by_one([X], samples, lambda some: any(s[0][41] > 50 for s in some))
    assert len(found) == 1 and off_rest([X], found) == 1
    assert found[0][0][41] == 51


def test_two_elements_that_matter_together_stay_together():
    sample = codes(4)
    sample[[7, 70]] = 17
    found = one_by_one([X], [(sample,)], lambda some: (some[0][0][[7, 70]] == 17).all())
    assert np.flatnonzero(found[0][0] != -3).tolist() == [7, 70]


def test_samples_that_matter_in_their_order_stay():
    samples = [(np.full(100, code, np.int8),) for code in (1, 2, 3, 4)]

    def holds(some):
        codes = [int(sample[0][0]) for sample in some]
        return 2 in codes and 4 in codes[codes.index(2) :]

    found = one_by_one([X], samples, holds)
    assert [int(sample[0][0]) for sample in found] == [2, 4]


def test_a_sum_that_must_be_large_takes_the_fewest_elements():
    sample = np.full(100, 20, np.int8)  # 100 * 23; four of 130 would do, too

    def holds(some):
        return int((some[0][0].astype(int) + 3).sum()) > 500

    found = one_by_one([X], [(sample,)], holds)
    assert holds(found) and off_rest([X], found) == 4


def test_floats_go_to_zero():
    sample = (codes(5), np.float32([1, 2, 3, 4]))
    found = one_by_one([X, REAL], [sample], lambda some: some[0][1][2] == 3)
    assert found[0][1].tolist() == [0, 0, 3, 0] and off_rest([X, REAL], found) == 1


def test_it_asks_no_more_often_than_allowed():
    asked = []
    one_by_one([X], [(codes(6),)], lambda some: bool(asked.append(1)), runs=5)
    assert len(asked) == 5


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
    found = batched([tensor(1000, 3)], (x,), oracle)
    assert sample_lines([tensor(1000, 3)], found) == [
        "zero point (3) everywhere but x[417] = 127 (62)"
    ]
    assert oracle.rounds <= 6
    assert oracle.runs <= 80


def test_elements_come_as_close_to_the_zero_point_as_they_can():
    x = noise(300)
    x[0, 7, 0], x[0, 250, 0] = 100, -90
    oracle = Oracle(lambda flat: flat[7] >= 42 and flat[250] <= -17)
    (found,) = batched([tensor(300, 0)], (x,), oracle)
    assert found[0, 7, 0] == 42
    assert found[0, 250, 0] == -17
    assert np.count_nonzero(found) == 2
    assert oracle.runs <= 400


@pytest.mark.parametrize("needed", [3, 6, 10])
def test_several_elements_that_are_all_needed(needed):
    places = np.random.default_rng(needed).choice(1000, needed, replace=False)
    x = np.maximum(noise(1000), 1)
    oracle = Oracle(lambda flat: (flat[places] > 0).all())
    (found,) = batched([tensor(1000, 0)], (x,), oracle, runs=3000)
    assert set(np.flatnonzero(found)) == set(places)
    assert (found.reshape(-1)[places] == 1).all()


def test_what_every_sample_shows_is_shown_at_the_zero_point():
    oracle = Oracle(lambda flat: True)
    (found,) = batched([tensor(1000, 5)], (noise(1000),), oracle)
    assert (found == 5).all()
    assert oracle.rounds == 1


def test_what_needs_most_elements_gets_fewer_codes():
    x = noise(500)
    oracle = Oracle(lambda flat: np.abs(flat.astype(int)).sum() > 20_000)
    (found,) = batched([tensor(500, 0)], (x,), oracle)
    assert len(np.unique(found)) <= 2
    assert np.abs(found.astype(int)).sum() > 20_000


def test_several_inputs_and_types():
    tensors = [tensor(50, 0, name="a"), tensor(40, 0, "int16", name="b")]
    random = np.random.default_rng(1)
    a = random.integers(-128, 128, (1, 50, 1)).astype(np.int8)
    b = random.integers(-32768, 32768, (1, 40, 1)).astype(np.int16)
    a[0, 3, 0], b[0, 39, 0] = -128, 30_000
    oracle = Oracle(lambda a, b: a[3] == -128 and b[39] > 20_000)
    found = batched(tensors, (a, b), oracle)
    assert sample_lines(tensors, found) == [
        "a: zero point (0) everywhere but a[3] = -128 (-64)",
        "b: zero point (0) everywhere but b[39] = 20001 (1e+04)",
    ]


def test_runs_are_limited_and_what_is_left_still_shows_it():
    x = np.maximum(noise(1000), 1)
    oracle = Oracle(lambda flat: np.count_nonzero(flat) > 700)
    (found,) = batched([tensor(1000, 0)], (x,), oracle, runs=100)
    assert oracle.runs <= 100
    assert np.count_nonzero(found) > 700
