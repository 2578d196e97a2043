"""How long the frames of one direction should be, by what the line damages."""

from __future__ import annotations

import math

from pytest_tflm.link import frame, message

_COST = 32
"""Bytes that a frame costs beside its data: head, CRC, zeros, and its share of the answer."""
_FEW = 2
"""Losses that may be chance: a line with fewer is taken for a clean one."""
_MEMORY = 4
"""Losses that the estimate rests on."""
_START = 1024
"""Bytes that count as carried before the first: one early loss says little."""


class BestLength:
    """Estimates the length that carries most, from what arrived and what did not.

    With ``rate`` losses per byte, frames of n bytes lose cost / n of the line to what is no data,
    and rate * n / 2 to frames that are damaged half-way on average; what was sent behind those is
    lost whatever the length. The least is lost with n = sqrt(2 * cost / rate). The estimate rests
    on the last few losses and on all bytes since, so that frames grow again when the line is
    better.
    """

    def __init__(self) -> None:
        self._losses = 0.0
        self._bytes = float(_START)

    def passed(self, wire: int) -> None:
        """So many bytes on the line have arrived whole."""
        self._bytes += wire

    def lost(self, wire: int) -> None:
        """A frame of so many bytes on the line did not."""
        self._losses += 1
        self._bytes += wire
        if self._losses > _MEMORY:
            self._bytes *= _MEMORY / self._losses
            self._losses = _MEMORY

    @property
    def body(self) -> int:
        """Bytes of body that carry most; the longest of all while nothing is lost."""
        if self._losses < _FEW:
            return frame.LONGEST_BODY
        best = math.sqrt(2 * _COST * self._bytes / self._losses)
        return max(message.SMALLEST_FRAME, min(frame.LONGEST_BODY, int(best)))
