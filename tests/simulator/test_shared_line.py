"""The emulated board's line, with a board that is a few lines of Python."""

from __future__ import annotations

import mmap
import socket
import time

import pytest

from pytest_tflm.simulator.board.shared_line import SharedLine

RING = 65536


class Board:
    """The other end of a line: QEMU with an image that knows the rings."""

    def __init__(self, line: SharedLine, *, knows: bool = True) -> None:
        uart, memory = line.descriptors
        self.uart = socket.socket(fileno=socket.dup(uart))
        self.map = mmap.mmap(memory, 4096 + 2 * RING)
        self.words = memoryview(self.map)[:64].cast("I")
        if knows:
            self.words[1] = self.words[0]
        line.inherited()

    def say(self, data: bytes) -> int:
        """How much of it found room."""
        head = self.words[4]
        data = data[: RING - ((head - self.words[5]) & 0xFFFFFFFF)]
        for offset, byte in enumerate(data):
            self.map[4096 + RING + (head + offset) % RING] = byte
        self.words[4] = (head + len(data)) & 0xFFFFFFFF
        self.uart.send(b"\0")
        return len(data)

    def unread(self) -> int:
        return (self.words[2] - self.words[3]) & 0xFFFFFFFF

    def hear(self, count: int) -> bytes:
        """So many bytes, which may come one after the other."""
        heard = bytearray()
        while len(heard) < count:
            if self.unread() == 0:
                time.sleep(0.001)
                continue
            tail = self.words[3]
            heard.append(self.map[4096 + tail % RING])
            self.words[3] = (tail + 1) & 0xFFFFFFFF
        return bytes(heard)

    def close(self) -> None:
        self.words.release()
        self.map.close()
        self.uart.close()


@pytest.fixture(params=[0, 0xFFFFFFFF - 100], ids=["from 0", "over the end of counts"])
def ends(request):
    line = SharedLine()
    board = Board(line)
    for word in (2, 3, 4, 5):
        board.words[word] = request.param
    line.serve()
    client = socket.create_connection(line.address, timeout=60)
    yield line, board, client
    client.close()
    line.close()
    line.close()
    board.close()


def receive(client, count):
    data = b""
    while len(data) < count:
        more = client.recv(count - len(data))
        assert more
        data += more
    return data


def pattern(count):
    return bytes(i * 7 % 251 for i in range(count))


def test_a_board_that_does_not_read_loses_nothing(ends):
    _, board, client = ends
    data = pattern(3 * RING + 5)
    client.settimeout(None)
    client.sendall(data[: 2 * RING])
    while board.unread() < RING:  # it fills up, and no further
        time.sleep(0.001)
    client.sendall(data[2 * RING :])
    assert board.hear(len(data)) == data
    assert board.unread() == 0


def test_a_host_that_does_not_read_loses_nothing(ends):
    _, board, client = ends
    assert board.hear(0) == b""
    client.sendall(b"!")  # it is served before anything is said
    board.hear(1)
    data = pattern(100 * RING)
    said = board.say(data[:RING])
    full = 0
    while full < 20:  # until the sockets between are full as well
        took = board.say(data[said : said + RING])
        said += took
        full = 0 if took else full + 1
        time.sleep(0.001)
    assert said < len(data)
    assert receive(client, said) == data[:said]


def test_what_is_said_to_nobody_is_lost(ends):
    line, board, client = ends
    client.close()
    # As long as the line knows of the first, the second waits.
    with socket.create_connection(line.address, timeout=60) as second:
        second.sendall(b"x")
        board.hear(1)
        board.say(b"for the second")
        assert receive(second, 14) == b"for the second"


@pytest.mark.parametrize("politely", [True, False])
def test_a_board_that_ends_ends_the_connection(ends, politely):
    line, board, client = ends
    client.sendall(b"x")
    board.hear(1)
    board.say(b"last words")
    if politely:  # with doorbells unread it is a reset, not an end
        assert board.uart.recv(100) == b"\1"
    board.uart.close()
    assert receive(client, 10) == b"last words"
    assert client.recv(1) == b""
    with pytest.raises(OSError):
        socket.create_connection(line.address, timeout=1).recv(1)


def test_a_board_that_does_not_know_the_rings():
    line = SharedLine()
    board = Board(line, knows=False)
    try:
        board.uart.sendall(b"\0")
        assert line.first_bytes(1, 60.0) == b"\0"
        line.serve()
        with socket.create_connection(line.address, timeout=60) as client:
            client.sendall(b"to the board")
            assert board.uart.recv(100) == b"to the board"
            board.uart.sendall(b"to the host")
            assert receive(client, 11) == b"to the host"
    finally:
        line.close()
        board.close()


def test_a_board_that_says_nothing():
    line = SharedLine()
    board = Board(line)
    try:
        with pytest.raises(TimeoutError):
            line.first_bytes(1, 0.05)
        board.uart.close()
        assert line.first_bytes(1, 60.0) == b""
    finally:
        line.close()
        board.close()
