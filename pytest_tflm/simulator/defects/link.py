"""Defects of what lies between a board's port and its firmware core.

They change frames and make the frames' CRC-32 right again, as a driver does that overwrites a
buffer whose CRC was checked. The core sees nothing wrong, and says honestly what it has.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING

from pytest_tflm.link import frame
from pytest_tflm.link.message import Region, Type

if TYPE_CHECKING:
    from pytest_tflm.simulator.defects.memory import OtherModel

_WRITE = struct.Struct("<BBI")  # region, index, offset
_READ = struct.Struct("<BBIH")  # region, index, offset, length
_FIRST_INPUT = _WRITE.pack(Region.INPUT, 0, 0)
_INLINE = 1
_REPLY = 0x80
_CRC_AT = 1 + 3 + 4  # of LOADED's first entry: status, head, size


class Frames:
    """Passes a stream on, each whole frame as ``change`` makes it. Other bytes stay as they are."""

    def __init__(self, change: Callable[[frame.Frame], frame.Frame]) -> None:
        self._change = change
        self._held = b""

    def __call__(self, data: bytes) -> bytes:
        *pieces, self._held = (self._held + data).split(b"\0")
        passed = b"".join(self._piece(piece) + b"\0" for piece in pieces)
        if len(self._held) > frame.MAX_PIECE:  # no frame
            passed, self._held = passed + self._held, b""
        return passed

    def _piece(self, piece: bytes) -> bytes:
        before = frame.decode(piece)
        if before is None:
            return piece
        after = self._change(before)
        return piece if after == before else frame.encode(*after)[1:-1]


def _unchanged(data: bytes) -> bytes:
    return data


class Tampering:
    """What becomes of the bytes to a board and from it. By itself: nothing."""

    def __init__(self) -> None:
        self.to_board: Callable[[bytes], bytes] = _unchanged
        self.to_host: Callable[[bytes], bytes] = _unchanged


class InputAltered(Tampering):
    """Changes one byte of the first input tensor on its way to the core."""

    def __init__(self) -> None:
        super().__init__()
        self.to_board = Frames(_altered)


def _altered(each: frame.Frame) -> frame.Frame:
    payload = bytearray(each.payload)
    if each.type == Type.RUN and len(payload) > 2 and payload[0] & _INLINE:
        samples = max(1, payload[1])
        payload[2 + (len(payload) - 2) // samples // 2] ^= 1
    elif each.type == Type.WRITE and payload.startswith(_FIRST_INPUT) and payload[_WRITE.size :]:
        payload[_WRITE.size + (len(payload) - _WRITE.size) // 2] ^= 1
    return each._replace(payload=bytes(payload))


class OtherModelSaid(Tampering):
    """Has the board say the CRC-32 of the model that ``engine`` runs."""

    def __init__(self, engine: OtherModel) -> None:
        super().__init__()
        self._engine = engine
        self._asked: set[tuple[int, int]] = set()
        self.to_board = Frames(self._request)
        self.to_host = Frames(self._reply)

    def _request(self, each: frame.Frame) -> frame.Frame:
        if each.type == Type.HELLO:
            self._asked.clear()
        elif each.type == Type.READ and len(each.payload) == _READ.size:
            region, _, offset, length = _READ.unpack(each.payload)
            key = (each.session, each.number)
            if region == Region.LOADED and offset == 0 and length >= _CRC_AT + 3:
                self._asked.add(key)
            else:
                self._asked.discard(key)
        return each

    def _reply(self, each: frame.Frame) -> frame.Frame:
        if each.type != Type.READ | _REPLY or (each.session, each.number) not in self._asked:
            return each
        sent, runs = (struct.pack("<I", crc) for crc in (self._engine.sent, self._engine.crc32))
        payload = each.payload
        if payload[_CRC_AT : _CRC_AT + 4] == sent:
            payload = payload[:_CRC_AT] + runs + payload[_CRC_AT + 4 :]
        return each._replace(payload=payload)
