"""What lint calls refused, TFLM of this machine refuses, and what TFLM says is made plain."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest

from pytest_tflm.errors import InterpreterRefused
from pytest_tflm.fuzz.hypothesis_setup import profile
from pytest_tflm.fuzz.kernels.operators import OPERATORS, cases
from pytest_tflm.model import model_from_bytes
from pytest_tflm.model.lint import lint
from pytest_tflm.model.refusal import TYPED, known_reason
from pytest_tflm.model.transform.extremes import extreme_samples
from pytest_tflm.runtime.interpreter import InterpreterHost, interpreter
from pytest_tflm.runtime.trial import try_on_tflm
from tests import model_builders as build
from tests.model import refused_models as refused
from tests.runtime import state_models

ONE = hypothesis.settings(
    profile(), max_examples=3, database=None, phases=[hypothesis.Phase.generate]
)


@pytest.fixture(scope="module")
def tflm() -> Iterator[InterpreterHost]:
    with interpreter("tflm") as host:
        yield host


@pytest.mark.parametrize("name", sorted(build.ALL))
def test_healthy_models_are_not_refused(tflm: InterpreterHost, name: str) -> None:
    assert try_on_tflm(model_from_bytes(build.ALL[name]()), tflm) is None


@pytest.mark.parametrize("make", [state_models.running_sum, state_models.svdf])
def test_models_with_state_are_not_refused(tflm: InterpreterHost, make: Any) -> None:
    assert try_on_tflm(model_from_bytes(make()), tflm) is None


@pytest.mark.parametrize(("name", "place"), sorted(refused.KNOWN.items()))
def test_what_lint_knows_is_what_tflm_refuses(tflm: InterpreterHost, name: str, place: int) -> None:
    model = refused.model(name)
    reason = known_reason(model, model.operators[place])
    assert reason is not None and reason.name == name
    (static,) = [finding for finding in lint(model) if finding.severity == "error"]
    assert (static.name, static.operator) == (name, place)
    refusal = try_on_tflm(model, tflm)
    assert refusal is not None and refusal.operator == place
    assert refusal.crashed == (name == "softmax-beta")
    errors = [each for each in lint(model, refusal=refusal) if each.severity == "error"]
    assert errors == [static], "said once"


@pytest.mark.parametrize("dtype", ["UINT8", "FLOAT16"])
@pytest.mark.parametrize("name", sorted(TYPED))
def test_no_kernel_that_lists_its_types_has_this_one(
    tflm: InterpreterHost, name: str, dtype: str
) -> None:
    assert name in OPERATORS

    @ONE
    @hypothesis.given(cases(name))
    def check(case: Any) -> None:
        hypothesis.assume(case.activations.startswith("int8"))
        model = refused.retyped(case.model.data, dtype)
        assert known_reason(model, model.operators[0]) is not None
        with pytest.raises(InterpreterRefused):
            _, sample = next(iter(extreme_samples(model)))
            tflm.attempt(model, [sample]).outputs()

    check()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cast", "operator 0, CAST: TFLM rejects it: it has no kernel for float64"),
        ("gather", "operator 1, GATHER: TFLM rejects it: "),
    ],
)
def test_what_lint_does_not_know_is_told_in_tflms_words(
    tflm: InterpreterHost, name: str, words: str
) -> None:
    model = refused.model(name)
    assert not [finding for finding in lint(model) if finding.severity == "error"]
    refusal = try_on_tflm(model, tflm)
    assert refusal is not None
    (finding,) = [each for each in lint(model, refusal=refusal) if each.severity == "error"]
    assert finding.name == "refused" and finding.sentence.startswith(words)
    assert "cut" in finding.remedy


def test_an_operator_without_a_kernel_is_said_once(tflm: InterpreterHost) -> None:
    model = refused.model("flex")
    refusal = try_on_tflm(model, tflm)
    assert refusal is not None
    (finding,) = lint(model, refusal=refusal)
    assert finding.name == "missing-operator" and "SELECT_TF_OPS" in finding.remedy


def test_a_refusal_in_a_subgraph_names_no_operator(tflm: InterpreterHost) -> None:
    """The number that TFLM prints counts in the subgraph that the operator is in."""
    model = refused.model("in a subgraph")
    refusal = try_on_tflm(model, tflm)
    assert refusal is not None and refusal.operator is None
    (finding,) = [each for each in lint(model, refusal=refusal) if each.severity == "error"]
    assert finding.sentence.startswith("host TFLM: ")
