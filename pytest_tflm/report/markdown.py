"""A run as a short table in Markdown: what a CI service shows (``$GITHUB_STEP_SUMMARY``)."""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pytest_tflm.record.metrics import figure_words
from pytest_tflm.report.boards import side_by_side
from pytest_tflm.report.figures import answer, latency_words, memory_words, title_of

if TYPE_CHECKING:
    from pytest_tflm.record.run_record import ModelRecord, Run
    from pytest_tflm.report.boards import Cell, Grid

_MARKS = {"right": "✅", "wrong": "❌", "broken": "⚠️", "unknown": "–"}
_SPECIAL = "\\`*_{}[]()#+-.!|~<>"


def as_markdown(run: Run) -> str:
    """A heading, a row for each model, and the cause of what failed."""
    lines = [f"### pytest-tflm: {_plain(_boards(run))}", ""]
    if not run["complete"]:
        lines += ["The run was not finished.", ""]
    grid = side_by_side(run)
    if grid is not None:
        lines += [*_side_by_side(grid), ""]
    lines += ["| model | outputs | accuracy | latency | arena |", "|---|---|---|---|---|"]
    causes = [f"- Reset: {_plain(each['text'])}" for each in run["resets"]]
    for model in run["models"]:
        found = answer(run, model)
        cells = (
            f"{_MARKS[found.status]} {_plain(title_of(model))}",
            _plain(found.text),
            _plain(_accuracy(model)) or "–",
            _plain(latency_words(model)) or "–",
            _plain(memory_words(model)) or "–",
        )
        lines.append(f"| {' | '.join(cells)} |")
        if model["verdict"] is not None:
            causes.append(f"- {_plain(title_of(model))}: {_plain(model['verdict']['line'])}")
        if model["baseline"] is not None:
            name = _plain(title_of(model))
            causes += [f"- {name}: {_plain(each['text'])}" for each in model["baseline"]["changes"]]
    return "\n".join([*lines, *([""] if causes else []), *causes, ""])


def _boards(run: Run) -> str:
    texts = [
        f"{each['board']}: {each['text']}" if each["board"] else each["text"]
        for each in run["boards"]
    ]
    return "; ".join(texts) or "no board"


def _side_by_side(grid: Grid) -> Iterator[str]:
    """A row for each model, a column for each board."""
    yield f"| model | {' | '.join(map(_plain, grid.boards))} |"
    yield "|---" * (len(grid.boards) + 1) + "|"
    for row in grid.rows:
        yield f"| {_plain(row.model)} | {' | '.join(map(_cell, row.cells))} |"


def _cell(cell: Cell | None) -> str:
    if cell is None:
        return "–"
    causes = f": {', '.join(cell.causes)}" if cell.causes else ""
    return f"{_MARKS[cell.status]} {_plain(cell.text + causes)}"


def _accuracy(model: ModelRecord) -> str:
    metrics = model["metrics"]
    if metrics is None:
        return ""
    figures = metrics["runtimes"].get("board", {})
    return figure_words(figures)


def _plain(text: str) -> str:
    """Text that no reader of Markdown or HTML takes for more, in one line."""
    escaped = "".join(f"\\{c}" if c in _SPECIAL and c not in ".-()" else c for c in text)
    return (
        html.escape(" ".join(escaped.split()), quote=False)
        .replace("\\&lt;", "&lt;")
        .replace("\\&gt;", "&gt;")
    )
