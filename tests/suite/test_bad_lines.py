"""Runs over a bad line, by the command that a user types."""

from __future__ import annotations

import re

import pytest

from pytest_tflm.simulator.line.faults import PROFILES
from tests.model_builders import while_loop

FEW = ("--tflm-samples=4", "-rA")


def over(inner, tcn, profile, *words):
    return inner.pytest(f"--tflm-port=sim?faults={profile}", f"--tflm-model={tcn}", *FEW, *words)


def outcomes(done):
    """Test by test."""
    return sorted(re.findall(r"^(PASSED|FAILED|ERROR) (\S+)", done.output, re.MULTILINE))


@pytest.mark.slow
def test_a_lossy_line_changes_no_outcome(inner, tcn):
    clean = over(inner, tcn, "clean")
    assert clean.status == 0, clean.output
    for profile in ("mixed&seed=7", "lost-runs&seed=3", "boot-text", "damaged"):
        done = over(inner, tcn, profile)
        assert outcomes(done) == outcomes(clean), done.output
        assert done.status == 0


@pytest.mark.slow
def test_a_model_that_is_wrong_is_as_wrong_over_a_lossy_line(inner, tcn_dynamic):
    done = over(inner, tcn_dynamic, "mixed&seed=7")
    assert set(done.outcomes) == {"passed", "failed"}, done.output
    assert done.outcomes["failed"] >= 4


def test_a_board_that_restarts_is_an_error_and_never_a_failure(inner, tcn):
    done = over(inner, tcn, "resets&seed=1", "--tflm-samples=30")
    assert "failed" not in done.outcomes, done.output
    assert done.outcomes["error"] >= 1
    assert "BoardReset: " in done.output
    assert "restarted in the middle of the session" in done.output


@pytest.mark.slow
@pytest.mark.parametrize("profile", ["mute", "echo", "foreign", "zeros", "noise", "vanish"])
def test_what_is_no_board_is_an_error_with_a_name(inner, tcn, profile):
    done = over(inner, tcn, f"{profile}&seed=1", "--tflm-timeout=2")
    assert set(done.outcomes) <= {"error", "passed"}, done.output
    # One that cannot be greeted ends the run before its first test.
    names = set(
        re.findall(r"(?:^E   |^!+ _pytest.outcomes.Exit: )(\w+): ", done.output, re.MULTILINE)
    )
    assert names
    assert names <= set(PROFILES[profile].errors), done.output


def test_an_unknown_profile_is_a_wrong_setting(inner, tcn):
    done = over(inner, tcn, "awful")
    assert "sim: unknown faults='awful'. Known faults: clean (nothing wrong);" in done.output
    assert done.status != 0


def test_a_defect_that_cannot_be_applied_is_an_error_that_names_it(command, model_file):
    path = model_file("loop.tflite", while_loop())
    done = command.pytest("--tflm-port=sim?defect=off-by-one:ADD", f"--tflm-model={path}", *FEW)
    assert set(done.outcomes) <= {"error", "warnings"} and done.outcomes["error"] >= 1, done.output
    said = " ".join(done.output.replace("\nE", "").split())
    assert "ModelRejected: loop.tflite: " in said
    assert "sim: defect=off-by-one:ADD cannot be applied to this model" in said
    assert "ADD is in a subgraph that another operator calls" in said
