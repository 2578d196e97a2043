"""The host's end of the link: SPEC §2 to §4 as a machine without I/O and without a clock.

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
from typing import TYPE_CHECKING

from pytest_tflm.errors import (
    BoardReset,
    LinkError,
    NoAnswer,
    PortBusy,
    ProtocolMismatch,
    TflmError,
)
from pytest_tflm.link import diagnosis, frame, message
from pytest_tflm.link.counters import Counters
from pytest_tflm.link.intake import Intake
from pytest_tflm.link.message import Type, Welcome
from pytest_tflm.link.outbox import Answer, Outbox
from pytest_tflm.link.recovery import Recovery
from pytest_tflm.link.states import MOVES, Broken, Event, Opened, Replied, Said, State
from pytest_tflm.link.timing import Timing

if TYPE_CHECKING:
    from pytest_tflm.link.frame import Frame

_HELLO_WAITS = (0.25, 0.5, 1.0)
"""Seconds between HELLOs; the last one from then on."""
_ASKING_FOR_BOOT_ID = 1.0
"""Seconds to find out why a board has forgotten its session."""
_SMALLEST_PART = 256
"""Bytes of body below which :attr:`Session.frame_limit` does not go for the window's sake."""


def _random_number() -> int:
    return int.from_bytes(os.urandom(2), "little")


class Session:
    """One session with one board.

    ``baud`` is the speed of a UART in bits per second, None where there is none. ``timeout`` is the
    patience in seconds: so long may pass without progress. ``nonce`` draws the 16-bit session
    number. ``largest_frame`` (bytes of body) caps what the board announces.
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
        self.counters = Counters()
        self.welcome: Welcome | None = None
        self.error: TflmError | None = None
        self._baud = baud
        self._timeout = timeout
        self._nonce = nonce
        self._cap = max(largest_frame, message.SMALLEST_FRAME)
        self._intake = Intake(self.counters)
        self._events: list[Event] = []
        self._crashes = 0
        self._number = 0
        self._timing = Timing(baud, timeout, 0.0)
        self._outbox = Outbox(0, 0)
        self._hellos = 0
        self._hello_due = 0.0
        self._opened_at = 0.0
        self._asking_until = 0.0
        self._recovery = Recovery(self._outbox)
        self._ping_at = 0.0

    # What the layer above asks.

    @property
    def has_room(self) -> bool:
        """All that was submitted has been sent: there may be room for more."""
        return self.state is State.OPEN and not self._outbox.unsent

    @property
    def outstanding(self) -> int:
        """Requests submitted whose replies have not been handed on."""
        return self._outbox.end - self._outbox.first

    @property
    def largest_body(self) -> int:
        """Bytes of the longest body that may be sent or asked for; whatever window and store."""
        if self.welcome is None:
            return message.SMALLEST_FRAME
        return min(self.welcome.largest_frame, self._cap, frame.body_length(self.welcome.window))

    @property
    def frame_limit(self) -> int:
        """Bytes of the body to cut long data into: several fit the window that is in use, so that
        one travels while another is taken, and fewer are lost with a damaged one."""
        part = max(_SMALLEST_PART, frame.body_length(self._outbox.room // 4))
        return min(self.largest_body, part)

    def open(self, now: float) -> None:
        """Say HELLO. Once."""
        self._move(State.GREETING)
        self._timing = Timing(self._baud, self._timeout, now)
        self._draw_number(now)

    def submit(self, request: message.Request) -> int:
        """Put a request in the row; its number comes back in :class:`Replied`. It is sent as soon
        as window and reply store have room.

        Raises the session's error if it is broken, ValueError for a request that never fits.
        """
        if self.error is not None:
            raise self.error
        if self.state not in (State.OPEN, State.ASKING):
            raise ValueError(f"a session that is {self.state.value} takes no requests")
        return self._outbox.submit(request)

    def events(self) -> list[Event]:
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
            what = diagnosis.describe(self._outbox.oldest(), self._outbox)
            self._break(diagnosis.crashed(crash, what))

    def _on_welcome(self, found: Frame, now: float) -> None:
        welcome = Welcome.parse(found.payload)
        if welcome is None:
            self.counters.ignored += 1
        elif not message.LOWEST_VERSION <= welcome.version <= message.HIGHEST_VERSION:
            self._break(diagnosis.no_version(welcome))
        elif self._is_old_session(found):
            self._move(State.GREETING)
            self._draw_number(now)
        elif wrong := diagnosis.sizes(welcome):
            self._break(ProtocolMismatch(wrong))
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
            self._break(self._reset_error(welcome.boot_id))

    def _on_pong(self, found: Frame, now: float) -> None:
        self._heard(now)
        ack = self._outbox.absolute(found.ack)
        if self._recovery.answers_ping(found.number):
            self._round_trip(now - self._ping_at)
            if ack < self._outbox.taken:
                self._on_forgotten(found, now)  # it was answered before and is not any more
                return
            if ack > self._outbox.sent_end:
                self._break(ProtocolMismatch("the board took requests that were never sent"))
                return
            self._note_ack(ack, now)
            if self._recovery.lost_before_ping(ack):
                self._send_again(ack)
        self._ask_for_missing(ack)

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
        self._deliver()
        if self._recovery.overtaken(number):
            self._ask_for_missing(number)

    def _deliver(self) -> None:
        for entry in self._outbox.delivered():
            assert entry.reply is not None
            reply = message.parse_reply(entry.request, entry.reply)
            self._events.append(Replied(entry.number, reply))

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
            self._break(self._reset_error(welcome.boot_id))
        else:
            self._break(PortBusy(diagnosis.taken_by_another(welcome.boot_id)))

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
            self._break(self._reset_error(None))
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
        box = self._outbox
        oldest = box.oldest()
        if oldest is not None and oldest.times_sent:
            if now >= self._timing.lost_at(oldest.reply_wire):
                self._break(NoAnswer(self._why_silent(now)))
                return b""
            if now >= self._timing.silent_at(oldest.reply_wire):
                self._recovery.want_ping()
                self._timing.pinged()
        out: list[bytes] = []
        for kind, number, payload in self._recovery.frames():
            out.append(self._frame(kind, number, payload, now))
            if kind == Type.PING:
                self.counters.pings += 1
                self._ping_at = self._timing.sent(0, now)
        while (entry := box.next_to_send()) is not None:
            again = entry.times_sent > 0
            out.append(self._frame(entry.request.kind, entry.number, entry.payload, now))
            left_at = self._timing.sent(0, now)
            box.sent(entry, left_at)
            if again:
                self.counters.requests_resent += 1
            else:
                self.counters.requests += 1
                self._timing.progress(left_at)
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

    # What both do.

    def _move(self, state: State) -> None:
        if state not in MOVES[self.state]:
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
        self._recovery.send_again(number)
        self._no_hope()

    def _ask_for_missing(self, before: int) -> None:
        self.counters.replies_lost += self._recovery.ask_for_missing(before)
        self._no_hope()

    def _no_hope(self) -> None:
        if self._recovery.too_many:
            what = diagnosis.describe(self._outbox.oldest(), self._outbox)
            self._break(diagnosis.too_noisy(what, self._recovery.rounds, self.counters))

    def _round_trip(self, seconds: float) -> None:
        self._timing.sample(seconds)
        self._shortest(seconds)

    def _shortest(self, seconds: float) -> None:
        known = self.counters.round_trip
        if seconds >= 0 and (known is None or seconds < known):
            self.counters.round_trip = seconds

    def _why_silent(self, now: float) -> str:
        heard = self._timing.heard_at
        return diagnosis.silent(self._outbox, now - heard, self._timing.waited(now), heard)

    def _reset_error(self, boot_id: int | None) -> LinkError | BoardReset:
        self.counters.resets += 1
        before = self.welcome.boot_id if self.welcome else 0
        what = diagnosis.describe(self._outbox.oldest(), self._outbox)
        return BoardReset(diagnosis.restarted(before, boot_id, what))

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
    (State.OPEN, Type.NO_SESSION): Session._on_forgotten,
    (State.ASKING, Type.WELCOME): Session._on_boot_id,
}
"""What each type of frame means in each state; every other is ignored."""
