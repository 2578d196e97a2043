"""When silence is too long: the timers of a session. It looks at no clock; seconds go in."""

from __future__ import annotations

_FIRST_WAIT = 0.25
"""Seconds before the first PING while nothing is known of the board's pace."""
_SHORTEST_WAIT = 0.03
_LONGEST_WAIT = 2.0
"""Seconds. A board that computes cannot answer; PINGs that come too often fill its buffer."""
_BITS_PER_BYTE = 10
"""On a UART: start bit, eight bits, stop bit."""


class Timing:
    """The silence timer and the patience of a session.

    The silence timer waits for twice the longest of the recent gaps, and twice as long after each
    PING that stays without an answer. Both timers start when the line can have carried what was
    sent: at ``baud`` bits per second, or at once where that is None (USB, TCP, pseudo-terminal).
    """

    def __init__(self, baud: int | None, timeout: float, now: float) -> None:
        self.timeout = timeout
        self._byte = 0.0
        self.set_baud(baud)
        self._peak: float | None = None
        self._unanswered = 0
        self._heard = now
        self._progress = now
        self._line_free = now
        self._excused = 0.0
        self._excused_silence = 0.0

    @property
    def heard_at(self) -> float:
        """When the last valid frame of the session came."""
        return self._heard

    @property
    def unanswered(self) -> int:
        """PINGs that went out because of silence since something was heard."""
        return self._unanswered

    def silence(self, now: float) -> float:
        """Seconds since something was heard, or all that was sent had left."""
        return now - max(self._heard, self._line_free)

    def set_baud(self, baud: int | None) -> None:
        """The line's rate from now on."""
        self._byte = _BITS_PER_BYTE / baud if baud else 0.0

    def sent(self, length: int, now: float) -> float:
        """``length`` bytes go out; returns when the last of them has left."""
        self._line_free = max(self._line_free, now) + length * self._byte
        return self._line_free

    def heard(self, now: float, asked_at: float) -> float:
        """A valid frame of the session came; returns the seconds of silence before it, counted
        from when something was asked at the earliest."""
        silence = now - max(self._heard, asked_at) - self._excused_silence
        self._heard = now
        self._unanswered = 0
        self._excused_silence = 0.0
        return max(0.0, silence)

    def sample(self, seconds: float) -> None:
        """A board that was not disturbed took that long to answer."""
        seconds = max(seconds, 0.0)
        self._peak = seconds if self._peak is None else max(seconds, self._peak * 15 / 16)

    def progress(self, now: float) -> None:
        """The board did something that it was asked for, or was asked for something new."""
        self._progress = max(self._progress, now)
        self._excused = 0.0

    def pinged(self) -> None:
        """A PING went out because of silence: wait twice as long for the next."""
        self._unanswered += 1

    def silent_at(self, reply_wire: int) -> float:
        """When the silence is too long, if a reply of that many bytes on the wire comes next."""
        wait = _FIRST_WAIT if self._peak is None else max(2 * self._peak, _SHORTEST_WAIT)
        wait = min(wait * 2.0 ** min(self._unanswered, 16), _LONGEST_WAIT)
        return max(self._heard, self._line_free) + wait + reply_wire * self._byte

    def lost_at(self, reply_wire: int) -> float:
        """When patience ends: ``timeout`` seconds without progress."""
        return self._progress + self.timeout + self._excused + reply_wire * self._byte

    def excuse(self, seconds: float) -> None:
        """Nobody looked after the session for so long: that is not the board's fault."""
        self._excused += seconds
        self._excused_silence += seconds

    def waited(self, now: float) -> float:
        """Seconds without progress, without those excused."""
        return max(0.0, now - self._progress - self._excused)
