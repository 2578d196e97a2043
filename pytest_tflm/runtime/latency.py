"""How long Invoke takes, over many runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Latency(NamedTuple):
    """Invoke's time over so many ``runs``, in microseconds by the board's clock: the shortest, the
    median, what 95% of runs do not exceed, the longest. ``is_board`` is False for a simulator or an
    emulator, whose time says nothing of a board."""

    runs: int
    min: int
    p50: int
    p95: int
    max: int
    is_board: bool

    def __str__(self) -> str:
        text = (
            f"p95 {time_words(self.p95)}, median {time_words(self.p50)}, {time_words(self.min)} to "
            f"{time_words(self.max)} over {self.runs} run{'s' * (self.runs != 1)}"
        )
        return text if self.is_board else f"{text} (not a board's clock)"


def latency_of(times: Sequence[int], is_board: bool) -> Latency | None:
    """The latency of runs that took ``times``, in microseconds; None without any. The percentiles
    are times that occurred (nearest rank)."""
    if not times:
        return None
    ordered = sorted(times)

    def rank(share: int) -> int:
        return ordered[-(-len(ordered) * share // 100) - 1]

    return Latency(len(ordered), ordered[0], rank(50), rank(95), ordered[-1], is_board)


def time_words(time: float) -> str:
    """Microseconds for people: ``750 µs``, ``12.4 ms``."""
    return f"{time:.0f} µs" if time < 1000 else f"{time / 1000:.4g} ms"
