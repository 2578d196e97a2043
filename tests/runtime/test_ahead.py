"""Samples that are begun before they are asked for: the same results, in the line's own time."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "link"))

from scripted_board import Board, VectorEngine
from virtual_line import VirtualPort, World

from pytest_tflm.errors import InterpreterCrashed, InvokeFailed, PortVanished, SampleError
from pytest_tflm.link.connection import Connection
from pytest_tflm.model import model_from_bytes
from pytest_tflm.runtime.board import BoardHost, BoardRuntime
from pytest_tflm.runtime.interpreter import InterpreterRuntime, interpreter
from tests import model_builders
from tests.runtime import state_models
from tests.runtime.scripted_model import model

BAUD = 115200
FAILS = 127
"""The first code of an input for which the scripted engine's Invoke fails."""


def board(compute: float = 0.001, **sizes: int) -> BoardRuntime:
    """A scripted board at the end of a line in virtual time."""
    engine = VectorEngine()
    sizes = {"largest_frame": 512, "window": 512, "reply_store": 1500, **sizes}
    end = Board(engine, **sizes)
    world = World(
        end, ring=2112, invoked=lambda: len(engine.invoked), boot=end.boot, baud=BAUD,
        compute=compute,
    )  # fmt: skip
    port = VirtualPort(world)
    runtime = BoardHost.over(Connection(port, clock=port.clock, timeout=5)).load(model())
    runtime.world, runtime.engine = world, engine
    return runtime


def sample(number: int, first: int = 0) -> tuple[np.ndarray, np.ndarray]:
    return np.full((2, 2), first or number % FAILS, np.int8), np.array([number, 7], np.int16)


SAMPLES = [sample(number) for number in range(40)]


def values(outputs) -> list:
    return [array.tolist() for array in outputs.arrays]


def test_expected_samples_get_their_own_outputs():
    plain, ahead = board(), board()
    ahead.expect(iter(SAMPLES))
    assert [values(ahead.run(s)) for s in SAMPLES] == [values(plain.run(s)) for s in SAMPLES]
    assert len(ahead.engine.invoked) == len(SAMPLES), "each was run once"
    assert not ahead.ahead.is_under_way
    assert len(ahead.history) == len(SAMPLES)


@pytest.mark.parametrize("sizes", [{}, {"largest_frame": 64}], ids=["many in a frame", "one"])
def test_the_board_goes_on_while_the_host_compares(sizes):
    times, samples = {}, SAMPLES * 10
    for kind in ("many", "one by one", "expected"):
        runtime = board(**sizes, compute=0.003)
        began = runtime.world.now
        if kind == "many":
            list(runtime.run_many(samples))
        else:
            if kind == "expected":
                runtime.expect(iter(samples))
            for each in samples:
                runtime.run(each)
                runtime.world.now += 0.002
        times[kind] = runtime.world.now - began
    assert times["expected"] < 1.1 * times["many"], times
    assert times["expected"] < 0.7 * times["one by one"], times


ACTIONS = ["expect", "run", "next", "next", "next", "many", "reset", "read", "back", "reload",
           "other"]  # fmt: skip


@pytest.mark.parametrize("seed", range(8))
def test_other_calls_give_what_they_give_without_an_expectation(seed):
    """Calls in random order, beside a board of which nothing is expected. The scripted engine's
    state counts its runs: what was run ahead and not asked for must leave no trace."""
    draw = random.Random(seed)
    plain, ahead = board(), board()
    since_reset: list[object] = []
    coming: list[object] = []

    def redo() -> None:
        ahead.reset_state()
        list(ahead.run_many(list(since_reset)))

    def act(runtime: BoardRuntime, action: str, wanted: object) -> object:
        match action:
            case "run" | "next":
                return values(runtime.run(wanted))
            case "many":
                return [values(each) for each in runtime.run_many([wanted, SAMPLES[3]])]
            case "read":
                return [array.tolist() for array in runtime.read_inputs()]
            case "back":
                return [array.tolist() for array in runtime.read_back(wanted)]
            case "other":
                return values(runtime.host.load(model(b"another")).run(wanted))
            case "reset":
                return runtime.reset_state()
        return runtime.reload()

    for _ in range(80):
        action = draw.choice(ACTIONS)
        if action == "expect":
            coming = [draw.choice(SAMPLES) for _ in range(draw.randrange(1, 30))]
            ahead.expect(iter(list(coming)), redo)
            continue
        wanted = coming.pop(0) if action == "next" and coming else draw.choice(SAMPLES)
        assert act(ahead, action, wanted) == act(plain, action, wanted), action
        if action in ("reset", "reload", "other"):
            since_reset.clear()
        elif action in ("run", "next", "many"):
            since_reset += [wanted, *([SAMPLES[3]] if action == "many" else [])]
        if action != "next":
            coming = []
        if action == "other":  # the model is sent again, its state is as new
            assert act(ahead, "run", wanted) == act(plain, "run", wanted)
            since_reset.append(wanted)


def test_skipped_samples_of_a_model_without_state_are_passed_by():
    runtime = board(window=2048)
    runtime.expect(iter(SAMPLES))
    runtime.run(SAMPLES[0])
    sent = len(runtime.engine.invoked)
    assert values(runtime.run(SAMPLES[3]))[0] == [4] * 4
    assert runtime.ahead.is_under_way
    for each in SAMPLES[4:]:
        runtime.run(each)
    assert len(runtime.engine.invoked) == len(SAMPLES) >= sent


def test_what_is_dropped_before_it_was_sent_is_never_sent():
    runtime = board(largest_frame=64, window=128)
    runtime.expect(iter(SAMPLES))
    runtime.run(SAMPLES[0])
    runtime.reset_state()
    in_a_frame = (64 - 13) // 8
    frames = 1 + 128 // 64  # the first one, and what the window holds
    assert len(runtime.engine.invoked) <= frames * in_a_frame


def test_a_failure_is_told_to_the_one_who_asked_for_it():
    bad = sample(5, FAILS)
    runtime = board()
    runtime.expect(iter([*SAMPLES[:5], bad, *SAMPLES[6:9]]))
    told = []
    for each in [*SAMPLES[:5], bad, *SAMPLES[6:9]]:
        try:
            told.append(values(runtime.run(each))[0])
        except InvokeFailed as error:
            assert "sample 0" in str(error)  # of this call
            told.append("failed")
    assert told == [[i + 1] * 4 for i in range(5)] + ["failed"] + [[i + 1] * 4 for i in (6, 7, 8)]


def test_results_that_came_before_the_port_vanished_are_handed_out():
    runtime = board(largest_frame=64, window=512)
    runtime.expect(iter(SAMPLES * 5))
    runtime.run(SAMPLES[0])
    channel = runtime.host.connection().channel
    while len(runtime.engine.invoked) < 20:
        runtime.world.now += 0.001
        channel.pump(block=False)
    channel.fail(PortVanished("gone"))
    good = []
    with pytest.raises(PortVanished):
        good.extend(values(runtime.run(each))[0] for each in SAMPLES[1:])
    assert good == [[i + 1] * 4 for i in range(1, 1 + len(good))]
    assert len(good) >= 8, "two frames of results had come"


def test_a_sample_that_cannot_be_made_is_the_error_of_its_own_test():
    runtime = board()

    def samples():
        yield from SAMPLES[:3]
        yield np.zeros(3, np.int8)
        yield SAMPLES[4]

    runtime.expect(samples())
    for each in SAMPLES[:3]:
        runtime.run(each)
    with pytest.raises(SampleError):
        runtime.run(np.zeros(3, np.int8))
    assert values(runtime.run(SAMPLES[4]))[0] == [5] * 4


@pytest.fixture(scope="module")
def host():
    with interpreter("tflm") as host:
        yield host


def outputs_of(runtime: InterpreterRuntime, samples) -> list:
    return [values(runtime.run(each)) for each in samples]


@pytest.mark.parametrize("data", [model_builders.conv_2d(), state_models.svdf()])
def test_an_interpreter_looks_ahead_too(host, data):
    made = model_from_bytes(data, "m")
    draw = np.random.default_rng(1)
    shape = made.inputs[0].shape
    samples = list(draw.integers(-128, 128, (60, *shape), dtype=np.int8))
    runtime = host.load(made)
    runtime.reset_state()
    wanted = outputs_of(runtime, samples)
    runtime.reset_state()
    done: list[object] = []

    def redo() -> None:
        runtime.reset_state()
        list(runtime.run_many(list(done)))

    got = []
    for number, each in enumerate(samples):
        if number in (0, 20, 41):
            runtime.expect(iter(samples[number : number + 30]), redo)
        if number in (10, 41):
            host.attempt(made, samples[:2]).outputs()  # as a verdict does in the middle
        got.append(values(runtime.run(each)))
        done.append(each)
    assert got == wanted


def test_a_crash_ahead_takes_no_earlier_sample_along(monkeypatch):
    """Sample 6 ends the interpreter's process. Those before it have their outputs, as without an
    expectation, and those behind it too."""
    made = model_from_bytes(model_builders.conv_2d(), "m")
    bad = np.full(made.inputs[0].shape, 77, np.int8)
    with interpreter("tflm") as host:
        runtime = host.load(made)
        submit = host.submit

        def crashing(model, method, number, *arguments, doing):
            samples = arguments[0] if arguments and isinstance(arguments[0], list | tuple) else ()
            flat = [a for s in samples for a in (s if isinstance(s, tuple) else (s,))]
            if any(np.array_equal(each, bad) for each in flat if hasattr(each, "shape")):
                runtime.host.worker._process.popen.kill()
            return submit(model, method, number, *arguments, doing=doing)

        monkeypatch.setattr(host, "submit", crashing)
        samples = [np.full(bad.shape, i, np.int8) for i in range(12)]
        samples[6] = bad
        runtime.expect(iter(samples))
        told = []
        for each in samples:
            try:
                told.append(runtime.run(each)[0].shape)
            except InterpreterCrashed:
                told.append("crashed")
    assert [i for i, each in enumerate(told) if each == "crashed"] == [6]
