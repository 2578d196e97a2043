"""Samples on their way through a board: batches, windows and results (SPEC §5: RUN)."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_tflm.errors import InputAltered, ProtocolMismatch, SampleError
from pytest_tflm.link import frame, message
from pytest_tflm.link.message import Failure, Region, Result, RunFlag, Status

if TYPE_CHECKING:
    from pytest_tflm.link.connection import Connection, Ticket
    from pytest_tflm.link.entries import LoadedModel

_SLOW_SOURCE = 0.001
"""Seconds: an iterable that takes longer for a sample is not waited for to fill a frame."""
_MOST_IN_FRAME = 255


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a board computed for one sample. ``outputs`` is the bytes of all output tensors in
    order, ``input_crc32`` that of the input tensors as Invoke saw them, ``microseconds`` the time
    of Invoke by the board's clock, None where it has none."""

    outputs: bytes
    input_crc32: int
    microseconds: int | None


@dataclass(slots=True)
class _Flight:
    """Samples that were sent together: the number of the first, their CRC-32s, the RUN, and, where
    outputs do not fit into its reply, the READs behind it."""

    first: int
    crcs: list[int]
    writes: list[Ticket]
    run: Ticket
    reads: list[Ticket]

    @property
    def landed(self) -> bool:
        last = self.reads[-1] if self.reads else self.run
        return last.reply is not None  # replies come in order


class _Plan:
    """How samples of a model travel over a link."""

    def __init__(self, connection: Connection, model: LoadedModel, reset: bool) -> None:
        session = connection.session
        welcome = session.welcome
        assert welcome is not None
        self.model = model
        self.input_bytes, self.output_bytes = model.input_bytes, model.output_bytes
        self.flags = RunFlag.RESET if reset else 0
        body = frame.SHORTEST_BODY + message.RUN_OVERHEAD + self.input_bytes
        self.inline = body <= session.largest_body and 2 * frame.wire_length(body) <= welcome.window
        reply = frame.SHORTEST_BODY + 1
        largest = session.largest_body
        self.with_outputs = reply + message.RESULT_OVERHEAD + self.output_bytes <= largest
        several = max(message.SMALLEST_FRAME, frame.body_length(welcome.reply_store // 4))
        self.read_length = min(largest, several) - reply
        each = message.RESULT_OVERHEAD + self.output_bytes
        self.most_replied = max(1, (min(largest, several) - reply) // each)

    def batch(self, frame_limit: int) -> int:
        """Samples in one frame."""
        if not self.inline or not self.with_outputs:
            return 1
        room = frame_limit - frame.SHORTEST_BODY - message.RUN_OVERHEAD
        fit = room // max(1, self.input_bytes)
        return max(1, min(fit, self.most_replied, _MOST_IN_FRAME))


def check_size(sample: bytes, size: int) -> None:
    """SampleError if a sample is not that many bytes."""
    if len(sample) != size:
        raise SampleError(f"a sample has {len(sample)} bytes; the board's model takes {size}")


def writes(connection: Connection, inputs: bytes) -> Iterator[message.Write]:
    """WRITEs that put ``inputs`` into the input tensors."""
    limit = connection.session.frame_limit - frame.SHORTEST_BODY - message.WRITE_OVERHEAD
    at = 0
    for index, tensor in enumerate(connection.model().inputs):
        for offset in range(0, tensor.nbytes, limit):
            length = min(limit, tensor.nbytes - offset)
            yield message.Write(Region.INPUT, index, offset, inputs[at : at + length])
            at += length


def run_many(
    connection: Connection, samples: Iterable[bytes], *, reset: bool = False
) -> Iterator[RunResult]:
    """See :meth:`Connection.run_many`."""
    plan = _Plan(connection, connection.model(), reset)
    source = iter(samples)
    flights: deque[_Flight] = deque()
    taken, more = 0, True

    def fill() -> None:
        nonlocal taken, more
        batch, more = _gather(connection, source, plan)
        if batch:
            flights.append(_launch(connection, plan, batch, taken))
            taken += len(batch)
            connection.pump(block=False)

    while more or flights:
        while more and connection.session.has_room and not (flights and flights[0].landed):
            fill()
        if (more or flights) and not (flights and flights[0].landed):
            connection.pump()
        while flights and flights[0].landed:
            yield from _land(connection, plan, flights.popleft())
            if more:
                # One in for one out: a slow caller neither starves the board nor piles up results.
                connection.pump(block=False)
                if connection.session.has_room:
                    fill()


def _gather(
    connection: Connection, source: Iterator[bytes], plan: _Plan
) -> tuple[list[bytes], bool]:
    """Samples for one frame, and whether there may be more."""
    most = plan.batch(connection.session.frame_limit)
    batch: list[bytes] = []
    clock = connection.clock
    while len(batch) < most:
        asked = clock()
        try:
            sample = next(source)
        except StopIteration:
            return batch, False
        check_size(sample, plan.input_bytes)
        batch.append(sample)
        if clock() - asked > _SLOW_SOURCE:
            break
    return batch, True


def _launch(connection: Connection, plan: _Plan, batch: list[bytes], first: int) -> _Flight:
    flags = plan.flags
    inputs = b""
    written: list[Ticket] = []
    if plan.inline:
        flags |= RunFlag.INLINE
        inputs = batch[0] if len(batch) == 1 else b"".join(batch)
    else:
        written = [connection.ask(write) for write in writes(connection, batch[0])]
    if plan.with_outputs:
        flags |= RunFlag.OUTPUTS
    run = connection.ask(message.Run(flags, len(batch), bytes(inputs), plan.output_bytes))
    reads: list[Ticket] = []
    if not plan.with_outputs:
        for index, tensor in enumerate(plan.model.outputs):
            for offset in range(0, tensor.nbytes, plan.read_length):
                length = min(plan.read_length, tensor.nbytes - offset)
                read = message.Read(Region.OUTPUT, index, offset, length)
                reads.append(connection.ask(read))
    return _Flight(first, [zlib.crc32(sample) for sample in batch], written, run, reads)


def _land(connection: Connection, plan: _Plan, flight: _Flight) -> Iterator[RunResult]:
    """The results of a flight; its failures as errors."""
    for ticket in flight.writes:
        _data(connection, ticket, flight)
    request = flight.run.request
    assert isinstance(request, message.Run)
    results = request.results(_data(connection, flight.run, flight))
    for offset, (crc, result) in enumerate(zip(flight.crcs, results, strict=True)):
        if result.input_crc32 != crc:
            raise InputAltered(
                f"{connection.name}: Invoke saw other input bytes than were sent for sample"
                f" {flight.first + offset}: CRC-32 {result.input_crc32:08x}, sent {crc:08x}. The"
                " link's own checks passed, so the board's memory was changed on the way to Invoke",
                details=connection.details(),
            )
        outputs = _outputs(connection, plan, flight, result)
        yield RunResult(outputs, result.input_crc32, result.microseconds)


def _outputs(connection: Connection, plan: _Plan, flight: _Flight, result: Result) -> bytes:
    if plan.with_outputs:
        return result.output
    outputs = b"".join(_data(connection, ticket, flight) for ticket in flight.reads)
    if zlib.crc32(outputs) != int.from_bytes(result.output, "little"):
        raise connection.fail(
            ProtocolMismatch(
                f"the outputs read for sample {flight.first} are not those that Invoke left"
                f" (CRC-32 {zlib.crc32(outputs):08x}, announced"
                f" {int.from_bytes(result.output, 'little'):08x})"
            )
        )
    return outputs


def _data(connection: Connection, ticket: Ticket, flight: _Flight) -> bytes:
    reply = ticket.reply
    assert reply is not None
    if isinstance(reply, Failure):
        number = flight.first
        if reply.status == Status.INVOKE_FAILED:
            number += reply.needed  # samples of the batch that were run before it
        raise connection.refuse(reply, f"sample {number}")
    return reply
