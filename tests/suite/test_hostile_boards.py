"""A board that lies: a named error for each test that the lie matters to, never FAILED."""

from __future__ import annotations

import re

import model_builders
import pytest
from suite.hostile_board import HARMLESS, LIES, served

import pytest_tflm.errors

QUICK = ("another number", "inputs one byte short", "a scale that is no number")


def run(inner, model_file, lie):
    model = model_file("identity.tflite", model_builders.identity("int8", (1, 4), 0.5))
    with served(lie) as port:
        return inner.pytest(
            *(f"--tflm-port={port}", f"--tflm-model={model}", "--tflm-samples=2"),
            *("--tflm-timeout=1", "-v"),
        )


def looks_right(done) -> None:
    assert "INTERNALERROR" not in done.output
    assert "Traceback" not in done.output
    assert "failed" not in done.outcomes, done.output
    odd = {c for c in done.output if not c.isprintable() and c not in "\n"}
    assert not odd
    assert max(map(len, done.output.splitlines())) < 2000


@pytest.mark.parametrize(
    "name",
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in LIES],
)
def test_a_lie_is_a_named_error(inner, model_file, name):
    done = run(inner, model_file, LIES[name])
    looks_right(done)
    assert done.outcomes.get("error", 0) >= 1, done.output
    for kind in re.findall(r"^E   (\w+): ", done.output, re.MULTILINE):
        assert issubclass(getattr(pytest_tflm.errors, kind), pytest_tflm.errors.TflmError)


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_odd_and_no_lie_passes(inner, model_file, name):
    done = run(inner, model_file, HARMLESS[name])
    looks_right(done)
    assert done.outcomes == {"passed": 7}, done.output


def test_there_are_enough_lies():
    assert len(LIES) >= 60
