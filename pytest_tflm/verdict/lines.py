"""A verdict as text: what a failing test, ``pytest-tflm diagnose`` and the summary show."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from pytest_tflm.verdict.evidence import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_tflm.verdict.causes import Accusation
    from pytest_tflm.verdict.evidence import Localisation, OperatorResult, Step
    from pytest_tflm.verdict.verdict import Verdict

_WIDTH = 100
_MARKS = {"equal": "=", "differs": "≠", "cannot": "?"}
_OPERATORS_SHOWN = 8


def verdict_lines(verdict: Verdict, level: str = "full") -> list[str]:
    """The verdict for people: each step of the ladder with its evidence (``full``), then the causes
    with what to do about each."""
    lines: list[str] = []
    if level == "full":
        for step in verdict.evidence.steps:
            lines += _step_lines(step)
        lines.append("")
    if not verdict.accusations:
        lines += _wrapped(_nothing(verdict), "")
    lines += _wrapped(_acquittal(verdict), "")
    for kind in ("cause", "note"):
        by_name: dict[str, list[Accusation]] = {}
        for accusation in verdict.accusations:
            if accusation.cause.is_note == (kind == "note"):
                by_name.setdefault(accusation.name, []).append(accusation)
        for accusations in by_name.values():
            lines += _accusation_lines(kind, accusations)
    return lines


def verdict_line(verdict: Verdict) -> str:
    """The verdict in a line: the causes, and what to do about the first."""
    causes = [each for each in verdict.accusations if not each.cause.is_note]
    if not causes:
        return _nothing(verdict)
    names = ", ".join(dict.fromkeys(each.name for each in causes))
    return f"{causes[0].cause.title} ({names}); try: {causes[0].remedy}"


def _nothing(verdict: Verdict) -> str:
    evidence = verdict.evidence
    if verdict.is_equal:
        ran = [evidence.names[key] for key in evidence.outputs]
        same = ", ".join(dict.fromkeys(ran))
        samples = counted(len(evidence.samples), "sample")
        return f"{same} give the same outputs for {samples}."
    return "what differs could not be looked into: see the steps with a question mark."


def _step_lines(step: Step) -> Iterator[str]:
    yield from _wrapped(f"{step.title}: {step.text}", f"{_MARKS[step.outcome]} ")
    if step.localisation is not None:
        for line in _where_lines(step.localisation):
            yield from [f"    {line}"] if line.startswith(" ") else _wrapped(line, "    ")


def _where_lines(where: Localisation) -> Iterator[str]:
    count = len(where.operators)
    differing = where.differing
    if not differing and not where.note:
        yield f"none of its {count} operators differs when run in isolation on identical inputs"
    elif differing:
        number = f"{len(differing)} of {count}"
        yield f"{number} operators differ when run in isolation on identical inputs:"
    yield from _table(differing)
    first = where.first_visible
    if first is not None and (not differing or first is not differing[0]):
        yield f"in the whole model first seen behind {first.title}"
    if where.explains is False:
        yield "running the operators one after another does not reproduce the model's outputs"
    problems = [result for result in where.operators if result.problem]
    if problems:
        yield f"not compared: {problems[0].title}: {problems[0].problem}" + (
            f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        )
    if where.note:
        yield where.note


def _table(differing: tuple[OperatorResult, ...]) -> Iterator[str]:
    """Operators that differ: alone, and what the chain had become behind them."""
    if not differing:
        return
    rows = [("operator", "alone", "accumulated")]
    for result in differing[:_OPERATORS_SHOWN]:
        chained = result.chained.short() if result.chained is not None else "not known"
        alone = result.gap.short() if result.gap is not None else ""
        rows.append((f"{result.operator.index:3} {result.operator.name}", alone, chained))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        cells = (f"{cell:{width}}" for cell, width in zip(row, widths, strict=True))
        yield ("  " + "   ".join(cells)).rstrip()
    if len(differing) > _OPERATORS_SHOWN:
        yield f"  and {len(differing) - _OPERATORS_SHOWN} more"


def _accusation_lines(kind: str, accusations: list[Accusation]) -> Iterator[str]:
    """One cause, with each place where it was found."""
    cause = accusations[0].cause
    yield from _wrapped(f"{kind}: {cause.title}", "")
    for accusation in accusations:
        yield from _wrapped(accusation.sentence, "    ")
    for remedy in dict.fromkeys(accusation.remedy for accusation in accusations):
        if remedy:
            yield from _wrapped(f"try: {remedy}", "    ")
    seen = f"; seen before: {cause.citation}" if cause.citation else ""
    page = f"docs/causes/{cause.name}.md"
    yield from _wrapped(f"more: pytest-tflm explain {cause.name} ({page}){seen}", "    ")


def is_board_right(verdict: Verdict) -> bool:
    """Whether the board gives what host TFLM gives, each time, and something else differs."""
    evidence = verdict.evidence
    step = evidence.step("board")
    unsteady = evidence.differs("determinism")
    if step is None or step.outcome != "equal" or unsteady or verdict.is_equal:
        return False
    return "tflm" in evidence.outputs


def _acquittal(verdict: Verdict) -> str:
    step = verdict.evidence.step("board")
    if step is None or not is_board_right(verdict):
        return ""
    return f"The board is right: {step.title} is {step.text}."


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=indent,
        subsequent_indent=" " * len(indent) + "  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
