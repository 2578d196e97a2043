"""How far something long is: rewritten in place on a terminal, a line now and then in a log."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pytest_tflm.link import Counters

_QUIET = 1.0
"""Seconds that something may take before it is shown at all."""
_REWRITTEN = 0.1
_LOGGED = 30.0
"""Seconds between two lines of a log."""
_BITS_PER_BYTE = 10


class _Task(NamedTuple):
    """When something began, with how much done, and the bytes that the line had carried then."""

    began: float
    first: int
    carried: int


class ProgressLine:
    """Called as ``progress(what, done, total, unit)`` while something goes on; with ``done`` equal
    to ``total`` when it is over; with ``what`` empty when all is. ``total`` is 0 if not known.

    ``rewrite`` shows a text in the place of the last one (empty: removes it), and is None where
    there is no terminal; ``log`` writes a line. ``counters`` gives those of the link, if there is
    one."""

    def __init__(
        self,
        rewrite: Callable[[str], None] | None,
        log: Callable[[str], None],
        counters: Callable[[], Counters | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rewrite, self._log = rewrite, log
        self._counters, self._clock = counters, clock
        self._tasks: dict[str, _Task] = {}
        self._shown_at = 0.0
        self._is_shown = False

    def __call__(self, what: str, done: int, total: int, unit: str = "") -> None:
        now = self._clock()
        if total and done >= total:
            self._end(what)
            return
        task = self._tasks.get(what)
        if task is None or done < task.first:
            task = self._tasks[what] = _Task(now, done, self._bytes())
            if len(self._tasks) == 1:
                self._shown_at = now
        every = _REWRITTEN if self._rewrite is not None else _LOGGED
        if now - task.began < _QUIET or (
            now - self._shown_at < every and (self._is_shown or self._rewrite is None)
        ):
            return
        self._shown_at, self._is_shown = now, True
        (self._rewrite or self._log)(f"tflm: {what}: {self._text(task, now, done, total, unit)}")

    def _end(self, what: str) -> None:
        self._tasks.pop(what, None)
        if not what:
            self._tasks.clear()
        if self._is_shown and self._rewrite is not None:
            self._rewrite("")
        self._is_shown = False

    def _text(self, task: _Task, now: float, done: int, total: int, unit: str) -> str:
        seconds = now - task.began
        rate = (done - task.first) / seconds
        parts = []
        if unit:
            parts.append(f"{done} of {total} {unit}" if total else f"{done} {unit}")
            parts.append(f"{rate:.3g} a second" if rate < 100 else f"{rate:.0f} a second")
        elif total:
            parts.append(f"{100 * done // total}%")
        share = self._share(task, seconds)
        parts += [f"{share:.0%} of the line"] if share else []
        if total and rate > 0:
            parts.append(f"{_duration((total - done) / rate)} left")
        return ", ".join(parts)

    def _bytes(self) -> int:
        link = self._counters()
        return max(link.bytes_sent, link.bytes_received) if link is not None else 0

    def _share(self, task: _Task, seconds: float) -> float:
        """The part of the line that was used since the beginning; 0 where it has no rate."""
        link = self._counters()
        if link is None or not link.baud:
            return 0.0
        return min(1.0, (self._bytes() - task.carried) * _BITS_PER_BYTE / link.baud / seconds)


def _duration(seconds: float) -> str:
    """As people say it: ``40 s``, ``12 min``, ``3.5 h``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
