"""The line as a session sees it: when silence is too long, and the rate of a UART (SPEC §9).

Neither reads a clock: the time goes in, in seconds.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from enum import Enum

_FIRST_WAIT = 0.25
"""Seconds before the first PING while nothing is known of the board's pace."""
_SHORTEST_WAIT = 0.03
_LONGEST_WAIT = 2.0
"""Seconds. A board that computes cannot answer; PINGs that come too often fill its buffer."""
_BITS_PER_BYTE = 10
"""On a UART: start bit, eight bits, stop bit."""

_SETTLES = 0.01
"""Seconds between the reply and the first PING: both sides change their rate in that time."""
_GAP, _LONGEST_GAP = 0.4, 2.0
"""Seconds between PINGs of a search: as the board counts noise, and when it goes on for long."""
_AT_OPENING = 5
"""PINGs at the opening rate for each at the other: a board that hears us but is not heard must
hear nothing for long enough to go back."""
_LEAST_SILENCE = 1.0
_UNANSWERED = 2
"""Silence, in seconds and in PINGs, that a board which computes does not explain."""
_LONGEST_FRAME = 0.25
"""Seconds that a body of largest_frame may take at a rate."""


class Timing:
    """The two timers of a session: for silence, and for giving up.

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
        """Seconds since a frame came, or since the last byte left, whichever is later."""
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
        """The board did what it was asked for, or was asked for something new."""
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
        """When to give up: after ``timeout`` seconds without progress."""
        return self._progress + self.timeout + self._excused + reply_wire * self._byte

    def excuse(self, seconds: float) -> None:
        """The caller did not look after the session for so long, which is not the board's fault."""
        self._excused += seconds
        self._excused_silence += seconds

    def waited(self, now: float) -> float:
        """Seconds without progress, without those excused."""
        return max(0.0, now - self._progress - self._excused)


class _Phase(Enum):
    """STEADY: both sides are thought to be at ``line``. ASKED: SET_BAUD is on its way.
    SEARCHING: PINGs go out at both rates in turn, until one is answered."""

    STEADY = "steady"
    ASKED = "asked"
    SEARCHING = "searching"


class Rate:
    """Which rate the port must have. ``opening`` is in bits per second, None for a port that is no
    UART, whose rate never changes."""

    def __init__(self, opening: int | None) -> None:
        self.opening = opening
        self.line = opening
        """Bits per second that what is sent next must be sent at."""
        self._phase = _Phase.STEADY
        self.number = -1
        """Of the latest SET_BAUD."""
        self._other: int | None = None
        """Where the board may be, or was agreed to be, beside the opening rate."""
        self._wanted: int | None = None
        self._old_reply = False
        self._turns: Iterator[int] = iter(())
        self._began = 0.0
        self.ping_at = 0.0
        """When the next PING of a search is due."""

    @property
    def is_open(self) -> bool:
        """Requests may be sent."""
        return self._phase is _Phase.STEADY

    @property
    def searching(self) -> bool:
        return self._phase is _Phase.SEARCHING

    def asked(self, number: int, baud: int) -> None:
        """SET_BAUD was submitted as request ``number``; ``baud`` 0 is the opening rate."""
        assert self.opening is not None
        assert self.line is not None
        self.number = number
        self._phase = _Phase.ASKED
        self._wanted = baud or self.opening
        self._other = self.line if self._wanted == self.opening else self._wanted
        self._old_reply = False

    def taken(self, number: int) -> None:
        """A PONG says that the board takes ``number`` next. If SET_BAUD is before it and its reply
        has not come, that reply is lost, and whatever it changed is undone by the time that it is
        repeated, or found without it."""
        if self._phase is _Phase.ASKED and number > self.number:
            self._old_reply = True

    def replied(self, accepted: bool, now: float) -> bool:
        """The reply to SET_BAUD came. Returns False if the board was found before it."""
        if self._phase is not _Phase.ASKED:
            return False
        wanted = self._wanted
        if accepted and not self._old_reply and wanted is not None and wanted != self.line:
            self.line = wanted
            self._search([wanted] * 2 if wanted == self._other else [], now, now + _SETTLES)
        else:
            self._settle()
        return True

    def is_lost(self, silence: float, unanswered: int) -> bool:
        """Whether a board that is silent for so many seconds may be at the other rate."""
        return (
            self._other is not None
            and not self.searching
            and silence >= _LEAST_SILENCE
            and unanswered >= _UNANSWERED
        )

    def search(self, now: float) -> None:
        """Look for the board, first where it was not looked for so far; in turn, since one that was
        only busy would take more at the wrong rate for noise."""
        assert self.opening is not None
        assert self._other is not None
        row = [self._other, self.opening]
        if self.line != self.opening:
            row.reverse()
        self._search(row * 2, now, now)

    def _search(self, first: list[int], now: float, ping_at: float) -> None:
        assert self.opening is not None
        assert self._other is not None
        row = [self.opening] * _AT_OPENING + [self._other]
        self._turns = itertools.chain(first, itertools.cycle(row))
        self._phase = _Phase.SEARCHING
        self._began = now
        self.ping_at = ping_at

    def next_turn(self, now: float) -> bool:
        """Whether the next PING of the search is to be sent now, at ``line``."""
        if now < self.ping_at:
            return False
        self.line = next(self._turns)
        self.ping_at = now + min(max(_GAP, (now - self._began) / 10), _LONGEST_GAP)
        return True

    def found(self, taken: int) -> None:
        """The latest PING of a search, which was sent at ``line``, is answered; the board takes
        request ``taken`` next. It may have never heard SET_BAUD: then that is sent again."""
        if taken <= self.number:
            self._phase = _Phase.ASKED
        else:
            self._settle()

    def _settle(self) -> None:
        self._phase = _Phase.STEADY
        if self.line == self.opening:
            self._other = None


def is_too_slow(baud: int, largest_frame: int) -> bool:
    """Whether a rate is too low for a board whose largest frame has so many bytes."""
    return largest_frame * _BITS_PER_BYTE > baud * _LONGEST_FRAME
