"""Runs that are stopped at any moment, by Ctrl-C and by SIGKILL: nothing is left of them.

No process, no lock that keeps the next run from the port, no file that is half written.
"""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from pytest_tflm.replay.format import read_replay

SEED = 20261125
PARTS, CTRL_C, KILLS = 4, 5, 3
"""So many parts, each with so many runs: they take long and can be run beside each other."""
INTERRUPTED = (2, -signal.SIGINT)
"""pytest's own status; and Python's, for a Ctrl-C after pytest's last word, while Python ends."""
MARK = "PYTEST_TFLM_STOPPED_RUN"
"""Set in the environment of a run, and so in that of all processes that it starts."""


@pytest.fixture
def port(kept):
    """A board that stays, whose lock the runs take."""
    return kept.board("sim?memory=2m").port


def processes_of(run: str) -> dict[int, str]:
    """Those with the mark of this run in their environment, with their commands."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if f"{MARK}={run}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                if state not in "ZX":
                    found[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
    return found


def is_gone(run: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while (left := processes_of(run)) and time.monotonic() < end:
        time.sleep(0.1)
    assert not left, left


def files_are_whole(folder: Path) -> None:
    """Findings can be read, and no temporary file lies beside them."""
    for path in (folder / "kept").glob("*"):
        assert not path.name.startswith("."), path
        read_replay(path)


def words_of(port: str, model: Path) -> list[str]:
    """A run that does a bit of everything, and never passes: it saves and explains, too."""
    return [
        *("pytest", "-p", "no:cacheprovider", f"--tflm-port={port}", f"--tflm-model={model}"),
        *("--tflm-samples=60", "--tflm-tolerance=0", "--tflm-resolver=auto", "--tflm-save=kept"),
        *("--tflm-fuzz=500", "--tflm-conformance=300"),
    ]


def started(command, words, run):
    """A run, and how many seconds it has taken to begin: the moments are drawn from then on."""
    began = time.monotonic()
    running = command.start(*words, **{MARK: run})
    running.wait_for("rootdir:")
    return running, time.monotonic() - began


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_ctrl_c_at_any_moment_leaves_nothing(command, inner, port, tcn, part):
    rng = random.Random(f"{SEED}-{part}")
    for number in range(CTRL_C):
        spec = port if number % 2 else "sim"
        run = f"ctrl-c-{os.getpid()}-{part}-{number}"
        running, beginning = started(command, words_of(spec, tcn), run)
        time.sleep(rng.uniform(0, 3 * beginning))
        running.send(signal.SIGINT)
        done = running.finish(seconds=300)
        # An import of Hypothesis that was interrupted breaks its own plugin's line at the end.
        is_hypothesis = "_hypothesis_pytestplugin.py" in done.output
        assert done.status in INTERRUPTED or is_hypothesis, done.output
        told = ("KeyboardInterrupt", "Interrupted: interrupted during the verdict")
        assert any(text in done.output for text in told), done.output
        assert "INTERNALERROR" not in done.output, done.output
        is_gone(run)
        files_are_whole(command.directory)
    free = inner.pytest(f"--tflm-port={port}", f"--tflm-model={tcn}", "--tflm-samples=1")
    assert free.status == 0, free.output


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["pytest", "pytest_tflm.simulator", "Interpreters"])
def test_a_process_that_is_killed_leaves_nothing(command, inner, port, tcn, victim):
    """pytest itself, the simulator, a worker: at drawn moments, and what is left ends by itself."""
    rng = random.Random(f"{SEED}-{victim}")
    killed = 0
    for number in range(KILLS):
        spec = "sim" if victim == "pytest_tflm.simulator" or number % 2 else port
        run = f"kill-{victim}-{os.getpid()}-{number}"
        running, beginning = started(command, words_of(spec, tcn), run)
        time.sleep(rng.uniform(1, 3) * beginning)
        for pid, words in processes_of(run).items():
            is_pytest = pid == running.process.pid
            if is_pytest if victim == "pytest" else not is_pytest and victim in words:
                os.kill(pid, signal.SIGKILL)
                killed += 1
        if victim == "pytest":
            running.process.wait(60)
        else:
            time.sleep(0.5)
            running.send(signal.SIGINT)
            done = running.finish(seconds=300)
            assert "INTERNALERROR" not in done.output, done.output
            assert done.status in (*INTERRUPTED, 1), done.output
        is_gone(run)
        files_are_whole(command.directory)
    assert killed, "what was to be killed was mostly not there"
    free = inner.pytest(f"--tflm-port={port}", f"--tflm-model={tcn}", "--tflm-samples=1")
    assert free.status == 0, free.output
