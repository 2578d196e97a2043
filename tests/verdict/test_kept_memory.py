"""Whatever stays in a board's memory, and whatever the line does: the verdict is the same."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import network_models
import pytest
from judged import judged

from pytest_tflm.link.message import Welcome
from pytest_tflm.model import model_from_bytes
from pytest_tflm.runtime.board import BoardHost
from pytest_tflm.runtime.spec import RuntimeSpec

if TYPE_CHECKING:
    from pytest_tflm.verdict.verdict import Verdict

BAD = "sim?defect=off-by-one:CONV_2D"
MODEL = network_models.long_chain(5)


@functools.cache
def tight() -> int:
    """Bytes that the model takes, and little more: too few for an operator beside it."""
    with BoardHost(RuntimeSpec.of_board("sim")) as board:
        loaded = board.load(model_from_bytes(MODEL, "chain.tflite")).loaded
    assert loaded.arena_used is not None
    return loaded.size + loaded.arena_used + 512


def told(verdict: Verdict) -> list[Any]:
    """Causes, steps, and what each operator made."""
    found: list[Any] = [[each.name for each in verdict.accusations]]
    for step in verdict.evidence.steps:
        found.append((step.key, step.outcome, step.text))
        where = step.localisation
        for result in where.operators if where is not None else ():
            alone = [array.tobytes() for arrays in result.alone for array in arrays]
            found.append((result.title, alone, result.gap, result.chained, result.problem))
        found.append(where.explains if where is not None else None)
    return found


@functools.cache
def without_trouble() -> list[Any]:
    return told(judged(MODEL, BAD, samples=4))


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param("faults=mixed&seed=5", marks=pytest.mark.slow),
        "memory=tight",
        "older firmware",
    ],
)
def test_the_verdict_is_the_same(trouble: str, monkeypatch: pytest.MonkeyPatch) -> None:
    should, port = without_trouble(), BAD
    assert any(isinstance(each, tuple) and len(each) == 5 for each in should)
    if trouble == "older firmware":
        monkeypatch.setattr(Welcome, "keeps_memory", False)
    else:
        port += "&" + trouble.replace("tight", str(tight()))
    assert told(judged(MODEL, port, samples=4)) == should
