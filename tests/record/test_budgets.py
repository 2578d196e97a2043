"""Limits as people write them."""

from __future__ import annotations

import pytest

from pytest_tflm.errors import SettingsError
from pytest_tflm.record.budgets import (
    baseline_rules,
    bytes_of,
    microseconds,
    per_operator,
    slow_operators,
)
from pytest_tflm.runtime.base import OperatorTime
from pytest_tflm.runtime.latency import latency_of


@pytest.mark.parametrize(
    ("text", "value"),
    [("20ms", 20_000), ("750us", 750), ("750µs", 750), ("1.5s", 1_500_000), (" 2 ms ", 2000)],
)
def test_times(text, value):
    assert microseconds(text, "here") == value


@pytest.mark.parametrize(
    ("text", "value"), [("90k", 92160), ("1M", 1 << 20), ("4096", 4096), ("16KiB", 16384)]
)
def test_sizes(text, value):
    assert bytes_of(text, "here") == value


@pytest.mark.parametrize("text", ["", "20", "ms", "-1ms", "0ms", "1h", "1e3ms"])
def test_what_is_no_time(text):
    with pytest.raises(SettingsError, match=r"--tflm-max-latency: .* is not a time such as 20ms"):
        microseconds(text, "--tflm-max-latency")


@pytest.mark.parametrize("text", ["", "k", "-1", "0", "1.5k", "90g"])
def test_what_is_no_size(text):
    with pytest.raises(SettingsError, match="is not a size such as 90k"):
        bytes_of(text, "--tflm-max-arena")


def test_latency_is_of_times_that_occurred():
    times = list(range(1, 101))
    found = latency_of(times[::-1], True)
    assert found == (100, 1, 50, 95, 100, True)
    assert latency_of([7], False) == (1, 7, 7, 7, 7, False)
    assert "not a board's clock" in str(latency_of([7], False))
    assert latency_of([], True) is None


def test_operators_by_kind_and_by_index():
    limits = per_operator("CONV_2D:5ms, 2:100us", "here")
    assert limits == {"CONV_2D": 5000, "2": 100}
    times = [
        OperatorTime(0, "CONV_2D", 5000),
        OperatorTime(1, "CONV_2D", 6000),
        OperatorTime(2, "CONV_2D", 400),
        OperatorTime(3, "ADD", 9000),
    ]
    assert slow_operators(times, limits) == [
        "CONV_2D (operator 2) took 400 µs, 100 µs allowed",
        "CONV_2D (operator 1) took 6 ms, 5 ms allowed",
    ]
    with pytest.raises(SettingsError, match="is not OPERATOR:TIME"):
        per_operator("CONV_2D", "here")


def test_rules_for_baselines():
    found = baseline_rules("outputs:1,latency:10%,accuracy:0.5%,model", "here")
    assert found == {"outputs": 1, "latency": 0.1, "accuracy": 0.005, "model": 0}
    for wrong in ("output", "outputs:1%", "latency:10", "model:1", ""):
        with pytest.raises(SettingsError, match="is not one of outputs, reference"):
            baseline_rules(wrong, "here")
