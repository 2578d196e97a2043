"""The states of a session, what moves it between them, and what it tells."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from pytest_tflm.errors import TflmError
    from pytest_tflm.link.message import Failure, Welcome


class State(Enum):
    """Where a session is. Its life is this table, and nothing else moves it:

    ======== ========================================== ========
    state    what happens                               then
    ======== ========================================== ========
    NEW      ``open``: HELLO goes out                   GREETING
    GREETING WELCOME with request 0 and a version       OPEN
    GREETING WELCOME with another request: this session GREETING
             number was in use; HELLO with another
    GREETING patience ends, or no version in common     BROKEN
    OPEN     NO_SESSION, or a PONG that goes back: the  ASKING
             board has forgotten this session; HELLO
             without a version asks for its boot id
    OPEN     WELCOME with another boot id               BROKEN
    OPEN     patience ends, or too many rounds          BROKEN
    ASKING   WELCOME without a version, or time's up    BROKEN
    any      CRASH; while GREETING the second one       BROKEN
    ======== ========================================== ========
    """

    NEW = "new"
    GREETING = "greeting"
    OPEN = "open"
    ASKING = "asking"
    BROKEN = "broken"


MOVES = {
    State.NEW: {State.GREETING, State.BROKEN},
    State.GREETING: {State.GREETING, State.OPEN, State.BROKEN},
    State.OPEN: {State.ASKING, State.BROKEN},
    State.ASKING: {State.BROKEN},
    State.BROKEN: {State.BROKEN},
}


class Opened(NamedTuple):
    """The board said WELCOME."""

    welcome: Welcome


class Replied(NamedTuple):
    """The reply to request ``number``. Replies come in order, each once. ``reply`` is the data
    behind status OK, or the failure."""

    number: int
    reply: bytes | Failure


class Said(NamedTuple):
    """Text from the board: a LOG frame, or (``printed``) what other code printed on the port."""

    text: str
    printed: bool


class Resettled(NamedTuple):
    """A change of rate has ended, or the board was found at another: the line is at ``baud`` bits
    per second, whatever was asked for."""

    baud: int | None


class Broken(NamedTuple):
    """The session is over; ``error`` says why. Nothing but text comes after it."""

    error: TflmError


Event: TypeAlias = "Opened | Replied | Said | Resettled | Broken"
