"""What a UART makes of bytes that were sent at another rate than it listens at."""

from __future__ import annotations

_NEAR = 0.03
"""Rates that differ by less understand each other: the last bit is sampled less than a third of a
bit off."""


def heard(data: bytes, sent_at: int | None, listening_at: int | None) -> bytes:
    """The bytes that a receiver at ``listening_at`` bits per second gets of those sent at
    ``sent_at``, back to back and with an idle line around them. None: no UART, so all of it.

    It samples in the middle of what it takes for bits, as a real one does. A missing stop bit does
    not keep a byte from being handed on, and the next start bit is looked for when the line is
    high again.
    """
    if not sent_at or not listening_at or abs(sent_at / listening_at - 1) < _NEAR:
        return data
    levels: list[int] = []
    for byte in data:
        levels += [0, *((byte >> bit) & 1 for bit in range(8)), 1]
    step = sent_at / listening_at  # of the sender's bits in one of the receiver's
    end = len(levels)
    found = bytearray()
    at = 0.0
    while (begin := _next_low(levels, at)) is not None:
        samples = (begin + (bit + 1.5) * step for bit in range(9))
        *bits, stop = (levels[int(each)] if each < end else 1 for each in samples)
        found.append(sum(level << bit for bit, level in enumerate(bits)))
        at = begin + 9.5 * step
        if not stop:
            at = _next_high(levels, at)
    return bytes(found)


def _next_low(levels: list[int], at: float) -> float | None:
    place = int(at)
    if place < len(levels) and levels[place] == 0:
        return at
    try:
        return float(levels.index(0, place))
    except ValueError:
        return None


def _next_high(levels: list[int], at: float) -> float:
    try:
        return float(levels.index(1, int(at)))
    except ValueError:
        return float(len(levels))
