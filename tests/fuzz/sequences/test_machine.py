"""Sequences of steps on simulated boards: honest ones, on good and bad lines, and bad ones."""

from __future__ import annotations

import contextlib

import network_models
import pytest

from pytest_tflm.errors import OutputMismatch, PortVanished
from pytest_tflm.fuzz.sequences.driven import Driven, Line
from pytest_tflm.fuzz.sequences.machine import sequences
from pytest_tflm.link import Connection
from pytest_tflm.model import model_from_bytes
from pytest_tflm.record.words import tensor_words
from pytest_tflm.replay.format import replay_from_bytes
from pytest_tflm.runtime.worker import Worker
from pytest_tflm.simulator.board import launch
from tests.runtime import state_models

SVDF = model_from_bytes(state_models.svdf(), "svdf.tflite")
SUM = model_from_bytes(state_models.running_sum(), "sum.tflite")
IMAGES = model_from_bytes(network_models.image_network(), "images.tflite")


@contextlib.contextmanager
def simulated(port: str):
    """What opens the line to a simulated board, which starts anew if it has died."""
    boards = []

    def opened() -> Connection:
        if not boards or boards[-1].exit_description() is not None:
            boards.append(launch.start(port))
        return Connection.open(boards[-1].port, name=port)

    try:
        yield opened
    finally:
        for board in boards:
            board.close()


@pytest.mark.parametrize("port", ["sim", "sim?faults=mixed&seed=3", "sim?faults=resets&seed=5"])
def test_an_honest_board_passes_whatever_its_line_does(port):
    with simulated(port) as opened:
        report = sequences(opened, [SVDF, IMAGES], steps=150, length=30)
    assert report.finding is None, report.error
    assert report.steps >= 150
    assert bool(report.losses) == ("resets" in port)


def test_a_state_that_is_kept_is_found_as_two_inputs():
    with simulated("sim?defect=state-kept") as opened:
        report = sequences(opened, [IMAGES, SVDF], steps=2000)
    replay = report.finding
    assert replay is not None
    assert [step.do for step in replay.steps] == ["load", "run", "reset", "run"]
    assert [model.name for model in replay.models] == ["svdf.tflite"]
    assert "LSB apart" in report.error
    second = replay.samples[replay.steps[-1].index]
    assert tensor_words(SVDF.inputs[0], second[0]).startswith("zero point (3) everywhere")
    assert replay_from_bytes(replay.to_bytes()).steps[1].do == "run"


@pytest.mark.parametrize("defect", ["output-stale", "drift"])
def test_other_defects_are_found_in_few_steps(defect):
    with simulated(f"sim?defect={defect}") as opened:
        report = sequences(opened, [IMAGES], steps=500)
    assert report.finding is not None
    assert {step.do for step in report.finding.steps} == {"load", "run"}
    assert len(report.finding.steps) <= 3


def test_a_variable_with_a_handle_is_reset_to_0_by_tflm_and_not_to_what_it_began_as():
    """No false finding, although the simulator is honest: TFLM's Reset does this."""
    with simulated("sim") as opened:
        report = sequences(opened, [SUM], steps=500)
    assert report.finding is not None
    first, *between, last = [step.do for step in report.finding.steps]
    assert (first, last) == ("load", "run")
    assert between in (["reset"], ["run", "reset"])


def test_every_step_is_a_step_that_can_fail():
    """The board gets other steps than the host: each kind must be noticed."""

    def ones(model, code):
        return tuple(_full(tensor, code) for tensor in model.inputs)

    with simulated("sim") as opened, Line(opened) as line, Worker("tflm") as worker:
        driven = Driven(line, [SVDF, IMAGES], worker=worker)
        driven.load(0)
        driven.run([ones(SVDF, 90), ones(SVDF, -40)])
        driven._on_board(lambda board: board.reset_state())  # the host does not
        with pytest.raises(OutputMismatch):
            driven.run([ones(SVDF, 3)])
        driven.load(0)
        driven.run([ones(SVDF, 90)])
        driven.drop_line()
        driven.run([ones(SVDF, 3)])  # variables have stayed
        driven._on_board(lambda board: board.run(ones(SVDF, 127)))
        with pytest.raises(OutputMismatch):
            driven.run([ones(SVDF, 3)])
        driven.load(1)
        assert [step.do for step in driven.steps].count("load") == 3


def _full(tensor, code):
    import numpy as np

    return np.full(tensor.shape, code, tensor.dtype)


def test_a_line_that_does_not_come_back_is_an_error():
    tries = 0

    def broken() -> Connection:
        nonlocal tries
        tries += 1
        raise PortVanished("gone")

    with pytest.raises(PortVanished):
        sequences(broken, [IMAGES], steps=10)
    assert tries < 200
