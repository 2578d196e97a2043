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

from pytest_tflm.errors import BoardReset, LinkError, PortBusy, ProtocolMismatch, TflmError
from pytest_tflm.link import diagnosis, frame, message
from pytest_tflm.link.exchange import Exchange
from pytest_tflm.link.intake import Intake
from pytest_tflm.link.message import Type, Welcome
from pytest_tflm.link.rate import Rate, is_too_slow
from pytest_tflm.link.states import MOVES, Broken, Event, Opened, Said, State
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


class Session(Exchange):
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
        super().__init__(baud, timeout)
        self.state = State.NEW
        self.welcome: Welcome | None = None
        self.error: TflmError | None = None
        self._nonce = nonce
        self._cap = max(largest_frame, message.SMALLEST_FRAME)
        self._intake = Intake(self.counters)
        self._crashes = 0
        self._hellos = 0
        self._hello_due = 0.0
        self._opened_at = 0.0
        self._asking_until = 0.0

    # What the layer above asks.

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
        """Bytes of the body to cut long data into: several fit the window that is in use, so that
        one travels while another is taken, and fewer are lost with a damaged one."""
        part = max(_SMALLEST_PART, frame.body_length(self._outbox.room // 4))
        return min(self.largest_body, part)

    def open(self, now: float) -> None:
        """Say HELLO. Once."""
        self._move(State.GREETING)
        self._timing = Timing(self._baud, self._timeout, now)
        self._rate = Rate(self._baud)
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
            raise ValueError("the rate is changed where there is one, and nothing under way")
        if baud and (rate.line != rate.opening or is_too_slow(baud, welcome.largest_frame)):
            raise ValueError(f"from {rate.line} baud there is no way to {baud}")
        self._ask_for_rate(baud)

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
            self._begin(welcome)
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
