"""The firmware core on the emulated Cortex-M4: the vectors, the link, and faults."""

from __future__ import annotations

import json
import re
import socket
import struct
from zlib import crc32

import pytest
from boards.conftest import ROOT

from pytest_tflm.errors import (
    ArenaTooSmall,
    BoardCrashed,
    InvokeFailed,
    ModelRejected,
    ModelTooLarge,
    NoAnswer,
    OperatorMissing,
)
from pytest_tflm.link import Connection
from pytest_tflm.simulator.board import shared_line

pytestmark = pytest.mark.slow

VECTORS = json.loads((ROOT / "protocol" / "vectors.json").read_text("utf-8"))
NO_SESSION = 0x84
SAMPLE = struct.Struct("<4B2h")


def silence(line):
    """What comes until nothing does."""
    found = b""
    line.settimeout(0.3)
    try:
        while data := line.recv(4096):
            found += data
    except TimeoutError:
        pass
    line.settimeout(10)
    return found


@pytest.mark.parametrize(
    "talk", [pytest.param(each, id=each["name"]) for each in VECTORS["conversations"]]
)
def test_conversations_of_the_vectors(scripted_image, scripted_baud_image, emulate, talk):
    image = scripted_baud_image if "largest_baud" in talk["board"] else scripted_image
    port = emulate(image).port.removeprefix("socket://").split(":")
    with socket.create_connection((port[0], int(port[1])), timeout=60) as line:
        for step in talk["steps"]:
            line.sendall(bytes.fromhex(step["host"]))
            expected = bytes.fromhex(step["board"])
            found = b""
            while len(found) < len(expected):
                data = line.recv(len(expected) - len(found))
                assert data, step["note"]
                found += data
            assert found == expected, step["note"]
            if step["frames"] == [NO_SESSION] and step["host"].count("0000") > 0:
                silence(line)  # what was sent at once need not be found at one look
        assert not silence(line), "more than the last step says"


@pytest.fixture
def board(scripted_image, emulate):
    connection = Connection.open(emulate(scripted_image).port, timeout=60)
    yield connection
    connection.close()


def result(a, b, state):
    """What Invoke makes of a sample (vectors.json's description)."""
    return bytes((x + 1) & 0xFF for x in a) + struct.pack("<i", state * 1000 + sum(b))


def test_models_and_samples(board):
    assert board.identity.board == "scripted"
    for size in (5, 4000, 1):
        loaded = board.load(b"m" * size)
        assert loaded.size == size
        samples = [((i % 126, i & 255, 3, 4), (i, -2 * i)) for i in range(300)]
        wire = [SAMPLE.pack(*a, *b) for a, b in samples]
        for state, (found, (a, b)) in enumerate(zip(board.run_many(wire), samples, strict=True)):
            assert found.outputs == result(a, b, state + 1)
            assert found.microseconds == 1500


def test_more_than_the_rings_of_the_line_hold(board):
    for number in range(60):
        model = bytes([number]) * 4000
        assert board.load(model).crc32 == crc32(model)
    assert board.counters.bytes_sent > 3 * 65536


def test_over_the_uart_alone(scripted_image, emulate, monkeypatch):
    monkeypatch.setattr(shared_line, "_MAGIC", 1)  # so that the image finds no rings
    connection = Connection.open(emulate(scripted_image).port, timeout=60)
    model = bytes(range(256)) * 12
    assert connection.load(model).crc32 == crc32(model)
    with pytest.raises(BoardCrashed, match=r"memory fault.*no access to 0x00000004"):
        misbehave(connection, "n")
    connection.close()


@pytest.mark.parametrize(
    ("model", "error"),
    [
        (b"A model", ArenaTooSmall),
        (b"O model", OperatorMissing),
        (b"R model", ModelRejected),
        (b"m" * 4097, ModelTooLarge),
    ],
)
def test_the_next_model_works_after_a_refused_one(board, model, error):
    with pytest.raises(error):
        board.load(model)
    board.load(b"good")
    found = board.run(SAMPLE.pack(1, 2, 3, 4, 5, 6))
    assert found.outputs == result((1, 2, 3, 4), (5, 6), 1)


def test_the_next_sample_works_after_a_failed_one(board):
    board.load(b"good")
    with pytest.raises(InvokeFailed, match="scripted failure"):
        board.run(SAMPLE.pack(127, 0, 0, 0, 0, 0))
    assert board.run(SAMPLE.pack(0, 0, 0, 0, 0, 0)).outputs == result((0, 0, 0, 0), (0, 0), 1)


def test_another_host_after_the_first(scripted_image, emulate):
    port = emulate(scripted_image).port
    for _ in range(3):
        connection = Connection.open(port, timeout=60)
        connection.load(b"model")
        connection.run(SAMPLE.pack(1, 2, 3, 4, 5, 6))
        connection.close()


def misbehave(connection, how):
    connection.load(b"model")
    connection.run(SAMPLE.pack(0x7E, ord("D"), ord("O"), ord(how), 0, 0))


@pytest.mark.parametrize(
    ("how", "kind", "text"),
    [
        ("n", "memory fault", "no access to 0x00000004"),
        ("w", "memory fault", "no access to 0x00001000"),
        ("x", "memory fault", "no access to 0x90000000"),
        ("b", "bus fault", "nothing at 0x50000000"),
        ("d", "usage fault", "division by zero"),
        ("u", "usage fault", "undefined instruction"),
        ("s", "memory fault", "stack overflow 0x1ffe"),
        ("a", r"abort\(\)", "abort"),
    ],
)
def test_a_fault_is_reported(scripted_image, emulate, how, kind, text):
    running = emulate(scripted_image)
    connection = Connection.open(running.port, timeout=60)
    with pytest.raises(BoardCrashed, match=f"{kind}.*{text}") as caught:
        misbehave(connection, how)
    # Where the stack is at its end, the processor cannot tell where it was.
    assert how == "s" or re.search(r" at address 0x0000[0-9a-f]{4}\b", str(caught.value))
    connection.close()
    assert running.exit_description() is None
    # The board lies there, and says so to whoever asks.
    with pytest.raises(BoardCrashed, match=kind):
        Connection.open(running.port, timeout=60)


def test_a_board_that_hangs_is_not_a_crash(scripted_image, emulate):
    connection = Connection.open(emulate(scripted_image).port, timeout=1)
    with pytest.raises(NoAnswer, match="in Invoke"):
        misbehave(connection, "h")
    connection.close()


def test_the_rate_of_the_line_is_changed(scripted_baud_image, emulate):
    """QEMU's UART carries any rate; what is tested is that the board changes, answers, and is left
    as it was found."""
    port = emulate(scripted_baud_image).port
    for _ in range(2):
        connection = Connection.open(port, line_baud=921600, is_uart=True, timeout=60)
        assert (connection.counters.baud, connection.rate_note) == (921600, "")
        connection.load(b"model")
        found = connection.run(SAMPLE.pack(1, 2, 3, 4, 5, 6))
        assert found.outputs == result((1, 2, 3, 4), (5, 6), 1)
        connection.close()
    connection = Connection.open(port, line_baud=2_000_000, is_uart=True, timeout=60)
    assert connection.counters.baud == 115200
    assert "rejected" in connection.rate_note
    connection.close()
