"""A board as a runtime, over the scripted board and a virtual line; models made here."""

from __future__ import annotations

import sys
import traceback
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "link"))

from scripted_board import Board, Refused, TensorSpec, VectorEngine
from virtual_line import VirtualPort, World

from pytest_tflm.errors import (
    ArenaTooSmall,
    BoardReset,
    ModelTooLarge,
    NotSupported,
    OperatorMissing,
    PortNotFound,
    SampleError,
    WrongModel,
)
from pytest_tflm.link.connection import Connection
from pytest_tflm.model import Model, Operator
from pytest_tflm.runtime.base import OperatorTime
from pytest_tflm.runtime.board import BoardHost, BoardRuntime
from pytest_tflm.runtime.spec import RuntimeSpec
from tests.runtime.scripted_model import model

SAMPLE = (np.array([[1, 2], [3, 4]], np.int8), np.array([10, 20], np.int16))


def connect(**settings) -> Connection:
    engine = settings.pop("engine", None) or VectorEngine()
    sizes = {"largest_frame": 512, "window": 2048, "reply_store": 1500}
    board = Board(engine, **{**sizes, **settings})
    world = World(board, ring=2112, invoked=lambda: len(engine.invoked), boot=board.boot)
    port = VirtualPort(world)
    connection = Connection(port, clock=port.clock, timeout=5)
    connection.world, connection.board = world, board
    return connection


def on(connection: Connection, wanted: Model) -> BoardRuntime:
    return BoardHost.over(connection).load(wanted)


def test_run():
    runtime = on(connect(), model())
    assert runtime.name == "board scripted"
    assert runtime.host.describe().startswith("scripted, vectors 1, kernels none")
    assert runtime.loaded.arena_used == 640
    outputs = runtime.run(SAMPLE)
    assert outputs.runtime == "board scripted"
    assert outputs.invoke_microseconds == 1500
    assert outputs[0].dtype == np.int8
    assert outputs[0].tolist() == [2, 3, 4, 5]
    assert outputs[1].shape == ()
    assert outputs[1] == 1030
    assert runtime.run({"b": SAMPLE[1], "a": SAMPLE[0]})[1] == 2030
    runtime.reset_state()
    assert [int(each[1]) for each in runtime.run_many([SAMPLE] * 5)] == [
        1030, 2030, 3030, 4030, 5030,
    ]  # fmt: skip
    runtime.check_identity()
    assert runtime.link.requests > 0
    runtime.close()
    runtime.close()


def test_operator_times():
    timed = replace(
        model(b"Timed"),
        operators=tuple(
            Operator(index, name, 1, (), ()) for index, name in enumerate(("CONV_2D", "ADD"))
        ),
    )
    runtime = on(connect(), timed)
    assert runtime.operator_times() == []
    runtime.run(SAMPLE)
    times = [OperatorTime(0, "CONV_2D", 1000), OperatorTime(1, "ADD", 500)]
    assert runtime.operator_times() == times


@pytest.mark.parametrize("status", [3, 11])
def test_a_board_without_operator_times(status):
    """3: one from before there was that region."""
    connection = connect()
    runtime = on(connection, model())
    region = connection.board._region

    def old(number, index):
        if number == 6:
            raise Refused(status)
        return region(number, index)

    connection.board._region = old
    with pytest.raises(NotSupported, match="board scripted does not measure"):
        runtime.operator_times()
    assert runtime.run(SAMPLE)[1] == 1030


def test_read_back():
    runtime = on(connect(), model())
    for sent, found in zip(SAMPLE, runtime.read_back(SAMPLE), strict=True):
        assert sent.dtype == found.dtype
        assert np.array_equal(sent, found)


def test_the_models_memory_is_read_as_it_is():
    connection = connect()
    runtime = on(connection, model())
    assert runtime.read_model() == b"the model"
    region = connection.board._region

    def old(number, index):
        if number == 2:
            raise Refused(11)
        return region(number, index)

    connection.board._region = old
    with pytest.raises(NotSupported, match="board scripted does not show the model's memory"):
        runtime.read_model()


def test_what_was_run_is_remembered():
    runtime = on(connect(), model())
    assert runtime.history == ()
    runtime.run(SAMPLE)
    list(runtime.run_many([SAMPLE] * 2))
    assert len(runtime.history) == 3
    assert all(np.array_equal(a, b) for a, b in zip(runtime.history[-1], SAMPLE, strict=True))
    list(runtime.run_many([SAMPLE] * 100))
    assert len(runtime.history) == 64, "of a model without state the last alone"
    runtime.reload()
    assert runtime.history == ()


def test_a_model_that_is_there_is_not_sent_again():
    connection = connect()
    on(connection, model())
    opened = []
    prepare = connection.board._prepare
    connection.board._prepare = lambda data: (opened.append(len(data)), prepare(data))
    assert on(connection, model()).run(SAMPLE)[1] == 1030
    assert opened == []
    on(connection, model(b"another"))
    assert opened == [7]


def test_the_one_of_two_that_is_asked_is_loaded():
    connection = connect()
    progress = []
    host = BoardHost.over(connection, progress=lambda what, *at: progress.append(at))
    one = host.load(model())
    two = host.load(model(b"another"))
    assert one.run(SAMPLE)[1] == 1030
    assert progress == [(9, 9), (7, 7), (9, 9)]
    assert [int(each[1]) for each in two.run_many([SAMPLE] * 2)] == [1030, 2030]
    with pytest.raises(WrongModel):
        one.check_identity()


def test_a_board_with_another_model_built_in():
    for built_in, words in ((b"another", "7 bytes, CRC-32"), (None, "has no model")):
        connection = connect(takes_models=False, model=built_in)
        with pytest.raises(WrongModel) as raised:
            on(connection, model())
        text = str(raised.value)
        assert words in text
        assert "m.tflite has 9 bytes, CRC-32" in text
        assert f"{model().crc32:08x}" in text
        assert "link: sent" in raised.value.details


def test_a_board_with_this_model_built_in():
    connection = connect(takes_models=False, model=b"the model")
    assert on(connection, model()).run(SAMPLE)[1] == 1030


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (b"A model", ArenaTooSmall, "m.tflite: virtual: .*9999 bytes are needed"),
        (b"m" * 9999, ModelTooLarge, "m.tflite: virtual: .*model and arena 4096"),
    ],
)
def test_a_model_that_does_not_go_and_then_one_that_does(data, error, words):
    connection = connect()
    good = on(connection, model())
    with pytest.raises(error, match=words):
        on(connection, model(data))
    assert good.run(SAMPLE)[1] == 1030


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ((TensorSpec(9, (2, 2), 4, 0.5, -3),), "1 inputs, not 2"),
        ((TensorSpec(3, (2, 2), 4, 0.5, -3), VectorEngine.inputs[1]), "type uint8, not int8"),
        ((TensorSpec(9, (2, 3), 6, 0.5, -3), VectorEngine.inputs[1]), r"shape \(2, 3\), not"),
        ((TensorSpec(9, (4, 1), 4, 0.5, -3), VectorEngine.inputs[1]), r"shape \(4, 1\), not"),
        ((TensorSpec(9, (2, 2), 4, 0.51, -3), VectorEngine.inputs[1]), "scale 0.5"),
        ((TensorSpec(9, (2, 2), 4, 0.5, -4), VectorEngine.inputs[1]), "zero point -4, not -3"),
    ],
)
def test_tensors_that_are_not_the_file_s(inputs, words):
    engine = VectorEngine()
    engine.inputs = inputs
    with pytest.raises(WrongModel, match=words):
        on(connect(engine=engine), model())


def test_a_sample_that_does_not_fit_is_the_test_s_fault():
    runtime = on(connect(), model())
    with pytest.raises(SampleError):
        runtime.run(np.zeros(3, np.int8))
    assert runtime.run(SAMPLE)[1] == 1030


def test_a_restart():
    connection = connect()
    runtime = on(connection, model())
    connection.world.reset()
    for _ in range(2):
        with pytest.raises(BoardReset, match="virtual: the board restarted") as raised:
            runtime.run(SAMPLE)
        assert "POWERON_RESET" in raised.value.details


def frames_of(call) -> int:
    with pytest.raises(PortNotFound) as caught:
        call()
    return len(traceback.extract_tb(caught.value.__traceback__))


def test_a_missing_port_is_the_same_short_error_each_time():
    host = BoardHost(RuntimeSpec.of_board("/dev/ttyNOTHING"))
    frames_of(host.connection)
    assert len({frames_of(host.connection) for _ in range(20)}) == 1


def test_a_broken_connection_is_the_same_short_error_each_time():
    connection = connect()
    connection.channel.fail(PortNotFound("gone"))
    assert len({frames_of(connection.current) for _ in range(20)}) == 1


def test_a_model_that_was_tried_in_between_leaves_the_other_on_the_board():
    connection = connect()
    host = BoardHost.over(connection)
    large, other = model(bytes(range(66, 166)) * 20), model(bytes(range(66, 166)) * 20 + b"!")
    runtime = host.load(large)
    assert runtime.run(SAMPLE)[1] == 1030
    before = connection.counters.bytes_sent
    given = [SAMPLE] * 3
    tried = host.attempt(other, given)
    behind = host.attempt(other, given)
    assert [int(arrays[1]) for arrays in tried.outputs()] == [1030, 2030, 3030]
    assert [int(arrays[1]) for arrays in behind.outputs()] == [4030, 5030, 6030]
    assert runtime.run(SAMPLE)[1] == 1030
    assert connection.counters.bytes_sent - before < large.size / 2
    assert runtime.read_model() == large.data


def test_an_attempt_that_is_refused_says_why_whatever_is_behind_it():
    connection = connect()
    host = BoardHost.over(connection)
    host.load(model(bytes(range(66, 166)) * 20))
    refused = host.attempt(model(b"O" + bytes(100)), [SAMPLE])
    behind = host.attempt(model(b"good" + bytes(100)), [SAMPLE], expected=[None])
    with pytest.raises(OperatorMissing, match="SPACE_TO_BATCH_ND"):
        refused.outputs()
    assert [int(arrays[1]) for arrays in behind.outputs()] == [1030]


def test_the_model_that_an_earlier_run_left_in_memory_is_not_sent_again():
    connection = connect()
    large = model(bytes(range(66, 166)) * 20)
    on(connection, large)
    BoardHost.over(connection).attempt(model(b"m" * 100), [SAMPLE]).outputs()
    later = connect()
    later.board._memory[:] = connection.board._memory  # of the same board, in another run
    before = later.counters.bytes_sent
    runtime = on(later, large)
    assert later.counters.bytes_sent - before < large.size / 2
    assert runtime.run(SAMPLE)[1] == 1030
