"""Requests on their way (SPEC §4): numbers, window and credit, and what to do about losses."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from pytest_tflm.link import frame, message
from pytest_tflm.link.length import BestLength
from pytest_tflm.link.message import Failure, Type

_MOST_OUTSTANDING = 0x7FFF
"""Numbers on the wire are modulo 65 536, and "before" reaches half as far."""

_STEPS = 16
"""Fillings of the window after which it would have grown back from nothing."""
_SOON = 4
"""Fillings of the window between two losses that chance does not explain."""

_HEAD = frame.SHORTEST_BODY
_MOST_ROUNDS = 100
"""Times that something is sent or asked for again without any progress between."""
_RUNS_AT_ONCE = 2
"""Two REPEATs and a PING are 50 bytes at most; a board has 64 to spare for them."""
_TRIES = 2
"""Times that something long is lost before it is sent in pieces."""
_PART_WIRE = frame.wire_length(message.SMALLEST_FRAME)


class Answer(Enum):
    """What a reply turned out to be."""

    NEW = "new"
    REPEATED = "repeated"
    UNASKED = "unasked"


@dataclass(slots=True, eq=False)
class Ticket:
    """One request, from when it is submitted until whoever holds the ticket has the reply.

    ``wire`` and ``reply_wire`` are the most bytes on the line of the request and of its reply.
    ``received`` is the reply as it arrived, kept until all earlier ones have arrived too. The
    holder puts into ``reply`` what :class:`~pytest_tflm.link.session.Replied` brings.
    """

    number: int
    request: message.Request
    payload: bytes
    wire: int
    reply_wire: int
    times_sent: int = 0
    left_at: float = 0.0
    """When its last byte left this machine, as well as can be told."""
    received: bytes | None = None
    reply: bytes | Failure | None = None
    misfit: str = ""
    """A reply that came and cannot be the one to this request: its type and size in words."""
    losses: int = 0
    """Times that the board lacked this one of all that were sent."""
    reply_losses: int = 0
    """Times that the reply was found missing."""
    part: bytearray = field(default_factory=bytearray)
    """What has arrived of a reply that is asked for in parts: COBS-encoded, without zeros."""
    whole: Ticket | None = None
    """The request that this is a piece of, and the pieces of a request."""
    pieces: list[Ticket] = field(default_factory=list)

    @property
    def reply_in_parts(self) -> bool:
        """The reply is longer than a PART, and was lost so often that it is to be asked for so."""
        return self.reply_losses > _TRIES and self.reply_wire > _PART_WIRE


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
        """Bytes on the wire of requests sent and not yet taken."""
        self._owed = 0
        """Bytes on the wire of the largest replies to requests sent and not yet answered."""
        self._tickets: dict[int, Ticket] = {}
        self._through = 0
        """Bytes of requests that the board took since something was last sent again."""
        self._up = BestLength()
        self._down = BestLength()

    @property
    def outstanding(self) -> int:
        """Requests sent whose replies have not arrived."""
        return self.sent_end - self.first

    @property
    def unsent(self) -> int:
        """Requests that wait for window or credit, also those to be sent again."""
        return self.end - self.cursor

    @property
    def best_request(self) -> int:
        """Bytes of the body of a request that get through best."""
        return self._up.body

    @property
    def best_reply(self) -> int:
        """Bytes of the body of a reply that get through best."""
        return self._down.body

    def oldest(self) -> Ticket | None:
        """The first request whose reply has not arrived."""
        return self._tickets.get(self.first)

    def absolute(self, number: int) -> int:
        """The number that 16 bits from the wire stand for: the one nearest to ``first``."""
        offset = (number - self.first) & 0xFFFF
        return self.first + (offset - 0x10000 if offset > 0x7FFF else offset)

    def submit(self, request: message.Request) -> Ticket:
        """Put a request at the end. ValueError for one that never fits."""
        payload = request.pack()
        wire = frame.wire_length(_HEAD + len(payload))
        reply_wire = frame.wire_length(_HEAD + request.largest_reply())
        if wire > self.window or reply_wire > self.reply_store:
            raise ValueError(f"a request of {wire} and a reply of {reply_wire} bytes do not fit")
        ticket = Ticket(self.end, request, payload, wire, reply_wire)
        self._tickets[self.end] = ticket
        self.end += 1
        return ticket

    def withdraw(self, first: int, last: int) -> None:
        """Take back the requests from ``first`` to ``last`` as far as they were never sent; none if
        others were submitted behind them."""
        start = max(first, self.sent_end)
        if last + 1 == self.end and start < self.end:
            for number in range(start, self.end):
                del self._tickets[number]
            self.end = start

    def next_to_send(self) -> Ticket | None:
        """The request that may be sent now, if window and reply store have room for one."""
        if self.cursor == self.end:
            return None
        ticket = self._tickets[self.cursor]
        if self._in_flight and self._in_flight + ticket.wire > self.room:
            return None
        if self.cursor == self.sent_end and (
            self._owed + ticket.reply_wire > self.reply_store
            or self.outstanding >= _MOST_OUTSTANDING
        ):
            return None
        return ticket

    def sent(self, ticket: Ticket, left_at: float) -> None:
        """The request from :meth:`next_to_send` has been sent."""
        ticket.times_sent += 1
        ticket.left_at = left_at
        self._in_flight += ticket.wire
        if self.cursor == self.sent_end:
            self.sent_end += 1
            self._owed += ticket.reply_wire
        self.cursor += 1

    def note_taken(self, number: int) -> bool:
        """The board takes ``number`` next. Returns whether that is news."""
        if not self.taken < number <= self.sent_end:
            return False
        for each in range(self.taken, min(number, self.cursor)):
            self._in_flight -= self._tickets[each].wire
        through = 0
        for each in range(self.taken, number):
            ticket = self._tickets[each]
            ticket.payload = b""  # never needed again: a lost reply is asked for by REPEAT
            through += ticket.wire
        self._through += through
        self._up.passed(through)
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
            self._in_flight -= self._tickets[each].wire
        self.cursor = number
        ticket = self._tickets[number]
        ticket.losses += 1
        self._up.lost(ticket.wire)
        if self._through < _SOON * self.room:
            # Lost again so soon: the board cannot hold what it announced.
            self.room = max(self.room // 2, min(self.window, 4 * message.SMALLEST_FRAME))
        self._through = 0
        return True

    def is_too_long(self, number: int) -> bool:
        """The request that the board takes next was lost again and again, and would get through
        better in pieces."""
        ticket = self._tickets.get(number)
        if ticket is None or number != self.taken or ticket.losses < _TRIES:
            return False
        return len(self._cut(ticket)) > 1

    def _cut(self, ticket: Ticket) -> list[message.Request]:
        """What to send for a request that the board has not taken: itself, or several. One that was
        lost again and again is halved each time, whatever got through besides."""
        limit = self.best_request
        if ticket.losses >= _TRIES:
            halved = (_HEAD + len(ticket.payload)) >> (ticket.losses - 1)
            limit = max(message.SMALLEST_FRAME, min(limit, halved))
        if ticket.wire <= frame.wire_length(limit):
            return [ticket.request]
        return ticket.request.cut(limit - _HEAD)

    def cut(self) -> None:
        """Put shorter requests in the place of long ones, from the next that the board takes on.
        The board must have none of them, and none may be on its way."""
        waiting = [self._tickets.pop(number) for number in range(self.taken, self.end)]
        for ticket in waiting[: self.sent_end - self.taken]:
            self._owed -= ticket.reply_wire
        for ticket in waiting[: self.cursor - self.taken]:
            self._in_flight -= ticket.wire
        self.cursor = self.sent_end = self.end = self.taken
        for ticket in waiting:
            requests = self._cut(ticket)
            if len(requests) > 1:
                ticket.pieces = [self.submit(request) for request in requests]
                for piece in ticket.pieces:
                    piece.whole = ticket
            else:
                ticket.number, ticket.losses = self.end, 0
                self._tickets[self.end] = ticket
                self.end += 1

    def answer(self, number: int, kind: int, payload: bytes) -> Answer:
        """A reply has arrived; a new one is kept until :meth:`delivered` hands it on."""
        ticket = self._tickets.get(number)
        if ticket is None or not ticket.times_sent:
            return Answer.REPEATED if 0 <= number < self.first else Answer.UNASKED
        if ticket.received is not None:
            return Answer.REPEATED
        if not message.is_reply_to(ticket.request, kind, payload):
            ticket.misfit = f"type 0x{kind:02X} with {len(payload)} bytes"
            return Answer.UNASKED
        self.note_taken(number + 1)
        ticket.received = payload
        self._down.passed(frame.wire_length(_HEAD + len(payload)))
        return Answer.NEW

    def add_part(self, number: int, offset: int, data: bytes) -> bytearray | None:
        """A part of a reply has arrived. Returns all parts of it so far, or None for one that
        nobody waits for."""
        ticket = self._tickets.get(number)
        if ticket is None or ticket.received is not None or not ticket.reply_in_parts:
            return None
        if offset != len(ticket.part) or offset > ticket.reply_wire:
            return None
        ticket.part += data
        self._down.passed(_PART_WIRE)
        return ticket.part

    def delivered(self) -> list[Ticket]:
        """Take out the tickets whose replies have arrived, in order, up to the first gap."""
        found: list[Ticket] = []
        while (ticket := self._tickets.get(self.first)) is not None and ticket.received is not None:
            found.append(self._tickets.pop(self.first))
            self._owed -= ticket.reply_wire
            self.first += 1
        return found

    def missing(self, before: int, most: int) -> list[tuple[int, int]]:
        """Runs (first number, count) of replies before ``before`` that have not arrived; the first
        ``most`` of them."""
        runs: list[tuple[int, int]] = []
        joins = False
        for number in range(self.first, min(before, self.sent_end)):
            ticket = self._tickets[number]
            if ticket.received is not None:
                joins = False
            elif joins and not ticket.reply_in_parts:
                runs[-1] = (runs[-1][0], runs[-1][1] + 1)
            elif len(runs) == most:
                break
            else:
                runs.append((number, 1))
                joins = not ticket.reply_in_parts
        return runs

    def ask_again(self, first: int, count: int) -> bytes:
        """The payload of the REPEAT for a run of replies that are missing."""
        ticket = self._tickets.get(first)
        if ticket is not None and ticket.reply_in_parts:
            self._down.lost(_PART_WIRE)
            return message.pack_repeat(1, len(ticket.part))
        for number in range(first, first + count):
            if (ticket := self._tickets.get(number)) is not None:
                ticket.reply_losses += 1
                self._down.lost(ticket.reply_wire)
        return message.pack_repeat(count)


class Recovery:
    """The host's part of SPEC §4 when something was lost."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._token = 0
        """The latest PING's; 0 before the first."""
        self._ping_mark = 0
        """All requests before that number were sent before the latest PING."""
        self._ping_open = False
        """The latest PING has had no PONG."""
        self._ping_wanted = False
        self._repeats: list[tuple[int, int]] = []
        self._repeat_mark = 0
        """The reply to this request shows that the latest REPEAT has been answered or lost."""
        self.rounds = 0

    @property
    def too_many(self) -> bool:
        """Too many rounds without progress to go on."""
        return self.rounds > _MOST_ROUNDS

    def want_ping(self) -> None:
        """Send a PING before the next request."""
        self._ping_wanted = True

    def is_latest(self, token: int) -> bool:
        """The token is that of the latest PING (0: there was none)."""
        return token == self._token

    def answers_ping(self, token: int) -> bool:
        """This is the first PONG to the latest PING."""
        if token != self._token or not self._ping_open:
            return False
        self._ping_open = False
        return True

    def lost_before_ping(self, ack: int) -> bool:
        """The board, in its PONG, expects a request that was sent before the PING."""
        return ack < self._ping_mark

    def send_again(self, number: int) -> None:
        """The board has lost request ``number`` and drops all behind it."""
        if self._outbox.rewind(number):
            self._ping_wanted = True
            self.rounds += 1

    def lost_for_good(self, number: int) -> None:
        """A PONG has shown that the board has lost request ``number``. What was sent behind it
        reaches the board before all that is sent from now on, and is dropped: from there on there
        may be other requests under the same numbers."""
        self.send_again(number)
        if self._outbox.is_too_long(number):
            self._outbox.cut()

    def maybe_lost(self, number: int) -> None:
        """A GAP says that the board lacks request ``number``, which may still be on its way."""
        if self._outbox.is_too_long(number):
            self._ping_wanted = True  # its PONG tells
            self.rounds += 1
        else:
            self.send_again(number)

    def ask_for_missing(self, before: int) -> int:
        """All replies before ``before`` have been sent by the board: ask again for those that did
        not arrive. Returns how many were asked for."""
        runs = self._outbox.missing(before, _RUNS_AT_ONCE)
        if not runs or self._repeats:
            return 0
        self._repeats = runs
        self.rounds += 1
        return sum(count for _, count in runs)

    def overtaken(self, number: int) -> bool:
        """A reply to ``number`` came after whatever was last asked for again."""
        return number >= self._repeat_mark

    def frames(self) -> list[tuple[int, int, bytes]]:
        """Type, number and payload of the REPEATs and the PING to send now, before any request."""
        found: list[tuple[int, int, bytes]] = []
        if self._repeats:
            found = [
                (Type.REPEAT, first, self._outbox.ask_again(first, count))
                for first, count in self._repeats
            ]
            self._repeats = []
            self._repeat_mark = self._outbox.cursor
            self._ping_wanted = True  # its PONG tells whether the repeated replies came
        if self._ping_wanted:
            self._token = self._token % 0xFFFF + 1
            self._ping_mark = self._outbox.cursor
            self._ping_wanted = False
            self._ping_open = True
            found.append((Type.PING, self._token, b""))
        return found
