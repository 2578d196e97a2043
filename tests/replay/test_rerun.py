"""Running a replay again, on the interpreters of this machine."""

from __future__ import annotations

from dataclasses import replace

import model_builders
import numpy as np
import pytest

from pytest_tflm.errors import ReplayError
from pytest_tflm.fuzz.kernels.finding import Finding
from pytest_tflm.model import model_from_bytes
from pytest_tflm.replay.format import Party, Replay, ReplayModel, Step, replay_from_bytes
from pytest_tflm.replay.record import replay_of_finding
from pytest_tflm.replay.rerun import InterpreterMachine, models_of, replayed, steps_words
from pytest_tflm.runtime.interpreter import InterpreterRuntime
from tests.runtime import state_models

CONV = model_from_bytes(model_builders.conv_2d(), "conv.tflite")
SVDF = model_from_bytes(state_models.svdf(), "svdf.tflite")


@pytest.fixture
def machines():
    made = [InterpreterMachine("tflm"), InterpreterMachine("litert", "builtin_ref")]
    yield made
    for machine in made:
        machine.close()


def recorded(model, samples, steps, **more) -> Replay:
    return Replay(**{**_fields(model, samples, steps), **more})


def _fields(model, samples, steps):
    return {
        "kind": "differs",
        "subject": Party("board nano33", "board", port="/dev/ttyACM0"),
        "reference": Party("litert builtin_ref", "litert", "builtin_ref"),
        "models": (ReplayModel.of(model),),
        "samples": tuple(samples),
        "steps": tuple(steps),
    }


def full(model, code):
    return tuple(np.full(t.shape, code, t.dtype) for t in model.inputs)


def outputs(model, samples):
    with InterpreterRuntime("tflm", model) as runtime:
        return [runtime.run(sample).arrays for sample in samples]


def again(replay, machines, known=()):
    replay = replay_from_bytes(replay.to_bytes())
    return replayed(replay, models_of(replay, known), *machines)


def test_what_only_the_board_has_does_not_reproduce_elsewhere(machines):
    sample = full(CONV, 5)
    (right,) = outputs(CONV, [sample])
    wrong = tuple(array ^ 1 for array in right)
    result = again(recorded(CONV, [sample], [Step("load"), Step("run", 0, right, wrong)]), machines)
    assert not result.reproduces
    assert result.as_recorded is False
    assert result.lines[0] == "tflm is within 0 LSB of litert builtin_ref"
    assert "board nano33 (/dev/ttyACM0)" in result.lines[1]


def test_what_differs_again_reproduces_with_its_input_in_words(machines):
    """SVDF: variables that one runtime resets and the other keeps."""
    samples = [full(SVDF, 90), full(SVDF, 3)]
    steps = [Step("load"), Step("run", 0), Step("reset"), Step("run", 1)]

    class Forgetful(InterpreterMachine):
        def load(self, model):
            runtime = super().load(model)
            runtime.reset_state = lambda: None
            return runtime

    broken = Forgetful("tflm")
    try:
        result = again(recorded(SVDF, samples, steps), [broken, machines[1]])
    finally:
        broken.close()
    assert result.reproduces
    assert "LSB apart" in result.lines[0]
    assert "  zero point (3) everywhere" in result.lines
    assert not again(recorded(SVDF, samples, steps), machines).reproduces


def test_outputs_that_are_those_of_the_file(machines):
    sample = full(CONV, 7)
    (right,) = outputs(CONV, [sample])
    replay = recorded(CONV, [sample], [Step("load"), Step("run", 0, right, right)])
    assert again(replay, machines).as_recorded is True


def test_a_refusal_reproduces_if_it_is_refused_again(machines):
    """LiteRT refuses an SVDF whose activation is not RELU; TFLM runs it."""
    model = model_from_bytes(state_models.svdf(activation=0), "svdf.tflite")
    steps = [Step("load"), Step("run", 0)]
    refused = recorded(model, [full(model, 1)], steps, kind="refused", who="reference")
    result = again(refused, machines)
    assert result.reproduces
    assert "litert builtin_ref does not run it, and tflm does" in result.lines[0]
    assert not again(
        recorded(SVDF, [full(SVDF, 1)], steps, kind="refused", who="reference"), machines
    ).reproduces
    assert not again(replace(refused, who="subject"), machines).reproduces


def test_a_large_model_must_be_given(machines):
    large = ReplayModel("conv.tflite", CONV.size, CONV.sha256, None)
    replay = recorded(CONV, [full(CONV, 1)], [Step("load"), Step("run", 0)], models=(large,))
    with pytest.raises(ReplayError, match="--tflm-model"):
        again(replay, machines, [SVDF])
    assert not again(replay, machines, [SVDF, CONV]).reproduces


def test_a_sample_that_does_not_fit_the_model(machines):
    steps = [Step("load"), Step("run", 0)]
    with pytest.raises(ReplayError, match="does not fit the inputs"):
        again(recorded(CONV, [full(SVDF, 1)], steps), machines)


def test_steps_in_words():
    steps = [Step("load"), Step("run", 0), Step("reset"), Step("write", 0), Step("reopen")]
    words = steps_words(recorded(CONV, [full(CONV, 1)], steps))
    assert words == "load conv.tflite, run 0, reset, write 0, reopen"


def test_a_finding_of_the_kernels_is_the_same_kind_of_file(machines):
    sample = full(CONV, 5)
    got = outputs(CONV, [sample])
    finding = Finding(
        operator="CONV_2D", kind="differs", who="", activations="int8", model=CONV.data,
        inputs=(sample,), tensors=CONV.inputs, subject="tflm", reference="litert builtin_ref",
        versions={}, got=tuple(got), expected=tuple(got), size=1, largest=1, error="",
        model_text="", brief="", command="pytest-tflm conformance", again=True,
    )  # fmt: skip
    replay = replay_of_finding(finding)
    assert (replay.subject.kind, replay.reference.resolver) == ("tflm", "builtin_ref")
    assert not again(replay, machines).reproduces
    board = replay_of_finding(replace(finding, subject="board nano33", who="board nano33"))
    assert (board.subject.kind, board.who) == ("board", "subject")
