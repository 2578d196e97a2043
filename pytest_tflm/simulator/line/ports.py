"""The board's end of a serial line: a pseudo-terminal, or a TCP port."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Container
from typing import Protocol

from pytest_tflm.errors import PortVanished, SettingsError

_CHUNK = 65536
_MOST_OTHERS = 8
"""Clients that are told at a time that the board is taken."""
_LOOPBACK = "127.0.0.1"
_TAKEN = b"\0this simulated board is taken: another client is connected to it\0"
"""Text between zero bytes, which a host keeps as the board's log (SPEC §7)."""


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

    def others(self) -> list[int]:
        """The file descriptors to wait on for more clients than one."""

    def turn_away(self, ready: Container[int]) -> None:
        """Tell those more clients that the board is taken."""

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

    def others(self) -> list[int]:
        return []

    def turn_away(self, ready: Container[int]) -> None:
        pass

    def vanish(self) -> None:
        # For good: another pseudo-terminal would have another name, which nobody is told.
        raise PortVanished(f"{self.port} has vanished, because of faults=")

    def close(self) -> None:
        os.close(self._master)
        os.close(self._slave)


class TcpServer:
    """A TCP port that serves one client after another, and tells others that it is taken.

    Without a host in ``address`` it is this machine's alone: who can connect can also load models.
    """

    def __init__(self, address: str) -> None:
        host, port = _host_and_port(address)
        host = host or _LOOPBACK
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self._listener = socket.create_server((host, port), family=family, backlog=4)
        except OSError as error:
            raise SettingsError(f"cannot listen on {address}: {error.strerror or error}") from error
        self._client: socket.socket | None = None
        self._others: list[socket.socket] = []
        shown = f"[{host}]" if ":" in host else host
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

    def others(self) -> list[int]:
        has_room = self._client is not None and len(self._others) < _MOST_OTHERS
        more = [self._listener] if has_room else []
        return [each.fileno() for each in (*more, *self._others)]

    def turn_away(self, ready: Container[int]) -> None:
        for other in [each for each in self._others if each.fileno() in ready]:
            # Once it has said something: what comes while a port is opened, hosts drop.
            with contextlib.suppress(OSError):
                if other.recv(_CHUNK):
                    other.send(_TAKEN)  # a few bytes, for which an empty buffer has room
                    other.shutdown(socket.SHUT_WR)
                    continue
            other.close()
            self._others.remove(other)
        if self._client is not None and self._listener.fileno() in ready:
            other, _ = self._listener.accept()
            other.setblocking(False)
            self._others.append(other)

    def vanish(self) -> None:
        self._hang_up()

    def close(self) -> None:
        self._hang_up()
        for other in self._others:
            other.close()
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
