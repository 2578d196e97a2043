"""What frames mean: HELLO and WELCOME (SPEC §3), requests and their replies (SPEC §5)."""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from enum import IntEnum, IntFlag
from typing import ClassVar, NamedTuple

from pytest_tflm.printable import PAGE, printable

LOWEST_VERSION = 1
HIGHEST_VERSION = 1
"""The versions of SPEC.md that this host speaks."""

SMALLEST_FRAME = 64
"""Bytes of body that every board takes (SPEC §1)."""


class Type(IntEnum):
    """Types of frames (SPEC §1); a reply's is its request's plus 0x80."""

    HELLO = 0x01
    PING = 0x02
    REPEAT = 0x03
    READ = 0x10
    WRITE = 0x11
    MODEL_OPEN = 0x12
    MODEL_PREPARE = 0x13
    RUN = 0x14
    RESET_STATE = 0x15
    SET_BAUD = 0x16
    COPY = 0x17
    WELCOME = 0x81
    PONG = 0x82
    GAP = 0x83
    NO_SESSION = 0x84
    LOG = 0x85
    CRASH = 0x86
    PART = 0x87


FIRST_REPLY = 0x90
LAST_REPLY = 0x9F


class Status(IntEnum):
    """What a reply says first (SPEC §5)."""

    OK = 0
    UNKNOWN_REQUEST = 1
    MALFORMED = 2
    OUT_OF_RANGE = 3
    NO_MODEL = 4
    MODEL_TOO_LARGE = 5
    MODEL_DAMAGED = 6
    ARENA_TOO_SMALL = 7
    OPERATOR_MISSING = 8
    MODEL_REJECTED = 9
    INVOKE_FAILED = 10
    NOT_SUPPORTED = 11
    TOO_LARGE = 12


class CrashKind(IntEnum):
    """What stopped a board (SPEC §8)."""

    OTHER = 0
    HARD_FAULT = 1
    MEMORY_FAULT = 2
    BUS_FAULT = 3
    USAGE_FAULT = 4
    ABORTED = 5


class Region(IntEnum):
    """What READ and WRITE address (SPEC §5)."""

    BOARD = 0
    LOADED = 1
    MODEL = 2
    INPUT = 3
    OUTPUT = 4
    ERROR = 5
    TIMES = 6
    KEPT = 7


class RunFlag(IntFlag):
    """How RUN gets its inputs and gives its outputs (SPEC §5)."""

    INLINE = 1
    OUTPUTS = 2
    RESET = 4


_CRASH = struct.Struct("<BI")
_WELCOME = struct.Struct("<BBBBIHII")
_FAILURE = struct.Struct("<BII")
_PART = struct.Struct("<H")
_READ = struct.Struct("<BBIH")
_WRITE = struct.Struct("<BBI")
_COPY = struct.Struct("<BBIBBII")
_PREPARE = struct.Struct("<II")
_RESULT = struct.Struct("<II")

WRITE_OVERHEAD = _WRITE.size
RUN_OVERHEAD = 2
RESULT_OVERHEAD = _RESULT.size
"""Bytes in front of the data in a WRITE, of the inputs in a RUN, of the outputs in a result."""

PART_BYTES = 51
"""Bytes of a reply in a PART; a shorter one is the last (SPEC §4)."""

_NO_CLOCK = 0xFFFFFFFF


@dataclass(frozen=True)
class Crash:
    """CRASH (SPEC §8): the last words of a board. ``address`` is that of the instruction, 0 if it
    is not known."""

    kind: CrashKind
    address: int
    text: str

    @classmethod
    def parse(cls, payload: bytes) -> Crash | None:
        """None if the payload is shorter than it must be."""
        if len(payload) < _CRASH.size:
            return None
        kind, address = _CRASH.unpack_from(payload)
        known = CrashKind(kind) if kind in set(CrashKind) else CrashKind.OTHER
        text = payload[_CRASH.size :].decode("utf-8", "replace").strip()
        return cls(known, address, printable(text, PAGE, keep="\n"))


class Welcome(NamedTuple):
    """WELCOME (SPEC §3): what a board says of the link. Sizes in bytes."""

    lowest: int
    highest: int
    version: int
    flags: int
    boot_id: int
    largest_frame: int
    window: int
    reply_store: int

    @property
    def takes_models(self) -> bool:
        """The board takes models over the link (MODEL_OPEN)."""
        return bool(self.flags & 1)

    @property
    def changes_baud(self) -> bool:
        """The board can change its line's rate (SET_BAUD)."""
        return bool(self.flags & 2)

    @property
    def keeps_memory(self) -> bool:
        """The board can load a model behind another one that stays in memory, and copy from it
        (MODEL_OPEN with ``kept``, COPY)."""
        return bool(self.flags & 4)

    def pack(self) -> bytes:
        return _WELCOME.pack(*self)

    @classmethod
    def parse(cls, payload: bytes) -> Welcome | None:
        """None if the payload is too short; what is behind the known fields is ignored."""
        if len(payload) < _WELCOME.size:
            return None
        return cls(*_WELCOME.unpack_from(payload))


def pack_hello(lowest: int = LOWEST_VERSION, highest: int = HIGHEST_VERSION) -> bytes:
    """Payload of HELLO. A range of (0, 0) names no version and so opens no session (SPEC §2)."""
    return bytes((lowest, highest))


def pack_repeat(count: int, offset: int | None = None) -> bytes:
    """Payload of REPEAT; with ``offset``, of one that asks for a PART of one reply."""
    fields = (count,) if offset is None else (count, offset)
    return struct.pack(f"<{len(fields)}H", *fields)


def parse_part(payload: bytes) -> tuple[int, bytes] | None:
    """Offset and bytes of a PART; None if it is too short."""
    if len(payload) < _PART.size:
        return None
    return _PART.unpack_from(payload)[0], payload[_PART.size : _PART.size + PART_BYTES]


@dataclass(frozen=True)
class Failure:
    """A reply whose status is not OK. What the two numbers count: SPEC §5."""

    status: int
    needed: int
    available: int

    @property
    def name(self) -> str:
        """SPEC's name of the status, or its number if this version has none."""
        try:
            return Status(self.status).name
        except ValueError:
            return f"status {self.status}"


class Request(ABC):
    """A request of SPEC §5. ``kind`` is its type on the wire."""

    kind: ClassVar[int]

    @abstractmethod
    def pack(self) -> bytes:
        """Its payload."""

    def largest_reply(self) -> int:
        """Bytes of the longest payload that a reply to it may have, ``status`` included."""
        return _FAILURE.size

    def smallest_reply(self) -> int:
        """Bytes that a reply with status OK must have, ``status`` included."""
        return 1

    def cut(self, size: int) -> list[Request]:
        """Requests that do the same one after the other, with payloads of at most ``size`` bytes
        where that is possible; itself alone where there are none."""
        return [self]

    def joined(self, pieces: list[tuple[Request, bytes | Failure]]) -> bytes | Failure:
        """The reply that all replies to the requests of :meth:`cut` make."""
        for _, reply in pieces:
            if isinstance(reply, Failure):
                return reply
        return b""


@dataclass(frozen=True)
class Read(Request):
    """READ: up to ``length`` bytes of a region from ``offset``."""

    kind = Type.READ

    region: int
    index: int
    offset: int
    length: int

    def pack(self) -> bytes:
        return _READ.pack(self.region, self.index, self.offset, self.length)

    def largest_reply(self) -> int:
        return max(_FAILURE.size, 1 + self.length)


@dataclass(frozen=True)
class Write(Request):
    """WRITE: ``data`` into a region from ``offset``."""

    kind = Type.WRITE

    region: int
    index: int
    offset: int
    data: bytes

    def pack(self) -> bytes:
        return _WRITE.pack(self.region, self.index, self.offset) + self.data

    def cut(self, size: int) -> list[Request]:
        room = size - WRITE_OVERHEAD
        return [
            Write(self.region, self.index, self.offset + at, self.data[at : at + room])
            for at in range(0, max(1, len(self.data)), room)
        ]


@dataclass(frozen=True)
class Copy(Request):
    """COPY: ``length`` bytes of one region into another. The first three fields say where to."""

    kind = Type.COPY

    region: int
    index: int
    offset: int
    from_region: int
    from_index: int
    from_offset: int
    length: int

    def pack(self) -> bytes:
        return _COPY.pack(
            self.region,
            self.index,
            self.offset,
            self.from_region,
            self.from_index,
            self.from_offset,
            self.length,
        )


@dataclass(frozen=True)
class ModelOpen(Request):
    """MODEL_OPEN: make room for a model of ``size`` bytes, behind the first ``kept`` bytes of the
    memory for models."""

    kind = Type.MODEL_OPEN

    size: int
    kept: int = 0

    def pack(self) -> bytes:
        # Older boards know no ``kept``.
        fields = (self.size, self.kept) if self.kept else (self.size,)
        return b"".join(field.to_bytes(4, "little") for field in fields)


@dataclass(frozen=True)
class ModelPrepare(Request):
    """MODEL_PREPARE: the model of ``size`` bytes with this CRC-32 has been written."""

    kind = Type.MODEL_PREPARE

    size: int
    crc32: int

    def pack(self) -> bytes:
        return _PREPARE.pack(self.size, self.crc32)


class RunResult(NamedTuple):
    """What a board computed for one sample.

    ``outputs`` is the bytes of all output tensors in order; in the reply to a RUN without OUTPUTS
    it is their CRC-32 in four bytes, which :func:`~pytest_tflm.link.running.run_many` replaces.
    ``input_crc32`` is that of the input tensors as Invoke saw them. ``microseconds`` is the time of
    Invoke by the board's clock, None if the board has none.
    """

    outputs: bytes
    input_crc32: int
    microseconds: int | None


@dataclass(frozen=True)
class Run(Request):
    """RUN: ``count`` samples. ``output_bytes`` is the size of all output tensors, which decides how
    large the reply is, and ``input_sizes`` that of each input tensor, by which it can be cut;
    neither is sent."""

    kind = Type.RUN

    flags: int
    count: int
    inputs: bytes
    output_bytes: int
    input_sizes: tuple[int, ...] = ()

    @property
    def _result_bytes(self) -> int:
        return RESULT_OVERHEAD + (self.output_bytes if self.flags & RunFlag.OUTPUTS else 4)

    def pack(self) -> bytes:
        return bytes((self.flags, self.count)) + self.inputs

    def largest_reply(self) -> int:
        return max(_FAILURE.size, self.smallest_reply())

    def smallest_reply(self) -> int:
        return 1 + self.count * self._result_bytes

    def cut(self, size: int) -> list[Request]:
        room, each = size - RUN_OVERHEAD, sum(self.input_sizes)
        if not each or len(self.inputs) != self.count * each:
            return [self]
        found: list[Request] = []
        step = max(1, room // each)
        for first in range(0, self.count, step):
            inputs = self.inputs[first * each : (first + step) * each]
            run = replace(self, count=len(inputs) // each, inputs=inputs)
            found += [run] if len(inputs) <= room else run._written(size)
        return found

    def _written(self, size: int) -> list[Request]:
        """The same for one sample, with its inputs in WRITEs."""
        found: list[Request] = []
        at = 0
        for index, length in enumerate(self.input_sizes):
            data = self.inputs[at : at + length]
            found += Write(Region.INPUT, index, 0, data).cut(size)
            at += length
        return [*found, replace(self, flags=self.flags & ~RunFlag.INLINE, inputs=b"")]

    def joined(self, pieces: list[tuple[Request, bytes | Failure]]) -> bytes | Failure:
        data, done = b"", 0
        for request, reply in pieces:
            if isinstance(reply, Failure):
                before = done if reply.status == Status.INVOKE_FAILED else 0
                return replace(reply, needed=reply.needed + before)
            if isinstance(request, Run):
                data += reply
                done += request.count
        return data

    def results(self, data: bytes) -> list[RunResult]:
        """The results in a reply's data (what follows status OK)."""
        step = self._result_bytes
        found: list[RunResult] = []
        for start in range(0, self.count * step, step):
            crc32, microseconds = _RESULT.unpack_from(data, start)
            outputs = data[start + RESULT_OVERHEAD : start + step]
            found.append(
                RunResult(outputs, crc32, None if microseconds == _NO_CLOCK else microseconds)
            )
        return found


@dataclass(frozen=True)
class ResetState(Request):
    """RESET_STATE: the model's variables get their initial values."""

    kind = Type.RESET_STATE

    def pack(self) -> bytes:
        return b""


@dataclass(frozen=True)
class SetBaud(Request):
    """SET_BAUD: the line's rate in bits per second, 0 for the one it was opened with (SPEC §9)."""

    kind = Type.SET_BAUD

    baud: int

    def pack(self) -> bytes:
        return self.baud.to_bytes(4, "little")


def is_reply_to(request: Request, kind: int, payload: bytes) -> bool:
    """A frame of this type and payload can be the reply to the request: long enough (SPEC §1)."""
    if kind != request.kind + 0x80 or not payload:
        return False
    if payload[0]:
        return len(payload) >= _FAILURE.size
    return len(payload) >= request.smallest_reply()


def parse_reply(request: Request, payload: bytes) -> bytes | Failure:
    """The data behind status OK, without what is too much, or the failure.

    The payload must be one that :func:`is_reply_to` accepts.
    """
    if payload[0]:
        return Failure(*_FAILURE.unpack_from(payload))
    return payload[1 : request.largest_reply()]
