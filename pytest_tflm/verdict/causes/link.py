"""Causes that show as an error and not as other outputs: the link, and the model on the board."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pytest_tflm.errors import (
    InputAltered,
    InterpreterCrashed,
    InterpreterRefused,
    OperatorMissing,
    WrongModel,
)
from pytest_tflm.verdict.causes.cause import Match, Stage, cause

if TYPE_CHECKING:
    from pytest_tflm.verdict.evidence import Broke, Evidence

_NO_OPERATOR = re.compile(r"lacks (?:version (\d+) of )?the operator (\w+)")

OF_ERRORS = {
    WrongModel: "wrong-model",
    InputAltered: "input-altered",
    OperatorMissing: "operator-missing",
    InterpreterCrashed: "reference-crashed",
    InterpreterRefused: "reference-refused",
}
"""The page of an error that a test ended with, where there is one."""


def _board_broke(evidence: Evidence, *kinds: str) -> Broke | None:
    """What ended the board's part before it had given any outputs, if it is of these classes."""
    if "board" in evidence.outputs:
        kinds = tuple(set(kinds) & {"WrongModel", "InputAltered"})
    found = (each for each in evidence.broken if each.who == "board")
    return next((each for each in found if each.kind in kinds), None)


@cause(
    "wrong-model",
    "the board runs another model",
    Stage.LINK,
    remedy="Flash the firmware again with this model (pytest-tflm firmware BOARD --model {path}), "
    "or give the model that the board has.",
)
def _wrong_model(evidence: Evidence) -> Iterator[Match]:
    found = _board_broke(evidence, "WrongModel")
    if found is not None:
        yield Match(
            f"The board has another model than {evidence.model.name}: {found.error}",
            step="identity",
        )


@cause(
    "type-not-carried",
    "the link does not support the type of an input or output",
    Stage.LINK,
    remedy="Convert with another type of inputs and outputs (int8, int16, float32), or update "
    "pytest-tflm and its firmware.",
)
def _type(evidence: Evidence) -> Iterator[Match]:
    found = _board_broke(evidence, "NotSupported")
    if found is not None and " type " in found.error:
        yield Match(
            f"The board runs this model, and its data cannot be sent: {found.error}", step="link"
        )


@cause(
    "input-altered",
    "Invoke saw an input that differs from the one sent",
    Stage.LINK,
    remedy="Look for what else writes into the arena: another buffer, an interrupt, a stack that "
    "grows into it. Preprocessing in the firmware is such a change, too.",
    citation="tensorflow/tflite-micro#2290, tensorflow/tensorflow#35117",
)
def _input_altered(evidence: Evidence) -> Iterator[Match]:
    found = _board_broke(evidence, "InputAltered")
    if found is not None:
        yield Match(
            f"The input tensor was changed on the board between its arrival and Invoke: "
            f"{found.error}",
            step="link",
        )


def _missing(evidence: Evidence) -> tuple[str, int, str] | None:
    """The operator that the board lacks, its version (0: any) and the board's words."""
    found = _board_broke(evidence, "OperatorMissing")
    if found is None or any(each.who == "tflm" for each in evidence.broken):
        return None
    said = _NO_OPERATOR.search(found.error)
    name, version = (said[2], int(said[1] or 0)) if said else ("", 0)
    # A board that does not say which operators it has may lack it altogether.
    known = evidence.board.operators
    is_newer = version > 1 and (name in known or not known)
    return name, version if is_newer else 0, found.error


@cause(
    "operator-version",
    "the firmware has an older version of the operator",
    Stage.LINK,
    remedy="Build the firmware with a newer TFLM, or convert the model with an older converter.",
    citation="tensorflow/tflite-micro PR#1818 (the version in TFLM's message misleads), #302",
)
def _operator_version(evidence: Evidence) -> Iterator[Match]:
    missing = _missing(evidence)
    if missing is not None and missing[1]:
        name, version, error = missing
        yield Match(
            f"The board's TFLM knows {name} but not version {version} of it: {error}",
            _operators_of(evidence, name),
            "link",
        )


@cause(
    "operator-missing",
    "the firmware lacks an operator of the model",
    Stage.LINK,
    remedy="pytest-tflm firmware BOARD --model {path} writes firmware with exactly the operators "
    "of this model.",
    citation="tensorflow/tflite-micro#302 (no room in the resolver), #2196 (only the first "
    "registered)",
)
def _operator_missing(evidence: Evidence) -> Iterator[Match]:
    missing = _missing(evidence)
    if missing is not None and not missing[1]:
        name, _, error = missing
        yield Match(
            f"The board's firmware lacks {name or 'an operator'}: {error}",
            _operators_of(evidence, name),
            "link",
        )


def _operators_of(evidence: Evidence, name: str) -> tuple[int, ...]:
    return tuple(each.index for each in evidence.model.operators if each.name == name)


@cause(
    "board-broke",
    "the board failed and gave no outputs",
    Stage.LINK,
    remedy="See the error and the board's log; the outputs were not compared.",
)
def _broke(evidence: Evidence) -> Iterator[Match]:
    named = {"WrongModel", "InputAltered", "OperatorMissing"}
    if "board" in evidence.outputs or any(each.who == "tflm" for each in evidence.broken):
        return
    found = next((each for each in evidence.broken if each.who == "board"), None)
    if found is None or found.kind in named:
        return
    if not (found.kind == "NotSupported" and " type " in found.error):
        yield Match(f"The board did not answer for this model: {found.error}", step="link")
