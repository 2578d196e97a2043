"""The lines above the tests fit the terminal."""

from __future__ import annotations

from pytest_tflm.report.header import fitted


def test_lines_are_broken_between_words_and_indented():
    line = "tflm: reference: litert builtin_ref, tolerance auto (1 LSB, or rounding)"
    found = fitted([line, "short"], 40)
    assert found == [
        "tflm: reference: litert builtin_ref,",
        "      tolerance auto (1 LSB, or",
        "      rounding)",
        "short",
    ]
    assert fitted([line], 80) == [line]
