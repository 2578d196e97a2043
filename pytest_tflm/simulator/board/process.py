"""The process of a simulated board: ``python -m pytest_tflm.simulator [options] [sim?…]``.

It prints the name of its port as its first line on stdout (``/dev/pts/5``, ``socket://127.0.0.1:4711``)
and serves it until SIGTERM, SIGINT or, with ``--with-parent``, the end of stdin.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import os
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pytest_tflm.errors import TflmError
from pytest_tflm.ready import ready
from pytest_tflm.simulator.board.spec import LARGEST_BAUD, SimulatorSpec, require_simulator
from pytest_tflm.simulator.line.bad_line import BadLine
from pytest_tflm.simulator.line.faults import profile
from pytest_tflm.simulator.line.ports import PseudoTerminal, TcpServer

if TYPE_CHECKING:
    from pytest_tflm.simulator.engine.base import SimulatedEngine
    from pytest_tflm.simulator.line.ports import Port

_CHUNK = 65536


class _Stop(Exception):
    """SIGTERM or SIGINT arrived."""


def _stop(signal_number: int, frame: object) -> None:
    raise _Stop


def serve(
    spec: str,
    *,
    tcp: str | None = None,
    native_text: int | None = None,
    parent: int | None = None,
) -> int:
    """Run a board until SIGTERM, SIGINT, or the end of file descriptor ``parent``. Returns 0.

    ``spec`` is as in :class:`SimulatorSpec`, ``tcp`` is ``HOST:PORT`` for a TCP port instead of a
    pseudo-terminal, ``native_text`` as in :class:`_NativeText`.
    Raises SettingsError, and InterpreterMissing where :func:`require_simulator` does.
    """
    parsed = SimulatorSpec.parse(spec)
    require_simulator()
    port: Port | None = None
    handlers = [(each, signal.signal(each, _stop)) for each in (signal.SIGTERM, signal.SIGINT)]
    try:
        port = TcpServer(tcp) if tcp is not None else PseudoTerminal()
        _run(parsed, port, native_text, parent)
    except _Stop:
        pass
    finally:
        for each, handler in handlers:
            signal.signal(each, handler)
        if port is not None:
            port.close()
    return 0


class _NativeText:
    """What native code prints on file descriptor 2: only there does TFLM say why it failed.

    File descriptor 2 of this process leads into a file; Python's own stderr stays what it was.

    ``fd`` is a file that the parent gave, so that it can read what was printed right before a
    crash; without one there is a file of its own.
    """

    def __init__(self, fd: int | None = None) -> None:
        if fd is None:
            with tempfile.TemporaryFile() as file:
                fd = os.dup(file.fileno())
        self._fd = fd
        import fcntl

        # Appending: what is printed after a cut goes to the start, not behind a hole.
        fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_APPEND)
        sys.stderr.flush()
        kept = os.dup(2)
        sys.stderr = os.fdopen(kept, "w", buffering=1, encoding="utf-8", errors="backslashreplace")
        with contextlib.suppress(RuntimeError, OSError):
            faulthandler.enable(sys.stderr)
        os.dup2(fd, 2)

    def take(self) -> str:
        """What was printed since the last call, at most the last 16 KB of it."""
        size = os.fstat(self._fd).st_size
        if size == 0:
            return ""
        text = os.pread(self._fd, 16384, max(0, size - 16384))
        os.ftruncate(self._fd, 0)
        return text.decode("utf-8", "replace")


class _Machine:
    """A board that can be reset: the firmware core and its engine, both without any memory."""

    def __init__(self, spec: SimulatorSpec, native_text: int | None) -> None:
        self._spec = spec
        self._text = _NativeText(native_text)
        self.boot("power on")

    def reset(self) -> None:
        """Start again, in whatever it is doing."""
        self.boot("brown-out")

    def boot(self, reason: str) -> None:
        from pytest_tflm.simulator import _firmware
        from pytest_tflm.simulator.engine.tflm import TflmEngine

        spec = self._spec
        self.engine: SimulatedEngine = TflmEngine(
            memory=spec.memory, arena=spec.arena, without=spec.without, printed=self._text.take
        )
        if spec.defect:
            from pytest_tflm.simulator.defects.catalogue import defective, parse_defects

            self.engine = defective(self.engine, parse_defects(spec.defect), spec.seed)
        if spec.invoke:
            from pytest_tflm.simulator.defects.slow import SlowEngine

            self.engine = SlowEngine(self.engine, spec.invoke)
        self.board = _firmware.Board(
            self.engine,
            boot_id=secrets.randbits(32),
            board="simulator",
            reset_reason=reason,
            largest_frame=spec.largest_frame,
            window=spec.receive_buffer,
            reply_store=spec.kept_replies,
            baud=spec.baud,
            largest_baud=LARGEST_BAUD,
        )
        self._looked_at = time.monotonic()

    def receive(self, data: bytes) -> None:
        """Bytes have arrived."""
        self.board.receive(self.engine.received(data))

    def transmit(self) -> bytes:
        """What there is to send, as much as a port takes at a time."""
        return self.engine.sent(self.board.transmit(_CHUNK))

    def poll(self) -> bool:
        """Do a piece of work. True: there may be more."""
        now = time.monotonic()
        self.board.pass_time(min(int((now - self._looked_at) * 1e6), 1 << 31))
        self._looked_at = now
        again = self.board.poll()
        for printed in self.engine.take_log():
            self.board.log(printed)
        return again


def _run(spec: SimulatorSpec, port: Port, native_text: int | None, parent: int | None) -> None:
    """Run a board on ``port`` until file descriptor ``parent`` ends, or something is raised."""
    machine = _Machine(spec, native_text)
    line = BadLine(
        port,
        profile(spec.faults).faults,
        spec.seed,
        machine.reset,
        baud=lambda: machine.board.baud,
    )
    print(port.port, flush=True)
    while True:
        if arrived := line.for_board():
            machine.receive(arrived)
        again = machine.poll()
        if port.connected() and line.has_room:
            baud = machine.board.baud
            said = machine.transmit()
            line.said(said, baud)
            again = again or bool(said)  # more may be queued
        line.push()
        client = port.readable()
        readers = [client, *([] if parent is None else [parent]), *port.others()]
        writers = [client] if line.is_blocked and port.connected() else []
        readable, _ = ready(readers, writers, 0 if again else line.wait())
        if parent in readable and not os.read(parent, _CHUNK):
            return
        if client in readable:
            line.heard(port.read())
        else:  # and not while the client may be about to leave
            port.turn_away(readable)


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and serve. Returns the exit status: 2 if settings make no sense."""
    parser = argparse.ArgumentParser(
        prog="python -m pytest_tflm.simulator",
        description="A simulated board: the firmware core with host TFLM.",
    )
    parser.add_argument("spec", nargs="?", default="sim", help="sim or sim?arena=64k&faults=mixed")
    parser.add_argument(
        "--tcp", metavar="HOST:PORT", help="listen on this address; port 0 selects a free one"
    )
    parser.add_argument(
        "--with-parent", action="store_true", help="end when stdin does (its parent has died)"
    )
    parser.add_argument("--native-text", type=int, metavar="FD", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    parent = sys.stdin.fileno() if options.with_parent else None
    try:
        return serve(options.spec, tcp=options.tcp, native_text=options.native_text, parent=parent)
    except TflmError as error:
        print(f"pytest_tflm.simulator: {error}", file=sys.stderr)
        return 2
