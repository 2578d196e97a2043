"""What a session does while it is open: requests and their replies, each once (SPEC §4), and the
rate of the line (SPEC §9). :class:`~pytest_tflm.link.session.Session` opens it and ends it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_tflm.errors import NoAnswer, ProtocolMismatch, TflmError
from pytest_tflm.link import diagnosis, frame, message
from pytest_tflm.link.counters import Counters
from pytest_tflm.link.message import Failure, Type, Welcome
from pytest_tflm.link.outbox import Answer, Entry, Outbox
from pytest_tflm.link.rate import Rate
from pytest_tflm.link.recovery import Recovery
from pytest_tflm.link.states import Event, Replied, Resettled
from pytest_tflm.link.timing import Timing

if TYPE_CHECKING:
    from pytest_tflm.link.frame import Frame


class Exchange:
    """The books of a session, and what is done with them while it is open."""

    def __init__(self, baud: int | None, timeout: float) -> None:
        self.counters = Counters(baud=baud)
        self._baud = baud
        self._timeout = timeout
        self._number = 0
        self._events: list[Event] = []
        self._timing = Timing(baud, timeout, 0.0)
        self._rate = Rate(baud)
        self._outbox = Outbox(0, 0)
        self._recovery = Recovery(self._outbox)
        self._ping_at = 0.0
        self._stepped_back = False
        """The latest PONG's ``ack`` lay before what the board had said."""

    @property
    def outstanding(self) -> int:
        """Requests submitted whose replies have not been handed on."""
        return self._outbox.end - self._outbox.first

    @property
    def baud(self) -> int | None:
        """Bits per second that the port must have for what is sent next; None where it is none of
        a UART. It may change with each call."""
        return self._rate.line

    @property
    def rate_is_settled(self) -> bool:
        """No change of rate is under way."""
        return self._rate.is_open

    def _break(self, error: TflmError) -> None:
        """The session is over."""
        raise NotImplementedError

    def _on_forgotten(self, found: Frame, now: float) -> None:
        """The board has forgotten this session."""
        raise NotImplementedError

    def _begin(self, welcome: Welcome) -> None:
        self._outbox = Outbox(welcome.window, welcome.reply_store)
        self._recovery = Recovery(self._outbox)

    # Frames in.

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
                self._send_again(ack)
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
        for entry in self._outbox.delivered():
            assert entry.reply is not None
            reply = message.parse_reply(entry.request, entry.reply)
            if isinstance(entry.request, message.SetBaud):
                self._on_rate_reply(reply, now)
            else:
                self._events.append(Replied(entry.number, reply))

    # The rate.

    def _ask_for_rate(self, baud: int) -> None:
        self._rate.asked(self._outbox.submit(message.SetBaud(baud)), baud)

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
            self._break(NoAnswer(self._why_silent(now)))
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

    def _transmit_open(self, now: float) -> bytes:
        if self._rate.searching:
            return self._transmit_search(now)
        box = self._outbox
        oldest = box.oldest()
        if oldest is not None and oldest.times_sent:
            if now >= self._timing.lost_at(oldest.reply_wire):
                self._break(NoAnswer(self._why_silent(now)))
                return b""
            if now >= self._timing.silent_at(oldest.reply_wire):
                if self._rate.is_lost(self._timing.silence(now), self._timing.unanswered):
                    self._rate.search(now)
                    return self._transmit_search(now)
                self._recovery.want_ping()
                self._timing.pinged()
        out = [self._recover(now)]
        while (entry := box.next_to_send()) is not None and self._may_send(entry):
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

    def _may_send(self, entry: Entry) -> bool:
        # Behind SET_BAUD nothing, until it is settled.
        return self._rate.is_open or entry.number <= self._rate.number

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

    # What both do.

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
