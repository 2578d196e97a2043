"""The host's requests on their way: numbers, window, credit, sending again (SPEC §4)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from pytest_tflm.link import frame, message

_MOST_OUTSTANDING = 0x7FFF
"""Numbers on the wire are modulo 65 536, and "before" reaches half as far."""

_STEPS = 16
"""Fillings of the window after which it would have grown back from nothing."""
_SOON = 4
"""Fillings of the window between two losses that chance does not explain."""

_HEAD = frame.SHORTEST_BODY


class Answer(Enum):
    """What a reply turned out to be."""

    NEW = "new"
    REPEATED = "repeated"
    UNASKED = "unasked"


@dataclass(slots=True)
class Entry:
    """One request from when it is submitted until its reply is handed on."""

    number: int
    request: message.Request
    payload: bytes
    wire: int
    reply_wire: int
    times_sent: int = 0
    left_at: float = 0.0
    """When its last byte left this machine, as well as can be told."""
    reply: bytes | None = None


class Outbox:
    """Requests in order. Numbers are counted up without end here and cut to 16 bits on the wire.

    ::

        first <= taken <= cursor <= sent_end <= end

        first      the first reply that has not arrived: the host's ``ack``
        taken      the next request that the board takes, as far as is known
        cursor     the next request to send; behind ``sent_end`` when some are sent again
        sent_end   the first request that was never sent
        end        the number of the next request submitted

    Two sums never exceed what the board announced: ``window`` the wire lengths of
    taken … cursor, ``reply_store`` the largest replies of first … sent_end.
    """

    def __init__(self, window: int, reply_store: int) -> None:
        self.first = 0
        self.taken = 0
        self.cursor = 0
        self.sent_end = 0
        self.end = 0
        self.window = window
        self.reply_store = reply_store
        self.room = window
        """Bytes of the window in use: less than all of it where the board keeps losing them."""
        self._in_flight = 0
        self._owed = 0
        self._entries: dict[int, Entry] = {}
        self._through = 0
        """Bytes of requests that the board took since something was last sent again."""

    @property
    def outstanding(self) -> int:
        """Requests sent whose replies have not arrived."""
        return self.sent_end - self.first

    @property
    def unsent(self) -> int:
        """Requests that wait for window or credit, also those to be sent again."""
        return self.end - self.cursor

    @property
    def in_flight(self) -> int:
        """Bytes on the wire of requests sent and not yet taken."""
        return self._in_flight

    def oldest(self) -> Entry | None:
        """The first request whose reply has not arrived."""
        return self._entries.get(self.first)

    def absolute(self, number: int) -> int:
        """The number that 16 bits from the wire stand for: the one nearest to ``first``."""
        offset = (number - self.first) & 0xFFFF
        return self.first + (offset - 0x10000 if offset > 0x7FFF else offset)

    def submit(self, request: message.Request) -> int:
        """Put a request at the end; return its number. ValueError for one that never fits."""
        payload = request.pack()
        wire = frame.wire_length(_HEAD + len(payload))
        reply_wire = frame.wire_length(_HEAD + request.largest_reply())
        if wire > self.window or reply_wire > self.reply_store:
            raise ValueError(f"a request of {wire} and a reply of {reply_wire} bytes do not fit")
        number = self.end
        self._entries[number] = Entry(number, request, payload, wire, reply_wire)
        self.end += 1
        return number

    def next_to_send(self) -> Entry | None:
        """The request that may be sent now, if window and reply store have room for one."""
        if self.cursor == self.end:
            return None
        entry = self._entries[self.cursor]
        if self._in_flight and self._in_flight + entry.wire > self.room:
            return None
        if self.cursor == self.sent_end and (
            self._owed + entry.reply_wire > self.reply_store
            or self.outstanding >= _MOST_OUTSTANDING
        ):
            return None
        return entry

    def sent(self, entry: Entry, left_at: float) -> None:
        """The request from :meth:`next_to_send` has been sent."""
        entry.times_sent += 1
        entry.left_at = left_at
        self._in_flight += entry.wire
        if self.cursor == self.sent_end:
            self.sent_end += 1
            self._owed += entry.reply_wire
        self.cursor += 1

    def note_taken(self, number: int) -> bool:
        """The board takes ``number`` next. Returns whether that is news."""
        if not self.taken < number <= self.sent_end:
            return False
        for each in range(self.taken, min(number, self.cursor)):
            self._in_flight -= self._entries[each].wire
        through = 0
        for each in range(self.taken, number):
            entry = self._entries[each]
            entry.payload = b""  # never needed again: a lost reply is asked for by REPEAT
            through += entry.wire
        self._through += through
        # Back by a sixteenth for each filling that went well: a board that cannot hold what it
        # announced loses something once in several fillings, not in each.
        self.room = min(self.window, self.room + through * self.window // (_STEPS * self.room))
        self.taken = number
        self.cursor = max(self.cursor, number)
        return True

    def rewind(self, number: int) -> bool:
        """Send again from ``number`` on. Returns whether there was anything to send again."""
        number = max(number, self.taken)
        if number >= self.cursor:
            return False
        for each in range(number, self.cursor):
            self._in_flight -= self._entries[each].wire
        self.cursor = number
        if self._through < _SOON * self.room:
            # Lost again so soon: the board cannot hold what it announced.
            self.room = max(self.room // 2, min(self.window, 4 * message.SMALLEST_FRAME))
        self._through = 0
        return True

    def answer(self, number: int, kind: int, payload: bytes) -> Answer:
        """A reply has arrived; a new one is kept until :meth:`delivered` hands it on."""
        entry = self._entries.get(number)
        if entry is None or not entry.times_sent:
            return Answer.REPEATED if 0 <= number < self.first else Answer.UNASKED
        if entry.reply is not None:
            return Answer.REPEATED
        if not message.is_reply_to(entry.request, kind, payload):
            return Answer.UNASKED
        self.note_taken(number + 1)
        entry.reply = payload
        return Answer.NEW

    def delivered(self) -> list[Entry]:
        """Take out the entries whose replies are there, in order, up to the first gap."""
        found: list[Entry] = []
        while (entry := self._entries.get(self.first)) is not None and entry.reply is not None:
            found.append(self._entries.pop(self.first))
            self._owed -= entry.reply_wire
            self.first += 1
        return found

    def missing(self, before: int, most: int) -> list[tuple[int, int]]:
        """Runs (first number, count) of replies before ``before`` that have not arrived; the first
        ``most`` of them."""
        runs: list[tuple[int, int]] = []
        for number in range(self.first, min(before, self.sent_end)):
            if self._entries[number].reply is not None:
                continue
            if runs and sum(runs[-1]) == number:
                runs[-1] = (runs[-1][0], runs[-1][1] + 1)
            elif len(runs) == most:
                break
            else:
                runs.append((number, 1))
        return runs
