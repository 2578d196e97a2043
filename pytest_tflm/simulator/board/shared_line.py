"""The emulated board's line: through memory that QEMU and this process share.

QEMU's UART takes a byte, wakes the processor, and waits for it before it takes the next, which
makes 10 to 30 KB/s. So the bytes lie in two rings at the start of the board's second memory, as if
a DMA controller had brought them, and what travels over the UART are doorbells. An image that does
not know the rings is served over the UART, byte by byte.

The layout is in firmware/mps2_an386/shared_line.h. Whoever connects to the port's socket is served;
one at a time, and what the board sends while nobody is there is lost, as on any line.
"""

from __future__ import annotations

import contextlib
import mmap
import socket
import tempfile
import threading
from typing import Any

from pytest_tflm.ready import ready

MEMORY = 16 * 1024 * 1024
"""Bytes of the memory that the rings are in: all that the board has there."""

_MAGIC = 0x454E494C
_RING = 65536
_TO_BOARD, _TO_HOST = 4096, 4096 + _RING
# Words in front of the rings. Heads and tails count bytes, modulo 2^32.
_IS_SHARED, _IS_KNOWN, _BOARD_HEAD, _BOARD_TAIL, _HOST_HEAD, _HOST_TAIL = range(6)
_PENDING = 65536
_FULL_WAIT = 0.002
"""Seconds until a ring that was full is looked at again."""


class SharedLine:
    """Both ends: memory and a socket for QEMU, and ``address`` for whoever opens the port."""

    def __init__(self) -> None:
        with contextlib.ExitStack() as opened:
            self._server = opened.enter_context(socket.create_server(("127.0.0.1", 0)))
            ours, self._theirs = socket.socketpair()
            self._uart = opened.enter_context(ours)
            opened.enter_context(self._theirs)
            self._file = opened.enter_context(tempfile.TemporaryFile())
            self._file.truncate(MEMORY)
            self._map = mmap.mmap(self._file.fileno(), _TO_HOST + _RING)
            self._words = memoryview(self._map)[:64].cast("I")
            self._wake, self._woken = socket.socketpair()
            opened.pop_all()
        self._words[_IS_SHARED] = _MAGIC
        self.address: tuple[str, int] = self._server.getsockname()
        self._uart.settimeout(None)
        self._thread: threading.Thread | None = None
        self._client: socket.socket | None = None
        self._to_board = b""
        self._to_client = b""

    @property
    def descriptors(self) -> tuple[int, int]:
        """What QEMU must inherit."""
        return self._theirs.fileno(), self._file.fileno()

    def arguments(self) -> list[str]:
        """QEMU's."""
        uart, memory = self.descriptors
        backend = f"memory-backend-file,id=shared,size={MEMORY},share=on"
        return [
            *("-object", f"{backend},mem-path=/dev/fd/{memory}"),
            *("-machine", "memory-backend=shared"),
            *("-chardev", f"socket,id=uart0,fd={uart}", "-serial", "chardev:uart0"),
        ]

    def inherited(self) -> None:
        """QEMU runs: its end of the socket is its own."""
        self._theirs.close()

    def first_bytes(self, count: int, timeout: float) -> bytes:
        """What the board sends, until there are ``count`` bytes; fewer if it ends. TimeoutError."""
        self._uart.settimeout(timeout)
        try:
            said = b""
            while len(said) < count:
                data = self._uart.recv(_PENDING)
                if not data:
                    break
                said += self._take(data)
            return said
        finally:
            self._uart.settimeout(None)

    def serve(self) -> None:
        """Carry bytes from now on, in a thread."""
        self._thread = threading.Thread(target=self._serve, name="qemu line", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """May be called twice."""
        if self._thread is not None:
            # The thread waits for one of the two, or for room in the second.
            with contextlib.suppress(OSError):
                self._wake.send(b"\0")
            with contextlib.suppress(OSError):
                self._uart.shutdown(socket.SHUT_RDWR)
            self._thread.join()
            self._thread = None
        for each in (self._server, self._uart, self._theirs, self._wake, self._woken, self._file):
            each.close()
        self._drop_client()
        if not self._map.closed:
            self._words.release()
            self._map.close()

    def _serve(self) -> None:
        # Nobody is there to be told: whoever has the port open sees it end.
        with contextlib.suppress(OSError):
            while self._step():
                pass
        if self._client is not None:
            with contextlib.suppress(OSError):
                self._client.send(self._to_client)  # the board's last words
        self._drop_client()
        self._server.close()

    def _step(self) -> bool:
        """Wait, and carry what there is. False: the board or this line ended."""
        reading: list[Any] = [self._woken]
        if len(self._to_client) < _PENDING:
            reading.append(self._uart)
        if self._client is None:
            reading.append(self._server)
        elif not self._to_board:
            reading.append(self._client)
        writing = [self._client] if self._client is not None and self._to_client else []
        waits = bool(self._to_board) or self._unread() > 0
        readable, writable = ready(reading, writing, _FULL_WAIT if waits else None)
        if self._woken in readable:
            return False
        if self._uart in readable:
            data = self._uart.recv(_PENDING)
            if not data:
                return False
            self._to_client += self._take(data)
        elif self._unread() and len(self._to_client) < _PENDING:
            self._to_client += self._take(b"")
        if self._server in readable:
            self._client, _ = self._server.accept()
            self._client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._client.setblocking(False)
            self._to_client = b""
        if self._client is None:
            self._to_client = b""
        elif self._client in readable or writable:
            self._talk(self._client, self._client in readable, bool(writable))
        self._feed()
        return True

    def _talk(self, client: socket.socket, readable: bool, writable: bool) -> None:
        try:
            if readable:
                self._to_board = client.recv(_RING)
                if not self._to_board:
                    self._drop_client()
                    return
            if writable:
                self._to_client = self._to_client[client.send(self._to_client) :]
        except BlockingIOError:
            pass
        except OSError:
            self._drop_client()

    def _drop_client(self) -> None:
        client, self._client = self._client, None
        self._to_board = self._to_client = b""
        if client is not None:
            client.close()

    def _shared(self) -> bool:
        return self._words[_IS_KNOWN] == _MAGIC

    def _unread(self) -> int:
        """Bytes that the board has put into its ring."""
        return (self._words[_HOST_HEAD] - self._words[_HOST_TAIL]) & 0xFFFFFFFF

    def _take(self, uart: bytes) -> bytes:
        """What the board sent, when this came over the UART."""
        if not self._shared():
            return uart
        count, tail = min(self._unread(), _RING), self._words[_HOST_TAIL]
        at = tail % _RING
        first = self._map[_TO_HOST + at : _TO_HOST + min(at + count, _RING)]
        data = first + self._map[_TO_HOST : _TO_HOST + count - len(first)]
        self._words[_HOST_TAIL] = (tail + count) & 0xFFFFFFFF
        return data

    def _feed(self) -> None:
        """Give the board what it has room for."""
        if not self._to_board:
            return
        if not self._shared():
            self._uart.sendall(self._to_board)
            self._to_board = b""
            return
        head = self._words[_BOARD_HEAD]
        room = _RING - ((head - self._words[_BOARD_TAIL]) & 0xFFFFFFFF)
        data, self._to_board = self._to_board[:room], self._to_board[room:]
        if not data:
            return
        at = head % _RING
        first = data[: _RING - at]
        self._map[_TO_BOARD + at : _TO_BOARD + at + len(first)] = first
        self._map[_TO_BOARD : _TO_BOARD + len(data) - len(first)] = data[len(first) :]
        self._words[_BOARD_HEAD] = (head + len(data)) & 0xFFFFFFFF
        self._uart.sendall(b"\1")
