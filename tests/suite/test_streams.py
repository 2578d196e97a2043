"""A model with state is one stream of samples from one reset, whatever else a run does."""

from __future__ import annotations

import numpy as np
import pytest
from model_builders import Graph

from tests.runtime import state_models

SIM = "--tflm-port=sim"


def late() -> bytes:
    """int8 (1, 4) → added to an int8 state that only grows → FULLY_CONNECTED whose output stays at
    its lowest code until the state is large: what is wrong with it shows after some samples."""
    g = Graph()
    x = g.tensor("x", (1, 8), "int8", 0.05, 0)
    rng = np.random.default_rng(0)
    f = g.tensor("feature", (4, 8), "int8", 0.01, 0, np.abs(rng.integers(20, 128, (4, 8))))
    t = g.tensor("time", (4, 6), "int16", 0.0001, 0, np.full((4, 6), 9000))
    b = g.tensor("bias", (4,), "int32", 0.001 * 0.0001, 0, np.zeros(4, int))
    s = g.tensor("state", (1, 24), "int16", 0.001)
    g.graph.tensors[s].isVariable = True
    h = g.tensor("h", (1, 4), "int8", 0.02, -128)
    g.operator(
        "SVDF", (x, f, t, b, s), (h,), "SVDFOptions", version=3, rank=1, fusedActivationFunction=1
    )
    w = g.tensor("w", (2, 4), "int8", 0.01, 0, np.full((2, 4), 100))
    c = g.tensor("c", (2,), "int32", 0.02 * 0.01, 0, np.full(2, -9000))
    y = g.tensor("y", (1, 2), "int8", 0.05, -128)
    g.operator(
        "FULLY_CONNECTED", (h, w, c), (y,), "FullyConnectedOptions", version=4,
        fusedActivationFunction=1, weightsFormat=0, keepNumDims=False,
    )  # fmt: skip
    return g.finish((x,), (y,))


def failed(done) -> list[str]:
    return sorted(line.split(" ")[1] for line in done.lines("FAILED "))


@pytest.fixture
def model(model_file):
    return model_file("svdf.tflite", state_models.svdf())


def test_one_sample_is_run_in_the_state_that_those_before_it_leave(inner, model):
    wrong = "--tflm-port=sim?defect=state-kept"
    everything = inner.pytest(
        wrong, f"--tflm-model={model}", "--tflm-tolerance=0", "--tflm-runtime=tflm",
        "--tflm-samples=8", "--tflm-verdict=off",
    )  # fmt: skip
    name = f"{model}::test_outputs[5]"
    one = inner.pytest(
        wrong, "--tflm-tolerance=0", "--tflm-runtime=tflm", "--tflm-samples=8",
        "--tflm-verdict=off", name,
    )  # fmt: skip
    assert ("test_outputs[5]" in everything.output) == ("failed" in one.outcomes), one.output


@pytest.mark.parametrize("port", ["sim?defect=off-by-one:FULLY_CONNECTED", "sim?defect=drift"])
def test_the_same_tests_fail_with_the_verdict_and_without(inner, model_file, port):
    path = model_file("late.tflite", late())
    runs = [
        inner.pytest(
            f"--tflm-port={port}", f"--tflm-model={path}", "--tflm-runtime=tflm",
            "--tflm-tolerance=0", "--tflm-samples=12", f"--tflm-verdict={verdict}",
        )
        for verdict in ("off", "full")
    ]  # fmt: skip
    assert failed(runs[0]) == failed(runs[1]) != [], runs[1].output


def test_a_healthy_board_passes(inner, model_file):
    path = model_file("late.tflite", late())
    done = inner.pytest(SIM, f"--tflm-model={path}", "--tflm-samples=12", "--tflm-runtime=tflm")
    assert set(done.outcomes) == {"passed"}, done.output
