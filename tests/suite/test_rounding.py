"""``--tflm-tolerance=auto``: rounding carried through the model passes, and nothing else does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from model_builders import Graph

from tests.model import odd_models

SIM = "--tflm-port=sim"


def magnifying(seed: int = 1) -> bytes:
    """int8 (1, 64) → FULLY_CONNECTED → FULLY_CONNECTED that turns 1 LSB into several → int8 (1, 8).

    LiteRT's reference kernel requantises FULLY_CONNECTED in float, TFLM's in fixed point: now and
    then a code of the first differs by 1.
    """
    rng = np.random.default_rng(seed)
    g = Graph()
    x = g.tensor("x", (1, 64), "int8", 0.05, 3)
    w = g.tensor("w", (32, 64), "int8", 0.0071, 0, rng.integers(-127, 128, (32, 64)))
    b = g.tensor("b", (32,), "int32", 0.05 * 0.0071, 0, rng.integers(-900, 900, 32))
    h = g.tensor("h", (1, 32), "int8", 0.0873, -5)
    v = g.tensor("v", (8, 32), "int8", 0.01, 0, rng.choice([-127, 127], (8, 32)))
    c = g.tensor("c", (8,), "int32", 0.0873 * 0.01, 0, np.zeros(8, int))
    y = g.tensor("y", (1, 8), "int8", 0.021, 0)
    for operands, made in (((x, w, b), h), ((h, v, c), y)):
        g.operator(
            "FULLY_CONNECTED", operands, (made,), "FullyConnectedOptions", version=4,
            fusedActivationFunction=0, weightsFormat=0, keepNumDims=False,
        )  # fmt: skip
    return g.finish((x,), (y,))


@pytest.fixture
def model(model_file) -> Path:
    return model_file("magnifying.tflite", magnifying())


def test_rounding_carried_through_the_model_passes_at_the_defaults(inner, model):
    done = inner.pytest(SIM, f"--tflm-model={model}", "--tflm-samples=200")
    assert set(done.outcomes) == {"passed"}, done.output
    (line,) = done.lines("magnifying.tflite: board")
    assert "rounding carried through the model (FULLY_CONNECTED rounds differently)" in line
    assert "beyond" not in line


def test_a_number_means_that_number(inner, model):
    done = inner.pytest(SIM, f"--tflm-model={model}", "--tflm-samples=200", "--tflm-tolerance=1")
    assert set(done.outcomes) == {"passed", "failed"}, done.output


@pytest.mark.parametrize("defect", ["off-by-one", "last-channel", "bias-lost"])
def test_a_wrong_kernel_fails_however_small_its_error(inner, model, defect):
    """Adding 1 to every element is within 1 LSB of the operator, and no rounding."""
    port = f"--tflm-port=sim?defect={defect}:FULLY_CONNECTED"
    done = inner.pytest(port, f"--tflm-model={model}", "--tflm-samples=8", "--tflm-verdict=off")
    assert done.outcomes.get("failed", 0) >= 2, done.output
    assert "more than rounding (--tflm-tolerance=auto): " in done.output


def test_wrong_stored_shapes_fail(inner, tcn_dynamic):
    done = inner.pytest(
        SIM, f"--tflm-model={tcn_dynamic}", "--tflm-samples=3", "--tflm-verdict=off"
    )
    assert done.outcomes["failed"] >= 3, done.output
    assert "and the file stores" in done.output


def test_fuzzing_passes_over_rounding(inner, model):
    done = inner.pytest(
        SIM, f"--tflm-model={model}", "--tflm-samples=2", "--tflm-fuzz=200", "--tflm-verdict=off"
    )
    assert set(done.outcomes) == {"passed"}, done.output


def test_rounding_that_a_state_carries_passes_and_a_wrong_state_does_not(inner, model_file):
    """Each step of an LSTM rounds, and the next one begins with that."""
    model = model_file("lstm.tflite", odd_models.lstm(inputs=8, units=32, steps=20))
    arguments = (f"--tflm-model={model}", "--tflm-samples=6", "--tflm-verdict=off")
    done = inner.pytest(SIM, *arguments)
    assert set(done.outcomes) == {"passed"}, done.output
    assert "UNIDIRECTIONAL_SEQUENCE_LSTM rounds differently" in done.output
    defect = "negative-codes:UNIDIRECTIONAL_SEQUENCE_LSTM"
    done = inner.pytest(f"--tflm-port=sim?defect={defect}", *arguments)
    assert done.outcomes.get("failed", 0) >= 4, done.output


def test_a_state_that_makes_more_than_rounding_fails(inner, model_file):
    """TFLM saturates what the input and what the state add to a gate before it adds them, TFLite
    the sum: with large weights that is another gate, though from a reset all is equal."""
    model = model_file("lstm.tflite", odd_models.lstm(inputs=8, units=32, steps=1, weight=0.05))
    done = inner.pytest(SIM, f"--tflm-model={model}", "--tflm-samples=6")
    assert done.outcomes.get("failed", 0) >= 2, done.output
    assert "operator 0, UNIDIRECTIONAL_SEQUENCE_LSTM, differs in" in done.output
    assert "TFLM and TFLite compute an operator differently" in done.output
