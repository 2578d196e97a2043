"""Serial ports of another machine: real servers, and a network between that is slow and loses."""

from __future__ import annotations

import contextlib
import select
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import serial
from serial.rfc2217 import PortManager

_WHOLE = 1000
"""Bytes of each direction that are never lost."""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class _Pty(serial.Serial):
    """A pseudo-terminal, which has no modem lines to look at."""

    cts = dsr = ri = cd = False

    def _update_dtr_state(self) -> None:
        pass

    _update_rts_state = _update_break_state = _update_dtr_state


@contextlib.contextmanager
def rfc2217_server(device: str) -> Iterator[int]:
    """pyserial's own server of RFC 2217, for one client after another; its port."""
    ending = threading.Event()
    with _Pty(device, timeout=0) as port, socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while not ending.is_set():
                if not select.select([server], [], [], 0.05)[0]:
                    continue
                client, _ = server.accept()
                with client, contextlib.suppress(OSError):
                    _serve_one(port, client, ending)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield int(server.getsockname()[1])
        finally:
            ending.set()
            thread.join()


class _Out:
    """What PortManager writes its answers to."""

    def __init__(self, client: socket.socket) -> None:
        self.write = client.sendall


def _serve_one(port: serial.Serial, client: socket.socket, ending: threading.Event) -> None:
    manager = PortManager(port, _Out(client))
    while not ending.is_set():
        readable, _, _ = select.select([client, port], [], [], 0.05)
        if client in readable:
            data = client.recv(4096)
            if not data:
                return
            port.write(b"".join(manager.filter(data)))
        if port in readable:
            client.sendall(b"".join(manager.escape(port.read(port.in_waiting or 1))))


@contextlib.contextmanager
def ser2net(device: str, folder: Path, *, is_telnet: bool) -> Iterator[int]:
    """Debian's ser2net in front of a device, raw or with RFC 2217; its port. Skips without it."""
    program = shutil.which("ser2net") or shutil.which("ser2net", path="/usr/sbin")
    if program is None:
        pytest.skip("ser2net is not installed (Debian: ser2net)")
    port = free_port()
    accepter = f"{'telnet(rfc2217=true),' if is_telnet else ''}tcp,127.0.0.1,{port}"
    config = folder / "ser2net.yaml"
    config.write_text(
        "connection: &board\n"
        f"  accepter: {accepter}\n"
        f"  connector: serialdev(nouucplock=true),{device},115200n81,local\n"
        "  options:\n    kickolduser: true\n"
    )
    log = folder / "ser2net.log"
    with log.open("wb") as output:
        server = subprocess.Popen([program, "-n", "-d", "-c", str(config)], stderr=output)
    try:
        _until_it_listens(server, port, log)
        yield port
    finally:
        server.terminate()
        server.wait()


def _until_it_listens(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Without a connection, which would open the device: the kernel's table says who listens."""
    wanted = f"0100007F:{port:04X} 00000000:0000 0A"
    end = time.monotonic() + 60
    while wanted not in Path("/proc/net/tcp").read_text():
        if server.poll() is not None or time.monotonic() > end:
            raise AssertionError(f"ser2net does not listen: {log.read_text()}")
        time.sleep(0.01)


@contextlib.contextmanager
def network(port: int, *, delay: float = 0.0, loses: int = 0) -> Iterator[int]:
    """A relay to ``port``: bytes arrive ``delay`` seconds later in each direction, and one of
    ``loses`` pieces of at most 256 bytes does not, as with a server whose buffer overruns (0: none;
    none of the first 1000 bytes, in which telnet's options are). The relay's own port."""
    ending = threading.Event()
    threads: list[threading.Thread] = []

    def carry(source: socket.socket, sink: socket.socket) -> None:
        waiting: list[tuple[float, bytes]] = []
        carried = pieces = 0
        with contextlib.suppress(OSError):
            while not ending.is_set():
                due = waiting[0][0] - time.monotonic() if waiting else 0.05
                if select.select([source], [], [], max(0.0, min(due, 0.05)))[0]:
                    data = source.recv(256)
                    if not data:
                        break
                    carried += len(data)
                    pieces += carried > _WHOLE
                    if not (loses and carried > _WHOLE and pieces % loses == 0):
                        waiting.append((time.monotonic() + delay, data))
                while waiting and waiting[0][0] <= time.monotonic():
                    sink.sendall(waiting.pop(0)[1])
            sink.shutdown(socket.SHUT_RDWR)

    def serve(server: socket.socket) -> None:
        while not ending.is_set():
            if select.select([server], [], [], 0.05)[0]:
                client, _ = server.accept()
                far = socket.create_connection(("127.0.0.1", port))
                for ends in ((client, far), (far, client)):
                    threads.append(threading.Thread(target=carry, args=ends, daemon=True))
                    threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        accepting = threading.Thread(target=serve, args=(server,), daemon=True)
        accepting.start()
        try:
            yield int(server.getsockname()[1])
        finally:
            ending.set()
            for thread in (accepting, *threads):
                thread.join()
