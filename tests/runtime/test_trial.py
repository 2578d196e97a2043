"""What lint calls refused, TFLM of this machine refuses, and what TFLM says is made plain."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest

from pytest_tflm.errors import InterpreterRefused
from pytest_tflm.fuzz.hypothesis_setup import profile
from pytest_tflm.fuzz.kernels.operators import OPERATORS, cases
from pytest_tflm.model import Model, model_from_bytes
from pytest_tflm.model.lint import lint
from pytest_tflm.model.refusal import TYPED, known_reason
from pytest_tflm.model.transform.extremes import extreme_samples
from pytest_tflm.runtime.interpreter import InterpreterRuntime
from pytest_tflm.runtime.trial import try_on_tflm
from pytest_tflm.runtime.worker import Worker
from tests import model_builders as build
from tests.model import refused_models as refused
from tests.runtime import state_models

ONE = hypothesis.settings(
    profile(), max_examples=3, database=None, phases=[hypothesis.Phase.generate]
)


@pytest.mark.parametrize("name", sorted(build.ALL))
def test_healthy_models_are_not_refused(name: str) -> None:
    assert try_on_tflm(model_from_bytes(build.ALL[name]())) is None


@pytest.mark.parametrize("make", [state_models.running_sum, state_models.svdf])
def test_models_with_state_are_not_refused(make: Any) -> None:
    assert try_on_tflm(model_from_bytes(make())) is None


@pytest.mark.parametrize(("name", "place"), sorted(refused.KNOWN.items()))
def test_what_lint_knows_is_what_tflm_refuses(name: str, place: int) -> None:
    model = refused.model(name)
    reason = known_reason(model, model.operators[place])
    assert reason is not None and reason.name == name
    (static,) = [finding for finding in lint(model) if finding.severity == "error"]
    assert (static.name, static.operator) == (name, place)
    refusal = try_on_tflm(model)
    assert refusal is not None and refusal.operator == place
    assert refusal.crashed == (name == "softmax-beta")
    errors = [each for each in lint(model, refusal=refusal) if each.severity == "error"]
    assert errors == [static], "said once"


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker("tflm") as started:
        yield started


@pytest.mark.parametrize("dtype", ["UINT8", "FLOAT16"])
@pytest.mark.parametrize("name", sorted(TYPED))
def test_no_kernel_that_lists_its_types_has_this_one(worker: Worker, name: str, dtype: str) -> None:
    assert name in OPERATORS

    @ONE
    @hypothesis.given(cases(name))
    def check(case: Any) -> None:
        hypothesis.assume(case.activations.startswith("int8"))
        model = refused.retyped(case.data, dtype)
        assert known_reason(model, model.operators[0]) is not None
        with pytest.raises(InterpreterRefused):
            run(model, worker)

    check()


def run(model: Model, worker: Worker) -> None:
    with InterpreterRuntime("tflm", model, worker=worker) as runtime:
        _, sample = next(iter(extreme_samples(model)))
        runtime.run(sample)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cast", "operator 0, CAST: TFLM refuses it: it has no kernel for float64"),
        ("gather", "operator 1, GATHER: TFLM refuses it: "),
    ],
)
def test_what_lint_does_not_know_is_told_in_tflms_words(name: str, words: str) -> None:
    model = refused.model(name)
    assert not [finding for finding in lint(model) if finding.severity == "error"]
    refusal = try_on_tflm(model)
    assert refusal is not None
    (finding,) = [each for each in lint(model, refusal=refusal) if each.severity == "error"]
    assert finding.name == "refused" and finding.sentence.startswith(words)
    assert "cut" in finding.remedy


def test_an_operator_without_a_kernel_is_said_once() -> None:
    model = refused.model("flex")
    refusal = try_on_tflm(model)
    assert refusal is not None
    (finding,) = lint(model, refusal=refusal)
    assert finding.name == "missing-operator" and "SELECT_TF_OPS" in finding.remedy


def test_a_crash_in_a_subgraph_names_no_operator() -> None:
    """The number that TFLM prints counts in the subgraph that the operator is in."""
    model = refused.model("in a subgraph")
    refusal = try_on_tflm(model)
    assert refusal is not None and refusal.operator is None
    (finding,) = [each for each in lint(model, refusal=refusal) if each.severity == "error"]
    assert finding.sentence.startswith("TFLM of this machine: ")
