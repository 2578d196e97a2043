"""A line that takes time, in virtual time: both ends in one process, no clock, every run the same.

A host calls :meth:`Wire.exchange` as it would a port's; between its calls the board works and bytes
travel. A UART carries ten bits a byte in each direction at once. The USB-like line carries
packets of 64 bytes, at most 19 in a frame of one millisecond and direction; what a host writes goes
with the next frame, what a board writes with the next free packet, as a full-speed host controller
does it. ``turnaround`` is how much later the host sees what the board sent (an adapter's latency
timer, a hub, a busy machine), added once to every round trip.
"""

from __future__ import annotations

import heapq
import math
import random
import time
from typing import Protocol

from pytest_tflm.simulator.line.faults import Faults
from pytest_tflm.simulator.line.faulty import Damage

BITS_PER_BYTE = 10
USB_PACKET = 64
USB_PACKETS = 19
"""Per frame of a millisecond and direction: full-speed bulk (USB 2.0, table 5-9)."""
_STEP = 32
"""Bytes of a UART that arrive at once: receivers look at their FIFO that often."""


class BoardEnd(Protocol):
    """What hangs on the line's far end."""

    def receive(self, data: bytes) -> None:
        """Bytes arrive, whether the board looks or not."""

    def work(self) -> tuple[bytes, float, bool]:
        """One look: bytes to send now, seconds of computing that follow, whether there is more."""


class Uart:
    """One direction of a UART."""

    def __init__(self, baud: int) -> None:
        self.bytes_per_second = baud / BITS_PER_BYTE
        self._free_at = 0.0

    def send(self, data: bytes, now: float) -> list[tuple[float, bytes]]:
        """What arrives when."""
        chunks = []
        for start in range(0, len(data), _STEP):
            chunk = data[start : start + _STEP]
            self._free_at = max(self._free_at, now) + len(chunk) / self.bytes_per_second
            chunks.append((self._free_at, chunk))
        return chunks


class Usb:
    """One direction of the USB-like line. ``by_frame``: written data waits for the next frame."""

    bytes_per_second = USB_PACKET * USB_PACKETS * 1000.0

    def __init__(self, by_frame: bool) -> None:
        self._by_frame = by_frame
        self._free_slot = 0

    def send(self, data: bytes, now: float) -> list[tuple[float, bytes]]:
        """What arrives when."""
        slot = math.floor(now * 1000 * USB_PACKETS + 1e-6) + 1
        if self._by_frame:
            slot = (math.floor(now * 1000 + 1e-6) + 1) * USB_PACKETS
        chunks = []
        for start in range(0, len(data), USB_PACKET):
            slot = max(slot, self._free_slot)
            self._free_slot = slot + 1
            arrival = (slot + 1) / (1000 * USB_PACKETS)
            chunks.append((arrival, data[start : start + USB_PACKET]))
        return chunks


class Wire:
    """A port of the host with a board behind it. ``damage`` is the share of frames, in each
    direction, of which one byte is changed, ``flip`` the share of bits that are inverted; which
    ones is decided by ``seed``."""

    name = "bench"

    def __init__(
        self,
        board: BoardEnd,
        line: int | str,
        turnaround: float,
        *,
        damage: float = 0.0,
        flip: float = 0.0,
        seed: int = 1,
    ) -> None:
        faults = Faults(flip=flip)
        self.now = 0.0
        self.board_seconds = 0.0
        """CPU time in the board."""
        self.line_seconds = 0.0
        """CPU time in all of :meth:`exchange`, the board's included."""
        self.damaged = 0
        self._board = board
        self._up: Uart | Usb = Uart(line) if isinstance(line, int) else Usb(by_frame=True)
        self._down: Uart | Usb = Uart(line) if isinstance(line, int) else Usb(by_frame=False)
        self.bytes_per_second = self._up.bytes_per_second
        self._turnaround = turnaround
        self._damage = damage
        self._flip_up = Damage(seed, faults, from_board=False)
        self._flip_down = Damage(seed, faults, from_board=True)
        self._rng = random.Random(seed)
        self._events: list[tuple[float, int, str, bytes]] = []
        self._order = 0
        self._inbox = bytearray()
        self._busy_until = 0.0

    def clock(self) -> float:
        """Seconds since the beginning."""
        return self.now

    def exchange(self, out: bytes, timeout: float) -> tuple[int, bytes]:
        """As :meth:`pytest_tflm.link.port.Port.exchange`."""
        began = time.process_time()
        for arrival, chunk in self._up.send(self._flip_up(self._hit(out)), self.now):
            self._at(arrival, "board", chunk)
        until = self.now + timeout
        while not self._inbox and self._events and self._events[0][0] <= until:
            self.now, _, what, data = heapq.heappop(self._events)
            if what == "host":
                self._inbox += data
            else:
                if data:
                    self._board.receive(data)
                self._look()
        if not self._inbox:
            self.now = until
        data = bytes(self._inbox)
        self._inbox.clear()
        self.line_seconds += time.process_time() - began
        return len(out), data

    def close(self) -> None:
        """Nothing to release."""

    def _at(self, when: float, what: str, data: bytes) -> None:
        self._order += 1
        heapq.heappush(self._events, (when, self._order, what, data))

    def _look(self) -> None:
        while self.now >= self._busy_until:
            began = time.process_time()
            out, computing, more = self._board.work()
            self.board_seconds += time.process_time() - began
            if computing:
                self._busy_until = self.now + computing
                self._at(self._busy_until, "awake", b"")
            for arrival, chunk in self._down.send(self._flip_down(self._hit(out)), self.now):
                self._at(arrival + self._turnaround, "host", chunk)
            if not more:
                return

    def _hit(self, data: bytes) -> bytes:
        if not self._damage:
            return data
        pieces = data.split(b"\0")
        for index, piece in enumerate(pieces):
            if piece and self._rng.random() < self._damage:
                at = self._rng.randrange(len(piece))
                pieces[index] = piece[:at] + bytes([piece[at] ^ 0x10]) + piece[at + 1 :]
                self.damaged += 1
        return b"\0".join(pieces)
