"""The result of a conformance run as a table for people, as Markdown, and as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_tflm.fuzz.kernels.conformance import Surveyed
    from pytest_tflm.fuzz.kernels.finding import Finding
    from pytest_tflm.fuzz.kernels.search import Survey, Tally

MARKS = ("<!-- conformance -->", "<!-- /conformance -->")
"""Lines between which the tables of a Markdown file stand that has other text, too."""


def verdict(survey: Survey) -> str:
    """``bit-exact``, or by type how many examples differ and by how much."""
    if not any(tally.examples for tally in survey.by_type.values()) and not survey.shapes:
        return "nothing compared"
    if survey.bit_exact:
        return "bit-exact"
    parts = [_tally(kind, tally) for kind, tally in sorted(survey.by_type.items())]
    if survey.shapes:
        parts.append(f"{survey.shapes} with other shapes")
    return "; ".join(parts)


def _tally(kind: str, tally: Tally) -> str:
    if not tally.different:
        return f"{kind} bit-exact"
    unit = "ULP" if kind.endswith("to float32") else "LSB"
    return f"{kind} {tally.largest:g} {unit} ({tally.different} of {tally.examples})"


def failures(survey: Survey) -> str:
    """Who refused and who crashed, how often."""
    parts = [f"{who} refused {count}" for who, count in sorted(survey.refused.items())]
    parts += [f"{who} crashed in {count}" for who, count in sorted(survey.crashed.items())]
    if survey.neither:
        parts.append(f"neither ran {survey.neither}")
    return "; ".join(parts)


def row(surveyed: Surveyed) -> str:
    """A line for a terminal."""
    survey = surveyed.survey
    words = [f"{survey.operator:28} {survey.examples:5}  {verdict(survey)}"]
    if text := failures(survey):
        words.append(f"[{text}]")
    if not surveyed.complete:
        words.append("(cut short)")
    return "  ".join(words)


def markdown(
    surveyed: Sequence[Surveyed], versions: Mapping[str, str], date: str, command: str
) -> str:
    """Two tables: operators with a column for each pair, and each finding's smallest example."""
    pairs = {item.pair: " against ".join(item.survey.names) for item in surveyed}
    order = sorted(pairs)
    rows: dict[str, dict[int, Surveyed]] = {}
    for item in surveyed:
        rows.setdefault(item.survey.operator, {})[item.pair] = item
    lines = [f"`{command}`, {date}, with " + ", ".join(f"{n} {v}" for n, v in versions.items())]
    lines += ["", f"| operator | examples | {' | '.join(pairs[index] for index in order)} |"]
    lines.append("|---" * (2 + len(order)) + "|")
    for operator, columns in rows.items():
        examples = max(item.survey.examples for item in columns.values())
        cells = [_cell(columns.get(index)) for index in order]
        lines.append(f"| {operator} | {examples} | {' | '.join(cells)} |")
    findings = [(item, one) for item in surveyed for one in item.survey.findings]
    if findings:
        lines += [
            "",
            "Smallest examples:",
            "",
            "| operator | runtimes | finding | model | inputs |",
        ]
        lines.append("|---" * 5 + "|")
        lines += [_finding_row(one) for _, one in findings]
    return "\n".join(lines) + "\n"


def write_markdown(path: Path, text: str) -> None:
    """Write the tables into a file: a new one, or between the two marks of one that has them."""
    begin, end = MARKS
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    head, found, rest = old.partition(begin)
    _, closed, tail = rest.partition(end)
    if found and closed:
        text = f"{head}{begin}\n{text}{end}{tail}"
    path.write_text(text, encoding="utf-8")


def _cell(item: Surveyed | None) -> str:
    if item is None:
        return ""
    parts = filter(None, (verdict(item.survey), failures(item.survey)))
    return "; ".join(parts) + ("" if item.complete else " (cut short)")


def _finding_row(one: Finding) -> str:
    cells = (
        one.case.operator,
        f"{one.subject.name}, {one.reference.name}",
        one.title,
        f"{one.case.brief()}; {one.case.model.size} bytes",
        f"{one.off_zero_point} off zero point",
    )
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def as_data(
    surveyed: Sequence[Surveyed], versions: Mapping[str, str], date: str, seed: int
) -> dict[str, Any]:
    """For ``--json``: numbers as numbers, no model bytes."""
    return {
        "date": date,
        "seed": seed,
        "versions": dict(versions),
        "operators": [
            {
                "operator": item.survey.operator,
                "subject": item.survey.names[0],
                "reference": item.survey.names[1],
                "complete": item.complete,
                "examples": item.survey.examples,
                "bit_exact": item.survey.bit_exact,
                "types": {
                    kind: {
                        "examples": tally.examples,
                        "different": tally.different,
                        "largest": tally.largest,
                    }
                    for kind, tally in item.survey.by_type.items()
                },
                "shapes_differ": item.survey.shapes,
                "refused": dict(item.survey.refused),
                "crashed": dict(item.survey.crashed),
                "neither": item.survey.neither,
                "findings": [_finding_data(one) for one in item.survey.findings],
            }
            for item in surveyed
        ],
    }


def _finding_data(one: Finding) -> dict[str, Any]:
    return {
        "kind": one.kind,
        "who": one.who and one.who_name,
        "activations": one.case.activations,
        "size": one.size,
        "largest": one.largest,
        "error": one.error,
        "model_bytes": one.case.model.size,
        "off_zero_point": one.off_zero_point,
        "again": one.again,
        "text": one.describe(),
    }
