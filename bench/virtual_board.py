"""A board on a paced line in virtual time, for a whole pytest: ``-p virtual_board``.

The clock is the line's (``paced_line.py``). It goes on by the processor time that this process
spends between two looks at the port: what pytest, the plugin and the comparison cost. So other work
on this machine changes the figures little, and they hold for a host whose cores are free. The
board's Invoke costs ``BENCH_INVOKE`` seconds of virtual time and no processor time. The reference
computes in its own process, and waiting for it is not counted.

Read from the environment: ``BENCH_BAUD``, ``BENCH_INVOKE``, ``BENCH_TIMES`` (the file to write).
"""

from __future__ import annotations

import json
import os
import resource
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from link_ends import Core
from paced_line import Wire

from pytest_tflm.link.connection import Connection
from pytest_tflm.link.session import Session
from pytest_tflm.runtime.ahead import Ahead
from pytest_tflm.runtime.board import BoardHost

SIZES = {"window": 4096, "largest_frame": 2048, "reply_store": 4096}
"""The board, as the simulator's by default."""
TURNAROUND = 0.001


class HostWire(Wire):
    """A line beside which the host's processor time counts."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._mark = time.process_time()

    def clock(self) -> float:
        return self.now + time.process_time() - self._mark

    def exchange(self, out: bytes, timeout: float) -> tuple[int, bytes]:
        began = self.now = self.clock()
        found = super().exchange(out, timeout)
        self.now = max(self.now, began)  # what came while the host was away came earlier
        self._mark = time.process_time()
        return found


class TflmCore(Core):
    """The compiled core with host TFLM; Invoke takes ``seconds`` of virtual time. ``defect`` as in
    ``sim?defect=…``."""

    def __init__(self, seconds: float, defect: str = "") -> None:
        from pytest_tflm.simulator._firmware import Board
        from pytest_tflm.simulator.engine.tflm import TflmEngine

        engine: Any = TflmEngine(memory=4 << 20, arena=None, without=(), printed=lambda: "")
        if defect:
            from pytest_tflm.simulator.defects.catalogue import defective, parse_defects

            engine = defective(engine, parse_defects(defect), 0)
        invoke = engine.invoke
        engine.owed = 0.0

        def slow() -> int:
            invoke()
            engine.owed += seconds
            return int(seconds * 1e6)

        engine.invoke = slow
        self.engine = engine
        self._board = Board(engine, boot_id=1, board="bench", reset_reason="power on", **SIZES)
        self.lost = 0


def connect(baud: int, invoke: float, defect: str = "") -> Connection:
    """A connection to such a board."""
    wire = HostWire(TflmCore(invoke, defect), baud, TURNAROUND)
    session = Session(baud=baud)
    return Connection(wire, session=session, clock=wire.clock)


_seen: dict[str, Any] = {"samples": 0}
_clocks: list[Any] = []


def _open(self: BoardHost) -> Connection:
    connection = connect(int(os.environ["BENCH_BAUD"]), float(os.environ["BENCH_INVOKE"]))
    _clocks.append(connection.channel.clock)
    return connection


if "BENCH_BAUD" in os.environ:
    BoardHost._open = _open
if (
    "BENCH_PLAIN" in os.environ
):  # every test waits for its own sample, as it would without looking ahead
    Ahead.expect = lambda *_, **__: None


def _now() -> tuple[float, float]:
    return (_clocks[0] if _clocks else time.monotonic)(), time.process_time()


def _is_measured(item: pytest.Item) -> bool:
    return item.name.startswith(("test_outputs", "test_all_outputs"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """From the call of the first test, when all is loaded …"""
    if _is_measured(item) and "began" not in _seen:
        _seen["began"], _seen["cpu_began"] = _now()
    return (yield)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """… to the end of the last."""
    if report.when == "call" and "outputs" in report.nodeid:
        _seen["ended"], _seen["cpu_ended"] = _now()
        _seen["samples"] += 1


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write down what was seen."""
    _seen["peak_kib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    _seen["failed"] = session.testsfailed
    Path(os.environ["BENCH_TIMES"]).write_text(json.dumps(_seen))
