"""A host and a board in virtual time: one thread, no clock, a seed. What happens to the bytes
between them is the simulator's own fault model (pytest_tflm/simulator/line/faulty.py).

The board is any object with ``receive(bytes)``, ``poll()`` and ``transmit() -> bytes``: the
scripted one of these tests, or the compiled firmware core.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Protocol

from pytest_tflm.errors import PortFailed, PortVanished
from pytest_tflm.simulator.line.faults import Faults
from pytest_tflm.simulator.line.faulty import BABBLE_SECONDS, BOOT_TEXT, Line, Mishaps, Peer
from pytest_tflm.simulator.line.uart import heard

CLEAN = Faults()


class BoardEnd(Protocol):
    now: float
    """Seconds, for a board that has a clock; set before each ``receive``."""

    @property
    def baud(self) -> int:
        """Its line's rate; what ``transmit`` returns is sent at the one it was before."""

    def receive(self, data: bytes) -> None: ...
    def poll(self) -> None: ...
    def transmit(self) -> bytes: ...


class World:
    """Host, line and board. ``compute`` is seconds per Invoke, during which the board reads
    nothing; ``ring`` the bytes it can hold unread. ``invoked()`` counts its Invokes. ``rated``:
    both ends have a rate, ``baud`` at the start, and understand nothing where they differ."""

    def __init__(
        self,
        board: BoardEnd,
        *,
        seed: int = 0,
        faults: Faults = CLEAN,
        baud: int | None = None,
        delay: float = 0.0005,
        compute: float = 0.001,
        ring: int = 1 << 30,
        invoked: Callable[[], int] = lambda: 0,
        boot: Callable[[], object] | None = None,
        rated: bool = False,
    ) -> None:
        self.now = 0.0
        self.board = board
        self.faults = faults
        self.up = Line(seed, faults, from_board=False, baud=baud, delay=delay)
        self.down = Line(seed, faults, from_board=True, baud=baud, delay=delay)
        self.mishaps = Mishaps(seed, faults)
        self.peer = Peer(faults.peer, seed)
        self.rated = rated
        self.opening_baud = self.host_baud = baud
        """The rate of the host's port, which changes it."""
        self.bad_above: dict[str, int] = {}
        """Rates above which nothing gets through to "board" or to "host"."""
        self.compute, self.ring, self.invoked, self.boot = compute, ring, invoked, boot
        self.overflowed = 0
        self.most_unread = 0
        self.resets = 0
        self.dead = False
        """The board has stopped for ever."""
        self.vanished = False
        """The port is gone; whoever opens it again clears this."""
        self._unread = bytearray()
        self._busy_until = 0.0
        self._events: list[tuple[float, int, str, bytes, int | None]] = []
        self._order = 0
        self._inbox = bytearray()
        if self.peer.is_endless:
            self._at(0.0, "babble")

    @property
    def taken_over(self) -> bool:
        """A peer that is no board has taken its place."""
        return self.dead or (bool(self.peer.kind) and self.down.carried >= self.faults.peer_after)

    def _at(self, when: float, what: str, data: bytes = b"", baud: int | None = None) -> None:
        self._order += 1
        heapq.heappush(self._events, (when, self._order, what, data, baud))

    def _send(self, line: Line, out: bytes, now: float, to: str, baud: int | None) -> None:
        if self.rated:
            line.pace(baud)
        step = 64 if line.is_paced else 4096  # a slow line delivers little by little
        for at in range(0, len(out), step):
            arrival, data = line.send(out[at : at + step], now)
            if data:
                self._at(arrival, to, data, baud)

    @property
    def _board_baud(self) -> int | None:
        return self.board.baud if self.rated else None

    def _heard(self, data: bytes, sent_at: int | None, who: str) -> bytes:
        """What the receiver gets: its rate now may be another than the sender's was then."""
        if not self.rated:
            return data
        assert sent_at is not None
        if sent_at > self.bad_above.get(who, sent_at):
            return bytes(byte | 0x81 for byte in data)
        return heard(data, sent_at, self.host_baud if who == "host" else self._board_baud)

    def exchange(self, out: bytes, until: float | None) -> bytes:
        """The host writes ``out`` and then waits, until ``until`` at the latest, for bytes.

        Raises PortVanished when the port is gone."""
        if self.vanished:
            raise PortVanished("virtual: the port is gone")
        self._send(self.up, out, self.now, "board", self.host_baud)
        limit = self.now + 3600 if until is None else max(until, self.now)
        while not self._inbox and self._events and self._events[0][0] <= limit:
            when, _, what, data, baud = heapq.heappop(self._events)
            self.now = max(self.now, when)
            if what == "host":
                self._inbox += self._heard(data, baud, "host")
            elif what == "idle":
                self._work()
            elif what == "babble":
                self._babble()
            else:
                self._arrived(self._heard(data, baud, "board"))
            if self.vanished:
                raise PortVanished("virtual: the port is gone")
        if not self._inbox:
            self.now = limit
        data = bytes(self._inbox)
        self._inbox.clear()
        return data

    def print_text(self, text: bytes) -> None:
        """Other code on the board prints on the same port."""
        self._send(self.down, text, self.now, "host", self._board_baud)

    def reset(self) -> None:
        """The board starts again, in whatever it was doing."""
        assert self.boot is not None
        self.boot()
        self.resets += 1
        self._unread.clear()
        self._busy_until = self.now
        self.print_text(BOOT_TEXT)

    def _babble(self) -> None:
        if self.taken_over:
            self._inbox += self.peer.says()
        self._at(self.now + BABBLE_SECONDS, "babble")

    def _vanish(self) -> None:
        # What was under way is lost with it; the board goes on and finds a new host later.
        self.vanished = True
        self._events = [each for each in self._events if each[2] in ("idle", "babble")]
        heapq.heapify(self._events)
        self._inbox.clear()

    def _arrived(self, data: bytes) -> None:
        for piece, mishap in self.mishaps.among(data):
            if self.taken_over:
                self._inbox += self.peer.hears(piece)
                continue
            self._take(piece)
            if mishap == "reset":
                self.reset()
            elif mishap == "vanish":
                self._vanish()
                return

    def _take(self, data: bytes) -> None:
        room = self.ring - len(self._unread)
        if len(data) > room:
            self.overflowed += len(data) - room
            data = data[:room]
        self._unread += data
        self.most_unread = max(self.most_unread, len(self._unread))
        if self.now >= self._busy_until:
            self._work()

    def _work(self) -> None:
        if self.taken_over or self.now < self._busy_until:
            return
        # Frame by frame up to the first that is computed for: what is behind it waits unread.
        before = self.invoked()
        while self._unread and self.invoked() == before:
            end = self._unread.find(0) + 1 or len(self._unread)
            self.board.now = self.now
            self.board.receive(bytes(self._unread[:end]))
            del self._unread[:end]
            self.board.poll()
        baud = self._board_baud
        out = self.board.transmit()
        done = self.now + (self.invoked() - before) * self.compute
        if done > self.now or self._unread:
            self._busy_until = done
            self._at(done, "idle")
        for at in range(0, len(out), 192):
            self._send(self.down, out[at : at + 192], done, "host", baud)


class VirtualPort:
    """A port of a :class:`World`, for a Connection; its clock is ``world`` 's."""

    name = "virtual"

    def __init__(self, world: World) -> None:
        self.world = world
        self.closed = False
        self.looks = 0
        self.refuses: int | None = None
        """Rates above it are refused."""

    def clock(self) -> float:
        return self.world.now

    def exchange(self, out: bytes, timeout: float) -> tuple[int, bytes]:
        assert not self.closed
        self.looks += 1
        assert self.looks < 5_000_000, "hang"
        return len(out), self.world.exchange(out, self.world.now + timeout)

    def set_baud(self, baud: int) -> None:
        if self.refuses is not None and baud > self.refuses:
            raise PortFailed("virtual: no such rate")
        self.world.host_baud = baud

    def close(self) -> None:
        self.closed = True
