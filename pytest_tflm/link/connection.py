"""A board behind a port, for whoever waits: port and session together, blocking."""

from __future__ import annotations

import contextlib
import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from pytest_tflm.errors import LinkError, ProtocolMismatch, TflmError
from pytest_tflm.link import failures, loading, message, rates, reading, running
from pytest_tflm.link.entries import BoardIdentity, LoadedModel, parse_identity, parse_loaded
from pytest_tflm.link.message import Failure, Region, Status
from pytest_tflm.link.port import open_port
from pytest_tflm.link.session import Session
from pytest_tflm.link.states import Broken, Replied, Resettled, Said

if TYPE_CHECKING:
    from pytest_tflm.link.counters import Counters

_T = TypeVar("_T")

_LOG_LINES = 200
_LOG_LINE = 300
_SHOWN_LOG_LINES = 20
_LONGEST_WAIT = 0.5
"""Seconds in one wait for the port: a limit for what no timer covers."""
_ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[ -/]*[@-~]|.)?")


class Wire(Protocol):
    """What a connection needs of a port; see :class:`pytest_tflm.link.port.Port`."""

    name: str

    def exchange(self, out: bytes, timeout: float) -> tuple[int, bytes]:
        """Write and read what is possible within ``timeout`` seconds."""

    def set_baud(self, baud: int) -> None:
        """Change its rate; PortFailed where it cannot. Asked only of a port that has one."""

    def close(self) -> None:
        """Release the port."""


@dataclass(slots=True)
class Ticket:
    """A request that was submitted, and in time its reply."""

    request: message.Request
    reply: bytes | Failure | None = None


class Connection:
    """A session with the board at one port.

    After an error of the link it is broken: every later call raises the same error. After a refusal
    of the board (a BoardError) it goes on. One thread at a time.
    """

    def __init__(
        self,
        port: Wire,
        *,
        session: Session | None = None,
        baud: int | None = None,
        line_baud: int = 0,
        timeout: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Greet the board behind an open port. Rather use :meth:`open`. The port stays the
        caller's to close if this raises."""
        self.name = port.name
        self.session = session or Session(baud=baud, timeout=timeout)
        self.log: deque[str] = deque(maxlen=_LOG_LINES)
        """What the board said, newest last: its LOG and what other code printed on the port."""
        self.clock = clock
        self._port = port
        self.line_baud = line_baud
        """The rate that was asked for, bits per second; 0: none."""
        self.rate_note = ""
        """Why the line is not at that rate; empty if it is."""
        self._baud = self.session.baud
        self._pending = b""
        self._tickets: dict[int, Ticket] = {}
        self._broken: TflmError | None = None
        self._loaded: LoadedModel | None = None
        self.session.open(clock())
        while self.session.welcome is None:
            self.pump()
        welcome = self.session.welcome
        rates.change(self, line_baud)
        # One round trip for both: the description of a board with every operator takes three or
        # four pieces, that of most models one. Behind the end of either there is little to send.
        self._asked_loaded = reading.ask_ahead(self, Region.LOADED, 1)
        board = reading.ask_ahead(self, Region.BOARD, 4)
        data = self._need(reading.collect(self, Region.BOARD, board), "read who the board is")
        self.identity: BoardIdentity = self._parsed(lambda: parse_identity(data, welcome))

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
    ) -> Connection:
        """Open ``port`` (see :func:`~pytest_tflm.link.port.open_port`) and greet the board.

        ``timeout``: seconds without progress after which the board is given up; longer than Invoke
        takes. ``line_baud``: the rate to change to once the board has answered at ``baud``, where
        both can; 0 to stay. ``is_uart`` as in ``open_port``. ``name`` is what errors call the port,
        where that is not ``port``. Raises SettingsError or any LinkError.
        """
        opened = open_port(port, baud=baud, dtr=dtr, rts=rts, is_uart=is_uart)
        opened.name = name or opened.name
        try:
            return cls(opened, baud=opened.line_baud, line_baud=line_baud, timeout=timeout)
        except BaseException:
            opened.close()
            raise

    @property
    def counters(self) -> Counters:
        """What the link did so far."""
        return self.session.counters

    @property
    def broken(self) -> TflmError | None:
        """The error of the link after which nothing works any more."""
        return self._broken

    def close(self) -> None:
        """Release the port: at once, or, where the line's rate was changed, within 0.3 s, so that
        the next host finds the board at the one it was opened with. May be called twice, at any
        moment."""
        try:
            if self._broken is None:
                with contextlib.suppress(TflmError):
                    rates.leave(self)
        finally:
            if self._broken is None:
                self._broken = LinkError(f"{self.name}: the connection has been closed")
            self._port.close()

    # What a board can do.

    def loaded(self) -> LoadedModel | None:
        """The model that the board has prepared; None without one."""
        return self._take_loaded(reading.ask_ahead(self, Region.LOADED, 1))

    def _take_loaded(self, asked: list[Ticket]) -> LoadedModel | None:
        self._asked_loaded = []
        reply = reading.collect(self, Region.LOADED, asked)
        if isinstance(reply, Failure) and reply.status == Status.NO_MODEL:
            return None
        data = self._need(reply, "read what is loaded")
        self._loaded = self._parsed(lambda: parse_loaded(data))
        return self._loaded

    def load(self, data: bytes, progress: Callable[[int, int], None] | None = None) -> LoadedModel:
        """Send a model and have it prepared. ``progress(sent, of)`` is called in bytes.

        Raises ModelTooLarge, ArenaTooSmall (both with the bytes needed and there, where known),
        OperatorMissing or ModelRejected; then the board has no model, and goes on answering.
        """
        self._check()
        self._loaded, self._asked_loaded = None, []
        loading.load(self, data, progress)
        loaded = self.loaded()
        if loaded is None:
            raise self.fail(ProtocolMismatch("the board prepared a model and then had none"))
        return loaded

    def run_many(
        self, samples: Iterable[bytes], *, reset: bool = False
    ) -> Iterator[running.RunResult]:
        """Run samples in order, sending the next ones while the board computes.

        A sample is the bytes of all input tensors in order. With ``reset`` the model's state is
        reset before each. Samples are taken as the board's window allows, and never held for
        longer. The iterator may be dropped half-way.

        Raises SampleError (wrong size), InvokeFailed, InputAltered or a LinkError; then results of
        samples sent behind it are lost.
        """
        self._check()
        return running.run_many(self, samples, reset=reset)

    def run(self, inputs: bytes, *, reset: bool = False) -> running.RunResult:
        """Run one sample; see :meth:`run_many`."""
        return next(self.run_many([inputs], reset=reset))

    def write_inputs(self, inputs: bytes) -> None:
        """Put the bytes of all input tensors where Invoke would find them, without running."""
        running.check_size(inputs, self.model().input_bytes)
        tickets = [self.ask(write) for write in running.writes(self, inputs)]
        for ticket in tickets:
            self._need(self.wait(ticket), "write the input tensors")

    def read_inputs(self) -> bytes:
        """The bytes of all input tensors as they are in the board's memory now."""
        tensors = self.model().inputs
        return b"".join(
            self.read_region(Region.INPUT, index, tensor.nbytes)
            for index, tensor in enumerate(tensors)
        )

    def reset_state(self) -> None:
        """Put the model's variables back to their initial values."""
        self.call(message.ResetState(), "reset the model's state")

    def operator_times(self) -> tuple[int, ...]:
        """Microseconds of each operator of the model's main subgraph in the last Invoke, by the
        board's clock; empty before the first. Raises NotSupported if the board does not measure
        them."""
        return reading.operator_times(self)

    def read_error(self) -> str:
        """The board's text on its last failure; empty if there is none."""
        return self.read_region(Region.ERROR).decode("utf-8", "replace").strip()

    def current(self) -> LoadedModel | None:
        """:meth:`loaded`, but asked for only once per model."""
        self._check()
        if self._loaded is None and self._asked_loaded:
            return self._take_loaded(self._asked_loaded)
        return self._loaded or self.loaded()

    def model(self) -> LoadedModel:
        """:meth:`current`; ModelRejected if the board has none."""
        loaded = self.current()
        if loaded is None:
            raise self.refuse(Failure(Status.NO_MODEL, 0, 0), "run it")
        return loaded

    # What the modules beside this one build on.

    def ask(self, request: message.Request) -> Ticket:
        """Submit a request without waiting for its reply."""
        self._check()
        ticket = Ticket(request)
        self._tickets[self.session.submit(request)] = ticket
        return ticket

    def wait(self, ticket: Ticket) -> bytes | Failure:
        """The reply to a request."""
        while ticket.reply is None:
            self.pump()
        return ticket.reply

    def call(self, request: message.Request, doing: str) -> bytes:
        """Ask and wait; a failure is raised as an error that says what ``doing`` was."""
        return self._need(self.wait(self.ask(request)), doing)

    def refuse(self, failure: Failure, doing: str) -> TflmError:
        """The error for a failure, with the board's own text where it has one."""
        text = self.read_error() if failure.status in failures.SAYS_MORE else ""
        error = failures.error_for(failure, doing, text)
        return type(error)(f"{self.name}: {error}", details=self.details())

    def read_region(
        self, region: Region, index: int = 0, size: int | None = None, offset: int = 0
    ) -> bytes:
        """All of a region from ``offset`` on, or ``size`` bytes of it."""
        return reading.read_region(self, region, index, size, offset)

    def details(self) -> str:
        """For the report of a test: the board's last words and the counters."""
        lines = list(self.log)[-_SHOWN_LOG_LINES:]
        log = "\n".join(["the board's log:", *(f"  {line}" for line in lines)]) if lines else ""
        return "\n".join(part for part in (log, f"link: {self.counters.describe()}") if part)

    def fail(self, error: TflmError) -> TflmError:
        """Break the connection: this error, with the port's name, is raised from now on."""
        if self._broken is None:
            self.session.hang_up()
            for event in self.session.events():
                if isinstance(event, Said):
                    self._on_text(event.text)
            text = str(error)
            text = text if text.startswith(self.name) else f"{self.name}: {text}"
            self._broken = type(error)(text, details=self.details())
        return self._broken

    def port_rate(self, baud: int) -> None:
        """Set the port's rate, which is not the session's for as long as that is not told."""
        self._port.set_baud(baud)

    def pump(self, block: bool = True, longest: float = _LONGEST_WAIT) -> None:
        """Send what is to be sent, take what has come; wait for one of them if ``block``, at most
        ``longest`` seconds."""
        self._check()
        try:
            self._pump(longest if block else 0.0)
        except TflmError as error:
            raise self.fail(error) from error.__cause__
        except BaseException:
            # Ctrl-C in the middle of the session's work: its books may be wrong.
            self.fail(LinkError("the connection was interrupted"))
            raise
        self._check()

    def _pump(self, longest: float) -> None:
        session = self.session
        now = self.clock()
        out = session.transmit(now)
        if session.baud != self._baud and session.baud is not None:
            self._port.set_baud(session.baud)
            self._baud = session.baud
            self._pending = b""  # meant for the other rate
        self._pending += out
        self._collect()
        if session.error is not None:
            return
        deadline = session.deadline()
        wait = _LONGEST_WAIT if deadline is None else deadline - now
        wait = min(max(wait, 0.0), max(longest, 0.0))
        written, data = self._port.exchange(self._pending, wait)
        if written:
            self._pending = self._pending[written:]
        if data:
            session.receive(data, self.clock())
            self._collect()

    def _collect(self) -> None:
        for event in self.session.events():
            if isinstance(event, Replied):
                self._tickets.pop(event.number).reply = event.reply
            elif isinstance(event, Said):
                self._on_text(event.text)
            elif isinstance(event, Resettled):
                self.rate_note = rates.note(self, event.baud)
            elif isinstance(event, Broken):
                self.fail(event.error)

    def _on_text(self, text: str) -> None:
        for line in _ESCAPES.sub("", text).splitlines():
            if line.strip():
                self.log.append(line.rstrip()[:_LOG_LINE])

    def _check(self) -> None:
        if self._broken is not None:
            raise self._broken

    def _need(self, reply: bytes | Failure, doing: str) -> bytes:
        if isinstance(reply, Failure):
            raise self.refuse(reply, doing)
        return reply

    def _parsed(self, parse: Callable[[], _T]) -> _T:
        try:
            return parse()
        except ProtocolMismatch as error:
            raise self.fail(error) from None
