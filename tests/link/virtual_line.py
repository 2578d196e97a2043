"""A line with faults between a host and a board, in virtual time: one thread, no clock, a seed.

The board is any object with ``receive(bytes)``, ``poll()`` and ``transmit() -> bytes``: the
scripted one of these tests, or the compiled firmware core.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


class BoardEnd(Protocol):
    def receive(self, data: bytes) -> None: ...
    def poll(self) -> None: ...
    def transmit(self) -> bytes: ...


@dataclass(frozen=True)
class Faults:
    """Probabilities: of a flipped bit per bit; of a lost or repeated byte per byte; of a lost or
    repeated run of 64 bytes per such run; of text printed between two chunks of the board's output
    per chunk; of a reset of the board per chunk that reaches it."""

    flip: float = 0.0
    lose: float = 0.0
    repeat: float = 0.0
    lose_run: float = 0.0
    repeat_run: float = 0.0
    burst: float = 0.0
    print_text: float = 0.0
    reset: float = 0.0
    jitter: float = 0.0

    @property
    def clean(self) -> bool:
        return self == Faults(jitter=self.jitter)


def _hits(rng: random.Random, places: int, probability: float) -> list[int]:
    """Which of ``places`` are hit, each with that probability: jumps from hit to hit."""
    found: list[int] = []
    if probability <= 0 or places <= 0:
        return found
    scale = math.log1p(-probability)
    at = -1
    while True:
        at += 1 + int(math.log(1.0 - rng.random()) / scale)
        if at >= places:
            return found
        found.append(at)


class Line:
    """One direction: what is sent arrives later, in order, and not always whole."""

    def __init__(self, rng: random.Random, faults: Faults, baud: int | None, delay: float) -> None:
        self.rng, self.faults, self.delay = rng, faults, delay
        self.byte = 10 / baud if baud else 0.0
        self.free_at = 0.0
        self.last_arrival = 0.0
        self.carried = 0

    def damage(self, data: bytes) -> bytes:
        rng, faults = self.rng, self.faults
        if faults.clean:
            return data
        bad = bytearray(data)
        for bit in _hits(rng, len(bad) * 8, faults.flip):
            bad[bit >> 3] ^= 1 << (bit & 7)
        for start in _hits(rng, len(bad), faults.burst):
            for at in range(start, min(len(bad), start + rng.randrange(1, 30))):
                bad[at] = rng.randrange(256)
        for at in reversed(_hits(rng, len(bad), faults.lose)):
            del bad[at]
        for at in reversed(_hits(rng, len(bad), faults.repeat)):
            bad[at:at] = bad[at : at + 1]
        runs = (len(bad) + 63) // 64
        for run in reversed(_hits(rng, runs, faults.lose_run)):
            del bad[64 * run : 64 * run + 64]
        for run in reversed(_hits(rng, runs, faults.repeat_run)):
            bad[64 * run : 64 * run] = bad[64 * run : 64 * run + 64]
        return bytes(bad)

    def send(self, data: bytes, now: float) -> tuple[float, bytes]:
        """When it arrives, and what of it."""
        self.carried += len(data)
        self.free_at = max(self.free_at, now) + len(data) * self.byte
        arrival = self.free_at + self.delay + self.rng.random() * self.faults.jitter
        self.last_arrival = max(self.last_arrival, arrival)
        return self.last_arrival, self.damage(data)


class World:
    """Host, line and board. ``compute`` is seconds per Invoke, during which the board reads
    nothing; ``ring`` the bytes it can hold unread. ``invoked()`` counts its Invokes."""

    def __init__(
        self,
        board: BoardEnd,
        *,
        seed: int = 0,
        faults: Faults = Faults(),
        baud: int | None = None,
        delay: float = 0.0005,
        compute: float = 0.001,
        ring: int = 1 << 30,
        invoked: Callable[[], int] = lambda: 0,
        boot: Callable[[], object] | None = None,
    ) -> None:
        self.now = 0.0
        self.board = board
        self.rng = random.Random(seed)
        self.faults = faults
        self.up = Line(self.rng, faults, baud, delay)
        self.down = Line(self.rng, faults, baud, delay)
        self.compute, self.ring, self.invoked, self.boot = compute, ring, invoked, boot
        self.overflowed = 0
        self.most_unread = 0
        self.resets = 0
        self.dead = False
        self._unread = bytearray()
        self._busy_until = 0.0
        self._events: list[tuple[float, int, str, bytes]] = []
        self._order = 0
        self._inbox = bytearray()

    def _at(self, when: float, what: str, data: bytes = b"") -> None:
        self._order += 1
        heapq.heappush(self._events, (when, self._order, what, data))

    def _send(self, line: Line, out: bytes, now: float, to: str) -> None:
        step = 64 if line.byte else 4096  # a slow line delivers little by little
        for at in range(0, len(out), step):
            arrival, data = line.send(out[at : at + step], now)
            if data:
                self._at(arrival, to, data)

    def exchange(self, out: bytes, until: float | None) -> bytes:
        """The host writes ``out`` and then waits, until ``until`` at the latest, for bytes."""
        self._send(self.up, out, self.now, "board")
        limit = self.now + 3600 if until is None else max(until, self.now)
        while not self._inbox and self._events and self._events[0][0] <= limit:
            when, _, what, data = heapq.heappop(self._events)
            self.now = max(self.now, when)
            if what == "host":
                self._inbox += data
            elif what == "idle":
                self._work()
            else:
                self._arrived(data)
        if not self._inbox:
            self.now = limit
        data = bytes(self._inbox)
        self._inbox.clear()
        return data

    def print_text(self, text: bytes) -> None:
        """Other code on the board prints on the same port."""
        self._send(self.down, text, self.now, "host")

    def reset(self) -> None:
        """The board starts again, in whatever it was doing."""
        assert self.boot is not None
        self.boot()
        self.resets += 1
        self._unread.clear()
        self._busy_until = self.now
        self.print_text(b"ets Jul 29 2019 12:21:46\r\nrst:0x1 (POWERON_RESET)\r\n")

    def _arrived(self, data: bytes) -> None:
        if self.dead:
            return
        if self.faults.reset and self.rng.random() < self.faults.reset:
            self.reset()
            data = data[self.rng.randrange(len(data) + 1) :]
        room = self.ring - len(self._unread)
        if len(data) > room:
            self.overflowed += len(data) - room
            data = data[:room]
        self._unread += data
        self.most_unread = max(self.most_unread, len(self._unread))
        if self.now >= self._busy_until:
            self._work()

    def _work(self) -> None:
        if self.dead or self.now < self._busy_until:
            return
        # Frame by frame up to the first that is computed for: what is behind it waits unread.
        before = self.invoked()
        while self._unread and self.invoked() == before:
            end = self._unread.find(0) + 1 or len(self._unread)
            self.board.receive(bytes(self._unread[:end]))
            del self._unread[:end]
            self.board.poll()
        out = self.board.transmit()
        done = self.now + (self.invoked() - before) * self.compute
        if done > self.now or self._unread:
            self._busy_until = done
            self._at(done, "idle")
        for at in range(0, len(out), 192):
            self._send(self.down, out[at : at + 192], done, "host")
            if self.rng.random() < self.faults.print_text:
                self._send(self.down, b"sensor: 65 \xc2\xb0C\n", done, "host")


class VirtualPort:
    """A port of a :class:`World`, for a Connection; its clock is ``world`` 's."""

    name = "virtual"

    def __init__(self, world: World) -> None:
        self.world = world
        self.closed = False
        self.looks = 0

    def clock(self) -> float:
        return self.world.now

    def exchange(self, out: bytes, timeout: float) -> tuple[int, bytes]:
        assert not self.closed
        self.looks += 1
        assert self.looks < 5_000_000, "hang"
        return len(out), self.world.exchange(out, self.world.now + timeout)

    def close(self) -> None:
        self.closed = True
