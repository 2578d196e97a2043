"""A port and the session with the board behind it, for callers that wait."""

from __future__ import annotations

import contextlib
import re
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from pytest_tflm.errors import LinkError, PortFailed, ProtocolMismatch, TflmError
from pytest_tflm.link import diagnosis, frame, message
from pytest_tflm.link.frame import Said
from pytest_tflm.link.line import is_too_slow
from pytest_tflm.link.message import Failure, Region, Welcome
from pytest_tflm.link.session import Broken, Replied, Resettled, Session
from pytest_tflm.printable import PAGE, printable

if TYPE_CHECKING:
    from pytest_tflm.link.outbox import Ticket
    from pytest_tflm.link.port import Port

REPLY_OVERHEAD = frame.SHORTEST_BODY + 1
"""Bytes of body in front of and behind the data in a reply to READ."""

_LOG_LINES = 200
_SHOWN_LOG_LINES = 20
_LONGEST_WAIT = 0.5
"""Seconds in one wait for the port, where no timer ends it earlier."""
_LEAVING = 0.3
"""Seconds that a port stays open to change the rate back; a board that is left does so itself."""
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
"""What ESP-IDF and others colour their logs with; harmless, and of no use in a report."""
_LARGEST_REGION = 1 << 20
_AT_ONCE = 4
"""Replies to READs that the board's store holds together."""


class Channel:
    """Sends requests, waits for replies, and keeps what the board said.

    ``broken`` is set by the first LinkError, and when the board restarts or crashes: from then on
    every call raises that error again. A refusal (any other BoardError) does not break the channel.
    For one thread at a time.
    """

    def __init__(
        self,
        port: Port,
        session: Session,
        *,
        line_baud: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Greet the board behind an open port, then change the line to ``line_baud`` bits per
        second where both ends can (0: do not). Raises a LinkError or BoardError; the port stays
        open."""
        self.name = port.name
        self.session = session
        self.clock = clock
        self.log: deque[str] = deque(maxlen=_LOG_LINES)
        """What the board said, newest last: its LOG and what other code printed on the port."""
        self.broken: TflmError | None = None
        """The error after which nothing works any more."""
        self.rate_note = ""
        """Why the line is not at ``line_baud``; empty if it is."""
        self._port = port
        self._line_baud = line_baud
        self._baud = session.baud
        self._pending = b""
        session.open(clock())
        while session.welcome is None:
            self.pump()
        self._change_rate()

    @property
    def welcome(self) -> Welcome:
        """What the board announced."""
        assert self.session.welcome is not None
        return self.session.welcome

    def check(self) -> None:
        """Raise the error that broke the channel, if one did."""
        if self.broken is not None:
            raise self.broken.with_traceback(None)  # or it grows with each call

    def close(self) -> None:
        """Release the port: at once, or within 0.3 s where the line's rate was changed, so that the
        next host finds the board at the rate it opens the port with. May be called twice, and at
        any moment."""
        try:
            if self.broken is None:
                with contextlib.suppress(TflmError):
                    self._leave_rate()
        finally:
            if self.broken is None:
                self.broken = LinkError(f"{self.name}: the connection has been closed")
            self._port.close()

    # Requests.

    def ask(self, request: message.Request) -> Ticket:
        """Submit a request without waiting for its reply."""
        self.check()
        return self.session.submit(request)

    def wait(self, ticket: Ticket) -> bytes | Failure:
        """The reply to a request."""
        while ticket.reply is None:
            self.pump()
        return ticket.reply

    def call(self, request: message.Request, doing: str) -> bytes:
        """Ask and wait. Raises a failure as an error that says what ``doing`` was."""
        return self.need(self.wait(self.ask(request)), doing)

    def need(self, reply: bytes | Failure, doing: str) -> bytes:
        """The data of a reply. Raises a failure as an error that says what ``doing`` was."""
        if isinstance(reply, Failure):
            raise self.refused(reply, doing)
        return reply

    def refused(self, failure: Failure, doing: str) -> TflmError:
        """The error for a failure, with the board's own text where it has one."""
        text = self.error_text() if failure.status in diagnosis.SAYS_MORE else ""
        error = diagnosis.refused(failure, doing, text)
        if isinstance(error, LinkError):
            return self.fail(error)
        return type(error)(f"{self.name}: {error}", details=self.details())

    # Regions.

    def read_region(self, region: Region, index: int, size: int) -> bytes:
        """``size`` bytes of a region."""
        return self.need(self._read(region, index, size), f"read region {region.name}")

    def read(self, region: Region, size: int, offset: int) -> bytes | Failure:
        """``size`` bytes of a region from ``offset`` on; or the refusal."""
        return self._read(region, 0, size, offset)

    def error_text(self) -> str:
        """The board's text on its last failure; empty if it has none."""
        reply = self._read(Region.ERROR)
        if isinstance(reply, Failure):
            return ""
        return printable(reply.decode("utf-8", "replace").strip(), PAGE, keep="\n")

    def ask_ahead(self, region: Region, pieces: int) -> list[Ticket]:
        """Ask for the first ``pieces`` of a region whose size is not known; see :meth:`collect`."""
        share = frame.body_length(self.welcome.reply_store // _AT_ONCE)
        length = min(self._read_length, max(message.SMALLEST_FRAME, share) - REPLY_OVERHEAD)
        return [
            self.ask(message.Read(region, 0, number * length, length)) for number in range(pieces)
        ]

    def collect(self, region: Region, tickets: list[Ticket]) -> bytes | Failure:
        """All of the region whose first pieces :meth:`ask_ahead` asked for; or the refusal."""
        data = b""
        for ticket in tickets:
            read, reply = ticket.request, self.wait(ticket)
            assert isinstance(read, message.Read)
            if isinstance(reply, Failure):
                return reply
            data += reply
            if len(reply) < read.length:
                return data  # the pieces behind the end are refused as OUT_OF_RANGE, or empty
        rest = self._read(region, offset=len(data))
        return rest if isinstance(rest, Failure) else data + rest

    @property
    def _read_length(self) -> int:
        """Bytes of data to ask for at once. Not as many as the largest reply holds: on a bad line
        the longest frames hardly ever pass."""
        return self.session.reply_limit - REPLY_OVERHEAD

    def _read(
        self, region: Region, index: int = 0, size: int | None = None, offset: int = 0
    ) -> bytes | Failure:
        """All of a region from ``offset`` on, or ``size`` bytes of it; or the refusal."""
        data = b""
        while size is None or len(data) < size:
            length = self._read_length if size is None else min(self._read_length, size - len(data))
            reply = self.wait(self.ask(message.Read(region, index, offset + len(data), length)))
            if isinstance(reply, Failure):
                return reply
            data += reply
            if len(reply) < length:
                break
            if len(data) > _LARGEST_REGION:
                raise self.fail(ProtocolMismatch(f"region {region.name} has no end"))
        if size is not None and len(data) != size:
            raise self.fail(
                ProtocolMismatch(
                    f"the board sent {len(data)} of the {size} bytes of region {region.name}"
                    f" requested, from byte {offset} of tensor or part {index}"
                )
            )
        return data

    # Errors.

    def details(self) -> str:
        """For the report of a test: the board's last words and the counters."""
        lines = list(self.log)[-_SHOWN_LOG_LINES:]
        log = "\n".join(["the board's log:", *(f"  {line}" for line in lines)]) if lines else ""
        counters = f"link: {self.session.counters.describe()}"
        return "\n".join(part for part in (log, counters) if part)

    def fail(self, error: TflmError) -> TflmError:
        """Break the channel: this error, with the port's name, is raised from now on. Returns the
        error to raise, which is the first one if it was broken already."""
        if self.broken is None:
            self.session.hang_up()
            for event in self.session.events():
                if isinstance(event, Said):
                    self._on_text(event.text)
            text = str(error)
            text = text if text.startswith(self.name) else f"{self.name}: {text}"
            self.broken = type(error)(text, details=self.details())
        return self.broken

    # Bytes.

    def pump(self, block: bool = True, longest: float = _LONGEST_WAIT) -> None:
        """Send what is to be sent and take what has come. With ``block``, wait until one of the two
        is possible, at most ``longest`` seconds."""
        self.check()
        try:
            self._pump(longest if block else 0.0)
        except TflmError as error:
            raise self.fail(error) from error.__cause__
        except BaseException:
            # Ctrl-C in the middle of the session's work: its books may be wrong.
            self.fail(LinkError("the connection was interrupted"))
            raise
        self.check()

    def _pump(self, longest: float) -> None:
        session = self.session
        now = self.clock()
        out = session.transmit(now)
        if session.baud != self._baud and session.baud is not None:
            self._port.set_baud(session.baud)
            self._baud = session.baud
            self._pending = b""  # meant for the other rate
        self._pending += out
        self._take_events()
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
            self._take_events()

    def _take_events(self) -> None:
        for event in self.session.events():
            if isinstance(event, Replied):
                event.ticket.reply = event.reply
            elif isinstance(event, Said):
                self._on_text(event.text)
            elif isinstance(event, Resettled):
                self._on_resettled(event.baud)
            elif isinstance(event, Broken):
                self.fail(event.error)

    def _on_text(self, text: str) -> None:
        for line in _COLOURS.sub("", text).splitlines():
            if line.strip():
                self.log.append(printable(line.rstrip()))

    # The line's rate (SPEC §9).

    def _change_rate(self) -> None:
        """Change to the rate that was asked for, and wait until that is settled."""
        baud, present = self._line_baud, self.session.baud
        if not baud or baud == present:
            return
        self.rate_note = self._why_no_change(baud)
        if self.rate_note or present is None:
            return
        try:
            # Try it before the board changes, which would then have to come back for nothing.
            self._port.set_baud(baud)
            self._port.set_baud(present)
        except PortFailed:
            self.rate_note = f"this machine's port cannot do {baud}"
            return
        self.session.change_baud(baud)
        while not self.session.rate_is_settled:
            self.pump()

    def _why_no_change(self, baud: int) -> str:
        if self.session.baud is None:
            return "this port has no baud rate"
        if not self.welcome.changes_baud:
            return "the board cannot change its rate"
        if is_too_slow(baud, self.welcome.largest_frame):
            size = self.welcome.largest_frame
            return f"{baud} is too slow for the board's frames of {size} bytes"
        return ""

    def _on_resettled(self, baud: int | None) -> None:
        wanted = self._line_baud
        failed = wanted and baud != wanted
        self.rate_note = (
            f"{wanted} does not work on this line, or the board rejected it" if failed else ""
        )

    def _leave_rate(self) -> None:
        """Ask for the opening rate if the line is at another."""
        until = self.clock() + _LEAVING
        while self.session.away_from_opening and self.clock() < until:
            if self.session.can_change_baud:
                self.session.change_baud(0)
            self.pump(longest=until - self.clock())
