"""A client written from SPEC.md alone: PyPI's cobs, zlib and struct, nothing of pytest_tflm."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from cobs import cobs

HELLO, PING, REPEAT = 0x01, 0x02, 0x03
READ, WRITE, MODEL_OPEN, MODEL_PREPARE, RUN, RESET_STATE = range(0x10, 0x16)
WELCOME, PONG, GAP, NO_SESSION, LOG = range(0x81, 0x86)
BOARD, LOADED, MODEL, INPUT, OUTPUT, ERROR = range(6)
INLINE, OUTPUTS, RESET = 1, 2, 4


@dataclass(frozen=True)
class Frame:
    type: int
    session: int
    number: int
    ack: int
    payload: bytes


@dataclass(frozen=True)
class Result:
    input_crc: int
    microseconds: int
    outputs: bytes


@dataclass(frozen=True)
class TensorEntry:
    type: int
    zero_point: int
    scale: float
    size: int
    dimensions: tuple[int, ...]


class Refused(Exception):
    def __init__(self, status: int, needed: int, available: int) -> None:
        super().__init__(status, needed, available)
        self.status, self.needed, self.available = status, needed, available


def encode(kind: int, session: int, number: int, ack: int, payload: bytes = b"") -> bytes:
    body = struct.pack("<BHHH", kind, session, number, ack) + payload
    return b"\0" + cobs.encode(body + struct.pack("<I", zlib.crc32(body))) + b"\0"


def decode(piece: bytes) -> Frame:
    body = cobs.decode(piece)
    assert zlib.crc32(body[:-4]) == struct.unpack("<I", body[-4:])[0]
    return Frame(*struct.unpack("<BHHH", body[:7]), body[7:-4])


class RawClient:
    """Stop and wait. ``send`` takes bytes; ``receive`` gives some, b"" once nothing will come."""

    def __init__(
        self, send: Callable[[bytes], object], receive: Callable[[], bytes], session: int = 0x5E55
    ) -> None:
        self.send, self.receive, self.session = send, receive, session
        self.number = 0
        self.logs: list[str] = []
        self._stream = b""

    @classmethod
    def on_port(cls, port: object, session: int = 0x5E55) -> RawClient:
        """On an open pyserial port."""
        return cls(port.write, lambda: port.read(port.in_waiting or 1), session)

    def frame(self) -> Frame:
        while True:
            while b"\0" in self._stream:
                piece, _, self._stream = self._stream.partition(b"\0")
                if piece:
                    frame = decode(piece)
                    if frame.type != LOG:
                        return frame
                    self.logs.append(frame.payload.decode())
            data = self.receive()
            if not data:
                raise TimeoutError("the board does not answer")
            self._stream += data

    def hello(self) -> dict[str, int]:
        self.send(encode(HELLO, self.session, 0, 0, b"\x01\x01"))
        frame = self.frame()
        while frame.session != self.session:  # what an earlier client left behind
            frame = self.frame()
        assert frame.type == WELCOME
        self.number = 0
        names = ["lowest", "highest", "version", "flags"]
        names += ["boot_id", "largest_frame", "window", "reply_store"]
        return dict(zip(names, struct.unpack("<BBBBIHII", frame.payload), strict=True))

    def ask(self, kind: int, payload: bytes = b"") -> bytes:
        self.send(encode(kind, self.session, self.number, self.number, payload))
        frame = self.frame()
        assert (frame.type, frame.number) == (kind | 0x80, self.number)
        self.number = (self.number + 1) & 0xFFFF
        if frame.payload[0]:
            raise Refused(*struct.unpack("<BII", frame.payload))
        return frame.payload[1:]

    def read(self, region: int, index: int = 0) -> bytes:
        data = b""
        while part := self.ask(READ, struct.pack("<BBIH", region, index, len(data), 200)):
            data += part
        return data

    def write(self, region: int, index: int, data: bytes) -> None:
        for at in range(0, len(data), 200):
            self.ask(WRITE, struct.pack("<BBI", region, index, at) + data[at : at + 200])

    def entries(self, region: int) -> list[tuple[int, bytes]]:
        data, found = self.read(region), []
        while data:
            key, length = struct.unpack("<BH", data[:3])
            found.append((key, data[3 : 3 + length]))
            data = data[3 + length :]
        return found

    def load(self, model: bytes) -> None:
        self.ask(MODEL_OPEN, struct.pack("<I", len(model)))
        self.write(MODEL, 0, model)
        self.ask(MODEL_PREPARE, struct.pack("<II", len(model), zlib.crc32(model)))

    def tensors(self, key: int) -> list[TensorEntry]:
        found = []
        for each, value in self.entries(LOADED):
            if each == key:
                kind, rank, zero_point, scale, size = struct.unpack("<BBifI", value[:14])
                dimensions = struct.unpack(f"<{rank}i", value[14:])
                found.append(TensorEntry(kind, zero_point, scale, size, dimensions))
        return found

    def run(self, inputs: bytes, flags: int = OUTPUTS) -> Result:
        reply = self.ask(RUN, bytes([INLINE | flags, 1]) + inputs)
        return Result(*struct.unpack("<II", reply[:8]), reply[8:])

    def error(self) -> str:
        return self.read(ERROR).decode()
