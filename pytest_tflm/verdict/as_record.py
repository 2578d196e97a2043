"""A verdict in the record of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_tflm.verdict.lines import is_board_right, verdict_line, verdict_lines

if TYPE_CHECKING:
    from pytest_tflm.record.run_record import OperatorRecord, VerdictRecord
    from pytest_tflm.verdict.verdict import Verdict


def as_record(verdict: Verdict) -> VerdictRecord:
    """What a :class:`~pytest_tflm.record.run_record.VerdictRecord` holds."""
    return {
        "line": verdict_line(verdict),
        "is_board_right": is_board_right(verdict),
        "causes": [
            {
                "name": each.name,
                "title": each.cause.title,
                "is_note": each.cause.is_note,
                "sentence": each.sentence,
                "remedy": each.remedy,
            }
            for each in verdict.accusations
        ],
        "operators": _operators(verdict),
        "lines": verdict_lines(verdict, "full"),
    }


def _operators(verdict: Verdict) -> list[OperatorRecord]:
    """Those of the step that localised the difference: the last one that did."""
    found: list[OperatorRecord] = []
    for step in verdict.evidence.steps:
        if step.localisation is not None:
            found = [
                {
                    "index": each.operator.index,
                    "name": each.operator.name,
                    "alone": each.gap.lsb if each.gap is not None else None,
                    "chained": each.chained.lsb if each.chained is not None else None,
                }
                for each in step.localisation.operators
            ]
    return found
