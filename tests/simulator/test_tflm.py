"""Host TFLM behind the link: what it computes, and what it refuses."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import model_builders
import numpy as np
import pytest

from simulator.raw_client import (
    BOARD,
    INPUT,
    LOADED,
    OUTPUT,
    OUTPUTS,
    RESET,
    RESET_STATE,
    RUN,
    RawClient,
    Refused,
)

pytest.importorskip("tflite_micro")
from tflite_micro.python.tflite_micro import runtime

TCN = (Path(__file__).parents[2] / "examples" / "tcn.tflite").read_bytes()


def direct(model: bytes, inputs: list[np.ndarray], outputs: int) -> bytes:
    """The same in this process: TFLM as its package calls it."""
    interpreter = runtime.Interpreter.from_bytes(model, arena_size=1 << 20)
    for index, array in enumerate(inputs):
        interpreter.set_input(array, index)
    interpreter.invoke()
    return b"".join(interpreter.get_output(i).tobytes() for i in range(outputs))


def test_the_tcn_is_what_tflm_computes(client: Callable[..., RawClient]) -> None:
    board = client()
    board.load(TCN)
    random = np.random.default_rng(1)
    for _ in range(5):
        sample = random.integers(-128, 128, (1, 1000, 1), np.int8)
        result = board.run(sample.tobytes())
        assert result.outputs == direct(TCN, [sample], 1)
        assert result.input_crc == zlib.crc32(sample.tobytes())
        assert 100 < result.microseconds < 10_000_000


def test_two_inputs_and_three_outputs_of_mixed_types(client: Callable[..., RawClient]) -> None:
    model = model_builders.mixed()
    board = client()
    board.load(model)
    assert [tensor.type for tensor in board.tensors(3)] == [9, 0]
    assert [tensor.type for tensor in board.tensors(4)] == [9, 0, 6]
    assert [tensor.size for tensor in board.tensors(4)] == [12, 48, 12]
    signal = np.arange(-60, 60, 10, np.int8).reshape(1, 12)
    gain = np.linspace(-2, 2, 12, dtype=np.float32).reshape(1, 12)
    expected = direct(model, [signal, gain], 3)
    assert board.run(signal.tobytes() + gain.tobytes()).outputs == expected
    # The same through WRITE, RUN and READ.
    board.write(INPUT, 0, signal.tobytes())
    board.write(INPUT, 1, gain.tobytes())
    assert board.read(INPUT, 1) == gain.tobytes()
    board.ask(RUN, bytes([OUTPUTS, 1]))
    assert b"".join(board.read(OUTPUT, i) for i in range(3)) == expected


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "float32", "bool"])
def test_every_type(client: Callable[..., RawClient], dtype: str) -> None:
    model = model_builders.identity(dtype, scale=None if dtype in ("float32", "bool") else 0.5)
    board = client()
    board.load(model)
    data = np.array([[0, 1, 1, 0]], dtype).tobytes()
    assert board.run(data).outputs == data


def test_what_it_says_of_itself_and_of_the_model(client: Callable[..., RawClient]) -> None:
    board = client("sim?memory=256k&arena=100k")
    said = dict(board.entries(BOARD))
    assert said[2] == b"simulator"
    assert said[3] == b"reference"
    assert said[6] == struct.pack("<I", 256 * 1024)
    board.load(TCN)
    loaded = dict(board.entries(LOADED))
    assert loaded[1] == struct.pack("<II", len(TCN), zlib.crc32(TCN))
    used, size = struct.unpack("<II", loaded[2])
    assert size == 100 * 1024
    assert 0 < used <= size
    (tensor,) = board.tensors(3)
    assert (tensor.type, tensor.dimensions, tensor.size) == (9, (1, 1000, 1), 1000)
    assert tensor.scale > 0


def test_the_arena_is_what_the_model_leaves(client: Callable[..., RawClient]) -> None:
    board = client("sim?memory=256k")
    board.load(TCN)
    _, size = struct.unpack("<II", dict(board.entries(LOADED))[2])
    assert size == 256 * 1024 - (len(TCN) + 15) // 16 * 16


@pytest.mark.parametrize(
    "arena",
    [
        16,
        *(pytest.param(size, marks=pytest.mark.slow) for size in (1000, 8192, 10000, 65536)),
    ],
)
def test_an_arena_too_small_names_the_need_and_that_need_suffices(
    client: Callable[..., RawClient], arena: int
) -> None:
    board = client(f"sim?arena={arena}")
    with pytest.raises(Refused) as caught:
        board.load(TCN)
    assert (caught.value.status, caught.value.available) == (7, arena)
    needed = caught.value.needed
    assert arena < needed < 1 << 20
    assert board.error() == (
        f"the model needs an arena of {needed} bytes, but only {arena} bytes are available"
    )
    if arena >= 8192:  # else TFLM is not even tried
        assert any("Requested" in line for line in board.logs)
    client(f"sim?arena={needed}").load(TCN)
    with pytest.raises(Refused):
        client(f"sim?arena={needed - 16}").load(TCN)


def test_a_model_larger_than_the_memory(client: Callable[..., RawClient]) -> None:
    board = client("sim?memory=10k")
    with pytest.raises(Refused) as caught:
        board.load(TCN)
    refused = caught.value
    assert (refused.status, refused.needed, refused.available) == (5, len(TCN), 10240)
    board.load(model_builders.add_int8())


def test_an_operator_it_is_told_to_lack(client: Callable[..., RawClient]) -> None:
    board = client("sim?without=CONV_2D")
    with pytest.raises(Refused) as caught:
        board.load(TCN)
    assert caught.value.status == 8
    assert "'CONV_2D'" in board.error()
    board.load(model_builders.add_int8())


def test_an_operator_that_tflm_lacks(client: Callable[..., RawClient]) -> None:
    model = model_builders.unpack(model_builders.add_int8())
    codes = model_builders.schema.BuiltinOperator
    model.operatorCodes[0].builtinCode = codes.ATAN2
    model.operatorCodes[0].deprecatedBuiltinCode = 127
    model.subgraphs[0].operators[0].builtinOptionsType = 0
    model.subgraphs[0].operators[0].builtinOptions = None
    board = client()
    with pytest.raises(Refused) as caught:
        board.load(model_builders.pack(model))
    assert caught.value.status == 8
    assert board.error() == "Didn't find op for builtin opcode 'ATAN2'"


@pytest.mark.parametrize("model", [b"not a model at all", TCN[: len(TCN) // 2], b"\0" * 64])
def test_what_is_no_model_never_reaches_native_code(
    client: Callable[..., RawClient], model: bytes
) -> None:
    board = client()
    with pytest.raises(Refused) as caught:
        board.load(model)
    assert caught.value.status == 9
    assert board.error()
    board.load(TCN)
    board.ask(RESET_STATE)
    board.run(bytes(1000))


def svdf() -> bytes:
    """float32 (1, 1) → SVDF with a memory of two → float32 (1, 1): the sum of the last two."""
    g = model_builders.Graph()
    x = g.tensor("x", (1, 1), "float32")
    feature = g.tensor("feature", (1, 1), "float32", data=np.ones((1, 1)))
    time = g.tensor("time", (1, 2), "float32", data=np.ones((1, 2)))
    # TFLM crashes in Prepare where SVDF's optional bias is left out (its TODO 1751).
    bias = g.tensor("bias", (1,), "float32", data=np.zeros(1))
    state = g.tensor("state", (1, 2), "float32")
    y = g.tensor("y", (1, 1), "float32")
    g.graph.tensors[state].isVariable = True
    g.operator("SVDF", (x, feature, time, bias, state), (y,), "SVDFOptions", rank=1)
    return g.finish((x,), (y,))


def test_state_is_kept_until_it_is_reset(client: Callable[..., RawClient]) -> None:
    board = client()
    board.load(svdf())

    def run(value: float, flags: int = OUTPUTS) -> float:
        outputs = board.run(struct.pack("<f", value), flags).outputs
        return float(struct.unpack("<f", outputs)[0])

    assert [run(1), run(10), run(100)] == [1, 11, 110]
    board.ask(RESET_STATE)
    assert run(1) == 1
    assert run(10, OUTPUTS | RESET) == 10
    assert run(100) == 110


def test_one_model_after_another(client: Callable[..., RawClient]) -> None:
    board = client()
    for model in (TCN, model_builders.mixed(), model_builders.add_int8(), TCN):
        board.load(model)
        assert dict(board.entries(LOADED))[1] == struct.pack("<II", len(model), zlib.crc32(model))
    assert board.run(bytes(1000)).outputs == direct(TCN, [np.zeros((1, 1000, 1), np.int8)], 1)
