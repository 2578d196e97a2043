"""How long the frames of one direction should be, by what the line damages."""

from __future__ import annotations

import math

from pytest_tflm.link import frame, message

_COST = 32
"""Bytes that a frame costs beside its data: head, CRC, zeros, and its share of the answer."""
_MEMORY = 4
"""Losses that the estimate rests on."""
_START = 1024
"""Bytes that count as carried before the first: one early loss says little."""


class BestLength:
    """Estimates the length that carries most, from what arrived and what did not.

    A frame of n bytes passes with probability exp(-n * rate), where ``rate`` is losses per byte,
    and n - cost bytes of it are data. The most data per byte sent is carried near
    n = sqrt(cost / rate). The estimate rests on the last few losses and on all bytes since, so that
    the length grows again as soon as the line is better. Without losses there is no limit.
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
        if not self._losses:
            return frame.LONGEST_BODY
        best = math.sqrt(_COST * self._bytes / self._losses)
        return max(message.SMALLEST_FRAME, min(frame.LONGEST_BODY, int(best)))
