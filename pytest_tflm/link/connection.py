"""A board behind a port: who it is, its model, its tensors and its results."""

from __future__ import annotations

import struct
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from pytest_tflm.errors import NotSupported, ProtocolMismatch, TflmError
from pytest_tflm.link import message, running
from pytest_tflm.link.begun import Begun, Keeping
from pytest_tflm.link.channel import Channel
from pytest_tflm.link.entries import BoardIdentity, LoadedModel, parse_identity, parse_loaded
from pytest_tflm.link.loading import Loader
from pytest_tflm.link.message import Failure, Region, RunResult, Status
from pytest_tflm.link.port import Port, open_port
from pytest_tflm.link.session import Session

if TYPE_CHECKING:
    from pytest_tflm.link.outbox import Ticket
    from pytest_tflm.link.running import Sizes

_T = TypeVar("_T")
_MODEL_PIECE = 1 << 18
"""Bytes of the model's memory that are read at a time."""


class Connection:
    """A board that answers.

    After an error of the link it is broken: every later call raises the same error. So every
    LinkError that it raises is also :attr:`broken`, which tells a caller with several boards whose
    error it was. A refusal of the board (a BoardError) does not break it, unless the board
    restarted or crashed. For one thread at a time.
    """

    def __init__(
        self,
        port: Port,
        *,
        session: Session | None = None,
        baud: int | None = None,
        line_baud: int = 0,
        timeout: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Greet the board behind an open port. Rather use :meth:`open`. If this raises, the port
        stays open."""
        session = session or Session(baud=baud, timeout=timeout)
        self.channel = channel = Channel(port, session, line_baud=line_baud, clock=clock)
        self.name = channel.name
        self.counters = session.counters
        """What the link did so far."""
        self._loaded: LoadedModel | None = None
        self._loader = Loader(channel)
        self._begun: tuple[bytes, list[Ticket]] | None = None
        """The model that was loaded last, if that was :meth:`begin`, and its requests."""
        self._latest: Begun | None = None
        """What was begun last, of that model."""
        # One round trip for both: the description of a board with every operator takes three or
        # four pieces, that of most models one. Behind the end of either there is little to send.
        self._asked_loaded = channel.ask_ahead(Region.LOADED, 1)
        board = channel.ask_ahead(Region.BOARD, 4)
        data = channel.need(channel.collect(Region.BOARD, board), "read who the board is")
        self.identity: BoardIdentity = self._parsed(lambda: parse_identity(data, channel.welcome))
        self._loader.memory = self.identity.memory

    @classmethod
    def open(
        cls,
        port: str,
        *,
        baud: int = 115200,
        line_baud: int = 0,
        timeout: float = 10.0,
        dtr: bool = True,
        rts: bool = True,
        is_uart: bool = False,
        name: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> Connection:
        """Open ``port`` (see :func:`~pytest_tflm.link.port.open_port`) and greet the board.

        ``timeout``: seconds without progress after which the board is given up; longer than Invoke
        takes. ``line_baud``: the rate to change to once the board has answered at ``baud``, where
        both can; 0 to stay. ``is_uart`` as in ``open_port``. ``name`` is what errors call the port,
        where that is not ``port``. ``clock`` gives the seconds that timeouts are measured in.
        Raises SettingsError or any LinkError.
        """
        opened = open_port(port, baud=baud, dtr=dtr, rts=rts, is_uart=is_uart)
        opened.name = name or opened.name
        try:
            return cls(
                opened, baud=opened.line_baud, line_baud=line_baud, timeout=timeout, clock=clock
            )
        except BaseException:
            opened.close()
            raise

    @property
    def broken(self) -> TflmError | None:
        """The error after which nothing works any more."""
        return self.channel.broken

    @property
    def rate_note(self) -> str:
        """Why the line is not at the rate that was asked for; empty if it is."""
        return self.channel.rate_note

    def details(self) -> str:
        """For the report of a test: the board's last words and the counters."""
        return self.channel.details()

    def close(self) -> None:
        """Release the port: at once, or within 0.3 s where the line's rate was changed, so that the
        next host finds the board at the rate it opens the port with. May be called twice, and at
        any moment."""
        self.channel.close()

    # The model.

    def loaded(self) -> LoadedModel | None:
        """The model that the board has prepared; None without one."""
        return self._take_loaded(self.channel.ask_ahead(Region.LOADED, 1))

    def _take_loaded(self, asked: list[Ticket]) -> LoadedModel | None:
        self._asked_loaded = []
        reply = self.channel.collect(Region.LOADED, asked)
        if isinstance(reply, Failure) and reply.status == Status.NO_MODEL:
            return None
        data = self.channel.need(reply, "read what is loaded")
        self._loaded = self._parsed(lambda: parse_loaded(data))
        return self._loaded

    def load(
        self,
        data: bytes,
        progress: Callable[[int, int], None] | None = None,
        *,
        passing: bool = False,
        afresh: bool = False,
    ) -> LoadedModel:
        """Send a model and have it prepared. ``progress(sent, of)`` is called in bytes.

        What the board still has in memory is not sent again, unless ``afresh``. ``passing``: the
        model before is wanted again, and stays in the board's memory if there is room for both.

        Raises ModelTooLarge, ArenaTooSmall (both with the bytes needed and there, where known),
        OperatorMissing or ModelRejected; then the board has no model, and goes on answering.
        """
        self.channel.check()
        self._loaded, self._asked_loaded = None, []
        self._begun = self._latest = None
        self._loader.load(data, progress, passing=passing, afresh=afresh)
        loaded = self.loaded()
        if loaded is None:
            raise self.channel.fail(
                ProtocolMismatch("the board prepared a model and then had none")
            )
        return loaded

    def keep(self, data: bytes) -> None:
        """The model that the board has loaded is ``data``, and will be wanted again."""
        self._loader.found(data)

    def begin(
        self,
        data: bytes,
        sizes: Sizes,
        samples: Sequence[tuple[bytes, ...]],
        *,
        reset: bool = False,
        expected: Sequence[tuple[bytes, ...] | None] | None = None,
    ) -> Begun:
        """Submit the requests that load the model ``data`` in passing and run ``samples``, and wait
        for none of them. From here on the board has another model.

        A sample is the bytes of each input tensor, ``sizes`` are those of the model's tensors. With
        ``reset``, the state is reset before the first sample. ``expected``: what should come of
        each sample, None where nobody knows. With it, tensors are kept in the board's memory, and
        those that are there already are not sent; not for a model with state.

        Raises SampleError or a LinkError."""
        self.channel.check()
        loader, loaded = self._loader, self._loaded
        keeps = self.channel.welcome.keeps_memory and not reset
        is_kept = keeps and (expected is not None or not loader.shelf.is_empty)
        if self._latest is not None:
            self._latest.mend()
        loading: list[Ticket] = []
        if self._begun is not None and self._begun[0] == data:
            loading = self._begun[1]
        elif loaded is None or (loaded.size, loaded.crc32) != (len(data), zlib.crc32(data)):
            self._loaded, self._asked_loaded = None, []
            tensors = sum(sizes.inputs) + sum(sizes.outputs)
            loading = loader.begin(data, tensors if is_kept else None)
            self._begun = data, loading
        if reset:
            loading = [*loading, self.channel.ask(message.ResetState())]
        keeping = Keeping(loader.shelf, expected) if is_kept else None
        self._latest = Begun(self.channel, loading, sizes, samples, keeping)
        return self._latest

    def was_refused(self) -> None:
        """What was begun has been refused."""
        self._loader.was_refused()

    def current(self) -> LoadedModel | None:
        """:meth:`loaded`, but asked for only once per model."""
        self.channel.check()
        if self._loaded is None and self._asked_loaded:
            return self._take_loaded(self._asked_loaded)
        return self._loaded or self.loaded()

    def model(self) -> LoadedModel:
        """:meth:`current`; ModelRejected if the board has none."""
        loaded = self.current()
        if loaded is None:
            raise self.channel.refused(Failure(Status.NO_MODEL, 0, 0), "run it")
        return loaded

    # Samples.

    def run_many(self, samples: Iterable[bytes], *, reset: bool = False) -> Iterator[RunResult]:
        """Run samples in order, sending the next ones while the board computes.

        A sample is the bytes of all input tensors in order. With ``reset`` the model's state is
        reset before each. Samples are taken as the board's window allows, and never held for
        longer. The iterator may be dropped half-way.

        Raises SampleError (wrong size), ModelRejected (no model), InvokeFailed, InputAltered or a
        LinkError; then results of samples sent behind it are lost.
        """
        return running.run_many(self.channel, self.model(), samples, reset=reset)

    def run(self, inputs: bytes, *, reset: bool = False) -> RunResult:
        """Run one sample; see :meth:`run_many`."""
        return next(self.run_many([inputs], reset=reset))

    def write_inputs(self, inputs: bytes) -> None:
        """Put the bytes of all input tensors where Invoke would find them, without running."""
        running.write_inputs(self.channel, self.model(), inputs)

    def read_inputs(self) -> bytes:
        """The bytes of all input tensors as they are in the board's memory now."""
        return b"".join(
            self.channel.read_region(Region.INPUT, index, tensor.nbytes)
            for index, tensor in enumerate(self.model().inputs)
        )

    def read_model(self) -> bytes:
        """The prepared model as it lies in the board's memory now. Raises NotSupported if the
        board's firmware does not show it."""
        loaded, channel = self.model(), self.channel
        data = b""
        while len(data) < loaded.size:
            reply = channel.read(
                Region.MODEL, min(_MODEL_PIECE, loaded.size - len(data)), len(data)
            )
            if isinstance(reply, Failure) and reply.status == Status.NOT_SUPPORTED:
                raise NotSupported(
                    f"{self.name}: the firmware of board {self.identity.board} does not show the"
                    " model's memory",
                    details=self.details(),
                )
            data += channel.need(reply, "read the model's memory")
        return data

    def reset_state(self) -> None:
        """Put the model's variables back to their initial values."""
        self.channel.call(message.ResetState(), "reset the model's state")

    def operator_times(self) -> tuple[int, ...]:
        """Microseconds of each operator of the model's main subgraph in the last Invoke, by the
        board's clock; empty before the first. Raises NotSupported if the board does not measure
        them."""
        channel = self.channel
        reply = channel.collect(Region.TIMES, channel.ask_ahead(Region.TIMES, 1))
        # Firmware from before there was such a region calls it out of range.
        if isinstance(reply, Failure) and reply.status in (
            Status.NOT_SUPPORTED,
            Status.OUT_OF_RANGE,
        ):
            raise NotSupported(
                f"{self.name}: the firmware of board {self.identity.board} does not measure the"
                " time of single operators",
                details=self.details(),
            )
        data = channel.need(reply, "read the operators' times")
        if len(data) % 4:
            raise channel.fail(ProtocolMismatch(f"region TIMES has {len(data)} bytes"))
        return struct.unpack(f"<{len(data) // 4}I", data)

    def read_error(self) -> str:
        """The board's text on its last failure; empty if there is none."""
        return self.channel.error_text()

    def _parsed(self, parse: Callable[[], _T]) -> _T:
        try:
            return parse()
        except ProtocolMismatch as error:
            raise self.channel.fail(error) from None
