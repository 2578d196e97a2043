"""Inputs are made small by single codes."""

from __future__ import annotations

import numpy as np

from pytest_tflm.fuzz.reduce import off_zero_point, reduced
from pytest_tflm.model import Tensor

X = Tensor(0, "x", (100,), None, "int8", 1.0, -3)
REAL = Tensor(1, "r", (4,), None, "float32", 1.0, 0)


def noise(seed: int):
    return np.random.default_rng(seed).integers(-128, 128, 100).astype(np.int8)


def test_one_element_that_matters_is_all_that_stays():
    samples = [(noise(1),), (noise(2),), (noise(3),)]
    samples[1][0][41] = 99
    found = reduced([X], samples, lambda some: any(s[0][41] > 50 for s in some))
    assert len(found) == 1 and off_zero_point([X], found) == 1
    assert found[0][0][41] == 51


def test_two_elements_that_matter_together_stay_together():
    sample = noise(4)
    sample[[7, 70]] = 17
    found = reduced([X], [(sample,)], lambda some: (some[0][0][[7, 70]] == 17).all())
    assert np.flatnonzero(found[0][0] != -3).tolist() == [7, 70]


def test_samples_that_matter_in_their_order_stay():
    samples = [(np.full(100, code, np.int8),) for code in (1, 2, 3, 4)]

    def holds(some):
        codes = [int(sample[0][0]) for sample in some]
        return 2 in codes and 4 in codes[codes.index(2) :]

    found = reduced([X], samples, holds)
    assert [int(sample[0][0]) for sample in found] == [2, 4]


def test_a_sum_that_must_be_large_takes_the_fewest_elements():
    sample = np.full(100, 20, np.int8)  # 100 * 23; four of 130 would do, too

    def holds(some):
        return int((some[0][0].astype(int) + 3).sum()) > 500

    found = reduced([X], [(sample,)], holds)
    assert holds(found) and off_zero_point([X], found) == 4


def test_floats_go_to_zero():
    sample = (noise(5), np.float32([1, 2, 3, 4]))
    found = reduced([X, REAL], [sample], lambda some: some[0][1][2] == 3)
    assert found[0][1].tolist() == [0, 0, 3, 0] and off_zero_point([X, REAL], found) == 1


def test_it_asks_no_more_often_than_allowed():
    asked = []
    reduced([X], [(noise(6),)], lambda some: bool(asked.append(1)), runs=5)
    assert len(asked) == 5
