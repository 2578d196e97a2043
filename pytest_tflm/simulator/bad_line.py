"""The simulator's line with faults, in real time: between a port and the firmware core."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from pytest_tflm.simulator.line import BABBLE_SECONDS, BOOT_TEXT, Line, Mishaps, Peer

if TYPE_CHECKING:
    from pytest_tflm.simulator.faults import Faults
    from pytest_tflm.simulator.process import Port

_MOST_QUEUED = 1 << 16
"""Bytes on their way after which nothing more is taken, as by a driver's buffer."""


class BadLine:
    """Carries bytes between ``port`` and a board, as badly as ``faults`` and ``seed`` say.

    ``reset`` restarts the board. ``clock`` gives seconds.
    """

    def __init__(
        self,
        port: Port,
        faults: Faults,
        seed: int,
        reset: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._port = port
        self._faults = faults
        self._reset = reset
        self._clock = clock
        self._up = Line(seed, faults, from_board=False)
        self._down = Line(seed, faults, from_board=True)
        self._mishaps = Mishaps(seed, faults)
        self._peer = Peer(faults.peer, seed)
        self._to_board: deque[tuple[float, bytes]] = deque()
        self._to_host: deque[tuple[float, bytes]] = deque()
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
                self._to_host.append((now, answer))
        elif data:
            self._to_board.append(self._up.send(data, now))

    def said(self, data: bytes) -> None:
        """The board sends these bytes."""
        if data and not self._is_taken_over:
            self._to_host.append(self._down.send(data, self._clock()))

    @property
    def has_room(self) -> bool:
        """Whether the board may send."""
        return sum(len(data) for _, data in self._to_host) < _MOST_QUEUED

    def for_board(self) -> bytes:
        """What reaches the board now. May restart it, or take its port away."""
        now = self._clock()
        arrived = b""
        while self._to_board and self._to_board[0][0] <= now and not self._is_taken_over:
            _, data = self._to_board.popleft()
            for piece, mishap in self._mishaps.among(data):
                arrived += piece
                if mishap == "reset":
                    arrived = b""  # its memory is lost, and what was unread with it
                    self._reset()
                    self._to_host.append((now, BOOT_TEXT))
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
                self._to_host.append((now, self._peer.says()))
        if not self._port.connected():
            self._to_host.clear()
        self._blocked = False
        while self._to_host and self._to_host[0][0] <= now:
            arrival, data = self._to_host.popleft()
            sent = self._port.write(data) if data else 0
            if sent < len(data):
                self._to_host.appendleft((arrival, data[sent:]))
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
