"""Running a replay again, on the interpreters of this machine."""

from __future__ import annotations

from dataclasses import replace

import model_builders
import numpy as np
import pytest

from pytest_tflm.errors import ReplayError
from pytest_tflm.model import model_from_bytes
from pytest_tflm.replay import rerun
from pytest_tflm.replay.format import Party, Replay, ReplayModel, Step, replay_from_bytes
from pytest_tflm.replay.rerun import models_of, replayed, steps_words
from pytest_tflm.runtime.hosts import Hosts
from pytest_tflm.runtime.spec import RuntimeSpec
from tests.runtime import state_models

CONV = model_from_bytes(model_builders.conv_2d(), "conv.tflite")
SVDF = model_from_bytes(state_models.svdf(), "svdf.tflite")


@pytest.fixture(scope="module")
def hosts():
    with Hosts() as opened:
        yield [opened.open(RuntimeSpec.parse(name)) for name in ("tflm", "litert:builtin_ref")]


def recorded(model, samples, steps, **more) -> Replay:
    return Replay(**{**_fields(model, samples, steps), **more})


def _fields(model, samples, steps):
    return {
        "kind": "differs",
        "subject": Party("board nano33", RuntimeSpec.of_board("/dev/ttyACM0")),
        "reference": Party("litert builtin_ref", RuntimeSpec("litert", "builtin_ref")),
        "models": (ReplayModel.of(model),),
        "samples": tuple(samples),
        "steps": tuple(steps),
    }


def full(model, code):
    return tuple(np.full(t.shape, code, t.dtype) for t in model.inputs)


def outputs(host, model, sample):
    return host.attempt(model, [sample]).outputs()[0]


def again(replay, hosts, known=()):
    replay = replay_from_bytes(replay.to_bytes())
    return replayed(replay, models_of(replay, known), *hosts)


def test_what_only_the_board_has_does_not_reproduce_elsewhere(hosts):
    sample = full(CONV, 5)
    right = outputs(hosts[0], CONV, sample)
    wrong = tuple(array ^ 1 for array in right)
    result = again(recorded(CONV, [sample], [Step("load"), Step("run", 0, right, wrong)]), hosts)
    assert not result.reproduces
    assert result.as_recorded is False
    assert result.lines[0] == "tflm is within 0 LSB of litert builtin_ref"
    assert "board nano33 (/dev/ttyACM0)" in result.lines[1]


def test_what_differs_again_reproduces_with_its_input_in_words(hosts, monkeypatch):
    """SVDF: variables that one runtime resets and the other keeps."""
    samples = [full(SVDF, 90), full(SVDF, 3)]
    steps = [Step("load"), Step("run", 0), Step("reset"), Step("run", 1)]

    assert not again(recorded(SVDF, samples, steps), hosts).reproduces
    runtime = hosts[0].load(SVDF)
    monkeypatch.setattr(runtime, "reset_state", lambda: None)
    result = again(recorded(SVDF, samples, steps), hosts)
    assert result.reproduces
    assert "LSB apart" in result.lines[0]
    assert "  zero point (3) everywhere" in result.lines


def test_outputs_that_are_those_of_the_file(hosts):
    sample = full(CONV, 7)
    right = outputs(hosts[0], CONV, sample)
    replay = recorded(CONV, [sample], [Step("load"), Step("run", 0, right, right)])
    assert again(replay, hosts).as_recorded is True


def test_what_was_not_kept_is_not_compared_with_the_file(hosts):
    sample = full(CONV, 7)
    right = outputs(hosts[0], CONV, sample)
    steps = [Step("load"), Step("run", 0), Step("run", 0, right, right)]
    assert again(recorded(CONV, [sample], steps), hosts).as_recorded is True
    assert again(recorded(CONV, [sample], steps[:2]), hosts).as_recorded is None


def test_a_refusal_reproduces_if_it_is_refused_again(hosts):
    """LiteRT refuses an SVDF whose activation is not RELU; TFLM runs it."""
    model = model_from_bytes(state_models.svdf(activation=0), "svdf.tflite")
    steps = [Step("load"), Step("run", 0)]
    refused = recorded(model, [full(model, 1)], steps, kind="refused", who="reference")
    result = again(refused, hosts)
    assert result.reproduces
    assert "litert builtin_ref does not run it, but tflm does" in result.lines[0]
    assert not again(
        recorded(SVDF, [full(SVDF, 1)], steps, kind="refused", who="reference"), hosts
    ).reproduces
    assert not again(replace(refused, who="subject"), hosts).reproduces


def test_a_large_model_must_be_given(hosts):
    large = ReplayModel("conv.tflite", CONV.size, CONV.sha256, None)
    replay = recorded(CONV, [full(CONV, 1)], [Step("load"), Step("run", 0)], models=(large,))
    with pytest.raises(ReplayError, match="--tflm-model"):
        again(replay, hosts, [SVDF])
    assert not again(replay, hosts, [SVDF, CONV]).reproduces


def test_a_sample_that_does_not_fit_the_model(hosts):
    steps = [Step("load"), Step("run", 0)]
    with pytest.raises(ReplayError, match="does not fit the inputs"):
        again(recorded(CONV, [full(SVDF, 1)], steps), hosts)


def test_an_input_that_reads_back_changed_reproduces(hosts, monkeypatch):
    replay = recorded(CONV, [full(CONV, 5)], [Step("load"), Step("write", 0)])
    assert not again(replay, hosts).reproduces, "an interpreter reads nothing back"
    runtime = hosts[0].load(CONV)
    monkeypatch.setattr(runtime, "read_back", lambda sample: full(CONV, 6))
    result = again(replay, hosts)
    assert result.reproduces
    assert "reads back with 108 of 108 bytes changed, the first at byte 0" in result.lines[0]


def test_steps_in_words():
    steps = [Step("load"), Step("run", 0), Step("reset"), Step("write", 0), Step("reopen")]
    words = steps_words(recorded(CONV, [full(CONV, 1)], steps))
    assert words == "load conv.tflite, run 0, reset, write 0, reopen"


def test_many_steps_end_in_time(hosts, monkeypatch):
    """A file of a hundred thousand steps is as small as any."""
    monkeypatch.setattr(rerun, "_LONGEST", 0.5)
    sample = full(CONV, 5)
    steps = [Step("load"), *[Step("run", 0)] * 99_999]
    with pytest.raises(ReplayError, match=r"stopped at step \d+ of 100000 on .*longer than 0\.5 s"):
        again(recorded(CONV, [sample], steps), hosts)


def test_outputs_that_are_kept_have_an_end(hosts, monkeypatch):
    monkeypatch.setattr(rerun, "_MOST_KEPT", 1 << 20)
    sample = full(CONV, 5)
    size = sum(array.nbytes for array in outputs(hosts[0], CONV, sample))
    steps = [Step("load"), *[Step("run", 0)] * ((1 << 20) // size + 2)]
    with pytest.raises(ReplayError, match="its outputs exceed 1 MiB"):
        again(recorded(CONV, [sample], steps), hosts)
