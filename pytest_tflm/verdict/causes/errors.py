"""Causes that show as an error and not as other outputs, and what is left when nothing fits."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from pytest_tflm.errors import (
    InputAltered,
    InterpreterCrashed,
    InterpreterRefused,
    OperatorMissing,
    WrongModel,
)
from pytest_tflm.verdict.causes.board import fact
from pytest_tflm.verdict.causes.cause import Cause, Match
from pytest_tflm.verdict.causes.chain import is_hidden
from pytest_tflm.verdict.causes.reference import listed

if TYPE_CHECKING:
    from pytest_tflm.verdict.evidence import Evidence

_NO_OPERATOR = re.compile(r"lacks (?:version (\d+) of )?the operator (\w+)")


def _operator(is_version: bool) -> Callable[[Evidence], Iterable[Match]]:
    def match(evidence: Evidence) -> Iterable[Match]:
        for found in evidence.facts_of("operator missing"):
            said = _NO_OPERATOR.search(found.values["error"])
            name, version = (said[2], int(said[1] or 0)) if said else ("", 0)
            mine = [o for o in evidence.model.operators if o.name == name]
            # A board that does not say which operators it has may lack it altogether.
            known = found.values["operators"]
            newer = version > 1 and (name in known or not known)
            if newer == is_version:
                indices = tuple(o.index for o in mine)
                values = {
                    "error": found.values["error"],
                    "name": name or "an operator",
                    "version": version or "",
                    "operators": listed(indices),
                }
                yield Match(values, indices, "link")

    return match


def _hidden(evidence: Evidence) -> Iterable[Match]:
    for rung in evidence.rungs:
        where = rung.localisation
        if where is None or (rung.key == "board" and where.explains is False):
            continue
        found = [r for r in where.differing if is_hidden(where, r)]
        if not found:
            continue
        worst = max(found, key=lambda r: r.gap.largest if r.gap else 0.0)
        indices = tuple(r.operator.index for r in found)
        values = {
            "operators": listed(indices),
            "name": ", ".join(dict.fromkeys(r.operator.name for r in found)),
            "suspect": where.suspect,
            "trusted": where.trusted,
            "worst": worst.operator.index,
            "gap": worst.gap.describe() if worst.gap else "",
        }
        yield Match(values, indices, rung.key)


OF_ERRORS = {
    WrongModel: "wrong-model",
    InputAltered: "input-altered",
    OperatorMissing: "operator-missing",
    InterpreterCrashed: "reference-crashed",
    InterpreterRefused: "reference-refused",
}
"""The page of an error that a test ended with, where there is one."""

CAUSES = (
    Cause(
        "operator-version",
        "the firmware has the operator, in an older version",
        _operator(is_version=True),
        "The board's TFLM knows {name} but not version {version} of it ({operators}): {error}",
        "Build the firmware with a newer TFLM, or convert the model with an older converter.",
        "tensorflow/tflite-micro PR#1818 (the version in TFLM's message misleads), #302",
    ),
    Cause(
        "operator-missing",
        "the firmware lacks an operator of the model",
        _operator(is_version=False),
        "The board's firmware lacks {name} ({operators}): {error}",
        "pytest-tflm firmware BOARD --model {path} writes firmware with exactly the operators of "
        "this model.",
        "tensorflow/tflite-micro#302 (no room in the resolver), #2196 (only the first registered)",
    ),
    Cause(
        "board-broke",
        "the board did not take part",
        fact("board broke", "link"),
        "The board did not answer for this model: {error}",
        "See the error and the board's log; the outputs were not compared.",
    ),
    Cause(
        "hidden-difference",
        "operators differ, and nobody sees it",
        _hidden,
        "{name} ({operators}) of {suspect} differs from {trusted} of itself "
        "(operator {worst}: {gap}), and later operators crop, mask or saturate it away.",
        "Nothing to do for this model; another model with this operator may show it.",
        "tensorflow/tflite-micro#1646 in a causal TCN",
        is_note=True,
    ),
)
