"""A model on its way into a board's memory (SPEC §5: MODEL_OPEN, WRITE, MODEL_PREPARE)."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from pytest_tflm.link import frame, message
from pytest_tflm.link.message import Failure, Region

if TYPE_CHECKING:
    from pytest_tflm.link.connection import Connection, Ticket


def load(
    connection: Connection, data: bytes, progress: Callable[[int, int], None] | None = None
) -> None:
    """Send ``data`` and have it prepared; see :meth:`Connection.load`."""
    size = len(data)
    doing = f"load a model of {size} bytes"
    connection.call(message.ModelOpen(size), doing)
    under_way: deque[tuple[int, Ticket]] = deque()
    sent = 0
    while sent < size or under_way:
        while sent < size and connection.session.has_room:
            length = connection.session.frame_limit - frame.SHORTEST_BODY - message.WRITE_OVERHEAD
            part = data[sent : sent + length]
            ticket = connection.ask(message.Write(Region.MODEL, 0, sent, part))
            sent += len(part)
            under_way.append((sent, ticket))
            connection.pump(block=False)
        if not under_way or under_way[0][1].reply is None:
            connection.pump()
        while under_way and (reply := under_way[0][1].reply) is not None:
            arrived, _ = under_way.popleft()
            if isinstance(reply, Failure):
                raise connection.refuse(reply, doing)
            if progress is not None:
                progress(arrived, size)
    connection.call(message.ModelPrepare(size, zlib.crc32(data)), doing)
