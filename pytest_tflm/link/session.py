"""The host's end of the link: SPEC §2 to §4 and §9 as a machine without I/O and without a clock.

Bytes and the time go in; bytes, events and the next deadline come out::

    session.open(now)
    while wanted:
        port.write(session.transmit(now))
        data = port.read(until=session.deadline())
        session.receive(data, now)
        for event in session.events(): ...

``now`` is in seconds from any start and never goes back. Call :meth:`Session.transmit` after each
``open``, ``submit`` and ``receive``, and when :meth:`Session.deadline` has come.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import Enum
from typing import NamedTuple, TypeAlias

from pytest_tflm.errors import ProtocolMismatch, TflmError
from pytest_tflm.link import diagnosis, frame, message
from pytest_tflm.link.counters import Counters
from pytest_tflm.link.frame import Frame, Intake, Said
from pytest_tflm.link.line import Rate, Timing, is_too_slow
from pytest_tflm.link.message import Failure, Type, Welcome
from pytest_tflm.link.outbox import Answer, Outbox, Recovery, Ticket

_HELLO_WAITS = (0.25, 0.5, 1.0)
"""Seconds between HELLOs; the last one from then on."""
_ASKING_FOR_BOOT_ID = 1.0
"""Seconds to find out why a board has forgotten its session."""
_SMALLEST_PART = 256
"""Bytes of body below which :attr:`Session.frame_limit` does not go for the window's sake."""


def _random_number() -> int:
    return int.from_bytes(os.urandom(2), "little")


class State(Enum):
    """Where a session is. Its life is this table, and nothing else moves it:

    ======== ========================================== ========
    state    what happens                               then
    ======== ========================================== ========
    NEW      ``open``: HELLO goes out                   GREETING
    GREETING WELCOME with request 0 and a version       OPEN
    GREETING WELCOME with another request: this session GREETING
             number was in use; HELLO with another
    GREETING timeout, or no version in common           BROKEN
    OPEN     NO_SESSION, or a PONG that goes back: the  ASKING
             board has forgotten this session; HELLO
             without a version asks for its boot id
    OPEN     WELCOME with another boot id               BROKEN
    OPEN     timeout, or too many rounds                BROKEN
    ASKING   WELCOME without a version, or time's up    BROKEN
    any      CRASH; while GREETING the second one       BROKEN
    ======== ========================================== ========
    """

    NEW = "new"
    GREETING = "greeting"
    OPEN = "open"
    ASKING = "asking"
    BROKEN = "broken"


_MOVES = {
    State.NEW: {State.GREETING, State.BROKEN},
    State.GREETING: {State.GREETING, State.OPEN, State.BROKEN},
    State.OPEN: {State.ASKING, State.BROKEN},
    State.ASKING: {State.BROKEN},
    State.BROKEN: {State.BROKEN},
}


class Opened(NamedTuple):
    """The board said WELCOME."""

    welcome: Welcome


class Replied(NamedTuple):
    """The reply to a request: the data behind status OK, or the failure. Replies come in order,
    each once."""

    ticket: Ticket
    reply: bytes | Failure


class Resettled(NamedTuple):
    """A change of rate has ended, or the board was found at another rate: the line is at ``baud``
    bits per second, whatever was asked for."""

    baud: int | None


class Broken(NamedTuple):
    """The session is over; ``error`` says why. Only text comes after it."""

    error: TflmError


_Event: TypeAlias = Opened | Replied | Said | Resettled | Broken


class Session:
    """One session with one board.

    ``baud`` is the rate of a UART in bits per second, None for any other port. ``timeout``: seconds
    without progress after which the session gives up. ``nonce`` draws the 16-bit session number.
    ``largest_frame`` (bytes of body) caps what the board announces.
    """

    def __init__(
        self,
        *,
        baud: int | None = None,
        timeout: float = 10.0,
        nonce: Callable[[], int] = _random_number,
        largest_frame: int = frame.LONGEST_BODY,
    ) -> None:
        self.state = State.NEW
        self.welcome: Welcome | None = None
        self.error: TflmError | None = None
        self.counters = Counters(baud=baud)
        self._baud = baud
        self._timeout = timeout
        self._nonce = nonce
        self._cap = max(largest_frame, message.SMALLEST_FRAME)
        self._intake = Intake(self.counters)
        self._crashes = 0
        self._hellos = 0
        self._hello_due = 0.0
        self._opened_at = 0.0
        self._asking_until = 0.0
        self._number = 0
        self._events: list[_Event] = []
        self._timing = Timing(baud, timeout, 0.0)
        self._rate = Rate(baud)
        self._outbox = Outbox(0, 0)
        self._recovery = Recovery(self._outbox)
        self._ping_at = 0.0
        self._stepped_back = False
        """The latest PONG's ``ack`` lay before what the board had said."""

    # What the layer above asks.

    @property
    def outstanding(self) -> int:
        """Requests submitted whose replies have not been handed on."""
        return self._outbox.end - self._outbox.first

    @property
    def baud(self) -> int | None:
        """Bits per second that the port must have for what is sent next; None if it is no UART. It
        may change with each call."""
        return self._rate.line

    @property
    def rate_is_settled(self) -> bool:
        """No change of rate is under way."""
        return self._rate.is_open

    @property
    def has_room(self) -> bool:
        """All that was submitted has been sent: there may be room for more."""
        return self.state is State.OPEN and not self._outbox.unsent

    @property
    def largest_body(self) -> int:
        """Bytes of the longest body that may be sent or asked for; whatever window and store."""
        if self.welcome is None:
            return message.SMALLEST_FRAME
        return min(self.welcome.largest_frame, self._cap, frame.body_length(self.welcome.window))

    @property
    def frame_limit(self) -> int:
        """Bytes of the body of a request to cut long data into: several fit the window that is in
        use, so that one travels while another is taken, and fewer are lost with a damaged one."""
        return min(self._part, self._outbox.best_request)

    @property
    def reply_limit(self) -> int:
        """Bytes of the body of a reply to ask for where there is much to read."""
        return min(self._part, self._outbox.best_reply)

    @property
    def _part(self) -> int:
        part = max(_SMALLEST_PART, frame.body_length(self._outbox.room // 4))
        return min(self.largest_body, part)

    @property
    def longest_request(self) -> int:
        """Bytes of body above which a request is better sent as several."""
        return min(self.largest_body, self._outbox.best_request)

    @property
    def longest_reply(self) -> int:
        """Bytes of body above which data is better read in several replies."""
        return min(self.largest_body, self._outbox.best_reply)

    def open(self, now: float) -> None:
        """Say HELLO. Once."""
        self._move(State.GREETING)
        self._timing = Timing(self._baud, self._timeout, now)
        self._rate = Rate(self._baud)
        self._draw_number(now)

    def submit(self, request: message.Request) -> Ticket:
        """Queue a request; its ticket comes back in :class:`Replied`. It is sent as soon as window
        and reply store have room.

        Raises the session's error if it is broken, ValueError for a request that never fits.
        """
        if self.error is not None:
            raise self.error
        if self.state not in (State.OPEN, State.ASKING):
            raise ValueError(f"a session that is {self.state.value} takes no requests")
        return self._outbox.submit(request)

    def withdraw(self, first: int, last: int) -> None:
        """Take back the requests from ``first`` to ``last`` as far as they were never sent, for
        whose replies nobody waits; nothing if others were submitted behind them."""
        self._outbox.withdraw(first, last)

    @property
    def can_change_baud(self) -> bool:
        """Whether :meth:`change_baud` may be called now."""
        able = self.welcome is not None and self.welcome.changes_baud and self.baud is not None
        return able and self.state is State.OPEN and self._rate.is_open and not self.outstanding

    @property
    def away_from_opening(self) -> bool:
        """The session is open, and the line not at the rate that it was opened with."""
        return self.state is State.OPEN and self.baud != self._baud

    def change_baud(self, baud: int) -> None:
        """Ask the board for another rate (SPEC §9): 0 for the one that the line was opened with, or
        from there any other. :class:`Resettled` tells what came of it.

        Raises the session's error if it is broken, ValueError where that cannot be asked now or of
        this board.
        """
        if self.error is not None:
            raise self.error
        welcome, rate = self.welcome, self._rate
        if not self.can_change_baud or welcome is None:
            raise ValueError("the rate can only change on a UART with no request under way")
        if baud and (rate.line != rate.opening or is_too_slow(baud, welcome.largest_frame)):
            raise ValueError(f"cannot change the line from {rate.line} to {baud} baud")
        rate.asked(self._outbox.submit(message.SetBaud(baud)).number, baud)

    def events(self) -> list[_Event]:
        """What happened since the last call."""
        events = self._events
        self._events = []
        return events

    def hang_up(self) -> None:
        """No more bytes will come: what has come and not ended is text, or nothing."""
        if (said := self._intake.last_words()) is not None:
            self._events.append(said)

    def deadline(self) -> float | None:
        """When to call :meth:`transmit` at the latest; None if there is nothing to wait for."""
        if self.state is State.GREETING:
            return min(self._hello_due, self._timing.lost_at(0))
        if self.state is State.ASKING:
            return min(self._hello_due, self._asking_until)
        if self.state is State.OPEN and self._rate.searching:
            return min(self._rate.ping_at, self._timing.lost_at(self._reply_wire()))
        oldest = self._outbox.oldest()
        if self.state is State.OPEN and oldest is not None and oldest.times_sent:
            wire = oldest.reply_wire
            return min(self._timing.silent_at(wire), self._timing.lost_at(wire))
        return None

    # Bytes in.

    def receive(self, data: bytes, now: float) -> None:
        """Take bytes from the board; any bytes at all."""
        self._look_after(now)
        for found in self._intake.feed(data):
            if isinstance(found, Said):
                self._events.append(found)
            else:
                self._take(found, now)

    def _take(self, found: Frame, now: float) -> None:
        kind = found.type
        if kind == Type.CRASH:
            self._on_crash(found)
        elif not self._is_ours(found):
            self.counters.ignored += 1
        elif self.state is State.OPEN and message.FIRST_REPLY <= kind <= message.LAST_REPLY:
            self._on_reply(found, now)
        elif (handler := _HANDLERS.get((self.state, kind))) is not None:
            handler(self, found, now)
        else:
            self.counters.ignored += 1

    def _is_ours(self, found: Frame) -> bool:
        return found.session == self._number

    def _on_crash(self, found: Frame) -> None:
        crash = message.Crash.parse(found.payload)
        if crash is None or self.state in (State.NEW, State.BROKEN):
            self.counters.ignored += 1
            return
        # What a board said before it was reset may have waited in a buffer until now. One that lies
        # there still says it again to each HELLO.
        self._crashes += 1
        if self.state is not State.GREETING or self._crashes > 1:
            self._break(diagnosis.crashed(crash, self._outbox))

    def _on_welcome(self, found: Frame, now: float) -> None:
        welcome = Welcome.parse(found.payload)
        if welcome is None:
            self.counters.ignored += 1
        elif not message.LOWEST_VERSION <= welcome.version <= message.HIGHEST_VERSION:
            self._break(diagnosis.no_version(welcome))
        elif self._is_old_session(found):
            self._move(State.GREETING)
            self._draw_number(now)
        elif wrong := diagnosis.wrong_sizes(welcome):
            self._break(wrong)
        else:
            if self._hellos == 1:
                self._round_trip(now - self._opened_at)
            self._timing.heard(now, now)
            self._timing.progress(now)
            self.welcome = welcome
            self._intake.largest = welcome.largest_frame
            self._outbox = Outbox(welcome.window, welcome.reply_store)
            self._recovery = Recovery(self._outbox)
            self._move(State.OPEN)
            self._events.append(Opened(welcome))

    def _is_old_session(self, found: Frame) -> bool:
        # One in 65 536: the number drawn is that of the session which the board still has. Its
        # stored replies would be taken for answers to this host's requests.
        return found.ack != 0

    def _on_second_welcome(self, found: Frame, now: float) -> None:
        welcome = Welcome.parse(found.payload)
        if welcome is None or self.welcome is None or welcome.boot_id == self.welcome.boot_id:
            self.counters.ignored += 1  # the answer to a HELLO that was sent twice
        else:
            self._on_restart(welcome.boot_id)

    def _on_forgotten(self, found: Frame, now: float) -> None:
        self._move(State.ASKING)
        self._hellos = 0
        self._hello_due = now
        self._asking_until = now + _ASKING_FOR_BOOT_ID

    def _on_boot_id(self, found: Frame, now: float) -> None:
        welcome = Welcome.parse(found.payload)
        if welcome is None or welcome.version != 0 or self.welcome is None:
            self.counters.ignored += 1
        elif welcome.boot_id != self.welcome.boot_id:
            self._on_restart(welcome.boot_id)
        else:
            self._break(diagnosis.taken_by_another(welcome.boot_id))

    # Bytes in, while it is open.

    def _on_pong(self, found: Frame, now: float) -> None:
        self._heard(now)
        ack = self._outbox.absolute(found.ack)
        if self._recovery.answers_ping(found.number):
            self._round_trip(now - self._ping_at)
            self._rate.taken(ack)
            self._rate_found(ack, now)
            if ack < self._outbox.taken:
                self._on_step_back(found, now)
                return
            self._stepped_back = False
            if ack > self._outbox.sent_end:
                self._break(ProtocolMismatch("the board took requests that were never sent"))
                return
            self._note_ack(ack, now)
            if self._recovery.lost_before_ping(ack):
                self._lost_for_good(ack)
        self._ask_for_missing(ack)

    def _on_step_back(self, found: Frame, now: float) -> None:
        # A request was answered before and is not any more. But a line that repeats bytes may bring
        # a PONG behind the replies that were sent after it, if its first copy was damaged: only a
        # second PING tells.
        if self._stepped_back:
            self._on_forgotten(found, now)
        else:
            self._stepped_back = True
            self._recovery.want_ping()

    def _on_gap(self, found: Frame, now: float) -> None:
        self.counters.gaps += 1
        self._heard(now)
        ack = self._outbox.absolute(found.ack)
        if ack > self._outbox.sent_end:
            self.counters.ignored += 1
            return
        self._note_ack(ack, now)
        if self._is_latest_token(found):
            self._send_again(ack)

    def _on_part(self, found: Frame, now: float) -> None:
        box = self._outbox
        number, part = box.absolute(found.number), message.parse_part(found.payload)
        parts = None if part is None else box.add_part(number, *part)
        if part is None or parts is None:
            self.counters.ignored += 1
            return
        self._heard(now)
        self._progress(now)
        if len(part[1]) == message.PART_BYTES:
            return
        reply = frame.decode(bytes(parts), self._intake.largest)
        if reply is None or (reply.session, reply.number) != (found.session, found.number):
            self._break(ProtocolMismatch("the parts of a reply do not make a frame (SPEC §4)"))
        else:
            self._on_reply(reply, now)

    def _is_latest_token(self, found: Frame) -> bool:
        return self._recovery.is_latest(found.number)

    def _on_reply(self, found: Frame, now: float) -> None:
        box = self._outbox
        number = box.absolute(found.number)
        oldest = box.oldest()
        answer = box.answer(number, found.type, found.payload)
        if answer is Answer.UNASKED:
            self.counters.ignored += 1
            return
        silence = self._heard(now)
        if answer is Answer.REPEATED:
            self.counters.replies_repeated += 1
            return
        self._progress(now)
        if oldest is not None and number == oldest.number and oldest.times_sent == 1 and silence:
            self._timing.sample(silence)
            self._shortest(now - oldest.left_at)
        self._note_ack(box.absolute(found.ack), now)
        self._deliver(now)
        if self._recovery.overtaken(number):
            self._ask_for_missing(number)

    def _deliver(self, now: float) -> None:
        for ticket in self._outbox.delivered():
            assert ticket.received is not None
            reply = message.parse_reply(ticket.request, ticket.received)
            ticket.received = None
            if isinstance(ticket.request, message.SetBaud):
                self._on_rate_reply(reply, now)
            else:
                self._hand_on(ticket, reply)

    def _hand_on(self, ticket: Ticket, reply: bytes | Failure) -> None:
        """Tell whoever submitted the request; of one that was cut, when its last piece is done."""
        while (whole := ticket.whole) is not None:
            ticket.reply = reply
            if ticket is not whole.pieces[-1]:
                return
            pieces = [(each.request, each.reply) for each in whole.pieces]
            reply = whole.request.joined([(asked, got) for asked, got in pieces if got is not None])
            ticket = whole
        self._events.append(Replied(ticket, reply))

    # The rate.

    def _on_rate_reply(self, reply: bytes | Failure, now: float) -> None:
        if self._rate.replied(not isinstance(reply, Failure), now):
            self._note_rate()

    def _rate_found(self, ack: int, now: float) -> None:
        if self._rate.searching:
            self._rate.found(ack)
            self._timing.progress(now)
            self._note_rate()

    def _note_rate(self) -> None:
        self._timing.set_baud(self._rate.line)
        if self._rate.is_open:
            self.counters.baud = self._rate.line
            self._events.append(Resettled(self._rate.line))

    def _transmit_search(self, now: float) -> bytes:
        if now >= self._timing.lost_at(self._reply_wire()):
            self._break(self._no_answer(now))
            return b""
        if not self._rate.next_turn(now):
            return b""
        self._timing.set_baud(self._rate.line)
        self._recovery.want_ping()
        return self._recover(now)

    def _reply_wire(self) -> int:
        oldest = self._outbox.oldest()
        return oldest.reply_wire if oldest is not None and oldest.times_sent else 0

    # Bytes out.

    def transmit(self, now: float) -> bytes:
        """The bytes to send now. They count as sent."""
        self._look_after(now)
        if self.state is State.OPEN:
            return self._transmit_open(now)
        if self.state in (State.GREETING, State.ASKING):
            return self._transmit_hello(now)
        return b""

    def _transmit_hello(self, now: float) -> bytes:
        if self.state is State.ASKING and now >= self._asking_until:
            self._on_restart(None)
            return b""
        if self.state is State.GREETING and now >= self._timing.lost_at(0):
            waited = self._timing.waited(now)
            self._break(diagnosis.no_welcome(self._intake.head, self.counters, waited))
            return b""
        if now < self._hello_due:
            return b""
        self._hello_due = now + _HELLO_WAITS[min(self._hellos, len(_HELLO_WAITS) - 1)]
        self._hellos += 1
        versions = (0, 0) if self.state is State.ASKING else ()
        return self._frame(Type.HELLO, 0, message.pack_hello(*versions), now, ack=0)

    def _transmit_open(self, now: float) -> bytes:
        if self._rate.searching:
            return self._transmit_search(now)
        box = self._outbox
        oldest = box.oldest()
        if oldest is not None and oldest.times_sent:
            if now >= self._timing.lost_at(oldest.reply_wire):
                self._break(self._no_answer(now))
                return b""
            if now >= self._timing.silent_at(oldest.reply_wire):
                if self._rate.is_lost(self._timing.silence(now), self._timing.unanswered):
                    self._rate.search(now)
                    return self._transmit_search(now)
                self._recovery.want_ping()
                self._timing.pinged()
        out = [self._recover(now)]
        while (ticket := box.next_to_send()) is not None and self._may_send(ticket):
            again = ticket.times_sent > 0
            out.append(self._frame(ticket.request.kind, ticket.number, ticket.payload, now))
            left_at = self._timing.sent(0, now)
            box.sent(ticket, left_at)
            if again:
                self.counters.requests_resent += 1
            else:
                self.counters.requests += 1
                self._timing.progress(left_at)
        return b"".join(out)

    def _may_send(self, ticket: Ticket) -> bool:
        # Behind SET_BAUD nothing, until it is settled.
        return self._rate.is_open or ticket.number <= self._rate.number

    def _recover(self, now: float) -> bytes:
        out: list[bytes] = []
        for kind, number, payload in self._recovery.frames():
            out.append(self._frame(kind, number, payload, now))
            if kind == Type.PING:
                self.counters.pings += 1
                self._ping_at = self._timing.sent(0, now)
        return b"".join(out)

    def _frame(
        self, kind: int, number: int, payload: bytes, now: float, ack: int | None = None
    ) -> bytes:
        acknowledged = self._outbox.first if ack is None else ack
        wire = frame.encode(kind, self._number, number & 0xFFFF, acknowledged & 0xFFFF, payload)
        self.counters.frames_sent += 1
        self.counters.bytes_sent += len(wire)
        self._timing.sent(len(wire), now)
        return wire

    # Books.

    def _heard(self, now: float) -> float:
        oldest = self._outbox.oldest()
        asked_at = now if oldest is None or not oldest.times_sent else oldest.left_at
        silence = self._timing.heard(now, asked_at)
        self.counters.longest_gap = max(self.counters.longest_gap, silence)
        return silence

    def _progress(self, now: float) -> None:
        self._recovery.rounds = 0
        self._timing.progress(now)

    def _note_ack(self, ack: int, now: float) -> None:
        if self._outbox.note_taken(ack):
            self._progress(now)

    def _send_again(self, number: int) -> None:
        self._recovery.maybe_lost(number)
        self._give_up_if_hopeless()

    def _lost_for_good(self, number: int) -> None:
        self._recovery.lost_for_good(number)
        self._give_up_if_hopeless()

    def _ask_for_missing(self, before: int) -> None:
        self.counters.replies_lost += self._recovery.ask_for_missing(before)
        self._give_up_if_hopeless()

    def _give_up_if_hopeless(self) -> None:
        if self._recovery.too_many:
            self._break(diagnosis.too_noisy(self._outbox, self._recovery.rounds, self.counters))

    def _round_trip(self, seconds: float) -> None:
        self._timing.sample(seconds)
        self._shortest(seconds)

    def _shortest(self, seconds: float) -> None:
        known = self.counters.round_trip
        if seconds >= 0 and (known is None or seconds < known):
            self.counters.round_trip = seconds

    def _no_answer(self, now: float) -> TflmError:
        heard = self._timing.heard_at
        waited = self._timing.waited(now)
        return diagnosis.silent(self._outbox, now - heard, waited, heard, self.counters)

    def _move(self, state: State) -> None:
        if state not in _MOVES[self.state]:
            raise ValueError(f"a session that is {self.state.value} cannot become {state.value}")
        self.state = state

    def _draw_number(self, now: float) -> None:
        before = self._number
        self._number = (self._nonce() & 0xFFFF) or 1
        if self._number == before:
            self._number = self._number % 0xFFFF + 1
        self._hellos = 0
        self._hello_due = self._opened_at = now

    def _look_after(self, now: float) -> None:
        """The caller was away (a slow test, a suspended laptop) while a timer ran out."""
        deadline = self.deadline()
        if deadline is not None and now > deadline:
            self._timing.excuse(now - deadline)

    def _on_restart(self, boot_id: int | None) -> None:
        self.counters.resets += 1
        before = self.welcome.boot_id if self.welcome else 0
        self._break(diagnosis.restarted(before, boot_id, self._outbox))

    def _break(self, error: TflmError) -> None:
        if self.state is State.BROKEN:
            return
        self.hang_up()
        self._move(State.BROKEN)
        self.error = error
        self._events.append(Broken(error))


_HANDLERS: dict[tuple[State, int], Callable[[Session, Frame, float], None]] = {
    (State.GREETING, Type.WELCOME): Session._on_welcome,
    (State.OPEN, Type.WELCOME): Session._on_second_welcome,
    (State.OPEN, Type.PONG): Session._on_pong,
    (State.OPEN, Type.GAP): Session._on_gap,
    (State.OPEN, Type.PART): Session._on_part,
    (State.OPEN, Type.NO_SESSION): Session._on_forgotten,
    (State.ASKING, Type.WELCOME): Session._on_boot_id,
}
"""What each type of frame means in each state; every other is ignored."""
