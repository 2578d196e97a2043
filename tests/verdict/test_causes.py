"""The catalogue: every entry is whole, and how differences travel through a chain."""

from __future__ import annotations

import string

import pytest

from pytest_tflm.compare.distance import Gap
from pytest_tflm.errors import NoAnswer
from pytest_tflm.model import Operator
from pytest_tflm.verdict.causes import CATALOGUE
from pytest_tflm.verdict.causes.chain import is_hidden, magnifiers
from pytest_tflm.verdict.evidence import Evidence, Localisation, OperatorResult, experiment


@pytest.mark.parametrize("cause", CATALOGUE.values(), ids=list(CATALOGUE))
def test_an_entry_is_whole(cause) -> None:
    assert set(cause.name) <= {*string.ascii_lowercase, *string.digits, "-"}
    assert cause.title
    assert not cause.title.endswith(".")
    assert cause.remedy.endswith((".", ")", "tflm"))


def test_an_experiment_runs_once_and_keeps_its_error() -> None:
    runs = []

    @experiment
    def broken(evidence: Evidence) -> int:
        runs.append(1)
        raise NoAnswer("nobody")

    evidence = Evidence(None, (), None)
    for _ in range(2):
        with pytest.raises(NoAnswer):
            broken(evidence)
    assert len(runs) == 1


EQUAL, APART = Gap(0, 8), Gap(3, 8, 2)


def chain(*behind: Gap, alone: dict[int, Gap], outputs: set[int] | None = None) -> Localisation:
    """Operators in a row; tensor k goes into operator k, which makes tensor k + 1."""
    results = tuple(
        OperatorResult(Operator(k, "ADD", 1, (k,), (k + 1,)), gap=alone.get(k, EQUAL), chained=gap)
        for k, gap in enumerate(behind)
    )
    return Localisation("a", "b", results, True, frozenset(outputs or {len(behind)}))


def test_a_difference_that_ends_before_the_outputs_is_hidden() -> None:
    where = chain(EQUAL, APART, APART, EQUAL, alone={1: APART})
    assert is_hidden(where, where.operators[1])


def test_a_difference_that_reaches_an_output_is_not() -> None:
    where = chain(EQUAL, APART, APART, APART, alone={1: APART})
    assert not is_hidden(where, where.operators[1])
    # An output in the middle of the model counts as well.
    where = chain(APART, EQUAL, alone={0: APART}, outputs={1, 2})
    assert not is_hidden(where, where.operators[0])


def test_a_way_around_what_hides_is_followed() -> None:
    results = (
        OperatorResult(Operator(0, "CONV_2D", 1, (0,), (1,)), gap=APART, chained=APART),
        OperatorResult(Operator(1, "SLICE", 1, (1,), (2,)), gap=EQUAL, chained=EQUAL),
        OperatorResult(Operator(2, "ADD", 1, (1, 2), (3,)), gap=EQUAL, chained=APART),
    )
    where = Localisation("a", "b", results, True, frozenset({3}))
    assert not is_hidden(where, results[0])


def test_what_magnifies() -> None:
    small, large = Gap(2, 8, 2), Gap(8, 8, 20)
    where = chain(small, large, large, alone={0: small})
    ((result, before, after),) = magnifiers(where)
    assert (result.operator.index, before, after) == (1, 2.0, 20.0)
    # A kernel that differs itself is not said to magnify.
    assert not list(magnifiers(chain(small, large, large, alone={0: small, 1: small})))
