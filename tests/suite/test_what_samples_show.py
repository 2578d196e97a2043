"""A pass over samples that show nothing is not silent."""

from __future__ import annotations

import itertools

import numpy as np
from model_builders import Graph

from pytest_tflm.compare.distance import same
from pytest_tflm.suite.similar import similar_inputs


def wake_word(bias: int = -60_000) -> bytes:
    """int8 (1, 40) → FULLY_CONNECTED → LOGISTIC: 0 for loud inputs, more for silence. With a large
    negative bias 0 for all."""
    g = Graph()
    x = g.tensor("x", (1, 40), "int8", 0.1, -128)
    w = g.tensor("w", (1, 40), "int8", 0.01, 0, np.full((1, 40), -100))
    b = g.tensor("b", (1,), "int32", 0.001, 0, np.full(1, bias))
    h = g.tensor("h", (1, 1), "int8", 0.1, 0)
    g.operator(
        "FULLY_CONNECTED", (x, w, b), (h,), "FullyConnectedOptions", version=4,
        fusedActivationFunction=0, weightsFormat=0, keepNumDims=False,
    )  # fmt: skip
    y = g.tensor("y", (1, 1), "int8", 1 / 256, -128)
    g.operator("LOGISTIC", (h,), (y,), version=2)
    return g.finish((x,), (y,))


def test_random_samples_are_quiet_where_loud_ones_show_nothing(inner, model_file):
    path = model_file("wake.tflite", wake_word(bias=0))
    healthy = inner.pytest("--tflm-port=sim", f"--tflm-model={path}")
    assert set(healthy.outcomes) == {"passed"}, healthy.output
    note = "the reference gives the same outputs for all uniformly random samples"
    assert healthy.output.count(note) == 2, "above the tests and below"
    sick = inner.pytest("--tflm-port=sim?defect=constant", f"--tflm-model={path}")
    assert "failed" in sick.outcomes, sick.output


def test_outputs_that_never_vary_are_told(inner, model_file):
    path = model_file("dead.tflite", wake_word())
    done = inner.pytest("--tflm-port=sim?defect=constant", f"--tflm-model={path}")
    assert set(done.outcomes) == {"passed"}, done.output
    note = "Tests that pass show little: a board that always gives these outputs passes too"
    assert done.output.count(note) == 2, "above the tests and below"


def test_values_outside_the_input_s_range_are_told(inner, model_file):
    path = model_file("wake.tflite", wake_word(bias=0))
    samples = path.with_name("loud.npz")
    np.savez(samples, x=np.linspace(0, 255, 6 * 40, dtype=np.float32).reshape(6, 1, 40))
    done = inner.pytest("--tflm-port=sim", f"--tflm-model={path}", f"--tflm-samples={samples}")
    assert "90% of the values were clamped" in done.output, done.output


def test_similar_inputs_differ_where_they_should():
    rng = np.random.default_rng(0)
    first, other = (rng.integers(-128, 128, (1, 100)).astype(np.int8) for _ in range(2))
    inputs = similar_inputs([(first,), (other,)])
    assert same(inputs[0], inputs[-1])
    assert all(not same(a, b) for a, b in itertools.pairwise(inputs))
    assert np.flatnonzero(inputs[1][0] != first).tolist() == [99]
    assert int(inputs[4][0].sum()) == int(first.sum())


def test_a_board_that_keeps_outputs_by_a_part_of_the_input_fails(inner, model_file):
    rng = np.random.default_rng(3)
    g = Graph()
    x = g.tensor("x", (1, 100), "int8", 0.05, 3)
    w = g.tensor("w", (8, 100), "int8", 0.007, 0, rng.integers(-127, 128, (8, 100)))
    b = g.tensor("b", (8,), "int32", 0.05 * 0.007, 0, np.zeros(8, int))
    y = g.tensor("y", (1, 8), "int8", 0.12, 0)
    g.operator(
        "FULLY_CONNECTED", (x, w, b), (y,), "FullyConnectedOptions", version=4,
        fusedActivationFunction=0, weightsFormat=0, keepNumDims=False,
    )  # fmt: skip
    path = model_file("dense.tflite", g.finish((x,), (y,)))
    for defect in ("cached-by-prefix", "cached-by-sum"):
        done = inner.pytest(
            f"--tflm-port=sim?defect={defect}", f"--tflm-model={path}", "--tflm-runtime=tflm",
            "--tflm-tolerance=0", "--tflm-samples=8", "--tflm-verdict=off",
        )  # fmt: skip
        assert done.outcomes == {"passed": 12, "failed": 1}, (defect, done.output)
        assert "test_similar_inputs" in done.lines("FAILED ")[0]


def test_codes_are_those_of_tflite_s_quantize_also_when_other_samples_ran_before(inner, model_file):
    path = model_file("wake.tflite", wake_word(bias=0))
    samples = path.with_name("quiet.npz")
    np.savez(samples, x=np.linspace(0, 0.2, 6 * 40, dtype=np.float32).reshape(6, 1, 40))
    done = inner.pytest(
        "--tflm-port=sim?defect=constant",
        f"--tflm-model={path}",
        f"--tflm-samples={samples}",
        "-v",
    )
    assert "the samples' codes are those of TFLite's QUANTIZE" in done.output, done.output
