"""The rate of a connection's line: changed behind the greeting, left as it was (SPEC §9)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_tflm.errors import PortFailed
from pytest_tflm.link.rate import is_too_slow

if TYPE_CHECKING:
    from pytest_tflm.link.connection import Connection

_LEAVING = 0.3
"""Seconds that a port stays open for going back; a board that was left goes back by itself."""


def change(connection: Connection, baud: int) -> None:
    """Change to ``baud`` bits per second where board and port can (0: stay). Waits until that is
    settled; ``connection.rate_note`` says why it is not where it was asked for."""
    session = connection.session
    present = session.baud
    if not baud or baud == present:
        return
    connection.rate_note = _why_not(connection, baud)
    if connection.rate_note or present is None:
        return
    try:
        # While nobody speaks: a board that has changed would have to come back for nothing.
        connection.port_rate(baud)
        connection.port_rate(present)
    except PortFailed as error:
        connection.rate_note = f"this machine's port cannot do {baud}"
        if connection.broken is not None:
            raise connection.broken from error
        return
    session.change_baud(baud)
    while not session.rate_is_settled:
        connection.pump()


def _why_not(connection: Connection, baud: int) -> str:
    welcome = connection.session.welcome
    assert welcome is not None
    if connection.session.baud is None:
        return "this port has no rate: it is as fast as it can be"
    if not welcome.changes_baud:
        return "the board cannot change its rate"
    if is_too_slow(baud, welcome.largest_frame):
        return f"{baud} is too slow for the board's frames of {welcome.largest_frame} bytes"
    return ""


def note(connection: Connection, baud: int | None) -> str:
    """What to say of a change that has ended at ``baud``."""
    wanted = connection.line_baud
    if not wanted or baud == wanted:
        return ""
    return f"{wanted} does not carry, or the board refused it"


def leave(connection: Connection) -> None:
    """Ask for the opening rate if the line is at another, as long as that may take."""
    session, clock = connection.session, connection.clock
    until = clock() + _LEAVING
    while session.away_from_opening and clock() < until:
        if session.can_change_baud:
            session.change_baud(0)
        connection.pump(longest=until - clock())
