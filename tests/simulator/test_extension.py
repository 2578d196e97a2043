"""The compiled core as a Python class, with an engine that is a few lines of Python."""

from __future__ import annotations

import gc
import struct
import weakref
import zlib

import numpy as np
import pytest

from pytest_tflm.simulator._firmware import Board
from pytest_tflm.simulator.engine.base import Engine, EngineTensor, Loaded, Refusal, Status
from simulator.raw_client import (
    ERROR,
    LOADED,
    MODEL_OPEN,
    NO_SESSION,
    OUTPUT,
    PING,
    PONG,
    RESET_STATE,
    RawClient,
    Refused,
    encode,
)


class DoublingEngine:
    """Doubles four int16. Its model's first byte may ask for trouble."""

    kernels = "python"
    tflm = ""
    operators = "DOUBLE"
    memory = 1000

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.trouble: BaseException | None = None

    def open(self, size: int, kept: int) -> None:
        self.calls.append(f"open {size}" + (f" behind {kept}" if kept else ""))
        if size > self.memory:
            raise Refusal(Status.MODEL_TOO_LARGE, "größer", needed=size, available=self.memory)

    def prepare(self, model: bytes) -> Loaded:
        self.calls.append(f"prepare {len(model)}")
        if model == b"nonsense":
            return None  # type: ignore[return-value]
        self.source = np.zeros((2, 2), np.int16)
        self.target = np.zeros((), np.int16) if model == b"scalar" else np.zeros((2, 2), np.int16)
        return Loaded(
            None,
            500,
            (EngineTensor(self.source, 7, 0.5, 3),),
            (EngineTensor(self.target, 7),),
        )

    def invoke(self) -> int:
        if self.trouble is not None:
            raise self.trouble
        self.target[...] = self.source.sum() if self.target.ndim == 0 else self.source * 2
        return 1234

    def reset_state(self) -> None:
        self.calls.append("reset")

    def unload(self) -> None:
        self.calls.append("unload")


def make(engine: Engine, **sizes: int) -> Board:
    settings = {"largest_frame": 256, "window": 300, "reply_store": 600, "boot_id": 7} | sizes
    return Board(engine, board="test", reset_reason="made", **settings)


def talk(board: Board) -> RawClient:
    def receive() -> bytes:
        while board.poll():
            pass
        return board.transmit(1 << 20)

    client = RawClient(board.receive, receive)
    client.hello()
    return client


def test_welcome_says_what_the_board_was_given() -> None:
    client = talk(make(DoublingEngine()))
    assert client.hello() == {
        "lowest": 1,
        "highest": 1,
        "version": 1,
        "flags": 5,
        "boot_id": 7,
        "largest_frame": 256,
        "window": 300,
        "reply_store": 600,
    }


def test_load_and_run() -> None:
    engine = DoublingEngine()
    client = talk(make(engine))
    client.load(b"model")
    assert engine.calls == ["open 5", "prepare 5"]
    (entry,) = client.tensors(3)
    assert (entry.type, entry.scale, entry.zero_point, entry.dimensions) == (7, 0.5, 3, (2, 2))
    assert dict(client.entries(LOADED))[2] == struct.pack("<II", 0xFFFFFFFF, 500)
    values = np.array([[1, -2], [300, 0]], np.int16)
    result = client.run(values.tobytes())
    assert result.outputs == (values * 2).tobytes()
    assert result.input_crc == zlib.crc32(values.tobytes())
    assert result.microseconds == 1234
    assert client.read(OUTPUT) == (values * 2).tobytes()
    client.ask(RESET_STATE)
    assert engine.calls[-1] == "reset"


def test_a_scalar_output() -> None:
    client = talk(make(DoublingEngine()))
    client.load(b"scalar")
    assert client.tensors(4)[0].dimensions == ()
    assert client.run(np.arange(4, dtype=np.int16).tobytes()).outputs == b"\x06\x00"


def test_a_refusal_is_a_status_and_a_text() -> None:
    client = talk(make(DoublingEngine()))
    with pytest.raises(Refused) as caught:
        client.ask(MODEL_OPEN, struct.pack("<I", 1001))
    refused = caught.value
    assert (refused.status, refused.needed, refused.available) == (5, 1001, 1000)
    assert client.error() == "größer"


@pytest.mark.parametrize("trouble", [ZeroDivisionError("a bug"), KeyboardInterrupt()])
def test_a_bug_in_the_engine_comes_out_of_poll_and_the_board_goes_on(
    trouble: BaseException,
) -> None:
    engine = DoublingEngine()
    board = make(engine)
    client = talk(board)
    client.load(b"model")
    engine.trouble = trouble
    with pytest.raises(type(trouble)):
        client.run(bytes(8))
    # The host is told, and the next request is served.
    frame = client.frame()
    assert frame.payload[0] == Status.INVOKE_FAILED
    client.number += 1
    assert type(trouble).__name__ in client.error()
    engine.trouble = None
    assert client.run(bytes(8)).outputs == bytes(8)


def test_an_engine_that_returns_nonsense() -> None:
    client = talk(make(DoublingEngine()))
    with pytest.raises(AttributeError):
        client.load(b"nonsense")
    assert client.frame().payload[0] == Status.INVOKE_FAILED


def test_arrays_that_cannot_be_lent() -> None:
    engine = DoublingEngine()
    engine.prepare = (
        lambda model: Loaded(  # type: ignore[method-assign]
            0, 0, (EngineTensor(np.zeros((4, 4), np.int8).T[1:], 9),), ()
        )
    )
    client = talk(make(engine))
    with pytest.raises((BufferError, ValueError)):
        client.load(b"model")
    assert client.frame().payload[0] == Status.INVOKE_FAILED
    client.number += 1
    with pytest.raises(Refused):
        client.ask(RESET_STATE)


def test_what_does_not_fit_the_receive_ring_is_lost() -> None:
    board = make(DoublingEngine())
    assert board.receive(bytes(300)) == 300
    assert board.receive(bytes(100)) == 64
    assert board.receive(b"x") == 0
    while board.poll():
        pass
    assert board.receive(bytes(1000)) == 364


def test_transmit_gives_no_more_than_was_asked_for() -> None:
    board = make(DoublingEngine())
    board.receive(encode(PING, 5, 77, 0))
    board.poll()
    parts = [board.transmit(3) for _ in range(10)]
    assert max(map(len, parts)) == 3
    assert b"".join(parts) == encode(NO_SESSION, 5, 77, 0)
    assert board.transmit(100) == b""
    assert board.transmit(0) == b""


def test_log() -> None:
    board = make(DoublingEngine(), log_store=64)
    client = talk(board)
    assert board.log("25 °C")
    assert not board.log("no room for so much text now, it is lost")
    board.receive(encode(PING, client.session, 1, 0))
    assert client.frame().type == PONG
    assert client.logs == ["25 °C"]


@pytest.mark.parametrize(
    "sizes", [{"largest_frame": 63}, {"largest_frame": 65536}, {"reply_store": 258}]
)
def test_sizes_against_the_specification(sizes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must"):
        make(DoublingEngine(), **sizes)


def test_nothing_is_kept_of_a_model_that_is_unloaded_and_of_a_board_that_is_gone() -> None:
    engine = DoublingEngine()
    board = make(engine)
    client = talk(board)
    client.load(b"model")
    array = weakref.ref(engine.source)
    del engine.source, engine.target
    assert array() is not None
    client.load(b"model")
    assert array() is None
    array = weakref.ref(engine.source)
    del engine, board, client
    gc.collect()
    assert array() is None


def test_error_is_read_in_parts() -> None:
    engine = DoublingEngine()
    client = talk(make(engine))
    client.load(b"model")
    engine.trouble = Refusal(Status.INVOKE_FAILED, "x" * 600)
    with pytest.raises(Refused):
        client.run(bytes(8))
    assert client.ask(0x10, struct.pack("<BBIH", ERROR, 0, 0, 100)) == b"x" * 100
    assert client.ask(0x10, struct.pack("<BBIH", ERROR, 0, 500, 100)) == b"x" * 12
