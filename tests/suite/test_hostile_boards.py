"""A board that lies: a named error for each test that the lie matters to, never FAILED."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import model_builders
import pytest

import pytest_tflm.errors
from tests.suite.hostile_board import HARMLESS, LIES, served

DAMAGE = ("gaps alone",)
"""Lies that look like a line which loses what is sent."""
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
    assert name in DAMAGE or "LineTooNoisy" not in done.output, done.output
    # A lie in the greeting ends the run before its first test.
    kinds = re.findall(r"(?:^E   |^!+ _pytest.outcomes.Exit: )(\w+): ", done.output, re.MULTILINE)
    assert kinds, done.output
    for kind in kinds:
        assert issubclass(getattr(pytest_tflm.errors, kind), pytest_tflm.errors.TflmError)


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_odd_and_no_lie_passes(inner, model_file, name):
    done = run(inner, model_file, HARMLESS[name])
    looks_right(done)
    assert done.outcomes == {"passed": 7}, done.output


def test_there_are_enough_lies():
    assert len(LIES) >= 60


_LARGE = ("endless zeros", "text without an end", "a board without an end", "an absurd size")
_PEAK = 400 << 20
"""Bytes that a run against such a board may take, numpy and Hypothesis included."""
_CHILD = """
import resource, sys
import pytest
from tests.suite.hostile_board import HARMLESS, LIES, served
for name in sys.argv[2:]:
    with served((LIES | HARMLESS)[name]) as port:
        status = pytest.main([
            "-p", "no:cacheprovider", "-q", f"--tflm-port={port}", f"--tflm-model={sys.argv[1]}",
            "--tflm-samples=2", "--tflm-timeout=1",
        ])
    print("ended", int(status), name)
print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


@pytest.mark.slow
def test_memory_is_bounded_whatever_a_board_says(model_file, tmp_path):
    model = model_file("identity.tflite", model_builders.identity("int8", (1, 4), 0.5))
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, str(model), *_LARGE, "a name of 60 KB"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.count("ended 1 ") == len(_LARGE), done.stdout
    assert "ended 0 a name of 60 KB" in done.stdout, done.stdout
    assert int(done.stdout.split()[-1]) < _PEAK, done.stdout
