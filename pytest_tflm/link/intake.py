"""What comes from a board, taken apart: frames for the session, text for people (SPEC §1, §7)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pytest_tflm.link import frame
from pytest_tflm.link.message import Type
from pytest_tflm.link.states import Said

if TYPE_CHECKING:
    from pytest_tflm.link.counters import Counters
    from pytest_tflm.link.frame import Frame

_HEAD_BYTES = 240


class Intake:
    """Bytes in, frames and text out; the rest is counted."""

    def __init__(self, counters: Counters) -> None:
        self.largest = frame.LONGEST_BODY
        """Bytes of the longest body that the board may send."""
        self.head = b""
        """The first bytes that came, to show what a foreign peer says."""
        self._counters = counters
        self._splitter = frame.Splitter()
        self._last_log: int | None = None

    def feed(self, data: bytes) -> Iterator[Frame | Said]:
        """What is complete now, in order. LOG frames come as text."""
        self._counters.bytes_received += len(data)
        if len(self.head) < _HEAD_BYTES:
            self.head = (self.head + data)[:_HEAD_BYTES]
        for piece, whole in self._splitter.feed(data):
            found = self.decode(piece) if whole else None
            said: Said | None = None
            if found is None:
                said = self._not_a_frame(piece)
            else:
                self._counters.frames_received += 1
                if found.type != Type.LOG:
                    yield found
                    continue
                said = self._log(found)
            if said is not None:
                yield said

    def decode(self, piece: bytes) -> Frame | None:
        """The frame in a piece."""
        return frame.decode(piece, self.largest)

    def last_words(self) -> Said | None:
        """Text that has no zero behind it yet: what a board said when it crashed, perhaps in the
        middle of a frame."""
        rest = self._splitter.flush()
        words = rest if frame.is_text(rest) else frame.text_at_end(rest)
        return self._not_a_frame(words) if words else None

    def _not_a_frame(self, piece: bytes) -> Said | None:
        if frame.is_text(piece):
            self._counters.text_bytes += len(piece)
            return Said(piece.decode("utf-8"), printed=True)
        self._counters.damaged += 1
        return None

    def _log(self, found: Frame) -> Said | None:
        if found.number == self._last_log:
            self._counters.ignored += 1  # a line that repeats bytes
            return None
        if self._last_log is not None:
            missed = (found.number - self._last_log - 1) & 0xFFFF
            if missed < 0x8000:  # otherwise the count began anew: the board has restarted
                self._counters.logs_missed += missed
        self._last_log = found.number
        return Said(found.payload.decode("utf-8", "replace"), printed=False)
