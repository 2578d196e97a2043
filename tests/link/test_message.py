"""Requests, replies and entries: packed, parsed, and nonsense refused by name."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_board import Board, VectorEngine

from pytest_tflm.errors import ProtocolMismatch
from pytest_tflm.link import entries, message
from pytest_tflm.link.entries import parse_identity, parse_loaded
from pytest_tflm.link.message import Failure, Run, Welcome

U8, U32 = st.integers(0, 255), st.integers(0, 0xFFFFFFFF)
WELCOME = Welcome(1, 1, 1, 1, 7, 128, 512, 262)


@given(st.builds(Welcome, U8, U8, U8, U8, U32, st.integers(0, 0xFFFF), U32, U32), st.binary())
def test_welcome_round_trip_and_longer(welcome, more):
    assert Welcome.parse(welcome.pack() + more) == welcome
    assert Welcome.parse(welcome.pack()[:-1]) is None


@given(st.integers(0, 7), st.integers(1, 255), st.integers(0, 300), st.binary(max_size=400))
def test_a_run_s_reply_is_read_within_bounds(flags, count, output_bytes, data):
    run = Run(flags, count, b"", output_bytes)
    payload = b"\0" + data
    if message.is_reply_to(run, run.kind + 0x80, payload):
        results = run.results(message.parse_reply(run, payload))
        assert len(results) == count
        size = output_bytes if flags & 2 else 4
        assert all(len(result.outputs) == size for result in results)
    else:
        assert len(payload) < run.smallest_reply()


@given(st.integers(1, 255), U32, U32, st.binary(max_size=9))
def test_failures(status, needed, available, more):
    read = message.Read(0, 0, 0, 10)
    payload = struct.pack("<BII", status, needed, available)
    assert message.parse_reply(read, payload + more) == Failure(status, needed, available)
    assert not message.is_reply_to(read, 0x90, payload[:-1])
    assert Failure(status, 0, 0).name


def test_a_reply_that_is_longer_is_cut():
    read = message.Read(0, 0, 0, 10)
    assert message.parse_reply(read, b"\0" + bytes(40)) == bytes(10)


def test_a_board_without_a_clock():
    run = Run(3, 1, b"", 1)
    (result,) = run.results(b"\x01\0\0\0\xff\xff\xff\xff\x05")
    assert result == (b"\x05", 1, None)


@given(st.binary(max_size=200))
def test_any_entries_are_entries_or_a_mismatch(data):
    for parse in (parse_loaded, lambda data: parse_identity(data, WELCOME)):
        try:
            parse(data)
        except ProtocolMismatch:
            continue


def entry(key: int, value: bytes) -> bytes:
    return struct.pack("<BH", key, len(value)) + value


TENSOR = struct.pack("<BBifIii", 9, 2, -3, 0.5, 4, 2, 2)
LOADED = [
    entry(1, struct.pack("<II", 1000, 0xDEADBEEF)),
    entry(2, struct.pack("<II", 0xFFFFFFFF, 4000)),
    entry(3, TENSOR),
    entry(4, TENSOR),
]


def test_loaded():
    loaded = parse_loaded(entry(99, b"of a later version") + b"".join(LOADED))
    assert (loaded.size, loaded.crc32) == (1000, 0xDEADBEEF)
    assert (loaded.arena_used, loaded.arena_size) == (None, 4000)
    (tensor,) = loaded.inputs
    assert tensor == entries.LoadedTensor("int8", (2, 2), 0.5, -3, 4)
    assert loaded.input_bytes == loaded.output_bytes == 4


TYPES = {
    0: "float32",
    1: "float16",
    2: "int32",
    3: "uint8",
    4: "int64",
    6: "bool",
    7: "int16",
    9: "int8",
    10: "float64",
    12: "uint64",
    15: "uint32",
    16: "uint16",
}


@pytest.mark.parametrize(("number", "dtype"), TYPES.items())
def test_every_type_of_tflm_has_a_name(number, dtype):
    """The numbers are those of schema.fbs, the names numpy's."""
    import numpy as np

    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    assert getattr(schema.TensorType, dtype.upper()) == number
    width = np.dtype(dtype).itemsize

    def loaded(nbytes):
        tensor = struct.pack("<BBifIii", number, 2, 0, 0.0, nbytes, 3, 5)
        return parse_loaded(b"".join([*LOADED[:3], entry(4, tensor)]))

    (tensor,) = loaded(15 * width).outputs
    assert tensor == entries.LoadedTensor(dtype, (3, 5), 0.0, 0, 15 * width)
    with pytest.raises(ProtocolMismatch):
        loaded(15 * width + 1)


def test_the_firmware_passes_every_type_on():
    pytest.importorskip("pytest_tflm.simulator._firmware")
    import numpy as np
    from compiled_board import CompiledBoard, NumpyEngine
    from virtual_line import VirtualPort, World

    from pytest_tflm.link import Connection
    from pytest_tflm.simulator.engine.base import EngineTensor, Loaded

    class EveryType(NumpyEngine):
        def prepare(self, model):
            made = [EngineTensor(np.zeros((3, 5), TYPES[number]), number) for number in TYPES]
            return Loaded(640, 3000, tuple(made), tuple(made[::-1]))

    sizes = {"largest_frame": 400, "window": 900, "reply_store": 700}
    port = VirtualPort(World(CompiledBoard(EveryType(), **sizes)))
    loaded = Connection(port, clock=port.clock).loaded()
    found = [(tensor.dtype, tensor.shape, tensor.nbytes) for tensor in loaded.inputs]
    assert found == [(dtype, (3, 5), 15 * np.dtype(dtype).itemsize) for dtype in TYPES.values()]
    assert loaded.outputs == loaded.inputs[::-1]


def test_a_type_without_a_name_keeps_its_number():
    tensor = struct.pack("<BBifIi", 17, 1, 0, 0.5, 3, 5)  # INT4: some pack it, some do not
    loaded = parse_loaded(b"".join([*LOADED[:3], entry(4, tensor)]))
    assert loaded.outputs[0].dtype == "TensorType 17"
    assert loaded.output_bytes == 3


@pytest.mark.parametrize(
    "data",
    [
        b"".join(LOADED[1:]),
        b"".join([LOADED[0], *LOADED[2:]]),
        b"".join(LOADED)[:-1],
        b"".join([*LOADED, b"\x01"]),
        b"".join([entry(1, b"1234567"), *LOADED[1:]]),
        b"".join([*LOADED, entry(3, TENSOR[:-4])]),
        b"".join([*LOADED, entry(3, TENSOR + b"1234")]),
        b"".join([*LOADED, entry(3, struct.pack("<BBifIii", 9, 2, -3, 0.5, 5, 2, 2))]),
        b"".join([*LOADED, entry(3, struct.pack("<BBifIii", 9, 2, -3, 0.5, 4, -2, -2))]),
        b"".join([*LOADED, entry(4, struct.pack("<BBifIii", 9, 2, 0, float("nan"), 4, 2, 2))]),
        b"".join([*LOADED, entry(4, struct.pack("<BBifI", 9, 200, 0, 0.5, 4) + bytes(800))]),
    ],
)
def test_loaded_nonsense(data):
    with pytest.raises(ProtocolMismatch):
        parse_loaded(data)


def test_identity_of_the_double():
    board = Board(VectorEngine())
    data = board._region(0, 0)
    identity = parse_identity(data, WELCOME)
    assert identity.describe() == "scripted, vectors 1, kernels none"
    assert identity.operators == ("ADD", "CONV_2D")
    assert identity.memory == 4096
    assert identity.compiler == ""


@pytest.mark.parametrize("missing", [1, 2, 6])
def test_identity_needs_its_starred_entries(missing):
    items = {1: b"firmware 1", 2: b"board", 6: bytes(4)}
    del items[missing]
    with pytest.raises(ProtocolMismatch, match="does not say"):
        parse_identity(b"".join(entry(*item) for item in items.items()), WELCOME)


def test_identity_of_bytes_that_are_no_text():
    with pytest.raises(ProtocolMismatch, match="UTF-8"):
        parse_identity(entry(1, b"\xff") + entry(2, b"b") + entry(6, bytes(4)), WELCOME)
