"""The tensors inside a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from model_builders import chain, mixed

from pytest_tflm.errors import SettingsError
from pytest_tflm.model import model_from_bytes, open_model
from pytest_tflm.runtime.interpreter import InterpreterRuntime
from pytest_tflm.runtime.observe import Observer
from tests.runtime import state_models

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("kind", ["litert", "tflm"])
def test_each_tensor_of_a_chain_holds_what_its_operator_wrote(kind: str) -> None:
    model = model_from_bytes(chain(4, 3))
    with Observer(kind, model) as observer:
        seen = observer.observe(np.array([[1, -2, 3]], np.int8))
    rows = [seen.tensors[t.index].ravel().tolist() for t in model.tensors]
    assert rows == [[1 << k, -2 << k, 3 << k] for k in range(5)]
    assert seen.outputs[0].ravel().tolist() == rows[-1]


@pytest.mark.parametrize("kind", ["litert", "tflm"])
def test_several_types_and_outputs(kind: str) -> None:
    model = model_from_bytes(mixed(4))
    with Observer(kind, model) as observer:
        seen = observer.observe(
            {"signal": np.array([[4, 54, 104, -96]], np.int8), "gain": np.ones((1, 4), np.float32)}
        )
    named = {model.tensors[i].name: array for i, array in seen.tensors.items()}
    assert named["level"].dtype == np.float32
    np.testing.assert_allclose(named["level"], [[0, 1, 2, -2]])
    assert named["loud"].tolist() == [[False, True, True, False]]
    assert "half" not in named, "a constant is no part of a run"


def test_handles_are_never_read() -> None:
    """LiteRT's get_tensor of a resource follows a pointer that leads nowhere."""
    model = model_from_bytes(state_models.running_sum())
    handles = {tensor.index for tensor in model.tensors if tensor.is_handle}
    with Observer("litert", model) as observer:
        seen = observer.observe(np.ones((1, 4), np.float32))
    assert handles and handles.isdisjoint(seen.tensors)
    assert seen.outputs[0].tolist() == [[6.0] * 4]


def test_shapes_are_those_of_the_run_and_not_the_stored_ones() -> None:
    model = open_model(EXAMPLES / "tcn_dynamic.tflite")
    sample = np.zeros((1, 1000, 1), np.int8)
    with Observer("litert", model) as litert, Observer("tflm", model) as tflm:
        real, stored = litert.observe(sample).shapes, tflm.observe(sample).shapes
    differing = [
        operator
        for operator in model.operators
        if real[operator.outputs[0]] != model.tensors[operator.outputs[0]].shape
    ]
    assert differing[0].name == "SPACE_TO_BATCH_ND"
    output = differing[0].outputs[0]
    assert (real[output][0], stored[output][0]) == (2, 1)


def test_observing_changes_no_output() -> None:
    model = open_model(EXAMPLES / "tcn.tflite")
    sample = np.random.default_rng(1).integers(-128, 128, (1, 1000, 1)).astype(np.int8)
    with Observer("litert", model) as observer, InterpreterRuntime("litert", model) as plain:
        seen = observer.observe(sample).outputs
        assert seen[0].tolist() == plain.run(sample)[0].tolist()


def test_a_run_with_delegates_is_not_observed() -> None:
    with pytest.raises(SettingsError, match="other tensors"):
        Observer("litert", model_from_bytes(chain(1)), resolver="auto")
