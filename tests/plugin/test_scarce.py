"""Where there is no place to write, or no file descriptor left: an error that says so."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

import pytest_tflm.errors


def sh(script: str, *words: object, cwd) -> subprocess.CompletedProcess[str]:
    """Run ``python -m WORDS`` in the place of ``"$@"`` of a shell script."""
    command = ["sh", "-c", script, "sh", sys.executable, "-m", *map(str, words)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)


def test_a_closed_and_a_full_stdout_are_told(tmp_path):
    closed = sh('"$@" >&-', "pytest_tflm", "explain", cwd=tmp_path)
    assert closed.returncode == 1
    assert closed.stderr == "pytest-tflm: standard output is closed\n"
    full = sh('"$@" >/dev/full', "pytest_tflm", "explain", cwd=tmp_path)
    assert full.returncode == 1
    assert full.stderr.splitlines()[0] == "pytest-tflm: [Errno 28] No space left on device"
    assert "Traceback" not in full.stderr


@pytest.mark.slow
@pytest.mark.parametrize("count", [16, 24, 26, 28, 32])
def test_few_descriptors_are_named_errors(tmp_path, tcn, count):
    """So many are enough for pytest itself, and not for a simulator and an interpreter."""
    words = ("--tflm-port=sim", f"--tflm-model={tcn}", "--tflm-samples=1")
    done = sh(f'ulimit -n {count}; "$@"', "pytest", "-p", "no:cacheprovider", *words, cwd=tmp_path)
    if done.returncode == 0:
        assert count > 24
        return
    assert "Traceback" not in done.stdout + done.stderr
    assert "INTERNALERROR" not in done.stdout
    told = re.findall(r"^(?:E   |!+ _pytest.outcomes.Exit: )(\w+): (.*)", done.stdout, re.M)
    assert told, done.stdout
    for kind, text in told:
        assert issubclass(getattr(pytest_tflm.errors, kind), pytest_tflm.errors.TflmError)
        assert "Too many open files" in text
