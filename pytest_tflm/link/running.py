"""Samples on their way through a board (SPEC §5: WRITE, RUN, READ)."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from pytest_tflm.errors import InputAltered, ProtocolMismatch, SampleError, TflmError
from pytest_tflm.link import frame, message
from pytest_tflm.link.channel import REPLY_OVERHEAD, Channel
from pytest_tflm.link.loading import WRITE_OVERHEAD
from pytest_tflm.link.message import Region, RunFlag, RunResult, Status

if TYPE_CHECKING:
    from pytest_tflm.link.entries import LoadedModel
    from pytest_tflm.link.outbox import Ticket

_SLOW_SOURCE = 0.001
"""Seconds: an iterable that takes longer for a sample is not waited for to fill a frame."""
_MOST_IN_FRAME = 255
_RUN_OVERHEAD = frame.SHORTEST_BODY + message.RUN_OVERHEAD
"""Bytes of body in front of and behind the inputs in a RUN."""


class Sizes(NamedTuple):
    """Bytes of each input and output tensor of a model."""

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    @classmethod
    def of(cls, model: LoadedModel) -> Sizes:
        return cls(
            tuple(tensor.nbytes for tensor in model.inputs),
            tuple(tensor.nbytes for tensor in model.outputs),
        )


def write_inputs(channel: Channel, model: LoadedModel, inputs: bytes) -> None:
    """Put a sample into the input tensors of ``model`` without running it."""
    _check_size(inputs, model.input_bytes)
    for ticket in _write(channel, Sizes.of(model).inputs, inputs):
        channel.need(channel.wait(ticket), "write the input tensors")


def _check_size(sample: bytes, size: int) -> None:
    if len(sample) != size:
        raise SampleError(f"a sample has {len(sample)} bytes; the board's model takes {size}")


def _write(channel: Channel, sizes: tuple[int, ...], inputs: bytes) -> list[Ticket]:
    """The WRITEs that put ``inputs`` into the input tensors."""
    tickets: list[Ticket] = []
    at = 0
    for index, size in enumerate(sizes):
        tickets += write_tensor(channel, index, inputs[at : at + size])
        at += size
    return tickets


def write_tensor(channel: Channel, index: int, data: bytes) -> list[Ticket]:
    """The WRITEs that fill an input tensor."""
    limit = channel.session.frame_limit - WRITE_OVERHEAD
    return [
        channel.ask(message.Write(Region.INPUT, index, at, data[at : at + limit]))
        for at in range(0, len(data), limit)
    ]


def read_tensors(channel: Channel, sizes: tuple[int, ...], length: int) -> list[Ticket]:
    """The READs of all output tensors, at most ``length`` bytes each."""
    return [
        channel.ask(message.Read(Region.OUTPUT, index, at, min(length, size - at)))
        for index, size in enumerate(sizes)
        for at in range(0, size, length)
    ]


def run_many(
    channel: Channel, model: LoadedModel, samples: Iterable[bytes], *, reset: bool = False
) -> Iterator[RunResult]:
    """Run samples of ``model``; see :meth:`Connection.run_many`."""
    return Stream(channel, Sizes.of(model), samples, reset).results()


def check_input(channel: Channel, result: RunResult, crc: int, number: int) -> None:
    """Raises InputAltered if Invoke saw other bytes than those with this CRC-32."""
    if result.input_crc32 != crc:
        raise InputAltered(
            f"{channel.name}: Invoke saw other input bytes than were sent for sample {number}:"
            f" CRC-32 {result.input_crc32:08x}, sent {crc:08x}. The link's own checks passed, so"
            " the board's memory was changed on the way to Invoke",
            details=channel.details(),
        )


def check_read(channel: Channel, result: RunResult, outputs: bytes, number: int) -> None:
    """Raises ProtocolMismatch if the outputs that were read are not those of the result."""
    announced = int.from_bytes(result.outputs, "little")
    if zlib.crc32(outputs) != announced:
        raise channel.fail(
            ProtocolMismatch(
                f"the outputs read for sample {number} are not those that Invoke left"
                f" (CRC-32 {zlib.crc32(outputs):08x}, announced {announced:08x})"
            )
        )


class Way(NamedTuple):
    """How samples travel: inputs in the RUN's frame or by WRITE, outputs in its reply or by READ of
    so many bytes; and how many samples a frame takes."""

    inline: bool
    with_outputs: bool
    read_length: int
    most: int


def find_way(channel: Channel, sizes: Sizes) -> Way:
    """How samples travel best at present."""
    session, welcome = channel.session, channel.welcome
    inputs, outputs = sum(sizes.inputs), sum(sizes.outputs)
    body = _RUN_OVERHEAD + inputs
    inline = body <= session.longest_request and 2 * frame.wire_length(body) <= welcome.window
    each = message.RESULT_OVERHEAD + outputs
    with_outputs = REPLY_OVERHEAD + each <= session.longest_reply
    several = max(message.SMALLEST_FRAME, frame.body_length(welcome.reply_store // 4))
    read_length = min(session.longest_reply, several) - REPLY_OVERHEAD
    fit = (session.frame_limit - _RUN_OVERHEAD) // max(1, inputs)
    most = max(1, min(fit, read_length // each, _MOST_IN_FRAME))
    return Way(inline, with_outputs, read_length, most if inline and with_outputs else 1)


@dataclass(slots=True)
class _Flight:
    """Samples that were sent together: the number of the first, their CRC-32s, the RUN, and the
    READs behind it where the outputs do not fit into its reply."""

    first: int
    crcs: list[int]
    writes: list[Ticket]
    run: Ticket
    reads: list[Ticket]

    @property
    def landed(self) -> bool:
        return self._last.reply is not None  # replies come in order

    @property
    def first_number(self) -> int:
        """Of its first request."""
        return self.writes[0].number if self.writes else self.run.number

    @property
    def last_number(self) -> int:
        """Of its last request."""
        return self._last.number

    @property
    def _last(self) -> Ticket:
        return self.reads[-1] if self.reads else self.run


class Stream:
    """The samples of one call on their way: how they travel, and which are under way."""

    def __init__(
        self, channel: Channel, sizes: Sizes, samples: Iterable[bytes], reset: bool
    ) -> None:
        self._channel, self._sizes = channel, sizes
        self._source = iter(samples)
        self._flights: deque[_Flight] = deque()
        self._taken, self._more = 0, True
        self._input_bytes, self._output_bytes = sum(sizes.inputs), sum(sizes.outputs)
        self._flags = RunFlag.RESET if reset else RunFlag(0)
        self._limits = (0, 0, 0)
        self._known_way = Way(False, False, 0, 0)

    @property
    def _way(self) -> Way:
        """The present one: on a bad line, shorter frames get through better."""
        session = self._channel.session
        limits = (session.longest_request, session.longest_reply, session.frame_limit)
        if limits != self._limits:
            self._limits, self._known_way = limits, find_way(self._channel, self._sizes)
        return self._known_way

    def submit_all(self) -> None:
        """Submit all samples, whether there is room for them or not."""
        while self._more:
            self._fill()

    @property
    def tickets(self) -> list[Ticket]:
        """The requests under way."""
        found: list[Ticket] = []
        for flight in self._flights:
            found += [*flight.writes, flight.run, *flight.reads]
        return found

    def results(self) -> Iterator[RunResult]:
        session, flights = self._channel.session, self._flights
        try:
            while self._more or flights:
                while self._may_fill() and not (flights and flights[0].landed):
                    self._fill()
                if (self._more or flights) and not (flights and flights[0].landed):
                    self._pump()
                while flights and flights[0].landed:
                    yield from self._land(flights.popleft())
                    if self._more:
                        # One in for one out: a slow caller neither starves the board nor piles up
                        # results.
                        self._pump(block=False)
                        if self._may_fill():
                            self._fill()
        finally:
            if flights:  # dropped half-way
                session.withdraw(flights[0].first_number, flights[-1].last_number)

    def _may_fill(self) -> bool:
        channel = self._channel
        return self._more and channel.session.has_room and channel.broken is None

    def _pump(self, block: bool = True) -> None:
        try:
            self._channel.pump(block)
        except TflmError:
            # What ended the link comes behind the results that had arrived before it.
            if not (self._flights and self._flights[0].landed):
                raise

    def _fill(self) -> None:
        """Send the samples of one frame."""
        way = self._way
        batch = self._gather(way.most)
        if batch:
            self._flights.append(self._launch(batch, way))
            self._taken += len(batch)
            self._pump(block=False)

    def _gather(self, most: int) -> list[bytes]:
        """Samples for one frame; empty if there are no more."""
        batch: list[bytes] = []
        clock = self._channel.clock
        while len(batch) < most:
            asked = clock()
            try:
                sample = next(self._source)
            except StopIteration:
                self._more = False
                break
            _check_size(sample, self._input_bytes)
            batch.append(sample)
            if clock() - asked > _SLOW_SOURCE:
                break
        return batch

    def _launch(self, batch: list[bytes], way: Way) -> _Flight:
        ask, flags = self._channel.ask, self._flags
        inputs, writes = b"", []
        if way.inline:
            flags |= RunFlag.INLINE
            inputs = batch[0] if len(batch) == 1 else b"".join(batch)
        else:
            writes = _write(self._channel, self._sizes.inputs, batch[0])
        if way.with_outputs:
            flags |= RunFlag.OUTPUTS
        run = ask(
            message.Run(flags, len(batch), bytes(inputs), self._output_bytes, self._sizes.inputs)
        )
        reads: list[Ticket] = []
        if not way.with_outputs:
            reads = read_tensors(self._channel, self._sizes.outputs, way.read_length)
        return _Flight(self._taken, [zlib.crc32(sample) for sample in batch], writes, run, reads)

    def _land(self, flight: _Flight) -> Iterator[RunResult]:
        """The results of a flight; its failures as errors."""
        for ticket in flight.writes:
            self._data(ticket, flight)
        request = flight.run.request
        assert isinstance(request, message.Run)
        results = request.results(self._data(flight.run, flight))
        has_outputs = bool(request.flags & RunFlag.OUTPUTS)
        for offset, (crc, result) in enumerate(zip(flight.crcs, results, strict=True)):
            check_input(self._channel, result, crc, flight.first + offset)
            yield result if has_outputs else self._with_read_outputs(result, flight)

    def _with_read_outputs(self, result: RunResult, flight: _Flight) -> RunResult:
        outputs = b"".join([self._data(ticket, flight) for ticket in flight.reads])
        check_read(self._channel, result, outputs, flight.first)
        return result._replace(outputs=outputs)

    def _data(self, ticket: Ticket, flight: _Flight) -> bytes:
        reply = ticket.reply
        assert reply is not None
        if isinstance(reply, bytes):
            return reply
        number = flight.first
        if reply.status == Status.INVOKE_FAILED:
            number += reply.needed  # samples of the batch that were run before it
        raise self._channel.refused(reply, f"sample {number}")
