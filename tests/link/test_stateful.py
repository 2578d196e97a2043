"""Hypothesis drives the session: it submits, delivers, loses, damages, repeats, waits and resets as
it likes, and then mends the line. ``make fuzz`` does so for longer.
"""

from __future__ import annotations

import os
import struct
import time
import zlib
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import broken_sessions
import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from soak import OUTPUT, SAMPLE, answer, scripted

from pytest_tflm.errors import BoardReset, LineTooNoisy, NoAnswer
from pytest_tflm.link.message import Run, RunFlag
from pytest_tflm.link.session import Broken, Replied, Session, State
from pytest_tflm.simulator.line.uart import heard

if TYPE_CHECKING:
    from pytest_tflm.link.outbox import Ticket

_FLAGS = RunFlag.INLINE | RunFlag.OUTPUTS
_PLACES = st.integers(0, 1 << 16)
SLOW, FAST = 115200, 921600


class Sent(NamedTuple):
    """Bytes on their way, and the rate that they were sent at."""

    data: bytes
    baud: int | None


class Link(RuleBasedStateMachine):
    """The model of correctness: what was asked, what was answered, and what the board ran."""

    session_class: type[Session] = Session

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.up: list[Sent] = []
        self.down: list[Sent] = []
        self.asked: dict[Ticket, bytes] = {}
        self.answered: list[Ticket] = []
        self.made = 0
        self.was_reset = False
        self.error: Exception | None = None

    @initialize(window=st.sampled_from([380, 900]), store=st.sampled_from([364, 700]))
    def open(self, window: int, store: int) -> None:
        self.rig = scripted(360, window, store, SLOW, FAST)
        self.board, self.invoked = self.rig.board, self.rig.invoked
        self.session = self.session_class(baud=SLOW, timeout=20.0, nonce=lambda: 0x1234)
        self.session.open(self.now)
        self._send()

    def _send(self) -> None:
        if out := self.session.transmit(self.now):
            self.up.append(Sent(out, self.session.baud))
        self._collect()

    def _collect(self) -> None:
        for event in self.session.events():
            if isinstance(event, Replied):
                due = next(islice(self.asked, len(self.answered), None), None)
                assert event.ticket is due, "replies come in order, each once"
                sample = self.asked[event.ticket]
                self.answered.append(event.ticket)
                assert isinstance(event.reply, bytes), event.reply
                (result,) = Run(_FLAGS, 1, b"", OUTPUT).results(event.reply)
                assert result.input_crc32 == zlib.crc32(sample), "the result of another input"
                assert result.outputs == answer(sample), "a wrong result"
            elif isinstance(event, Broken):
                self.error = event.error

    def _board_works(self) -> None:
        self.board.poll()
        baud = self.board.baud
        if out := self.board.transmit():
            self.down.append(Sent(out, baud))

    @property
    def is_open(self) -> bool:
        return self.session.state is State.OPEN

    @precondition(lambda self: self.is_open and len(self.asked) < 60)
    @rule(count=st.integers(1, 4))
    def submit(self, count: int) -> None:
        for _ in range(count):
            self.made += 1
            sample = struct.pack("<I", self.made) * (SAMPLE // 4)
            run = Run(_FLAGS, 1, sample, OUTPUT, (SAMPLE,))
            self.asked[self.session.submit(run)] = sample
        self._send()

    @precondition(lambda self: self.up)
    @rule()
    def deliver_to_board(self) -> None:
        sent = self.up.pop(0)
        self.board.now = self.now
        self.board.receive(heard(sent.data, sent.baud, self.board.baud))
        self._board_works()

    @precondition(lambda self: self.down)
    @rule()
    def deliver_to_host(self) -> None:
        sent = self.down.pop(0)
        self.session.receive(heard(sent.data, sent.baud, self.session.baud), self.now)
        self._collect()
        self._send()

    @precondition(lambda self: self.is_open and self.session.can_change_baud)
    @rule()
    def change_rate(self) -> None:
        self.session.change_baud(FAST if self.session.baud == SLOW else 0)
        self._send()

    def _queue(self, to_board: bool) -> list[Sent]:
        return self.up if to_board else self.down

    @rule(to_board=st.booleans())
    def lose(self, to_board: bool) -> None:
        del self._queue(to_board)[:1]

    @rule(to_board=st.booleans())
    def repeat(self, to_board: bool) -> None:
        queue = self._queue(to_board)
        queue[:0] = queue[:1]

    @rule(to_board=st.booleans(), begin=_PLACES, length=st.integers(1, 64))
    def lose_part(self, to_board: bool, begin: int, length: int) -> None:
        queue = self._queue(to_board)
        if queue and (data := queue[0].data):
            at = begin % len(data)
            queue[0] = queue[0]._replace(data=data[:at] + data[at + length :])

    @rule(to_board=st.booleans(), bit=_PLACES)
    def flip(self, to_board: bool, bit: int) -> None:
        queue = self._queue(to_board)
        if queue and queue[0].data:
            data = bytearray(queue[0].data)
            data[(bit >> 3) % len(data)] ^= 1 << (bit & 7)
            queue[0] = queue[0]._replace(data=bytes(data))

    @rule(to_board=st.booleans(), junk=st.binary(max_size=40), place=_PLACES)
    def insert(self, to_board: bool, junk: bytes, place: int) -> None:
        queue = self._queue(to_board)
        if queue:
            data = queue[0].data
            at = place % (len(data) + 1)
            queue[0] = queue[0]._replace(data=data[:at] + junk + data[at:])

    @rule(seconds=st.sampled_from([0.001, 0.05, 0.4, 2.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self._send()

    @precondition(lambda self: self.is_open)
    @rule()
    def reset_board(self) -> None:
        self.rig.boot()
        self.was_reset = True

    @invariant()
    def no_sample_ran_twice(self) -> None:
        if hasattr(self, "invoked"):
            assert len(set(self.invoked)) == len(self.invoked), "a command was run twice"

    @invariant()
    def only_named_errors(self) -> None:
        if self.error is not None:
            expected = (BoardReset,) if self.was_reset else ()
            assert isinstance(self.error, (*expected, NoAnswer, LineTooNoisy)), self.error

    def teardown(self) -> None:
        """The line is mended: all ends in results, or in an error with a name."""
        if not hasattr(self, "session"):
            return
        for _ in range(2000):
            if self.error is not None or (self.is_open and not self.session.outstanding):
                break
            if self.up:
                self.deliver_to_board()
            elif self.down:
                self.deliver_to_host()
            else:
                deadline = self.session.deadline()
                assert deadline is not None, "outstanding, and nothing to wait for"
                self.now = max(self.now, deadline)
                self._send()
        else:
            raise AssertionError("hang")
        self.no_sample_ran_twice()
        self.only_named_errors()
        if self.error is None:
            assert len(self.answered) == len(self.asked)


SECONDS = float(os.environ.get("FUZZ_SECONDS", "0"))
"""Set by ``make fuzz``: how long to look."""

TestLink = Link.TestCase
TestLink.settings = settings(
    max_examples=25,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def test_a_broken_session_is_found() -> None:
    """A search that finds nothing proves nothing."""

    class BrokenLink(Link):
        session_class = broken_sessions.RepliesDeliveredTwice
        # What is to be found lies elsewhere.
        change_rate = reset_board = lose_part = flip = insert = None

    with pytest.raises(AssertionError, match="in order, each once"):
        run_state_machine_as_test(
            BrokenLink,
            settings=settings(TestLink.settings, max_examples=400, phases=[Phase.generate]),
        )


def test_for_as_long_as_make_fuzz_says() -> None:
    if not SECONDS:
        pytest.skip("make fuzz runs it")
    end = time.monotonic() + SECONDS
    rounds = 0
    while time.monotonic() < end:
        rounds += 1
        machine = type("Link", (Link,), {})
        seed(int.from_bytes(os.urandom(4), "little"))(machine)
        run_state_machine_as_test(
            machine,
            settings=settings(TestLink.settings, max_examples=50, derandomize=False, database=None),
        )
    print(f"{50 * rounds} conversations")
