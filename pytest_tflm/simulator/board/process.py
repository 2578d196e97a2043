"""The process of a simulated board: ``python -m pytest_tflm.simulator [options] [sim?…]``.

It prints the name of its port as its first line on stdout (``/dev/pts/5``, ``socket://127.0.0.1:4711``)
and serves it until SIGTERM, SIGINT or, with ``--with-parent``, the end of stdin.
"""

from __future__ import annotations

import argparse
import os
import secrets
import select
import signal
import socket
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from pytest_tflm.errors import PortVanished, SettingsError, TflmError
from pytest_tflm.simulator.board.spec import LARGEST_BAUD, SimulatorSpec, require_tflite_micro
from pytest_tflm.simulator.defects.registry import parse_defects
from pytest_tflm.simulator.line.bad_line import BadLine
from pytest_tflm.simulator.line.faults import profile

if TYPE_CHECKING:
    from pytest_tflm.simulator.defects.link import Tampering
    from pytest_tflm.simulator.engine.wrapper import SimulatedEngine

_CHUNK = 65536


class Port(Protocol):
    """The board's end of a serial line. ``read`` and ``write`` never wait."""

    @property
    def port(self) -> str:
        """What a client opens."""

    def readable(self) -> int:
        """The file descriptor to wait on for input."""

    def connected(self) -> bool:
        """Whether somebody may be listening. If not, the board keeps what it has to say."""

    def baud(self) -> int:
        """The rate that the client has set, bits per second; 0 where that cannot be seen."""

    def read(self) -> bytes:
        """What has arrived; empty if there is nothing."""

    def write(self, data: bytes) -> int:
        """Send; returns how many bytes were taken."""

    def vanish(self) -> None:
        """Be gone, as if unplugged. Raises PortVanished where it cannot come back."""

    def close(self) -> None:
        """Release the port."""


class PseudoTerminal:
    """A raw pseudo-terminal. Clients come and go; its own end of the slave keeps it alive."""

    def __init__(self) -> None:
        import termios
        import tty

        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.port = os.ttyname(self._slave)
        self._rates = {
            getattr(termios, name): int(name[1:])
            for name in dir(termios)
            if name[0] == "B" and name[1:].isdecimal()
        }

    def readable(self) -> int:
        return self._master

    def connected(self) -> bool:
        return True

    def baud(self) -> int:
        import termios

        return self._rates.get(termios.tcgetattr(self._slave)[5], 0)

    def read(self) -> bytes:
        try:
            return os.read(self._master, _CHUNK)
        except BlockingIOError:
            return b""

    def write(self, data: bytes) -> int:
        try:
            return os.write(self._master, data)
        except BlockingIOError:
            return 0

    def vanish(self) -> None:
        # For good: another pseudo-terminal would have another name, which nobody is told.
        raise PortVanished(f"{self.port} has vanished, as its faults say")

    def close(self) -> None:
        os.close(self._master)
        os.close(self._slave)


class TcpServer:
    """A TCP port that serves one client after another."""

    def __init__(self, address: str) -> None:
        host, port = _host_and_port(address)
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self._listener = socket.create_server((host, port), family=family, backlog=4)
        except OSError as error:
            raise SettingsError(f"cannot listen on {address}: {error.strerror or error}") from error
        self._client: socket.socket | None = None
        shown = f"[{host}]" if ":" in host else host or "localhost"
        self.port = f"socket://{shown}:{self._listener.getsockname()[1]}"

    def readable(self) -> int:
        return (self._client or self._listener).fileno()

    def connected(self) -> bool:
        return self._client is not None

    def baud(self) -> int:
        return 0

    def read(self) -> bytes:
        if self._client is None:
            self._client, _ = self._listener.accept()
            self._client.setblocking(False)
            self._client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return b""
        try:
            data = self._client.recv(_CHUNK)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        if not data:
            self._hang_up()
        return data

    def write(self, data: bytes) -> int:
        if self._client is None:
            return 0
        try:
            return self._client.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            self._hang_up()
            return 0

    def vanish(self) -> None:
        self._hang_up()

    def close(self) -> None:
        self._hang_up()
        self._listener.close()

    def _hang_up(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


def _host_and_port(address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise SettingsError(f"--tcp {address!r}: write HOST:PORT, such as 127.0.0.1:4711 or :0")
    return host.strip("[]"), int(port)


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
    pseudo-terminal, ``native_text`` as in :class:`~.native_text.NativeText`.
    Raises SettingsError, and InterpreterMissing without tflite-micro.
    """
    parsed = SimulatorSpec.parse(spec)
    require_tflite_micro()
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


class _Machine:
    """A board that can be reset: the firmware core and its engine, both without any memory."""

    def __init__(self, spec: SimulatorSpec, native_text: int | None) -> None:
        from pytest_tflm.simulator.board.native_text import NativeText

        self._spec = spec
        self._text = NativeText(native_text)
        self.boot("power on")

    def reset(self) -> None:
        """Start again, in whatever it is doing."""
        self.boot("brown-out")

    def boot(self, reason: str) -> None:
        from pytest_tflm.simulator._firmware import Board
        from pytest_tflm.simulator.engine.tflm import TflmEngine

        spec = self._spec
        self.engine: SimulatedEngine = TflmEngine(
            memory=spec.memory, arena=spec.arena, without=spec.without, printed=self._text.take
        )
        self.tampering: list[Tampering] = []
        if chosen := parse_defects(spec.defect):
            from pytest_tflm.simulator.defects.defective import defective

            self.engine, self.tampering = defective(self.engine, chosen, spec.seed)
        self.board = Board(
            self.engine,
            boot_id=secrets.randbits(32),
            board="simulator",
            reset_reason=reason,
            largest_frame=spec.largest_frame,
            window=spec.window,
            reply_store=spec.reply_store,
            baud=spec.baud,
            largest_baud=LARGEST_BAUD,
        )
        self._looked_at = time.monotonic()

    def receive(self, data: bytes) -> None:
        """Bytes have arrived."""
        for each in self.tampering:
            data = each.to_board(data)
        self.board.receive(data)

    def transmit(self) -> bytes:
        """What there is to send, as much as a port takes at a time."""
        data = self.board.transmit(_CHUNK)
        for each in self.tampering:
            data = each.to_host(data)
        return data

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
        readers = [client, *([] if parent is None else [parent])]
        writers = [client] if line.is_blocked and port.connected() else []
        ready, _, _ = select.select(readers, writers, [], 0 if again else line.wait())
        if parent in ready and not os.read(parent, _CHUNK):
            return
        if client in ready:
            line.heard(port.read())


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and serve. Returns the exit status: 2 if settings make no sense."""
    parser = argparse.ArgumentParser(
        prog="python -m pytest_tflm.simulator",
        description="A simulated board: the firmware core, with TFLM of this machine.",
    )
    parser.add_argument("spec", nargs="?", default="sim", help="sim or sim?arena=64k&faults=mixed")
    parser.add_argument("--tcp", metavar="HOST:PORT", help="listen there; port 0 is any free one")
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
