"""Samples of a model that is loaded in passing, submitted without waiting for anything."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from pytest_tflm.link import message
from pytest_tflm.link.message import Failure, Region, RunFlag, RunResult
from pytest_tflm.link.running import (
    Sizes,
    Stream,
    check_input,
    check_read,
    find_way,
    read_tensors,
    write_tensor,
)
from pytest_tflm.link.shelf import LEAST

if TYPE_CHECKING:
    from pytest_tflm.link.channel import Channel
    from pytest_tflm.link.outbox import Ticket
    from pytest_tflm.link.shelf import Shelf, Slot

    Tensors = tuple[bytes, ...]


class Keeping(NamedTuple):
    """Where tensors are kept on the board. ``expected``: what should come of each sample, None
    where nobody knows; with it, inputs and outputs are kept, and outputs that are these are not
    sent. Without, nothing is added to the shelf."""

    shelf: Shelf
    expected: Sequence[Tensors | None] | None


@dataclass(slots=True)
class _Run:
    """A sample on its way: the requests that it took, the RUN, the READs of its outputs, and where
    these are kept."""

    number: int
    inputs: Tensors
    expected: Tensors | None
    copied: list[tuple[Slot, bytes]]
    """Where inputs were in the board's memory, and what was thought to be there."""
    tickets: list[Ticket]
    run: Ticket
    reads: list[Ticket]
    slots: list[Slot | None]


class Begun:
    """Samples that were submitted behind the requests that load their model."""

    def __init__(
        self,
        channel: Channel,
        loading: Sequence[Ticket],
        sizes: Sizes,
        samples: Sequence[Tensors],
        keeping: Keeping | None,
    ) -> None:
        self._channel, self._sizes, self._keeping = channel, sizes, keeping
        self._stream = Stream(channel, sizes, map(b"".join, samples), False)
        self._runs: list[_Run] = []
        if keeping is None:
            self._stream.submit_all()
        else:
            for number, sample in enumerate(samples):
                self._runs.append(self._submit(keeping, number, sample))
                channel.pump(block=False)
        self._tickets = [*loading, *self._stream.tickets]

    def mend(self) -> None:
        """Run those samples once more whose inputs were not in the board's memory, as is known by
        now. The model must still be the one that is loaded."""
        for number, run in enumerate(self._runs):
            if self._keeping is not None and any(slot.key != key for slot, key in run.copied):
                self._tickets += run.tickets
                for slot in run.slots:
                    self._keeping.shelf.doubt_slot(slot)
                self._runs[number] = self._submit(self._keeping, run.number, run.inputs)

    def results(self) -> list[Tensors | None] | None:
        """The outputs of each sample; waits for them. None for a sample that did not find its
        inputs in the board's memory, or whose outputs are not there any more: it has to be run
        again. None for all of them if the board refused anything: whoever does the same again, one
        after the other, hears why. Raises InputAltered or a LinkError."""
        runs = [ticket for run in self._runs for ticket in run.tickets]
        for ticket in [*self._tickets, *runs]:
            if isinstance(self._channel.wait(ticket), Failure):
                return None
        if self._keeping is None:
            return [_parted(each.outputs, self._sizes.outputs) for each in self._stream.results()]
        shelf = self._keeping.shelf
        return [self._landed(shelf, run) for run in self._runs]

    def _submit(self, keeping: Keeping, number: int, sample: Tensors) -> _Run:
        channel, sizes, shelf = self._channel, self._sizes, keeping.shelf
        keeps = keeping.expected is not None
        expected = keeping.expected[number] if keeping.expected is not None else None
        way = find_way(channel, sizes)
        sources = [shelf.find(data) for data in sample]
        copied = [(source, source.key) for source in sources if source is not None]
        worth_keeping = keeps and any(len(data) >= LEAST for data in sample)
        flags = RunFlag(0)
        tickets: list[Ticket] = []
        if way.inline and not copied and not worth_keeping:
            flags |= RunFlag.INLINE
        else:
            for index, (data, source) in enumerate(zip(sample, sources, strict=True)):
                tickets += self._give(shelf if keeps else None, index, data, source)
        slots: list[Slot | None] = [
            shelf.put(size, None if expected is None else expected[index]) if keeps else None
            for index, size in enumerate(sizes.outputs)
        ]
        is_spared = expected is not None and None not in slots
        if way.with_outputs and not is_spared:
            flags |= RunFlag.OUTPUTS
        inputs = b"".join(sample) if flags & RunFlag.INLINE else b""
        run = channel.ask(message.Run(flags, 1, inputs, sum(sizes.outputs), sizes.inputs))
        reads: list[Ticket] = []
        if not (way.with_outputs or is_spared):
            reads = read_tensors(channel, sizes.outputs, way.read_length)
        copies = [
            channel.ask(
                message.Copy(Region.KEPT, 0, slot.offset, Region.OUTPUT, index, 0, slot.size)
            )
            for index, slot in enumerate(slots)
            if slot is not None
        ]
        tickets += [run, *reads, *copies]
        return _Run(number, sample, expected, copied, tickets, run, reads, slots)

    def _give(
        self, shelf: Shelf | None, index: int, data: bytes, source: Slot | None
    ) -> list[Ticket]:
        """The requests that put an input tensor into its place, and keep it on ``shelf``."""
        ask, size = self._channel.ask, len(data)
        if source is not None:
            return [ask(message.Copy(Region.INPUT, index, 0, Region.KEPT, 0, source.offset, size))]
        tickets = write_tensor(self._channel, index, data)
        if shelf is not None and (slot := shelf.put(size, data)) is not None:
            kept = message.Copy(Region.KEPT, 0, slot.offset, Region.INPUT, index, 0, size)
            tickets.append(ask(kept))
        return tickets

    def _landed(self, shelf: Shelf, run: _Run) -> Tensors | None:
        request, reply = run.run.request, run.run.reply
        assert isinstance(request, message.Run)
        assert isinstance(reply, bytes)
        (result,) = request.results(reply)
        crc = zlib.crc32(b"".join(run.inputs))
        if run.copied and result.input_crc32 != crc:
            for data in run.inputs:
                shelf.doubt(data)
            for slot in run.slots:
                shelf.doubt_slot(slot)
            return None
        check_input(self._channel, result, crc, run.number)
        outputs = self._outputs(shelf, run, request, result)
        if outputs is not None:
            for slot, data in zip(run.slots, outputs, strict=True):
                if slot is not None:
                    shelf.learn(slot, data)
        return outputs

    def _outputs(
        self, shelf: Shelf, run: _Run, request: message.Run, result: RunResult
    ) -> Tensors | None:
        if request.flags & RunFlag.OUTPUTS:
            return _parted(result.outputs, self._sizes.outputs)
        if run.reads:
            data = b"".join([_data(ticket) for ticket in run.reads])
            check_read(self._channel, result, data, run.number)
            return _parted(data, self._sizes.outputs)
        announced = int.from_bytes(result.outputs, "little")
        if run.expected is not None and zlib.crc32(b"".join(run.expected)) == announced:
            return run.expected
        found: list[bytes] = []
        for slot in run.slots:
            if slot is None or not shelf.holds(slot):
                return None
            read = self._channel.read(Region.KEPT, slot.size, slot.offset)
            if isinstance(read, Failure):
                return None
            found.append(read)
        return tuple(found) if zlib.crc32(b"".join(found)) == announced else None


def _data(ticket: Ticket) -> bytes:
    assert isinstance(ticket.reply, bytes)
    return ticket.reply


def _parted(data: bytes, sizes: tuple[int, ...]) -> Tensors:
    """The bytes of all tensors, each by itself."""
    parts, at = [], 0
    for size in sizes:
        parts.append(data[at : at + size])
        at += size
    return tuple(parts)
