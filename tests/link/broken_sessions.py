"""Sessions with one thing broken each, named for it. The soak must find every one."""

from __future__ import annotations

import itertools
from typing import ClassVar

from cobs import cobs

from pytest_tflm.link import frame
from pytest_tflm.link.frame import Frame
from pytest_tflm.link.line import Rate
from pytest_tflm.link.message import Type
from pytest_tflm.link.outbox import Outbox, Ticket
from pytest_tflm.link.session import Replied, Session, State
from pytest_tflm.simulator.line.faults import PROFILES, Faults

MIXED = {"faults": PROFILES["mixed"].faults}
FLIPS = {"faults": PROFILES["more-flips"].faults}
CLEAN = {"faults": PROFILES["clean"].faults}
RESETS = {"faults": PROFILES["resets"].faults}
REPEATS = {"faults": PROFILES["repeated-runs"].faults}
RATES = {"baud": 115200, "line_baud": 921600}
DEAF_TO_HOST = {**RATES, "bad_above": {"board": 115200}}
DEAF_TO_BOARD = {**RATES, "bad_above": {"host": 115200}}
"""Lines that carry nothing at the other rate in one direction."""


class _WithOutbox(Session):
    """Exchanges the outbox once the session is open."""

    outbox: ClassVar[type[Outbox]]

    def _move(self, state):
        if state is State.OPEN:
            self._outbox.__class__ = self.outbox
        super()._move(state)


class NoCrcCheck(Session):
    profiles = (FLIPS,)
    found_as = (
        "wrong result",
        "order",
        "misnamed",
        "gave up",
        "run twice",
        "crash",
    )

    def __init__(self, **settings):
        super().__init__(**settings)
        self._intake.classify = self._classify

    def _classify(self, piece, largest):
        try:
            body = cobs.decode(piece)
        except cobs.DecodeError:
            body = b""
        if not largest or len(body) < frame.SHORTEST_BODY:
            return frame.classify(piece, largest)
        fields = (int.from_bytes(body[at : at + 2], "little") for at in (1, 3, 5))
        return Frame(body[0], *fields, body[7:-4])


class SameSessionNumberAgain(Session):
    """Takes WELCOME although the board still has a session of that number."""

    profiles = ({"give_up": 0.1, "nonce": lambda: 7},)
    found_as = (
        "wrong result",
        "order",
        "misnamed",
        "gave up",
        "hang",
        "lost",
        "crash",
    )

    def _is_old_session(self, found):
        return False


class RepliesDeliveredTwice(Session):
    profiles = (
        REPEATS,
        MIXED,
    )
    found_as = ("order",)

    def _on_reply(self, found, now):
        box = self._outbox
        number = box.absolute(found.number)
        again = 0 <= number < box.first
        super()._on_reply(found, now)
        if again:
            ticket = Ticket(number, None, b"", 0, 0)
            self._events.append(Replied(ticket, found.payload[1:]))


class RepliesDeliveredAsTheyCome(_WithOutbox):
    """A reply behind a lost one is handed on in its place."""

    profiles = (FLIPS,)
    found_as = (
        "order",
        "wrong result",
        "crash",
    )

    class outbox(Outbox):  # noqa: N801
        def answer(self, number, kind, payload):
            oldest = self.oldest()
            behind = number > self.first and number in self._tickets
            if behind and oldest.received is None and oldest.request.kind + 0x80 == kind:
                oldest.received = payload
            return super().answer(number, kind, payload)


class LostAnswerAskedAgainAsNewRequest(Session):
    """Sends a request again, under a new number, when its reply is lost."""

    profiles = (FLIPS,)
    found_as = (
        "run twice",
        "order",
    )

    def _ask_for_missing(self, before):
        for first, count in self._outbox.missing(before, 99):
            for number in range(first, first + count):
                ticket = self._outbox._tickets[number]
                if ticket.number == number:
                    ticket.number = -1
                    self._outbox.submit(ticket.request)
        super()._ask_for_missing(before)


class RestartNotNoticed(Session):
    """Ignores NO_SESSION."""

    profiles = (RESETS,)
    found_as = ("misnamed",)

    def _on_forgotten(self, found, now):
        pass

    def _take(self, found, now):
        if found.type != Type.NO_SESSION:
            super()._take(found, now)


class RunsAgainAfterRestart(Session):
    """Opens a new session by itself when the board has restarted, and sends all again that had no
    answer: what the board had run just before is run twice."""

    profiles = (RESETS,)
    found_as = (
        "run twice",
        "wrong result",
    )
    base = 0
    again = False

    def _take(self, found, now):
        box = self._outbox
        if found.type == Type.NO_SESSION and found.session == self._number:
            self.again = True
        elif found.type == Type.WELCOME and self.again:
            self.again = False
            self.base = box.taken = box.cursor = box.first
            box._in_flight = 0
            for ticket in box._tickets.values():
                ticket.payload = ticket.request.pack()
            number = box.absolute
            box.absolute = lambda wire: number((wire + self.base) & 0xFFFF)
        elif not self.again:
            super()._take(found, now)

    def transmit(self, now):
        if not self.again:
            return super().transmit(now)
        self._number = self._number % 0xFFFF + 1
        return self._frame(Type.HELLO, 0, b"\x01\x01", now, ack=0)

    def deadline(self):
        deadline = super().deadline()
        return self._timing.heard_at + 0.5 if self.again else deadline

    def _frame(self, kind, number, payload, now, ack=None):
        if kind not in (Type.PING, Type.HELLO):
            number -= self.base
        ack = self._outbox.first - self.base if ack is None else ack
        return super()._frame(kind, number, payload, now, ack)


class GapIgnoredAndPongToo(Session):
    """Never sends a request again."""

    profiles = (FLIPS,)
    found_as = ("gave up",)

    def _send_again(self, number):
        pass

    _lost_for_good = _send_again


class NeverCuts(_WithOutbox):
    """Sends a long request again and again, on a line where only short ones get through."""

    profiles = ({"faults": Faults(flip=2.5e-3)},)
    found_as = ("gave up",)

    class outbox(Outbox):  # noqa: N801
        def is_too_long(self, number):
            return False


class CutsWhatMayBeOnItsWay(Session):
    """Puts other requests in the place of one that a GAP names: it may be taken all the same."""

    profiles = (MIXED, {"faults": Faults(flip=1e-3, lose_run=3e-3)})
    found_as = (
        "wrong result",
        "order",
        "run twice",
        "gave up",
        "crash",
    )

    def _send_again(self, number):
        self._outbox.rewind(number)
        self._outbox.is_too_long = lambda number: True
        super()._lost_for_good(number)
        del self._outbox.is_too_long
        self._recovery.want_ping()


class LostRepliesNotAskedFor(Session):
    profiles = (FLIPS,)
    found_as = ("gave up",)

    def _ask_for_missing(self, before):
        pass


class NeverPings(Session):
    """Waits for ever for what was lost at the end."""

    profiles = (FLIPS,)
    found_as = ("gave up",)

    def _transmit_open(self, now):
        self._timing.silent_at = lambda wire: float("inf")
        return super()._transmit_open(now)


class WindowIgnored(_WithOutbox):
    profiles = (CLEAN,)
    found_as = ("window",)

    class outbox(Outbox):  # noqa: N801
        def next_to_send(self):
            self._in_flight = 0
            return super().next_to_send()


class ReplyStoreIgnored(_WithOutbox):
    profiles = ({**CLEAN, "reply_store": 420, "delay": 0.02},)
    found_as = (
        "waste",
        "lost",
        "gave up",
    )

    class outbox(Outbox):  # noqa: N801
        def next_to_send(self):
            self._owed = 0
            return super().next_to_send()


class AcknowledgesWhatItDoesNotHave(Session):
    """Says that all it has asked for has arrived, so the board forgets it."""

    profiles = (FLIPS,)
    found_as = ("gave up",)

    def _frame(self, kind, number, payload, now, ack=None):
        return super()._frame(kind, number, payload, now, self._outbox.cursor if ack is None else 0)


class SendsAgainWithoutNeed(Session):
    profiles = (CLEAN,)
    found_as = (
        "waste",
        "window",
    )

    def _on_reply(self, found, now):
        super()._on_reply(found, now)
        self._send_again(self._outbox.taken)


class PatienceWithoutEnd(Session):
    """Waits for a board that is dead."""

    profiles = ({"faults": Faults(peer="mute", peer_after=4096)},)
    found_as = (
        "hang",
        "late",
    )

    def _transmit_open(self, now):
        self._timing.lost_at = lambda wire: float("inf")
        return super()._transmit_open(now)


class RepliesMatchedInOrderOfArrival(_WithOutbox):
    """Takes any reply for the answer to the oldest request: no numbers."""

    profiles = (
        FLIPS,
        MIXED,
    )
    found_as = (
        "wrong result",
        "order",
        "run twice",
        "crash",
    )

    class outbox(Outbox):  # noqa: N801
        def answer(self, number, kind, payload):
            return super().answer(self.first, kind, payload)


class RepeatedReplyTakenForTheNext(_WithOutbox):
    """A reply that comes a second time is taken for the answer that is due."""

    profiles = (
        REPEATS,
        MIXED,
    )
    found_as = (
        "wrong result",
        "order",
        "run twice",
        "crash",
    )

    class outbox(Outbox):  # noqa: N801
        def answer(self, number, kind, payload):
            if 0 <= number < self.first and self.oldest() is not None:
                number = self.first
            return super().answer(number, kind, payload)


class _WithRate(Session):
    """Exchanges what decides on the rate."""

    rate: ClassVar[type[Rate]]

    def open(self, now):
        super().open(now)
        self._rate.__class__ = self.rate


class StaysAtARateThatDoesNotCarry(_WithRate):
    profiles = ({**DEAF_TO_HOST, "timeout": 8.0},)
    found_as = ("gave up",)

    class rate(Rate):  # noqa: N801
        def next_turn(self, now):
            due = super().next_turn(now)
            self.line = self._other or self.line
            return due


class LooksForASilentBoardWhereItWas(_WithRate):
    """A board that was reset while the rate was another is at the opening rate, and not found."""

    profiles = ({**RATES, **RESETS},)
    found_as = ("misnamed",)

    class rate(Rate):  # noqa: N801
        def is_lost(self, silence, unanswered):
            return False


class LooksAtBothRatesEvenly(_WithRate):
    """Each PING at the new rate tells a board that it is right there, which nobody hears."""

    profiles = ({**DEAF_TO_BOARD, "timeout": 8.0},)
    found_as = ("gave up",)

    class rate(Rate):  # noqa: N801
        def _search(self, first, now, ping_at):
            super()._search(first, now, ping_at)
            self._turns = itertools.cycle((self._other, self.opening))


class ChangesThoughTheBoardRefused(_WithRate):
    profiles = ({**RATES, "largest_baud": 230400},)
    found_as = ("rate",)

    class rate(Rate):  # noqa: N801
        def replied(self, accepted, now):
            return super().replied(True, now)

        def found(self, taken):
            self.line = self._other
            super().found(taken)


BROKEN = [
    each
    for each in list(globals().values())
    if isinstance(each, type) and issubclass(each, Session) and hasattr(each, "profiles")
]
