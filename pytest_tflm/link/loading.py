"""Models on their way to a board (SPEC §5: MODEL_OPEN, WRITE, COPY, MODEL_PREPARE).

A board may keep a model in memory while others are loaded behind it. Whatever such a model has in
common with the one that stays is copied on the board and not sent, and the one that stays is
prepared again without being sent. MODEL_PREPARE compares the CRC-32 of what lies in memory, so a
wrong idea of the board's memory costs time and no more: the model is then sent whole.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from pytest_tflm.link import frame, message
from pytest_tflm.link.message import Failure, Region, Status
from pytest_tflm.link.shelf import Shelf

if TYPE_CHECKING:
    from pytest_tflm.link.channel import Channel
    from pytest_tflm.link.outbox import Ticket

    Progress = Callable[[int, int], None]

WRITE_OVERHEAD = frame.SHORTEST_BODY + message.WRITE_OVERHEAD
"""Bytes of body in front of and behind the data in a WRITE."""
_ALIGNMENT = 16
_KEY = 16
"""Bytes by which common pieces are found."""
_SHORTEST = 64
"""Bytes below which a COPY, and the WRITE that it splits in two, take more than they save."""
_MOST_KEYS = 1 << 16
_SLACK = 12 << 10
"""Bytes of arena that a model takes beside its tensors, to begin with."""
_MOST_KEPT = 1 << 20
"""Bytes of tensors that are kept."""
_FITS_NOT = (Status.MODEL_TOO_LARGE, Status.ARENA_TOO_SMALL, Status.MODEL_DAMAGED)
"""Why a model is refused that would be taken if it were sent whole to the memory's start."""


class Piece(NamedTuple):
    """``length`` bytes of a model at ``offset``. ``source`` is where the resident model has them;
    None: nowhere."""

    offset: int
    length: int
    source: int | None


class Loader:
    """Loads models, and knows which one still lies at the start of the board's memory: the
    *resident* model; and what tensors lie behind it. For one thread at a time."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.memory = 0
        """Bytes for models on the board."""
        self.shelf = Shelf()
        self._slack = _SLACK
        self._resident = b""
        """As far as is known; empty: nothing is."""
        self._keys: dict[bytes, int] = {}
        self._is_behind = False
        """The model that was loaded last lies behind the resident one."""

    def load(
        self,
        data: bytes,
        progress: Progress | None = None,
        *,
        passing: bool = False,
        afresh: bool = False,
    ) -> None:
        """Send a model and have it prepared. ``progress(sent, of)`` is called in bytes.

        ``passing``: the resident model is to stay, if the board's memory is large enough for both.
        ``afresh``: every byte is sent. Raises what :meth:`Connection.load` raises.
        """
        doing = f"load a model of {len(data)} bytes"
        self._channel.check()
        self.shelf.clear()
        if not afresh and (plan := self._plan(data, passing)) is not None:
            failure = self._carry_out(data, *plan, doing, progress)
            if failure is None:
                return
            if failure.status not in _FITS_NOT:
                raise self._channel.refused(failure, doing)
        self.forget()
        failure = self._carry_out(data, 0, [Piece(0, len(data), None)], doing, progress)
        if failure is not None:
            raise self._channel.refused(failure, doing)
        if not passing:
            self._resident = data

    def begin(self, data: bytes, tensors: int | None = None) -> list[Ticket]:
        """Submit all requests that load a model in passing, without waiting for any reply. If one
        of them is refused, so are those behind it; :meth:`load` then tells why.

        ``tensors``: bytes of its inputs and outputs; memory that it seems not to need is then left
        to the shelf."""
        plan = self._plan(data, passing=True)
        if plan is None:
            self.forget()
            plan = 0, [Piece(0, len(data), None)]
        kept, pieces = plan
        end = kept
        if tensors is not None and self._channel.welcome.keeps_memory:
            need = len(data) + tensors + tensors // 4 + self._slack
            end = max(kept, min(self.memory - need, kept + _MOST_KEPT) // _ALIGNMENT * _ALIGNMENT)
        self.shelf.fit(kept, end)
        kept = end
        self._is_behind = kept > 0
        ask = self._channel.ask
        tickets = [ask(message.ModelOpen(len(data), kept))]
        tickets += [ask(request) for _, request in self._requests(data, pieces)]
        return [*tickets, ask(message.ModelPrepare(len(data), zlib.crc32(data)))]

    def found(self, data: bytes) -> None:
        """The board has this model loaded already."""
        if not self._is_behind and data != self._resident:
            self.forget()
            self._resident = data

    def was_refused(self) -> None:
        """A model that was begun did not fit: the next ones get more memory."""
        self._slack = min(2 * self._slack, self.memory)

    def forget(self) -> None:
        """Nothing is known of the board's memory."""
        self._resident, self._keys, self._is_behind = b"", {}, False
        self.shelf.clear()

    def _plan(self, data: bytes, passing: bool) -> tuple[int, list[Piece]] | None:
        """How many bytes are kept, and the pieces that make the model; None if it has to be sent
        whole to the memory's start."""
        if not self._channel.welcome.keeps_memory:
            return None
        # What an earlier run has left there is asked for as well: that takes two short requests.
        if data == self._resident or not (self._resident or passing):
            return 0, []
        if not passing or not self._resident:
            return None
        if not self._keys:
            self._keys = keys(self._resident)
        kept = -(-len(self._resident) // _ALIGNMENT) * _ALIGNMENT
        return kept, pieces(data, self._resident, self._keys)

    def _carry_out(
        self, data: bytes, kept: int, pieces: list[Piece], doing: str, progress: Progress | None
    ) -> Failure | None:
        """Send what the plan says; the refusal, if it is refused."""
        channel, size = self._channel, len(data)
        opened = channel.wait(channel.ask(message.ModelOpen(size, kept)))
        if isinstance(opened, Failure):
            return opened
        requests = self._requests(data, pieces)
        under_way: deque[tuple[int, Ticket]] = deque()
        more = True
        while more or under_way:
            while more and channel.session.has_room:
                if (following := next(requests, None)) is None:
                    more = False
                    break
                end, request = following
                under_way.append((end, channel.ask(request)))
                channel.pump(block=False)
            if under_way and under_way[0][1].reply is None:
                channel.pump()
            while under_way and (reply := under_way[0][1].reply) is not None:
                arrived, _ = under_way.popleft()
                channel.need(reply, doing)
                if progress is not None:
                    progress(arrived, size)
        prepared = channel.wait(channel.ask(message.ModelPrepare(size, zlib.crc32(data))))
        self._is_behind = kept > 0
        return prepared if isinstance(prepared, Failure) else None

    def _requests(
        self, data: bytes, pieces: Iterable[Piece]
    ) -> Iterator[tuple[int, message.Request]]:
        """What makes the model in the board's memory: where each ends, and the request."""
        for offset, length, source in pieces:
            end = offset + length
            if source is not None:
                yield end, message.Copy(Region.MODEL, 0, offset, Region.KEPT, 0, source, length)
                continue
            while offset < end:
                limit = self._channel.session.frame_limit - WRITE_OVERHEAD
                part = data[offset : min(end, offset + limit)]
                yield offset + len(part), message.Write(Region.MODEL, 0, offset, part)
                offset += len(part)


def keys(base: bytes) -> dict[bytes, int]:
    """Where ``base`` has which 16 bytes: at multiples of 4, of a large model at fewer places."""
    step = 4 * max(1, len(base) // (4 * _MOST_KEYS))
    found: dict[bytes, int] = {}
    for at in range(0, len(base) - _KEY + 1, step):
        found.setdefault(base[at : at + _KEY], at)
    return found


def pieces(data: bytes, base: bytes, known: dict[bytes, int]) -> list[Piece]:
    """``data`` as pieces that ``base`` has as well, and what lies between them. ``known`` are the
    :func:`keys` of ``base``."""
    found: list[Piece] = []
    done = at = 0
    while at + _KEY <= len(data):
        source = known.get(data[at : at + _KEY])
        if source is None:
            at += 1
            continue
        start, end = at, at + _KEY
        behind = source + _KEY
        while start > done and source > 0 and data[start - 1] == base[source - 1]:
            start, source = start - 1, source - 1
        while end < len(data) and behind < len(base) and data[end] == base[behind]:
            end, behind = end + 1, behind + 1
        if end - start < _SHORTEST:
            at += 1
            continue
        if start > done:
            found.append(Piece(done, start - done, None))
        found.append(Piece(start, end - start, source))
        done = at = end
    if done < len(data):
        found.append(Piece(done, len(data) - done, None))
    return found
