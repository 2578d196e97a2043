"""What hangs on the bench's lines: the compiled firmware core, and the rival at both ends."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_tflm.link import frame, message
from pytest_tflm.link.outbox import Outbox
from pytest_tflm.link.session import Session, State
from pytest_tflm.simulator._firmware import Board
from pytest_tflm.simulator.engine.base import EngineTensor, Loaded

if TYPE_CHECKING:
    from paced_line import Wire

OUTPUT_BYTES = 10
BATCH = 50
"""Bytes that the rival sends before it waits."""
_MODEL = b"a model that computes nothing"
_SESSION = 0xFFFE
_OPERATORS = " ".join(f"OPERATOR_{number:03}" for number in range(115))
"""As long as the list of a board that has every operator of TFLM: all of it is read."""


def answer(sample: bytes) -> bytes:
    """What both boards compute: it depends on every byte."""
    return (zlib.crc32(sample).to_bytes(4, "little") * 3)[:OUTPUT_BYTES]


class Engine:
    """Invoke takes ``seconds`` of virtual time."""

    kernels, tflm, memory = "none", "none", 4096
    operators = _OPERATORS

    def __init__(self, input_bytes: int, seconds: float) -> None:
        self.input = np.zeros(input_bytes, np.int8)
        self.output = np.zeros(OUTPUT_BYTES, np.int8)
        self.invoked = 0
        self.owed = 0.0
        self._seconds = seconds

    def open(self, size: int, kept: int) -> None:
        """Every model fits."""

    def prepare(self, model: bytes) -> Loaded:
        inputs = (EngineTensor(self.input, 9, 0.5, -3),)
        return Loaded(640, 3000, inputs, (EngineTensor(self.output, 9, 0.125, 7),))

    def invoke(self) -> int:
        self.invoked += 1
        self.owed += self._seconds
        self.output[:] = np.frombuffer(answer(self.input.tobytes()), np.int8)
        return int(self._seconds * 1_000_000)

    def reset_state(self) -> None:
        """There is none."""

    def unload(self) -> None:
        """Nothing to do."""


class Core:
    """The compiled core with a model in it, as a board that was flashed with one. Its receive
    buffer holds the 64 bytes beside ``window`` that SPEC §4 asks for, and no more."""

    def __init__(
        self,
        input_bytes: int,
        *,
        window: int,
        largest_frame: int,
        reply_store: int,
        seconds: float = 0.0,
    ) -> None:
        self.engine = Engine(input_bytes, seconds)
        self._board: Any = Board(
            self.engine,
            boot_id=1,
            board="bench",
            reset_reason="power on",
            largest_frame=largest_frame,
            window=window,
            reply_store=reply_store,
        )
        self.lost = 0
        """Bytes that the receive buffer did not hold."""
        self._flash()

    def _flash(self) -> None:
        board = self._board
        requests = [
            (0x12, struct.pack("<I", len(_MODEL))),
            (0x11, struct.pack("<BBI", 2, 0, 0) + _MODEL),
            (0x13, struct.pack("<II", len(_MODEL), zlib.crc32(_MODEL))),
        ]
        board.receive(frame.encode(1, _SESSION, 0, 0, b"\x01\x01"))
        for number, (kind, payload) in enumerate(requests):
            board.receive(frame.encode(kind, _SESSION, number, number, payload))
            while board.poll():
                pass
        board.transmit(1 << 20)

    def receive(self, data: bytes) -> None:
        self.lost += len(data) - self._board.receive(data)

    def work(self) -> tuple[bytes, float, bool]:
        out: bytes = self._board.transmit(1 << 20)
        more: bool = self._board.poll()
        computing, self.engine.owed = self.engine.owed, 0.0
        if computing:
            return out, computing, True  # the answer leaves when Invoke is done
        return out + self._board.transmit(1 << 20), 0.0, more


class FixedOutbox(Outbox):
    """Takes no notice of losses: each frame is as long as it was to be at first."""

    best_request = best_reply = frame.LONGEST_BODY

    def is_too_long(self, number: int) -> bool:
        """Never: a request is sent again as it was."""
        return False

    def ask_again(self, first: int, count: int) -> bytes:
        """Whole replies alone."""
        return message.pack_repeat(count)


class FixedSession(Session):
    """This link with frames of one length, for comparison."""

    def _move(self, state: State) -> None:
        self._outbox.__class__ = FixedOutbox
        super()._move(state)


class RivalBoard:
    """Takes an input in batches of 50 bytes, echoes the sum of each, then sends the outputs."""

    def __init__(self, input_bytes: int) -> None:
        self._input_bytes = input_bytes
        self._batch = b""
        self._input = b""

    def receive(self, data: bytes) -> None:
        self._batch += data

    def work(self) -> tuple[bytes, float, bool]:
        out = b""
        while self._batch:
            wanted = min(BATCH, self._input_bytes - len(self._input))
            if len(self._batch) < wanted:
                break
            batch, self._batch = self._batch[:wanted], self._batch[wanted:]
            self._input += batch
            out += bytes([sum(batch) & 0xFF])
            if len(self._input) == self._input_bytes:
                out += answer(self._input)
                self._input = b""
        return out, 0.0, False


def rival(wire: Wire, samples: list[bytes]) -> list[bytes]:
    """The rival's host: the next batch when the echo of the last was right, then the outputs. It
    greets nobody and asks nothing."""
    results = []
    came = b""

    def read(count: int) -> bytes:
        nonlocal came
        while len(came) < count:
            came += wire.exchange(b"", 60.0)[1]
        wanted, came = came[:count], came[count:]
        return wanted

    for sample in samples:
        for start in range(0, len(sample), BATCH):
            batch = sample[start : start + BATCH]
            came += wire.exchange(batch, 60.0)[1]
            assert read(1) == bytes([sum(batch) & 0xFF])
        results.append(read(OUTPUT_BYTES))
    return results
