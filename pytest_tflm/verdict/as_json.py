"""A verdict as plain data, for programs: ``pytest-tflm diagnose --json``."""

from __future__ import annotations

from dataclasses import asdict, is_dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_tflm.compare.distance import Gap
    from pytest_tflm.verdict.evidence import OperatorResult, Step
    from pytest_tflm.verdict.verdict import Verdict

FORMAT = 2


def as_json(verdict: Verdict) -> dict[str, Any]:
    """What ``json.dumps`` takes. Without the tensors; ``format`` grows when a field changes its
    meaning or goes."""
    evidence = verdict.evidence
    return {
        "format": FORMAT,
        "model": {
            "name": evidence.model.name,
            "bytes": evidence.model.size,
            "crc32": f"{evidence.model.crc32:08x}",
            "sha256": evidence.model.sha256,
        },
        "samples": len(evidence.samples),
        "runtimes": evidence.names,
        "versions": evidence.versions,
        "equal": verdict.is_equal,
        "steps": [_step(step) for step in evidence.steps],
        "facts": [{"name": name, **_plain(fact)} for name, fact in evidence.facts()],
        "excluded": evidence.excluded,
        "causes": [
            {
                "name": each.name,
                "title": each.cause.title,
                "is_note": each.cause.is_note,
                "operators": list(each.operators),
                "sentence": each.sentence,
                "remedy": each.remedy,
                "citation": each.cause.citation,
                "page": f"docs/causes/{each.name}.md",
            }
            for each in verdict.accusations
        ],
    }


def _step(step: Step) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": step.key,
        "title": step.title,
        "outcome": step.outcome,
        "text": step.text,
        "gap": _gap(step.gap),
    }
    where = step.localisation
    if where is not None:
        found["operators"] = [_operator(result) for result in where.operators]
        found["operators_explain_it"] = where.explains
        found["note"] = where.note
    return found


def _operator(result: OperatorResult) -> dict[str, Any]:
    return {
        "index": result.operator.index,
        "name": result.operator.name,
        "alone": _gap(result.gap),
        "chained": _gap(result.chained),
        "problem": result.problem,
    }


def _gap(gap: Gap | None) -> dict[str, Any] | None:
    if gap is None:
        return None
    return {
        "elements": gap.elements,
        "of": gap.total,
        "lsb": gap.lsb,
        "real": gap.real,
        "shapes": [list(shape) for shape in gap.shapes] if gap.shapes else None,
    }


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(each) for each in value]
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)
