"""Regions in pieces, several of them under way at once (SPEC §5: READ)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from pytest_tflm.errors import NotSupported, ProtocolMismatch
from pytest_tflm.link import frame, message
from pytest_tflm.link.message import Failure, Region, Status

if TYPE_CHECKING:
    from pytest_tflm.link.connection import Connection, Ticket

REPLY_OVERHEAD = frame.SHORTEST_BODY + 1
"""Bytes of body in front of and behind the data in a reply to READ."""
_LARGEST_REGION = 1 << 20
_AT_ONCE = 4
"""Replies of READs that a board's store holds together."""


def longest(connection: Connection) -> int:
    """Bytes of data to ask for at once. Not the largest reply there can be: on a bad line the
    longest frames hardly ever pass."""
    return connection.session.frame_limit - REPLY_OVERHEAD


def ask_ahead(connection: Connection, region: Region, pieces: int) -> list[Ticket]:
    """Ask for the first ``pieces`` of a region whose size is not known; see :func:`collect`."""
    welcome = connection.session.welcome
    assert welcome is not None
    share = frame.body_length(welcome.reply_store // _AT_ONCE)
    length = min(longest(connection), max(message.SMALLEST_FRAME, share) - REPLY_OVERHEAD)
    return [
        connection.ask(message.Read(region, 0, number * length, length)) for number in range(pieces)
    ]


def collect(connection: Connection, region: Region, tickets: list[Ticket]) -> bytes | Failure:
    """All of the region whose first pieces :func:`ask_ahead` asked for; or the board's refusal."""
    data = b""
    for ticket in tickets:
        read, reply = ticket.request, connection.wait(ticket)
        assert isinstance(read, message.Read)
        if isinstance(reply, Failure):
            return reply
        data += reply
        if len(reply) < read.length:
            return data  # the pieces behind the end are refused as OUT_OF_RANGE, or empty
    return data + read_region(connection, region, offset=len(data))


def read_region(
    connection: Connection,
    region: Region,
    index: int = 0,
    size: int | None = None,
    offset: int = 0,
) -> bytes:
    """See :meth:`Connection.read_region`."""
    data = b""
    while size is None or len(data) < size:
        length = longest(connection)
        if size is not None:
            length = min(length, size - len(data))
        read = message.Read(region, index, offset + len(data), length)
        part = connection.call(read, f"read region {region.name}")
        data += part
        if len(part) < length:
            break
        if len(data) > _LARGEST_REGION:
            raise connection.fail(ProtocolMismatch(f"region {region.name} has no end"))
    return data


def operator_times(connection: Connection) -> tuple[int, ...]:
    """See :meth:`Connection.operator_times`."""
    reply = collect(connection, Region.TIMES, ask_ahead(connection, Region.TIMES, 1))
    if isinstance(reply, Failure):
        # Firmware from before there was such a region calls it out of range.
        if reply.status in (Status.NOT_SUPPORTED, Status.OUT_OF_RANGE):
            raise NotSupported(
                f"{connection.name}: the firmware of board {connection.identity.board} does not"
                " measure the time of single operators",
                details=connection.details(),
            )
        raise connection.refuse(reply, "read the operators' times")
    if len(reply) % 4:
        raise connection.fail(ProtocolMismatch(f"region TIMES has {len(reply)} bytes"))
    return struct.unpack(f"<{len(reply) // 4}I", reply)
