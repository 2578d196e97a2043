"""A failing test's report is the product: what it says of which outputs."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_tflm.compare.comparison import compare
from pytest_tflm.compare.words import comparison_lines, histogram_rows
from pytest_tflm.model import Tensor
from pytest_tflm.runtime.base import Outputs


def tensor(name, array, scale=None, zero_point=None):
    return Tensor(
        index=0,
        name=name,
        shape=array.shape,
        shape_signature=None,
        dtype=str(array.dtype),
        scale=scale,
        zero_point=zero_point,
    )


def report(got, expected, lsb=1, scale=None, zero_point=None):
    tensors = tuple(
        tensor(f"t{i}", np.asarray(a), scale, zero_point) for i, a in enumerate(expected)
    )
    return comparison_lines(
        compare(
            Outputs(tuple(map(np.asarray, got)), tensors, "board simulator"),
            Outputs(tuple(map(np.asarray, expected)), tensors, "litert builtin_ref"),
            lsb=lsb,
        )
    )


def test_one_output_beyond_the_tolerance_is_told_with_both_values_in_codes_and_real_units():
    lines = report(
        [np.array([[-124]], np.int8)], [np.array([[-55]], np.int8)], scale=0.0125, zero_point=-5
    )
    assert lines == [
        "69 LSB apart, 1 allowed: board simulator against litert builtin_ref",
        "  output 0 't0' (int8 1x1, scale 0.0125, zero point -5):",
        "    1 of 1 element beyond the tolerance, 1 different in total",
        "    largest: 69 LSB = 0.8625 in real units at [0, 0]: board simulator -124 (-1.4875), "
        "litert builtin_ref -55 (-0.625)",
    ]


def test_several_outputs_each_say_whether_they_differ():
    same, close = np.zeros(4, np.int8), np.array([0, 0, 0, 1], np.int8)
    lines = "\n".join(report([same, close, close * 5], [same, same, same]))
    assert "output 0 't0' (int8 4): equal" in lines
    assert "output 1 't1' (int8 4): within tolerance, largest difference 1 LSB" in lines
    assert "1 of 4 elements beyond the tolerance" in lines
    assert "largest: 5 LSB at [3]: board simulator 5, litert builtin_ref 0" in lines


def test_the_histogram_counts_every_element_with_its_sign():
    rows = histogram_rows(np.array([0] * 80 + [-2] * 15 + [3] * 5))
    assert [row.split()[:2] for row in rows] == [["-2", "15"], ["0", "80"], ["+3", "5"]]
    assert rows[1].count("#") == 40


@pytest.mark.parametrize("spread", [12, 200, 2**40])
def test_the_histogram_of_many_values_has_few_rows_and_loses_none(spread):
    differences = np.linspace(-spread, spread, 1001).astype(np.int64)
    rows = histogram_rows(differences)
    assert len(rows) <= 11
    assert sum(int(row.split("#")[0].split()[-1]) for row in rows) == differences.size


def test_a_float_output_is_told_in_its_own_unit():
    lines = report([np.array([1.5], np.float32)], [np.array([1.0], np.float32)])
    assert "float tolerance" in lines[0]
    assert "largest: 0.5 at [0]: board simulator 1.5, litert builtin_ref 1" in lines[-1]
