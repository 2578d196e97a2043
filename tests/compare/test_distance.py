"""How far apart two arrays are."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_tflm.compare.distance import steps


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (np.float32([1]), np.nextafter(np.float32([1]), np.float32(2)), 1),
        (np.float32([np.nan]), np.float32([np.nan]), 0),
        (np.float32([0]), np.float32([-0.0]), 0),
        (np.float32([1e-45]), np.float32([-1e-45]), 2),
        (np.float16([1]), np.nextafter(np.float16([1]), np.float16(2)), 1),
        (np.int8([-128, 0]), np.int8([127, 0]), 255),
        (np.int64([-(2**63)]), np.int64([2**63 - 1]), 2.0**63),
        (np.bool_([True]), np.bool_([False]), 1),
        (np.int8([]), np.int8([]), 0),
    ],
)
def test_steps_are_lsbs_and_for_floats_units_in_the_last_place(one, other, expected):
    assert steps(one, other) == expected
    assert steps(other, one) == expected
