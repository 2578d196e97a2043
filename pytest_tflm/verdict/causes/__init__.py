"""The catalogue: why outputs differ, as data. A new cause is an entry in one of these modules and a
page in ``docs/causes/``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pytest_tflm.verdict.causes import board, errors, kernels, model, reference
from pytest_tflm.verdict.causes.cause import Accusation, Cause, Match

if TYPE_CHECKING:
    from pytest_tflm.verdict.evidence import Evidence

__all__ = ["CATALOGUE", "Accusation", "Cause", "Match", "accusations", "page_of"]

CATALOGUE: tuple[Cause, ...] = (
    *board.CAUSES,
    *model.CAUSES,
    *kernels.CAUSES,
    *reference.CAUSES,
    *errors.CAUSES,
)

UNKNOWN_OF = ("determinism", "board", "tflm", "resolver", "samples")
UNKNOWN = Cause(
    "unknown",
    "no known cause fits",
    lambda evidence: (),
    "{title}: {text}. No cause that is known here fits the evidence.",
    "pytest-tflm diagnose --save DIR writes the evidence and the operator that shows it, ready "
    "for a bug report.",
)


def accusations(evidence: Evidence) -> list[Accusation]:
    """The causes that fit, those that explain a failure first, in the catalogue's order. A step of
    the ladder that differs and that none explains is accused of being ``unknown``."""
    found = [
        _accusation(cause, match, evidence)
        for cause in CATALOGUE
        for match in cause.match(evidence)
    ]
    explained = {each.match.rung for each in found if not each.cause.is_note}
    whole = {"link", "identity", "determinism"}  # these explain what comes behind them as well
    for rung in evidence.rungs:
        if rung.key == "determinism" and (evidence.fact("stale") or evidence.fact("state kept")):
            continue  # what that is called explains it
        if rung.outcome == "differs" and rung.key not in explained and rung.key in UNKNOWN_OF:
            if rung.key == "board" and whole & explained:
                continue
            if rung.key == "determinism" and evidence.fact("tflm unsteady") and "tflm" in explained:
                continue  # the model is to blame, and why has been said
            match = Match({"text": rung.text, "title": rung.title}, (), rung.key)
            found.append(_accusation(UNKNOWN, match, evidence))
    return sorted(found, key=lambda each: each.cause.is_note)


def page_of(error: Exception) -> str | None:
    """The name of the cause whose page is about this error; None if there is none."""
    return next((name for kind, name in errors.OF_ERRORS.items() if isinstance(error, kind)), None)


def _accusation(cause: Cause, match: Match, evidence: Evidence) -> Accusation:
    path = str(evidence.model.path or evidence.model.name)
    shown = _shown_path(path)
    values = {
        "model": evidence.model.name,
        "path": shown,
        "repaired": shown.removesuffix(".tflite") + "_repaired.tflite",
        "board": evidence.names.get("board", "the board"),
        "board_name": evidence.names.get("board", "BOARD").removeprefix("board "),
        "reference": evidence.names.get("reference", "the reference"),
        **match.values,
    }
    return Accusation(cause, match, cause.sentence.format(**values), cause.remedy.format(**values))


def _shown_path(path: str) -> str:
    """As short as a user may type it where they are."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return path
