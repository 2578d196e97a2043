"""What to send again and what to ask for again: PING, GAP and REPEAT (SPEC §4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_tflm.link.message import Type, pack_repeat

if TYPE_CHECKING:
    from pytest_tflm.link.outbox import Outbox

_MOST_ROUNDS = 100
"""Times that something is sent or asked for again without any progress between."""
_RUNS_AT_ONCE = 2
"""Two REPEATs and a PING are 46 bytes; a board has 64 to spare for them."""


class Recovery:
    """The host's part of SPEC §4 when something was lost."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._token = 0
        """The latest PING's; 0 before the first."""
        self._ping_mark = 0
        """All requests before that number were sent before the latest PING."""
        self._ping_open = False
        """The latest PING has had no PONG."""
        self._ping_wanted = False
        self._repeats: list[tuple[int, int]] = []
        self._repeat_mark = 0
        """The reply to this request shows that the latest REPEAT has been answered or lost."""
        self.rounds = 0

    @property
    def too_many(self) -> bool:
        """So many rounds without progress that there is no hope."""
        return self.rounds > _MOST_ROUNDS

    def want_ping(self) -> None:
        """Put a PING in front of what is sent next."""
        self._ping_wanted = True

    def is_latest(self, token: int) -> bool:
        """The token is that of the latest PING (0: there was none)."""
        return token == self._token

    def answers_ping(self, token: int) -> bool:
        """This is the first PONG to the latest PING."""
        if token != self._token or not self._ping_open:
            return False
        self._ping_open = False
        return True

    def lost_before_ping(self, ack: int) -> bool:
        """The board, in its PONG, expects a request that was sent before the PING."""
        return ack < self._ping_mark

    def send_again(self, number: int) -> None:
        """The board has lost request ``number`` and drops all behind it."""
        if self._outbox.rewind(number):
            self._ping_wanted = True
            self.rounds += 1

    def ask_for_missing(self, before: int) -> int:
        """All replies before ``before`` have been sent by the board: ask again for those that did
        not arrive. Returns how many were asked for."""
        runs = self._outbox.missing(before, _RUNS_AT_ONCE)
        if not runs or self._repeats:
            return 0
        self._repeats = runs
        self.rounds += 1
        return sum(count for _, count in runs)

    def overtaken(self, number: int) -> bool:
        """A reply to ``number`` came after whatever was last asked for again."""
        return number >= self._repeat_mark

    def frames(self) -> list[tuple[int, int, bytes]]:
        """Type, number and payload of the REPEATs and the PING to send now, before any request."""
        found: list[tuple[int, int, bytes]] = []
        if self._repeats:
            found = [(Type.REPEAT, first, pack_repeat(count)) for first, count in self._repeats]
            self._repeats = []
            self._repeat_mark = self._outbox.cursor
            self._ping_wanted = True  # its PONG tells whether the repeated replies came
        if self._ping_wanted:
            self._token = self._token % 0xFFFF + 1
            self._ping_mark = self._outbox.cursor
            self._ping_wanted = False
            self._ping_open = True
            found.append((Type.PING, self._token, b""))
        return found
