"""Repaired models are the same function, and TFLM computes them rightly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_tflm.compare.distance import RunGap
from pytest_tflm.errors import CannotRepair, InterpreterMissing
from pytest_tflm.model import Model, model_from_bytes, open_model
from pytest_tflm.model.transform.repair import FOLD_DILATION, FREEZE, Plan, Step
from pytest_tflm.runtime import packages
from pytest_tflm.runtime.hosts import Hosts
from pytest_tflm.runtime.spec import RuntimeSpec
from pytest_tflm.verdict import repaired as repair
from pytest_tflm.verdict.repaired import repair_model, run_shapes
from tests import model_builders as build
from tests.model.dilated import Dilated, dilated
from tests.runtime import state_models

Run = Callable[[str, Model], "np.ndarray[Any, Any]"]
Find = Callable[[str], Model]
TROUBLED = ("tcn_dynamic", "tcn_causal", "tcn_same", "conv_2d", "valid_2d")


@pytest.fixture(scope="module")
def hosts() -> Iterator[Hosts]:
    with Hosts() as opened:
        yield opened


@pytest.fixture(scope="module")
def run(hosts: Hosts) -> Run:
    """The outputs of a model with one for 30 random inputs, other than repair_model's."""

    def run(kind: str, model: Model) -> np.ndarray[Any, Any]:
        rng = np.random.default_rng(99)
        shape = model.inputs[0].shape
        samples = [rng.integers(-128, 128, shape).astype(np.int8) for _ in range(30)]
        host = hosts.open(RuntimeSpec.of_interpreter(kind))
        return np.stack([outputs[0] for outputs in host.attempt(model, samples).outputs()])

    return run


@pytest.fixture(scope="module")
def find(keras_model: Callable[[str], Path], tcn_dynamic: Path) -> Find:
    return lambda name: open_model(tcn_dynamic if name == "tcn_dynamic" else keras_model(name))


def distance(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> int:
    return int(np.abs(a.astype(int) - b).max())


@pytest.mark.parametrize("name", TROUBLED)
def test_what_troubled_models_call_for(hosts: Hosts, run: Run, find: Find, name: str) -> None:
    model = find(name)
    repaired = repair_model(model, hosts)
    assert repaired.model is not None
    assert [step.name for step in repaired.steps] == [FREEZE, FOLD_DILATION]
    assert repaired.left == ()
    assert repaired.samples > 30
    assert "SPACE_TO_BATCH_ND" not in {o.name for o in repaired.model.operators}
    assert all(t.shape_signature is None for t in repaired.model.tensors)
    reference = run("litert", model)
    assert distance(run("litert", repaired.model), reference) == 0
    assert distance(run("tflm", repaired.model), reference) <= 1
    assert distance(run("tflm", model), reference) > 10
    assert isinstance(repaired.before, RunGap) and isinstance(repaired.after, RunGap)
    assert repaired.before.gap.lsb > 10
    assert repaired.after.gap.lsb <= 1
    # Now there is nothing left to do.
    assert repair_model(repaired.model, hosts).model is None


@pytest.mark.parametrize("name", ["tcn_dynamic", "tcn_same"])
def test_freezing_alone(hosts: Hosts, run: Run, find: Find, name: str) -> None:
    """It repairs the causal TCN; the other one's padding is still inside SPACE_TO_BATCH_ND."""
    model = find(name)
    repaired = repair_model(model, hosts, only=FREEZE)
    assert repaired.model is not None
    assert [step.name for step in repaired.steps] == [FREEZE]
    assert [o.name for o in repaired.model.operators] == [o.name for o in model.operators]
    reference = run("litert", model)
    assert distance(run("litert", repaired.model), reference) == 0
    gap = distance(run("tflm", repaired.model), reference)
    assert gap <= 1 if name == "tcn_dynamic" else gap > 1


@pytest.mark.parametrize("name", TROUBLED)
def test_folding_alone_keeps_the_batch_size_unknown(
    hosts: Hosts, run: Run, find: Find, name: str
) -> None:
    model = find(name)
    repaired = repair_model(model, hosts, only=FOLD_DILATION)
    assert repaired.model is not None
    assert [step.name for step in repaired.steps] == [FOLD_DILATION]
    assert repaired.model.inputs[0].shape_signature == model.inputs[0].shape_signature
    reference = run("litert", model)
    assert distance(run("litert", repaired.model), reference) == 0
    assert distance(run("tflm", repaired.model), reference) <= 1
    shapes = run_shapes(repaired.model, hosts.open(RuntimeSpec.of_interpreter("litert")))
    assert all(repaired.model.tensors[i].shape == shape for i, shape in shapes.items())


def test_nothing_to_repair(hosts: Hosts, tcn: Path, find: Find) -> None:
    for model in (open_model(tcn), find("classifier")):
        repaired = repair_model(model, hosts)
        assert (repaired.model, repaired.steps, repaired.left) == (None, (), ())


def test_a_dynamic_model_with_right_shapes_is_frozen_when_asked_for(
    hosts: Hosts, find: Find
) -> None:
    repaired = repair_model(find("classifier"), hosts, only=FREEZE)
    assert repaired.steps == (Step(FREEZE, ("4 shape signatures dropped",)),)
    assert isinstance(repaired.after, RunGap)
    assert (repaired.after.samples, repaired.after.differing) == (repaired.samples, 0)


def test_without_padding_and_with_right_shapes_folding_is_not_called_for(hosts: Hosts) -> None:
    model = model_from_bytes(dilated(Dilated(size=(8, 6))))
    assert repair_model(model, hosts).model is None
    assert repair_model(model, hosts, only=FOLD_DILATION).model is not None


def test_what_cannot_be_repaired_is_said(hosts: Hosts) -> None:
    parts = build.unpack(dilated(Dilated(size=(8, 6), before=(2, 0))))
    graph = parts.subgraphs[0]
    graph.outputs = [*graph.outputs, int(graph.operators[0].outputs[0])]
    repaired = repair_model(model_from_bytes(build.pack(parts)), hosts)
    assert repaired.model is None
    (left,) = repaired.left
    assert left.startswith("operator 0, SPACE_TO_BATCH_ND, is not changed: ")


def test_state_goes_on_from_sample_to_sample(hosts: Hosts) -> None:
    parts = build.unpack(state_models.svdf())
    graph = parts.subgraphs[0]
    graph.tensors[int(graph.inputs[0])].shapeSignature = [-1, 3]
    repaired = repair_model(model_from_bytes(build.pack(parts)), hosts, only=FREEZE)
    assert isinstance(repaired.after, RunGap)
    # One LSB is between the two kernels of SVDF themselves.
    assert repaired.before == repaired.after and repaired.after.gap.lsb in (0, 1)


def planned(monkeypatch: pytest.MonkeyPatch, bend: Callable[[Any], None]) -> None:
    """The plan is another model: a repair gone wrong."""

    def plan(model: Model, *_: Any) -> Plan:
        parts = build.unpack(model.data)
        bend(parts)
        return Plan(model_from_bytes(build.pack(parts), model.name), (), ())

    monkeypatch.setattr(repair, "plan_repairs", plan)


def test_what_would_compute_something_else_is_not_given(
    hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def one_weight(parts: Any) -> None:
        data = parts.buffers[1].data.copy()
        data[0] ^= 1
        parts.buffers[1].data = data

    planned(monkeypatch, one_weight)
    with pytest.raises(CannotRepair, match=r"conv was not repaired: with the input 'random") as e:
        repair_model(model_from_bytes(build.conv_2d(), "conv"), hosts)
    assert "BUILTIN_REF gives other values for the output 'map'" in str(e.value)


def test_a_pad_that_shows_at_the_border_alone_is_found(
    hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One code at one end of the input: what the border is filled with."""

    def zero_point(parts: Any) -> None:
        image = parts.subgraphs[0].tensors[0]
        image.quantization.zeroPoint = [-9]

    planned(monkeypatch, zero_point)
    with pytest.raises(CannotRepair):
        repair_model(model_from_bytes(build.conv_2d(), "conv"), hosts)


def test_what_litert_does_not_run_is_not_given(
    hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(parts: Any) -> None:
        parts.operatorCodes[0].version = 99

    planned(monkeypatch, refused)
    with pytest.raises(CannotRepair, match="BUILTIN_REF does not run the result"):
        repair_model(model_from_bytes(build.conv_2d(), "conv"), hosts)


def test_without_tflm(monkeypatch: pytest.MonkeyPatch) -> None:
    check = packages.check_installed

    def missing(kind: str) -> None:
        if kind == "tflm":
            raise InterpreterMissing("it is not there")
        check(kind)

    monkeypatch.setattr(packages, "check_installed", missing)
    with Hosts() as hosts:
        repaired = repair_model(model_from_bytes(dilated(Dilated(before=(2, 0)))), hosts)
    assert repaired.model is not None
    assert repaired.before == repaired.after == "not known: tflite-micro is not installed"
