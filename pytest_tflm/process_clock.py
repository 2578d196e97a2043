"""Time as it passes for a process of this machine: what it waits for a processor does not count.

On a busy machine a simulated board, an emulator or an interpreter may hardly run for seconds. That
is no fault of theirs, so their timeouts are measured with this clock. Linux tells how long each
thread has waited (``Documentation/scheduler/sched-stats.rst``, ``/proc/PID/schedstat``); elsewhere
this is ``time.monotonic``.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

_INTERVAL = 0.1
"""Seconds between two looks."""
_SLOWEST = 0.01
"""How fast it runs at least, beside ``clock``: a process that never runs is given up in the end,
and no answer takes no time."""


class ProcessClock:
    """Seconds from any start, which never stand still: those of ``clock`` without the time in which
    process ``pid`` was ready to run and had no processor."""

    def __init__(
        self,
        pid: int,
        clock: Callable[[], float] = time.monotonic,
        threads: Path = Path("/proc"),
    ) -> None:
        self._clock = clock
        self._threads = threads / str(pid) / "task"
        self._before = self._longest_wait()
        self._waited = 0.0
        self._last = self._now = clock()
        self._look_at = self._now + _INTERVAL

    def __call__(self) -> float:
        now = self._clock()
        if now >= self._look_at:
            self._waited = max(self._waited, self._longest_wait() - self._before)
            self._look_at = now + _INTERVAL
        self._now = max(self._now + _SLOWEST * (now - self._last), now - self._waited)
        self._last = now
        return self._now

    def _longest_wait(self) -> float:
        """Seconds for which the thread that waited most has waited for a processor."""
        longest = 0
        # A thread, or the process, may end while it is looked at; and not every kernel tells.
        with contextlib.suppress(OSError, ValueError, IndexError):
            for thread in self._threads.iterdir():
                longest = max(longest, int((thread / "schedstat").read_text().split()[1]))
        return longest / 1e9
