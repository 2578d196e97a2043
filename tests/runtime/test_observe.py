"""The tensors inside a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from model_builders import chain, mixed

from pytest_tflm.model import model_from_bytes, open_model
from pytest_tflm.runtime.interpreter import interpreter
from pytest_tflm.runtime.spec import RESOLVERS
from tests.runtime import state_models

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("kind", ["litert", "tflm"])
def test_each_tensor_of_a_chain_holds_what_its_operator_wrote(kind: str) -> None:
    model = model_from_bytes(chain(4, 3))
    with interpreter(kind) as host:
        (seen,) = host.observe(model, [np.array([[1, -2, 3]], np.int8)])
    rows = [seen.tensors[t.index].ravel().tolist() for t in model.tensors]
    assert rows == [[1 << k, -2 << k, 3 << k] for k in range(5)]
    assert seen.outputs[0].ravel().tolist() == rows[-1]


@pytest.mark.parametrize("kind", ["litert", "tflm"])
def test_several_types_and_outputs(kind: str) -> None:
    model = model_from_bytes(mixed(4))
    sample = {"signal": np.array([[4, 54, 104, -96]], np.int8), "gain": np.ones((1, 4), np.float32)}
    with interpreter(kind) as host:
        (seen,) = host.observe(model, [sample])
    named = {model.tensors[i].name: array for i, array in seen.tensors.items()}
    assert named["level"].dtype == np.float32
    np.testing.assert_allclose(named["level"], [[0, 1, 2, -2]])
    assert named["loud"].tolist() == [[False, True, True, False]]
    assert "half" not in named, "a constant is no part of a run"


def test_handles_are_never_read() -> None:
    """LiteRT's get_tensor of a resource follows a pointer that leads nowhere."""
    model = model_from_bytes(state_models.running_sum())
    handles = {tensor.index for tensor in model.tensors if tensor.is_handle}
    with interpreter("litert") as host:
        (seen,) = host.observe(model, [np.ones((1, 4), np.float32)])
    assert handles and handles.isdisjoint(seen.tensors)
    assert seen.outputs[0].tolist() == [[6.0] * 4]


def test_shapes_are_those_of_the_run_and_not_the_stored_ones() -> None:
    model = open_model(EXAMPLES / "tcn_dynamic.tflite")
    sample = np.zeros((1, 1000, 1), np.int8)
    with interpreter("litert") as litert, interpreter("tflm") as tflm:
        real, stored = (host.observe(model, [sample])[0].shapes for host in (litert, tflm))
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
    with interpreter("litert") as host:
        seen = host.observe(model, [sample])[0].outputs
        assert seen[0].tolist() == host.load(model).run(sample)[0].tolist()


def test_a_run_with_delegates_is_not_observed() -> None:
    assert [interpreter("litert", resolver).is_observable for resolver in RESOLVERS] == [
        resolver in ("builtin_ref", "builtin_without_default_delegates") for resolver in RESOLVERS
    ]


def test_each_sample_is_observed_from_the_initial_state_or_in_order() -> None:
    model = model_from_bytes(state_models.running_sum(5.0), "running_sum")
    ones = [np.ones((1, 4), np.float32)] * 2
    with interpreter("litert") as host:
        for reset_between, last in ((True, 6.0), (False, 7.0)):
            seen = host.observe(model, ones, reset_between=reset_between)
            assert seen[-1].outputs[0].tolist() == [[last] * 4]


def test_an_attempt_leaves_the_state_of_a_loaded_model_alone() -> None:
    model = model_from_bytes(state_models.running_sum(5.0), "running_sum")
    one = np.ones((1, 4), np.float32)
    with interpreter("tflm") as host:
        runtime = host.load(model)
        assert runtime.run(one)[0].tolist() == [[6.0] * 4]
        for _ in range(2):
            outputs = host.attempt(model, [one, one]).outputs()
            assert [arrays[0].tolist() for arrays in outputs] == [[[6.0] * 4], [[7.0] * 4]]
        assert runtime.run(one)[0].tolist() == [[7.0] * 4]
