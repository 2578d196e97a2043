"""The compiled firmware core as a board to soak."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from soak import OUTPUT, SAMPLE, Rig, answer

from pytest_tflm.link import frame
from pytest_tflm.simulator import _firmware
from pytest_tflm.simulator.engine.base import EngineTensor, Loaded

_MODEL = b"a model of the soak"
_SESSION = 0xFFFE


class NumpyEngine:
    """The soak's engine behind the firmware's engine interface."""

    kernels, tflm, operators, memory = "none", "none", "ADD", 4096

    def __init__(self) -> None:
        self.invoked: list[bytes] = []
        self.input = np.zeros(SAMPLE, np.int8)
        self.output = np.zeros(OUTPUT, np.int8)

    def open(self, size: int, kept: int) -> None:
        pass

    def prepare(self, model: bytes) -> Loaded:
        inputs = (EngineTensor(self.input, 9, 0.5, -3),)
        return Loaded(640, 3000, inputs, (EngineTensor(self.output, 9, 0.125, 7),))

    def invoke(self) -> int:
        sample = self.input.tobytes()
        self.invoked.append(sample)
        self.output[:] = np.frombuffer(answer(sample), np.int8)
        self.input[:] = -18
        return 1500

    def reset_state(self) -> None:
        pass

    def unload(self) -> None:
        pass


class CompiledBoard:
    """``_firmware.Board`` with the model loaded, also after a reset."""

    def __init__(self, engine: NumpyEngine, **sizes: int) -> None:
        self._engine, self._sizes, self._boots = engine, sizes, 0
        self._now = 0.0
        self.boot()

    def boot(self) -> None:
        self._boots += 1
        self._board = _firmware.Board(
            self._engine,
            boot_id=self._boots,
            board="soak",
            reset_reason="power on",
            **self._sizes,
        )
        requests = [
            (0x12, struct.pack("<I", len(_MODEL))),
            (0x11, struct.pack("<BBI", 2, 0, 0) + _MODEL),
            (0x13, struct.pack("<II", len(_MODEL), zlib.crc32(_MODEL))),
        ]
        self.receive(frame.encode(1, _SESSION, 0, 0, b"\x01\x01"))
        for number, (kind, payload) in enumerate(requests):
            self.receive(frame.encode(kind, _SESSION, number, number, payload))
            self.poll()
        *_, last, _ = self.transmit().split(b"\0")
        assert frame.decode(last).payload == b"\0"

    @property
    def baud(self) -> int:
        return self._board.baud

    @property
    def now(self) -> float:
        return self._now

    @now.setter
    def now(self, seconds: float) -> None:
        self._board.pass_time(min(int((seconds - self._now) * 1e6), 1 << 31))
        self._now = seconds

    def receive(self, data: bytes) -> None:
        assert self._board.receive(data) == len(data)

    def poll(self) -> None:
        while self._board.poll():
            pass

    def transmit(self) -> bytes:
        return self._board.transmit(1 << 20)


def compiled(
    largest_frame: int, window: int, reply_store: int, baud: int = 0, largest_baud: int = 0
) -> Rig:
    engine = NumpyEngine()
    board = CompiledBoard(
        engine,
        largest_frame=largest_frame,
        window=window,
        reply_store=reply_store,
        baud=baud,
        largest_baud=largest_baud,
    )
    return Rig(board, engine.invoked, board.boot)
