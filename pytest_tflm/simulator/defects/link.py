"""What lies between a board's port and its firmware core, where it changes what passes.

It changes frames and makes the frames' CRC-32 right again, as a driver does that overwrites a
buffer whose CRC was checked. The core sees nothing wrong, and says honestly what it has.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from pytest_tflm.link import frame
from pytest_tflm.link.message import Region, Type

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


def input_altered(each: frame.Frame) -> frame.Frame:
    """One byte of the first input tensor is changed on its way to the core."""
    payload = bytearray(each.payload)
    if each.type == Type.RUN and len(payload) > 2 and payload[0] & _INLINE:
        samples = max(1, payload[1])
        payload[2 + (len(payload) - 2) // samples // 2] ^= 1
    elif each.type == Type.WRITE and payload.startswith(_FIRST_INPUT) and payload[_WRITE.size :]:
        payload[_WRITE.size + (len(payload) - _WRITE.size) // 2] ^= 1
    return each._replace(payload=bytes(payload))


class OtherModelSaid:
    """Has the board say the CRC-32 of another model than it was sent.

    ``request`` and ``reply`` take what passes to the board and from it.
    """

    def __init__(self) -> None:
        self._asked: set[tuple[int, int]] = set()
        self._sent = self._runs = b""
        self.request = Frames(self._request)
        self.reply = Frames(self._reply)

    def instead(self, sent: int, runs: int) -> None:
        """The CRC-32 of the model that was sent, and of the one that runs."""
        self._sent, self._runs = (struct.pack("<I", crc) for crc in (sent, runs))

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
        payload = each.payload
        if payload[_CRC_AT : _CRC_AT + 4] == self._sent:
            payload = payload[:_CRC_AT] + self._runs + payload[_CRC_AT + 4 :]
        return each._replace(payload=payload)
