"""Wait for descriptors, however high their numbers are."""

from __future__ import annotations

import errno
import math
import select
from collections.abc import Sequence
from typing import Any, Protocol, TypeVar


class _HasFileno(Protocol):
    def fileno(self) -> int: ...


_Descriptor = TypeVar("_Descriptor", bound="int | _HasFileno")


def ready(
    reading: Sequence[_Descriptor], writing: Sequence[_Descriptor], timeout: float | None
) -> tuple[list[_Descriptor], list[_Descriptor]]:
    """Wait until one of ``reading`` can be read or one of ``writing`` written, at most ``timeout``
    seconds (None: without an end).

    Returns those that can be read and those that can be written. A descriptor whose other end is
    gone counts as ready. Raises OSError or ValueError for one that is closed.
    """
    try:
        readable, writable, _ = select.select(reading, writing, [], timeout)
    except ValueError:
        # select() takes no descriptor from 1024 on: a process with many open files has those. It
        # waits in microseconds, which poll() does not, so it is asked first.
        if not hasattr(select, "poll"):
            raise
        return _poll(reading, writing, timeout)
    return readable, writable


def _poll(
    reading: Sequence[Any], writing: Sequence[Any], timeout: float | None
) -> tuple[list[Any], list[Any]]:
    poll = select.poll()
    wanted: dict[int, int] = {}
    for each, event in [(r, select.POLLIN) for r in reading] + [
        (w, select.POLLOUT) for w in writing
    ]:
        wanted[_number(each)] = wanted.get(_number(each), 0) | event
    for number, events in wanted.items():
        poll.register(number, events)
    found = dict(poll.poll(None if timeout is None else math.ceil(timeout * 1000)))
    if any(events & select.POLLNVAL for events in found.values()):
        raise OSError(errno.EBADF, "a closed descriptor")
    gone = select.POLLHUP | select.POLLERR
    return (
        [r for r in reading if found.get(_number(r), 0) & (select.POLLIN | gone)],
        [w for w in writing if found.get(_number(w), 0) & (select.POLLOUT | gone)],
    )


def _number(descriptor: Any) -> int:
    return descriptor if isinstance(descriptor, int) else int(descriptor.fileno())
