"""Boards side by side: a row for each model of a run and a column for each of its boards."""

from __future__ import annotations

import itertools
import textwrap
from typing import TYPE_CHECKING, NamedTuple

from pytest_tflm.report.figures import answer, difference_words, tally_of

if TYPE_CHECKING:
    from pytest_tflm.record.run_record import ModelRecord, Run
    from pytest_tflm.report.figures import Status

_NARROWEST = 16
"""Characters of a column of the terminal's table."""


class Cell(NamedTuple):
    """A model on a board, in a few words: how it came out and which causes a verdict names."""

    status: Status
    text: str
    causes: tuple[str, ...] = ()


class Row(NamedTuple):
    """A model, and its cell for each board; None where it did not run."""

    model: str
    cells: tuple[Cell | None, ...]


class Grid(NamedTuple):
    """The boards' names, and a row for each model."""

    boards: tuple[str, ...]
    rows: tuple[Row, ...]


def side_by_side(run: Run) -> Grid | None:
    """All models on all boards; None for a run whose boards have no names."""
    boards = tuple(dict.fromkeys(each["board"] for each in run["models"] if each["board"]))
    if not boards:
        return None
    found: dict[tuple[str, str], dict[str, Cell]] = {}
    for model in run["models"]:
        cells = found.setdefault((model["path"], model["name"]), {})
        cells[model["board"]] = _cell(run, model)
    rows = (
        Row(name, tuple(cells.get(board) for board in boards)) for (_, name), cells in found.items()
    )
    return Grid(boards, tuple(rows))


def _cell(run: Run, model: ModelRecord) -> Cell:
    status, text = answer(run, model)
    tally = tally_of(model)
    if status == "right" and tally is not None:
        text = f"{tally['samples']} right"
        if tally["equal"] == tally["samples"]:
            text = f"{tally['samples']} equal"
    elif status == "wrong" and tally is not None and tally["beyond"]:
        text = f"{tally['beyond']} of {tally['samples']} differ, {difference_words(tally)}"
    verdict = model["verdict"]
    causes = [] if verdict is None else [e["name"] for e in verdict["causes"] if not e["is_note"]]
    return Cell(status, text, tuple(dict.fromkeys(causes)))


def grid_lines(grid: Grid, width: int) -> list[str]:
    """The table for a terminal; cells are wrapped to fit ``width`` characters."""
    first = max(len(row.model) for row in grid.rows)
    widest = max(_NARROWEST, (width - first) // len(grid.boards) - 2)
    rows = [("", *([board] for board in grid.boards))]
    rows += [(row.model, *(_lines(cell, widest) for cell in row.cells)) for row in grid.rows]
    columns = [max(len(line) for row in rows for line in row[n]) for n in range(1, len(rows[0]))]
    lines = []
    for name, *cells in rows:
        for number, parts in enumerate(itertools.zip_longest(*cells, fillvalue="")):
            head = name if not number else ""
            padded = (f"{part:{size}}" for part, size in zip(parts, columns, strict=True))
            lines.append(f"{head:{first}}  {'  '.join(padded)}".rstrip())
    return lines


def _lines(cell: Cell | None, width: int) -> list[str]:
    if cell is None:
        return ["–"]
    told = [cell.text, *cell.causes]
    return [line for text in told for line in textwrap.wrap(text, width, break_on_hyphens=False)]
