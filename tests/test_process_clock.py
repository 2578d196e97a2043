"""Time as it passes for a process of this machine."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from pytest_tflm.process_clock import ProcessClock
from pytest_tflm.runtime.hosts import Hosts
from pytest_tflm.runtime.spec import Line, RuntimeSpec


class Machine:
    """A /proc with one process of two threads, and a clock."""

    def __init__(self, path: Path) -> None:
        self.now = 100.0
        self.path = path
        for thread in ("7", "8"):
            (path / "7" / "task" / thread).mkdir(parents=True)
        self.waited(0, 0)

    def waited(self, *seconds: float) -> None:
        """What the threads have waited for a processor by now."""
        for thread, each in zip(("7", "8"), seconds, strict=True):
            stat = self.path / "7" / "task" / thread / "schedstat"
            stat.write_text(f"12345 {int(each * 1e9)} 6\n")

    def clock(self) -> ProcessClock:
        return ProcessClock(7, lambda: self.now, self.path)


def test_what_a_process_waits_for_a_processor_does_not_count(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    clock = machine.clock()
    began = clock()
    machine.now += 10
    machine.waited(2, 7)
    assert clock() - began == pytest.approx(3)
    machine.now += 1
    assert clock() - began == pytest.approx(4)


def test_it_never_goes_back(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    clock = machine.clock()
    machine.now += 5
    seen = [clock()]
    machine.waited(0, 4)  # known only now, when the thread got a processor
    for _ in range(6):
        machine.now += 1
        seen.append(clock())
    assert seen == sorted(seen)
    assert seen[-1] - seen[0] == pytest.approx(6 - 4)


def test_where_nobody_tells_all_time_counts(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    clock = ProcessClock(9, lambda: machine.now, tmp_path)
    began = clock()
    machine.now += 5
    assert clock() - began == pytest.approx(5)


def test_a_simulated_board_that_gets_no_processor_is_not_given_up(monkeypatch, tcn) -> None:
    from pytest_tflm.model import open_model

    # As on a machine on which the board's process waits all the time.
    monkeypatch.setattr(ProcessClock, "__call__", lambda clock: clock._now)
    model = open_model(tcn)
    with Hosts(line=Line(timeout=0.2)) as hosts:
        board = hosts.board(RuntimeSpec.of_board("sim"))
        runtime = board.load(model)
        sample = tuple(tensor_zeros(model))
        want = runtime.run(sample)
        pid = board._process.pid
        os.kill(pid, signal.SIGSTOP)
        timer = threading.Timer(1.0, os.kill, (pid, signal.SIGCONT))
        timer.start()
        try:
            assert runtime.run(sample) == want
        finally:
            timer.cancel()
            timer.join()
            os.kill(pid, signal.SIGCONT)


def tensor_zeros(model):
    import numpy as np

    return [np.zeros(tensor.shape, tensor.dtype) for tensor in model.inputs]
