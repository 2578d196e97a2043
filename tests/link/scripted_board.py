"""A board in Python, written from SPEC.md alone: a test double of the firmware core.

It knows the scripted engine of ``vectors.json`` and any other with the same methods. Bytes go in by
``receive``, ``poll`` looks at them once, ``transmit`` gives the answer: as the core does.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field

from cobs import cobs

INLINE, OUTPUTS, RESET = 1, 2, 4


class Refused(Exception):
    """An engine's failure: status, needed, available, text."""

    def __init__(self, status: int, needed: int = 0, available: int = 0, text: str = "") -> None:
        super().__init__(text)
        self.status, self.needed, self.available, self.text = status, needed, available, text


@dataclass
class TensorSpec:
    type: int
    shape: tuple[int, ...]
    nbytes: int
    scale: float = 0.0
    zero_point: int = 0

    def pack(self) -> bytes:
        head = struct.pack(
            "<BBifI", self.type, len(self.shape), self.zero_point, self.scale, self.nbytes
        )
        return head + struct.pack(f"<{len(self.shape)}i", *self.shape)


class VectorEngine:
    """The scripted engine of vectors.json's description."""

    inputs = (TensorSpec(9, (2, 2), 4, 0.5, -3), TensorSpec(7, (2,), 4, 0.25, 0))
    outputs = (TensorSpec(9, (4,), 4, 0.125, 7), TensorSpec(2, (), 4))
    microseconds = 1500

    def __init__(self, memory: int = 4096) -> None:
        self.memory = memory
        self.state = 0
        self.invoked: list[bytes] = []
        self.times: tuple[int, ...] | None = None

    def prepare(self, model: bytes) -> tuple[int, int]:
        """(arena used, arena size)"""
        first = model[0]
        if first == 0x41:
            raise Refused(7, 9999, 2048, "arena too small")
        if first == 0x4F:
            raise Refused(8, text="Didn't find op for builtin opcode 'SPACE_TO_BATCH_ND'")
        if first == 0x52:
            raise Refused(9, text="rejected")
        self.state = 0
        self.times = () if first == 0x54 else None
        self._without = [bytearray(4), bytearray(4)]
        if first == 0x4E:
            self.inputs = ()
        if first == 0x34:
            self.inputs = (TensorSpec(17, (2, 4), 4, 0.5, -3), VectorEngine.inputs[1])
        return 640, self.memory - len(model)

    def invoke(self, inputs: list[bytearray]) -> list[bytes]:
        a, b = inputs or self._without
        self.invoked.append(bytes(a + b))
        if a[0] == 127:
            raise Refused(10, text="scripted failure")
        self.state += 1
        if self.times is not None:
            self.times = (1000, 500)
        b0, b1 = struct.unpack("<hh", b)
        outputs = [
            bytes((x + 1) & 0xFF for x in a),
            struct.pack("<i", self.state * 1000 + b0 + b1),
        ]
        a[:] = b"\xee" * len(a)
        b[:] = b"\xee" * len(b)
        return outputs

    def reset(self) -> None:
        self.state = 0


@dataclass
class Board:
    """See the module. ``boot()`` is a reset: all is forgotten, a new boot id is taken."""

    engine: object = field(default_factory=VectorEngine)
    largest_frame: int = 128
    window: int = 512
    reply_store: int = 262
    boot_id: int = 0x1BADB002
    takes_models: bool = True
    texts: tuple[tuple[int, str], ...] = (
        (1, "vectors 1"),
        (2, "scripted"),
        (3, "none"),
        (5, "power on"),
        (7, "ADD CONV_2D"),
    )
    model: bytes | None = None
    largest_baud: int = 0
    """Of a port that has a rate (SPEC §9); 0: it has none."""
    opening_baud: int = 115200

    def __post_init__(self) -> None:
        self.boots = 0
        self.now = 0.0
        """Seconds; whoever has the board on a line sets it."""
        self._start()
        if self.model is not None:
            self._prepare(self.model)

    def _start(self) -> None:
        self._in = bytearray()
        self._out = bytearray()
        self.baud = self.opening_baud
        self._baud_due: int | None = None
        self._noise = 0.0
        self._found_at = self.now
        self._found = False
        self._session = 0
        self._expected = 0
        self._store: dict[int, tuple[int, int, bytes, int, int]] = {}
        self._oldest = 0
        self._token = 0
        self._gap_sent = False
        self._logs = 0
        self._open: int | None = None
        self._memory = bytearray(b"\xa5" * self.engine.memory)
        self._kept = self._begin = 0
        self._loaded: tuple[int, int, int, int] | None = None
        self._inputs: list[bytearray] = []
        self._outputs: list[bytes] = []
        self._error = b""

    def boot(self, boot_id: int | None = None) -> None:
        built_in = self.model
        self._start()
        self.boots += 1
        self.boot_id = (self.boot_id * 0x9E3779B1 + 1) & 0xFFFFFFFF if boot_id is None else boot_id
        if built_in is not None:
            self._prepare(built_in)

    def receive(self, data: bytes) -> None:
        self._in += data
        self._found = self._found or bool(data)

    def transmit(self) -> bytes:
        """All of it leaves at the rate that ``baud`` had before the call."""
        out = bytes(self._out)
        self._out.clear()
        if self._baud_due is not None:
            self.baud, self._baud_due = self._baud_due, None
        return out

    def _count_noise(self) -> None:
        if self._found:
            self._noise += min(self.now - self._found_at, 0.5)
            self._found, self._found_at = False, self.now
            if self._noise > 1:
                self.baud, self._noise = self.opening_baud, 0.0

    def log(self, text: str) -> None:
        self._send(0x85, self._logs & 0xFFFF, text.encode()[: self.largest_frame - 11])
        self._logs += 1

    def poll(self) -> None:
        self._count_noise()
        *pieces, rest = bytes(self._in).split(b"\0")
        self._in[:] = rest[: 2 * self.largest_frame]
        refused = False
        for piece in pieces:
            if not piece:
                continue
            found = self._decode(piece)
            if found is None:
                if self._session:
                    self._gap()
                continue
            kind, session, number, ack, payload = found
            self._noise = 0.0
            if kind == 1:
                self._hello(session, payload)
            elif kind in (2, 3) or 0x10 <= kind <= 0x1F:
                if not self._session or session != self._session:
                    if not refused:
                        self._send(0x84, number, session=session, ack=0)
                    refused = True
                    continue
                self._take_ack(ack)
                if kind == 2:
                    self._token, self._gap_sent = number, False
                    self._send(0x82, number)
                elif kind == 3:
                    self._repeat(number, payload)
                else:
                    self._request(kind, number, payload)

    def _decode(self, piece: bytes) -> tuple[int, int, int, int, bytes] | None:
        try:
            body = cobs.decode(piece)
        except cobs.DecodeError:
            return None
        if not 11 <= len(body) <= self.largest_frame:
            return None
        if zlib.crc32(body[:-4]) != int.from_bytes(body[-4:], "little"):
            return None
        return (*struct.unpack_from("<BHHH", body), body[7:-4])

    def _send(
        self,
        kind: int,
        number: int,
        payload: bytes = b"",
        session: int | None = None,
        ack: int | None = None,
    ) -> int:
        session = self._session if session is None else session
        ack = (self._expected if self._session else 0) if ack is None else ack
        body = struct.pack("<BHHH", kind, session, number, ack) + payload
        body += zlib.crc32(body).to_bytes(4, "little")
        assert len(body) <= self.largest_frame, "the double breaks SPEC §1"
        self._out += b"\0" + cobs.encode(body) + b"\0"
        return len(body)

    def _hello(self, session: int, payload: bytes) -> None:
        if session == 0 or len(payload) < 2:
            return
        lowest, highest = payload[0], payload[1]
        version = 1 if lowest <= 1 <= highest else 0
        ack = 0
        if version:
            if session != self._session:
                self._session, self._expected, self._oldest = session, 0, 0
                self._store.clear()
                self._token, self._gap_sent = 0, False
                self._out.clear()
                self._baud_due = None
            ack = self._expected
        welcome = struct.pack(
            "<BBBBIHII",
            1,
            1,
            version,
            (5 if self.takes_models else 0) | (2 if self.largest_baud else 0),
            self.boot_id,
            self.largest_frame,
            self.window,
            self.reply_store,
        )
        self._send(0x81, 0, welcome, session=session, ack=ack)

    def _gap(self) -> None:
        if not self._gap_sent:
            self._gap_sent = True
            self._send(0x83, self._token)

    def _take_ack(self, ack: int) -> None:
        ahead = (ack - self._oldest) & 0xFFFF
        if ahead <= (self._expected - self._oldest) & 0xFFFF:
            for number in range(self._oldest, self._oldest + ahead):
                self._store.pop(number & 0xFFFF, None)
            self._oldest = ack

    def _again(self, number: int) -> None:
        if number in self._store:  # as it was, its ack too
            self._send(*self._store[number])

    def _repeat(self, number: int, payload: bytes) -> None:
        if len(payload) < 2:
            return
        held = (self._expected - self._oldest) & 0xFFFF
        if len(payload) >= 4:
            if number in self._store:
                self._part(number, int.from_bytes(payload[2:4], "little"))
            return
        for each in range(int.from_bytes(payload[:2], "little")):
            if ((number + each) - self._oldest) & 0xFFFF < held:
                self._again((number + each) & 0xFFFF)

    def _part(self, number: int, offset: int) -> None:
        stored, _, payload, session, ack = self._store[number]
        body = struct.pack("<BHHH", stored, session, number, ack) + payload
        encoded = cobs.encode(body + zlib.crc32(body).to_bytes(4, "little"))
        part = encoded[offset : offset + 64 - 11 - 2]
        self._send(0x87, number, offset.to_bytes(2, "little") + part)

    def _request(self, kind: int, number: int, payload: bytes) -> None:
        if number != self._expected:
            if 0 < (self._expected - number) & 0xFFFF < 0x8000:
                self._again(number)
            else:
                self._gap()
            return
        used = sum(_wire(11 + len(stored[2])) for stored in self._store.values())
        if used + _wire(11 + self._reply_bound(kind, payload)) > self.reply_store:
            self._gap()
            return
        try:
            reply = b"\0" + self._perform(kind, payload)
        except Refused as refused:
            if refused.status in (5, 6, 7, 8, 9, 10):
                self._error = refused.text.encode()[:512]
            reply = struct.pack("<BII", refused.status, refused.needed, refused.available)
        self._expected = (number + 1) & 0xFFFF
        self._gap_sent = False
        self._store[number] = (kind + 0x80, number, reply, self._session, self._expected)
        self._again(number)

    def _reply_bound(self, kind: int, payload: bytes) -> int:
        if kind == 0x10 and len(payload) == 8:
            region, index, offset, length = struct.unpack("<BBIH", payload)
            try:
                size = len(self._region(region, index))
            except Refused:
                return 9
            return max(9, 1 + min(length, max(0, size - offset)))
        if kind == 0x14 and len(payload) >= 2 and self._loaded:
            each = 8 + (sum(t.nbytes for t in self.engine.outputs) if payload[0] & 2 else 4)
            bound = 1 + payload[1] * each
            return max(9, bound if 11 + bound <= self.largest_frame else 9)
        return 9

    def _perform(self, kind: int, payload: bytes) -> bytes:
        size = len(payload)
        if kind == 0x10:
            _check(size == 8, 2)
            region, index, offset, length = struct.unpack("<BBIH", payload)
            data = self._region(region, index)
            _check(offset <= len(data), 3)
            _check(12 + min(length, len(data) - offset) <= self.largest_frame, 12)
            return data[offset : offset + length]
        if kind == 0x11:
            _check(size >= 6, 2)
            return self._write(*struct.unpack_from("<BBI", payload), payload[6:])
        if kind == 0x12:
            if self.takes_models:
                self._loaded = self._open = None  # whatever comes of it
            _check(size in (4, 8) and payload[:4] != b"\0\0\0\0", 2)
            _check(self.takes_models, 11)
            wanted, kept = struct.unpack("<II", payload.ljust(8, b"\0"))
            begin = min((kept + 15) // 16 * 16, self.engine.memory)
            room = self.engine.memory - begin
            if wanted > room:
                raise Refused(5, wanted, room)
            self._open, self._kept, self._begin = wanted, kept, begin
            return b""
        if kind == 0x13:
            model = None if self._open is None else self._model_bytes(self._open)
            if self.takes_models:
                self._loaded = self._open = None  # whatever comes of it
            _check(size == 8 and payload[:4] != bytes(4), 2)
            _check(self.takes_models, 11)
            wanted, crc = struct.unpack("<II", payload)
            _check(model is not None, 4)
            _check(wanted == len(model), 2)
            _check(zlib.crc32(model) == crc, 6)
            self._prepare(model)
            return b""
        if kind == 0x14:
            return self._run(payload)
        if kind == 0x15:
            _check(size == 0, 2)
            _check(self._loaded is not None, 4)
            self.engine.reset()
            return b""
        if kind == 0x16:
            _check(size == 4, 2)
            wanted = int.from_bytes(payload, "little")
            _check(0 < self.largest_baud >= wanted, 11)
            self._baud_due = wanted or self.opening_baud
            return b""
        if kind == 0x17:
            _check(size == 16, 2)
            *to, region, index, offset, length = struct.unpack("<BBIBBII", payload)
            source = self._region(region, index)
            source = b"" if region in (0, 1) else source
            _check(offset + length <= len(source), 3)
            return self._write(*to, source[offset : offset + length])
        raise Refused(1)

    def _model_bytes(self, size: int) -> bytes:
        return bytes(self._memory[self._begin : self._begin + size])

    def _prepare(self, model: bytes) -> None:
        self._memory[self._begin : self._begin + len(model)] = model
        used, arena = self.engine.prepare(model)
        # The arena lies behind the model.
        self._memory[self._begin + len(model) :] = bytes(
            len(self._memory) - self._begin - len(model)
        )
        self._loaded = (len(model), zlib.crc32(model), used, arena - self._begin)
        self._inputs = [bytearray(t.nbytes) for t in self.engine.inputs]
        self._outputs = [bytes(t.nbytes) for t in self.engine.outputs]

    def _region(self, region: int, index: int) -> bytes:
        if region in (1, 2, 3, 4):
            _check(self._loaded is not None, 4)
        if region == 2:
            _check(index == 0, 3)
            return self._model_bytes(self._loaded[0])
        if region == 3:
            _check(index < len(self._inputs), 3)
            return bytes(self._inputs[index])
        if region == 4:
            _check(index < len(self._outputs), 3)
            return self._outputs[index]
        if region == 6:
            times = getattr(self.engine, "times", None) if self._loaded is not None else None
            _check(times is not None, 11)
            _check(index == 0, 3)
            return struct.pack(f"<{len(times)}I", *times)
        if region == 7:
            _check(self.takes_models, 11)
            _check(index == 0, 3)
            return bytes(self._memory[: self._kept])
        _check(region in (0, 1, 5) and index == 0, 3)
        if region == 5:
            return self._error
        if region == 0:
            items = [(key, text.encode()) for key, text in self.texts]
            items.append((6, self.engine.memory.to_bytes(4, "little")))
            items.sort()
        else:
            items = [
                (1, struct.pack("<II", *self._loaded[:2])),
                (2, struct.pack("<II", *self._loaded[2:])),
            ]
            items += [(3, t.pack()) for t in self.engine.inputs]
            items += [(4, t.pack()) for t in self.engine.outputs]
        return b"".join(struct.pack("<BH", key, len(value)) + value for key, value in items)

    def _write(self, region: int, index: int, offset: int, data: bytes) -> bytes:
        _check(region <= 7, 3)
        if region in (2, 7):
            _check(self.takes_models, 11)
            _check(region == 7 or self._open is not None, 4)
            _check(index == 0, 3)
            begin, end = (self._begin, self._open) if region == 2 else (0, self._kept)
            target = memoryview(self._memory)[begin : begin + end]
        else:
            _check(region == 3, 11)
            _check(self._loaded is not None, 4)
            _check(index < len(self._inputs), 3)
            target = self._inputs[index]
        _check(offset + len(data) <= len(target), 3)
        target[offset : offset + len(data)] = data
        return b""

    def _run(self, payload: bytes) -> bytes:
        _check(len(payload) >= 2 and not payload[0] & ~7 and payload[1] > 0, 2)
        flags, count, data = payload[0], payload[1], payload[2:]
        _check(bool(flags & INLINE) or (count == 1 and not data), 2)
        _check(self._loaded is not None, 4)
        sizes = [len(each) for each in self._inputs]
        _check(not flags & INLINE or len(data) == count * sum(sizes), 2)
        output_bytes = sum(t.nbytes for t in self.engine.outputs)
        each = 8 + (output_bytes if flags & OUTPUTS else 4)
        _check(12 + count * each <= self.largest_frame, 12)
        at, results = 0, []
        for sample in range(count):
            if flags & RESET:
                self.engine.reset()
            if flags & INLINE:
                for tensor, length in zip(self._inputs, sizes, strict=True):
                    tensor[:] = data[at : at + length]
                    at += length
            crc = zlib.crc32(b"".join(self._inputs))
            try:
                self._outputs = self.engine.invoke(self._inputs)
            except Refused as refused:
                raise Refused(refused.status, sample, 0, refused.text) from None
            joined = b"".join(self._outputs)
            results.append(struct.pack("<II", crc, self.engine.microseconds))
            results.append(joined if flags & OUTPUTS else zlib.crc32(joined).to_bytes(4, "little"))
        return b"".join(results)


def _wire(body: int) -> int:
    return body + body // 254 + 3


def _check(fine: bool, status: int) -> None:
    if not fine:
        raise Refused(status)
