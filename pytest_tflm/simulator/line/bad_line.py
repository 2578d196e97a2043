"""The simulator's line with faults, in real time: between a port and the firmware core."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from pytest_tflm.simulator.line.faulty import BABBLE_SECONDS, BOOT_TEXT, Line, Mishaps, Peer
from pytest_tflm.simulator.line.uart import heard

if TYPE_CHECKING:
    from pytest_tflm.simulator.line.faults import Faults
    from pytest_tflm.simulator.line.ports import Port

_PIECE = 64
"""Bytes that a line with a rate delivers at once."""
_MOST_QUEUED = 1 << 16
"""Bytes on their way after which nothing more is taken, as by a driver's buffer."""


class BadLine:
    """Carries bytes between ``port`` and a board, as badly as ``faults`` and ``seed`` say.

    ``reset`` restarts the board. ``clock`` gives seconds, ``baud`` the rate that the board has now,
    0 where its line has none; the client's is that of the port.
    """

    def __init__(
        self,
        port: Port,
        faults: Faults,
        seed: int,
        reset: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
        baud: Callable[[], int] = lambda: 0,
    ) -> None:
        self._port = port
        self._faults = faults
        self._reset = reset
        self._clock = clock
        self._baud = baud
        self._up = Line(seed, faults, from_board=False)
        self._down = Line(seed, faults, from_board=True)
        self._mishaps = Mishaps(seed, faults)
        self._peer = Peer(faults.peer, seed)
        self._to_board: deque[tuple[float, bytes, int]] = deque()
        self._to_host: deque[tuple[float, bytes, int]] = deque()
        self._babble_at = 0.0
        self._blocked = False

    @property
    def _is_taken_over(self) -> bool:
        return bool(self._faults.peer) and self._down.carried >= self._faults.peer_after

    def heard(self, data: bytes) -> None:
        """These bytes came from the host."""
        now = self._clock()
        if self._is_taken_over:
            if answer := self._peer.hears(data):
                self._to_host.append((now, answer, 0))
        elif data:
            baud = self._client_baud()
            self._send(self._up, data, now, baud, self._to_board)

    def _client_baud(self) -> int:
        """What the client has set its port to; where it cannot be seen, the board's rate."""
        return (self._port.baud() or self._baud()) if self._baud() else 0

    def _send(
        self,
        line: Line,
        data: bytes,
        now: float,
        baud: int,
        to: deque[tuple[float, bytes, int]],
    ) -> None:
        line.pace(baud or None)
        step = _PIECE if baud else len(data)
        for at in range(0, len(data), step):
            arrival, damaged = line.send(data[at : at + step], now)
            to.append((arrival, damaged, baud))

    def said(self, data: bytes, baud: int = 0) -> None:
        """The board sends these bytes, at ``baud`` where its line has a rate."""
        if data and not self._is_taken_over:
            self._send(self._down, data, self._clock(), baud, self._to_host)

    @property
    def has_room(self) -> bool:
        """Whether the board may send."""
        return sum(len(data) for _, data, _ in self._to_host) < _MOST_QUEUED

    def for_board(self) -> bytes:
        """What reaches the board now. May restart it, or take its port away."""
        now = self._clock()
        arrived = b""
        while self._to_board and self._to_board[0][0] <= now and not self._is_taken_over:
            _, data, baud = self._to_board.popleft()
            data = heard(data, baud, self._baud())
            for piece, mishap in self._mishaps.among(data):
                arrived += piece
                if mishap == "reset":
                    arrived = b""  # its memory is lost, and what was unread with it
                    self._reset()
                    self._to_host.append((now, BOOT_TEXT, self._baud()))
                elif mishap == "vanish":
                    self._vanish()
                    return b""
        return arrived

    def _vanish(self) -> None:
        self._to_board.clear()
        self._to_host.clear()
        self._port.vanish()

    def push(self) -> None:
        """Give the port what has come through. Where nobody is connected it is lost."""
        now = self._clock()
        if self._is_taken_over and self._peer.is_endless and now >= self._babble_at:
            self._babble_at = now + BABBLE_SECONDS
            if not self._to_host:
                self._to_host.append((now, self._peer.says(), 0))
        if not self._port.connected():
            self._to_host.clear()
        self._blocked = False
        while self._to_host and self._to_host[0][0] <= now:
            arrival, data, baud = self._to_host.popleft()
            data = heard(data, baud, self._client_baud())
            sent = self._port.write(data) if data else 0
            if sent < len(data):
                self._to_host.appendleft((arrival, data[sent:], 0))
                self._blocked = True
                return

    @property
    def is_blocked(self) -> bool:
        """The port takes no more at the moment."""
        return self._blocked

    def wait(self) -> float | None:
        """Seconds until something is due; None if nothing is on its way."""
        due = [self._to_board[0][0]] if self._to_board else []
        if self._to_host and not self._blocked:
            due.append(self._to_host[0][0])
        if self._is_taken_over and self._peer.is_endless:
            due.append(self._babble_at)
        return max(0.0, min(due) - self._clock()) if due else None
