"""Frames on the wire (SPEC §1), and what else is found there (SPEC §7)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from cobs import cobs

from pytest_tflm.link.message import Type

if TYPE_CHECKING:
    from pytest_tflm.link.counters import Counters

_HEADER = struct.Struct("<BHHH")
_CRC = struct.Struct("<I")

SHORTEST_BODY = _HEADER.size + _CRC.size
"""Bytes of a body without payload."""

LONGEST_BODY = 0xFFFF
"""Bytes of the longest body that any board can announce: ``largest_frame`` is a u16."""

MAX_PIECE = LONGEST_BODY + LONGEST_BODY // 254 + 1
"""Bytes between two zeros of the longest frame."""

_SHORTEST_TEXT = 4
_SHORTEST_LAST_WORDS = 12
_HEAD_BYTES = 240
_TEXT_BYTES = bytes([0x09, 0x0A, 0x0D, 0x1B, *range(0x20, 0x7F)])


class Frame(NamedTuple):
    """A frame whose CRC is right. ``type``, ``session``, ``number``, ``ack``: SPEC §1."""

    type: int
    session: int
    number: int
    ack: int
    payload: bytes


class Said(NamedTuple):
    """Text from the board: a LOG frame, or (``printed``) what other code printed on the port."""

    text: str
    printed: bool


class Damage(NamedTuple):
    """Bytes that are neither a frame nor text. ``length`` is their number."""

    length: int


def wire_length(body: int) -> int:
    """Largest number of bytes that a body of ``body`` bytes takes on the wire, zeros included."""
    return body + body // 254 + 3


def body_length(wire: int) -> int:
    """Bytes of the longest body whose :func:`wire_length` is at most ``wire`` (0 if none is)."""
    body = max(0, wire - 3 - (wire - 3) // 255)
    return body - 1 if wire_length(body) > wire and body else body


def encode(kind: int, session: int, number: int, ack: int, payload: bytes = b"") -> bytes:
    """A frame as it goes over the wire, with both zeros (SPEC §1)."""
    body = _HEADER.pack(kind, session, number, ack) + payload
    encoded: bytes = cobs.encode(body + _CRC.pack(zlib.crc32(body)))
    return b"\0" + encoded + b"\0"


def decode(piece: bytes, largest: int = LONGEST_BODY) -> Frame | None:
    """The frame in a piece between two zeros, or None if there is none.

    ``largest`` is the longest body allowed, in bytes.
    """
    try:
        body = cobs.decode(piece)
    except cobs.DecodeError:
        return None
    if not SHORTEST_BODY <= len(body) <= largest:
        return None
    if zlib.crc32(body[:-4]) != int.from_bytes(body[-4:], "little"):
        return None
    kind, session, number, ack = _HEADER.unpack_from(body)
    return Frame(kind, session, number, ack, body[_HEADER.size : -4])


def _is_text(piece: bytes) -> bool:
    """The piece is text by SPEC §7: four bytes or more, printable ASCII or valid UTF-8."""
    if len(piece) < _SHORTEST_TEXT:
        return False
    rest = piece.translate(None, _TEXT_BYTES)
    if not rest:
        return True
    if min(rest) < 0x80:
        return False
    try:
        piece.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _text_at_end(piece: bytes) -> bytes:
    """What the piece ends with, if that is at least 12 bytes of printable ASCII; else nothing.

    Tensor data is near noise, of which a third is printable: 12 bytes of it in a row come once in
    half a million.
    """
    kept = len(piece.rstrip(_TEXT_BYTES))
    return piece[kept:] if len(piece) - kept >= _SHORTEST_LAST_WORDS else b""


def classify(piece: bytes, largest: int = LONGEST_BODY) -> Frame | Said | Damage:
    """What a piece between two zeros is."""
    frame = decode(piece, largest)
    if frame is not None:
        return frame
    return Said(piece.decode("utf-8"), printed=True) if _is_text(piece) else Damage(len(piece))


class Splitter:
    """Cuts a stream at its zeros. Never holds more than ``limit`` bytes.

    A piece longer than ``limit`` is given out in parts as it comes: it is no frame, but it may be a
    long text. The parts are cut in front of an unfinished UTF-8 character.
    """

    def __init__(self, limit: int = MAX_PIECE) -> None:
        self._limit = limit
        self._held = bytearray()
        self._cut = False

    @property
    def held(self) -> int:
        """Bytes of the piece that has not ended yet."""
        return len(self._held)

    def feed(self, data: bytes) -> list[tuple[bytes, bool]]:
        """Take ``data``; return the pieces that ended or grew too long, in order.

        Each comes with whether it is whole: the parts of a piece longer than the limit are not,
        and can be no frame.
        """
        *parts, rest = data.split(b"\0")
        pieces: list[tuple[bytes, bool]] = []
        for part in parts:
            if self._held or len(part) > self._limit:
                self._hold(part, pieces)
                part = bytes(self._held)
                self._held.clear()
            if part:
                pieces.append((part, not self._cut))
            self._cut = False
        self._hold(rest, pieces)
        return pieces

    def flush(self) -> bytes:
        """Give up the piece that has not ended: the last words of a board that went silent."""
        held = bytes(self._held)
        self._held.clear()
        self._cut = True
        return held

    def _hold(self, part: bytes, pieces: list[tuple[bytes, bool]]) -> None:
        self._held += part
        while len(self._held) > self._limit:
            pieces.append((self._take_part(), False))

    def _take_part(self) -> bytes:
        end = self._limit
        for back in range(1, min(4, end)):
            byte = self._held[end - back]
            if byte < 0x80:
                break
            if byte >= 0xC0:  # the first byte of a character: is all of it there?
                size = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
                if back < size:
                    end -= back
                break
        part = bytes(self._held[:end])
        del self._held[:end]
        self._cut = True
        return part


class Intake:
    """Takes apart what a board sends: frames for the session, text for people. The rest is
    counted."""

    def __init__(self, counters: Counters) -> None:
        self.largest = LONGEST_BODY
        """Bytes of the longest body that the board may send."""
        self.head = b""
        """The first bytes that came, to show what a foreign peer says."""
        self.classify = classify
        self._counters = counters
        self._splitter = Splitter()
        self._last_log: int | None = None

    def feed(self, data: bytes) -> Iterator[Frame | Said]:
        """What is complete now, in order. LOG frames come as text."""
        self._counters.bytes_received += len(data)
        if len(self.head) < _HEAD_BYTES:
            self.head = (self.head + data)[:_HEAD_BYTES]
        for piece, whole in self._splitter.feed(data):
            found = self._take(piece, self.largest if whole else 0)
            if found is not None:
                yield found

    def last_words(self) -> Said | None:
        """Text without a zero behind it so far: what a board said when it crashed, perhaps in the
        middle of a frame."""
        rest = self._splitter.flush()
        words = rest if _is_text(rest) else _text_at_end(rest)
        found = self._take(words, 0) if words else None
        return found if isinstance(found, Said) else None

    def _take(self, piece: bytes, largest: int) -> Frame | Said | None:
        found = self.classify(piece, largest)
        if isinstance(found, Frame):
            self._counters.frames_received += 1
            return self._log(found) if found.type == Type.LOG else found
        if isinstance(found, Said):
            self._counters.text_bytes += len(piece)
            return found
        self._counters.damaged += 1
        return None

    def _log(self, found: Frame) -> Said | None:
        if found.number == self._last_log:
            self._counters.ignored += 1  # a line that repeats bytes
            return None
        if self._last_log is not None:
            missed = (found.number - self._last_log - 1) & 0xFFFF
            if missed < 0x8000:  # otherwise the board restarted, and counts from 0 again
                self._counters.logs_missed += missed
        self._last_log = found.number
        return Said(found.payload.decode("utf-8", "replace"), printed=False)
