"""The soak: a session and a board in virtual time, and what must never be seen.

``tools/soak.py`` runs it for long (``make soak``).
"""

from __future__ import annotations

import random
import struct
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from scripted_board import Board, TensorSpec
from virtual_line import BoardEnd, World

from pytest_tflm.errors import (
    BoardReset,
    ForeignPeer,
    LineTooNoisy,
    LinkError,
    NoAnswer,
    PortVanished,
    TflmError,
)
from pytest_tflm.link import message
from pytest_tflm.link.message import Region, RunFlag
from pytest_tflm.link.session import Broken, Opened, Replied, Resettled, Session, State
from pytest_tflm.simulator.line.faults import Faults

if TYPE_CHECKING:
    from pytest_tflm.link.outbox import Ticket

CLEAN = Faults()
SAMPLE = 60
OUTPUT = 16


def answer(sample: bytes) -> bytes:
    """What the soak's engine computes: depends on every byte."""
    return struct.pack(
        "<IIII", zlib.crc32(sample), zlib.adler32(sample), *struct.unpack_from("<II", sample)
    )


class SoakEngine:
    inputs = (TensorSpec(9, (SAMPLE,), SAMPLE, 0.5, -3),)
    outputs = (TensorSpec(9, (OUTPUT,), OUTPUT, 0.125, 7),)
    memory = 4096
    microseconds = 1500

    def __init__(self) -> None:
        self.invoked: list[bytes] = []

    def prepare(self, model: bytes) -> tuple[int, int]:
        return 640, self.memory - len(model)

    def invoke(self, inputs: list[bytearray]) -> list[bytes]:
        sample = bytes(inputs[0])
        self.invoked.append(sample)
        inputs[0][:] = b"\xee" * SAMPLE
        return [answer(sample)]

    def reset(self) -> None:
        pass


@dataclass
class Rig:
    """What is soaked besides the host's session: a board that has the soak's model loaded, the
    inputs of all its Invokes so far, and what resets it."""

    board: BoardEnd
    invoked: list[bytes]
    boot: Callable[[], object]


def scripted(
    largest_frame: int, window: int, reply_store: int, baud: int = 0, largest_baud: int = 0
) -> Rig:
    """The board in Python."""
    engine = SoakEngine()
    sizes = {"largest_frame": largest_frame, "window": window, "reply_store": reply_store}
    rates = {"opening_baud": baud, "largest_baud": largest_baud} if baud else {}
    board = Board(engine, **sizes, **rates, model=b"a model")
    return Rig(board, engine.invoked, board.boot)


class Finding(AssertionError):
    """A broken promise; ``kind`` names it."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f"{kind}: {text}")
        self.kind = kind


@dataclass
class Soak:
    """``exchanges`` requests over a line with ``faults``, all of it decided by ``seed``."""

    seed: int
    exchanges: int = 300
    faults: Faults = CLEAN
    session: Callable[..., Session] = Session
    rig: Callable[..., Rig] = scripted
    baud: int | None = None
    delay: float = 0.0005
    compute: float = 0.001
    timeout: float = 20.0
    give_up: float = 0.0
    """Probability, per look, that the host drops the session and opens another."""
    nonce: Callable[[], int] | None = None
    largest_frame: int = 400
    window: int = 900
    reply_store: int = 700
    line_baud: int = 0
    """Where the line has a rate (``baud`` must be given): the one that is changed to, and back,
    again and again."""
    largest_baud: int = 3_000_000
    bad_above: dict[str, int] = field(default_factory=dict)
    errors: list[TflmError] = field(default_factory=list)

    def run(self) -> Soak:
        try:
            self._run()
        except Finding as finding:
            finding.args = (f"{finding.args[0]} (seed {self.seed}, {self.faults})",)
            raise
        except (AssertionError, ValueError, LookupError, TypeError, struct.error) as error:
            raise Finding("crash", f"{error!r} (seed {self.seed}, {self.faults})") from error
        return self

    def _open(self) -> None:
        assert len(self.errors) < self.exchanges + 50
        nonce = self.nonce or (lambda: self.rng.randrange(1 << 16))
        self.host = self.session(baud=self.baud, timeout=self.timeout, nonce=nonce)
        self.asked: dict[Ticket, tuple[str, list[bytes]]] = {}
        self.due: deque[Ticket] = deque()
        self.host.open(self.world.now)
        self.wants_change = bool(self.line_baud)
        self.started = self.world.now

    def _run(self) -> None:
        self.rng = random.Random(self.seed)
        rates = {"baud": self.baud, "largest_baud": self.largest_baud} if self.line_baud else {}
        self.made_of = self.rig(self.largest_frame, self.window, self.reply_store, **rates)
        self.invoked = self.made_of.invoked
        self.world = World(
            self.made_of.board,
            seed=self.rng.randrange(1 << 30),
            faults=self.faults,
            baud=self.baud,
            delay=self.delay,
            compute=self.compute,
            ring=self.window + 64,
            invoked=lambda: len(self.invoked),
            boot=self.made_of.boot,
            rated=bool(self.line_baud),
        )
        self.world.bad_above = self.bad_above
        self.settled: list[int | None] = []
        self.made = self.results = self.submitted = self.dropped = 0
        self.last_written: bytes | None = None
        self._open()
        self.over = False
        looks = 0
        while (self.submitted < self.exchanges or self.due) and not self.over:
            looks += 1
            if looks > 400 * self.exchanges + 10_000:
                raise Finding("hang", f"{looks} looks at {self.world.now:.1f} s")
            out = self._fill()
            self._collect()
            if self.host.error is not None:
                continue
            if self.world.now - self.started > 10 * self.timeout:
                raise Finding("hang", f"nothing for {self.world.now - self.started:.0f} s")
            deadline = self.host.deadline()
            if deadline is None and self.due:
                raise Finding("hang", "requests outstanding and nothing to wait for")
            try:
                data = self.world.exchange(out, deadline)
            except PortVanished as error:
                self._on_broken(error)
                self.world.vanished = False
                continue
            if data:
                self.host.receive(data, self.world.now)
            self._collect()
            if self.give_up and self.rng.random() < self.give_up:
                self.dropped += len(self.due)
                self._open()
        self._check_board()

    def _fill(self) -> bytes:
        self._change_rate()
        out = self.host.transmit(self.world.now)
        while self.host.has_room and not self.wants_change and self.submitted < self.exchanges:
            for kind, request, samples in self._requests():
                ticket = self.host.submit(request)
                self.asked[ticket] = (kind, samples)
                self.due.append(ticket)
                self.submitted += 1
            out += self.host.transmit(self.world.now)
        self.world.host_baud = self.host.baud
        return out

    def _change_rate(self) -> None:
        if not self.line_baud:
            return
        self.wants_change = self.wants_change or self.rng.random() < 0.02
        host = self.host
        if self.wants_change and host.state is State.OPEN and not host.outstanding:
            if host.rate_is_settled:
                host.change_baud(self.line_baud if host.baud == self.baud else 0)
            self.wants_change = False

    def _sample(self) -> bytes:
        self.made += 1
        body = struct.pack("<II", self.made, self.seed & 0xFFFFFFFF)
        return body + self.rng.randbytes(SAMPLE - len(body))

    def _requests(self) -> list[tuple[str, message.Request, list[bytes]]]:
        dice = self.rng.random()
        if dice < 0.7:
            samples = [self._sample() for _ in range(self.rng.choice((1, 1, 1, 3, 5)))]
            flags = RunFlag.INLINE | RunFlag.OUTPUTS
            request = message.Run(flags, len(samples), b"".join(samples), OUTPUT, (SAMPLE,))
            return [("run", request, samples)]
        if dice < 0.8:
            return [("board", message.Read(Region.BOARD, 0, 0, 300), [])]
        sample = self._sample()
        cut = self.rng.randrange(SAMPLE)
        return [
            ("write", message.Write(Region.INPUT, 0, 0, sample[:cut]), []),
            ("write", message.Write(Region.INPUT, 0, cut, sample[cut:]), []),
            ("crc", message.Run(0, 1, b"", OUTPUT), [sample]),
            ("output", message.Read(Region.OUTPUT, 0, 0, OUTPUT), [sample]),
        ]

    def _collect(self) -> None:
        for event in self.host.events():
            if isinstance(event, Replied):
                self._on_reply(event)
            elif isinstance(event, Broken):
                self._on_broken(event.error)
                return
            elif isinstance(event, Resettled):
                self.settled.append(event.baud)
                if self.faults.clean and event.baud != self.made_of.board.baud:
                    raise Finding("rate", f"{event.baud}, board {self.made_of.board.baud}")
                self.started = self.world.now
            elif isinstance(event, Opened):
                self.started = self.world.now

    def _on_reply(self, event: Replied) -> None:
        number = event.ticket.number
        if not self.due or event.ticket is not self.due[0]:
            due = [ticket.number for ticket in self.due]
            raise Finding("order", f"reply {number}, due {due[:3]}")
        self.due.popleft()
        self.started = self.world.now
        kind, samples = self.asked.pop(event.ticket)
        reply = event.reply
        if not isinstance(reply, bytes):
            raise Finding("wrong result", f"{kind} failed: {reply}")
        if kind == "run":
            run = message.Run(3, len(samples), b"", OUTPUT)
            for sample, result in zip(samples, run.results(reply), strict=True):
                if result.input_crc32 != zlib.crc32(sample) or result.outputs != answer(sample):
                    raise Finding("wrong result", f"of request {number}")
        elif kind == "crc":
            (result,) = message.Run(0, 1, b"", OUTPUT).results(reply)
            if result.input_crc32 != zlib.crc32(samples[0]):
                raise Finding("wrong result", f"input of request {number}")
        elif kind == "output" and reply != answer(samples[0]):
            raise Finding("wrong result", f"output of request {number}")
        elif kind == "board" and len(reply) < 40:
            raise Finding("wrong result", "of READ")
        self.results += 1

    def _on_broken(self, error: TflmError) -> None:
        self.errors.append(error)
        spent = self.world.now - self.started
        if spent > 3 * self.timeout + 10 + 2 * self.faults.stall_seconds:
            raise Finding("late", f"{error!r} after {spent:.1f} s")
        if not isinstance(error, LinkError | BoardReset):
            raise Finding("unnamed", repr(error))
        expected = self._expected_errors()
        if not expected and not self.give_up:
            raise Finding("gave up", repr(error))
        if expected and not isinstance(error, expected):
            raise Finding("misnamed", repr(error))
        if self.world.taken_over:  # there is no board any more to go on with
            self.over = True
            return
        self._open()

    def _expected_errors(self) -> tuple[type[TflmError], ...]:
        faults = self.faults
        found: list[type[TflmError]] = [BoardReset] if faults.reset else []
        if faults.vanish:
            found.append(PortVanished)
        if faults.stall_seconds > self.timeout:
            found.append(NoAnswer)
        if faults.peer:
            found += [NoAnswer, LineTooNoisy] if faults.peer_after else [NoAnswer, ForeignPeer]
        return tuple(found)

    def _check_board(self) -> None:
        seen: set[bytes] = set()
        for sample in self.invoked:
            if sample in seen:
                raise Finding("run twice", sample[:8].hex())
            seen.add(sample)
        counters = self.host.counters
        if self.faults.clean and not (
            self.bad_above or self.give_up or self.faults.stall or self.faults.peer
        ):
            if self.world.overflowed:
                raise Finding("window", f"{self.world.overflowed} bytes over it")
            # A PING that was under way while the rate changed is noise, and a GAP.
            gaps = counters.gaps and not self.line_baud
            if gaps or counters.requests_resent or counters.replies_repeated:
                raise Finding("waste", counters.describe())
            if len(self.invoked) != self.made:
                raise Finding("lost", f"{len(self.invoked)} of {self.made} run")
