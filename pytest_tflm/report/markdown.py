"""A run as a short table in Markdown: what a CI service shows (``$GITHUB_STEP_SUMMARY``)."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from pytest_tflm.record.metrics import figure_words
from pytest_tflm.report.figures import answer, latency_words, memory_words

if TYPE_CHECKING:
    from pytest_tflm.record.run_record import ModelRecord, Run

_MARKS = {"right": "✅", "wrong": "❌", "broken": "⚠️", "unknown": "–"}
_SPECIAL = "\\`*_{}[]()#+-.!|~<>"


def as_markdown(run: Run) -> str:
    """A heading, a row for each model, and the cause of what failed."""
    board = run["board"]
    lines = [f"### pytest-tflm: {_plain(board['text'] if board is not None else 'no board')}", ""]
    if not run["complete"]:
        lines += ["The run was not finished.", ""]
    lines += ["| model | outputs | accuracy | latency | arena |", "|---|---|---|---|---|"]
    causes = []
    for model in run["models"]:
        found = answer(run, model)
        cells = (
            f"{_MARKS[found.status]} {_plain(model['name'])}",
            _plain(found.text),
            _plain(_accuracy(model)) or "–",
            _plain(latency_words(model)) or "–",
            _plain(memory_words(model)) or "–",
        )
        lines.append(f"| {' | '.join(cells)} |")
        if model["verdict"] is not None:
            causes.append(f"- {_plain(model['name'])}: {_plain(model['verdict']['line'])}")
        if model["baseline"] is not None:
            name = _plain(model["name"])
            causes += [f"- {name}: {_plain(each['text'])}" for each in model["baseline"]["changes"]]
    return "\n".join([*lines, *([""] if causes else []), *causes, ""])


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
