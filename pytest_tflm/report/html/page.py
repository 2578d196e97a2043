"""The page: what a run says, in one file without scripts, links or anything from elsewhere."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_tflm.errors import SettingsError
from pytest_tflm.record.facts import arrays_of, real_values
from pytest_tflm.record.metrics import runtime_words
from pytest_tflm.report.block import label_words
from pytest_tflm.report.boards import side_by_side
from pytest_tflm.report.figures import (
    answer,
    difference_words,
    differences,
    latency_words,
    memory_words,
    metric_rows,
    title_of,
    worst_samples,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_tflm.record.run_record import ModelRecord, Run, SampleRecord

    Reals = NDArray[Any]

_WORST = 10
_MOST_OPERATORS = 100
_MOST_CLASSES = 40
_MOST_RUNS = 200
_SMALLEST_IMAGE = 4
_HEADLINES = {
    "right": "The board is right",
    "wrong": "Wrong",
    "broken": "The run broke",
    "unknown": "Nothing was compared",
}


class Plot(NamedTuple):
    """A plot with what it shows, in words, for who does not see it."""

    title: str
    text: str
    svg: str


class Worst(NamedTuple):
    """A row of the table of the worst samples."""

    number: int
    difference: str
    elements: str
    label: str
    board: str
    reference: str
    svg: str


def as_html(runs: Sequence[Run]) -> str:
    """The page of the last of ``runs``, and the history of all. Raises SettingsError where Jinja2
    or matplotlib is missing, and RecordError for a damaged record."""
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError:
        raise SettingsError(
            "a page needs Jinja2 and matplotlib: pip install 'pytest-tflm[html]'."
        ) from None
    from markupsafe import Markup

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters["ours"] = Markup  # our own plots and style alone
    folder = Path(__file__).parent
    template = environment.from_string((folder / "page.html.j2").read_text("utf-8"))
    run = runs[-1]
    return template.render(
        style=(folder / "page.css").read_text("utf-8"),
        run=run,
        grid=side_by_side(run),
        models=[_model(run, model, f"m{i}") for i, model in enumerate(run["models"])],
        others=[each for each in run["tests"] if each["model"] is None],
        history=_history(runs[-_MOST_RUNS:]) if len(runs) > 1 else None,
    )


def _model(run: Run, model: ModelRecord, mark: str) -> dict[str, Any]:
    found = answer(run, model)
    failed = [
        each
        for each in run["tests"]
        if each["model"] == model["key"] and each["outcome"] in ("failed", "error")
    ]
    samples = {sample["test"] for sample in model["samples"]}
    return {
        "mark": mark,
        "record": model,
        "title": title_of(model),
        "status": found.status,
        "headline": _headline(found.status, model),
        "answer": found.text,
        "differences": differences(model),
        "latency": latency_words(model),
        "memory": memory_words(model),
        "metrics": list(metric_rows(model)),
        "failed": [each for each in failed if each["test"] not in samples],
        "plots": list(_plots(model, mark)),
        "confusion": list(_confusions(model)),
        "worst": list(_worst(model, mark)),
    }


def _headline(status: str, model: ModelRecord) -> str:
    verdict = model["verdict"]
    if status == "wrong" and verdict is not None and verdict["is_board_right"]:
        return "Outputs differ, the board is right"
    return _HEADLINES[status]


def _plots(model: ModelRecord, mark: str) -> Iterator[Plot]:
    from pytest_tflm.report.html import plots

    both = _outputs(model)
    if both is not None:
        codes_apart, ours, theirs, unit = both
        text = f"Each element of output 0 for {len(model['samples'])} samples."
        yield Plot("Board against reference", text, plots.scatter(f"{mark}s", ours, theirs, unit))
        if codes_apart is not None:
            equal = int((codes_apart == 0).sum())
            text = f"{equal} of {codes_apart.size} elements are equal."
            svg = plots.histogram(f"{mark}h", codes_apart)
            yield Plot("Differences in LSB", text, svg)
    verdict = model["verdict"]
    if verdict is not None and verdict["operators"]:
        shown = verdict["operators"]
        wrong = sum(bool(each["alone"]) for each in shown)
        text = f"{wrong} of {len(shown)} operators differ in isolation."
        if len(shown) > _MOST_OPERATORS:
            shown = [each for each in shown if each["alone"] or each["chained"]][:_MOST_OPERATORS]
            text += " Only operators that differ are shown."
        names = [f"{each['index']} {each['name']}" for each in shown]
        columns = [
            ("in isolation, on identical inputs", [float(each["alone"] or 0) for each in shown]),
            ("accumulated along the graph", [float(each["chained"] or 0) for each in shown]),
        ]
        svg = plots.operators(f"{mark}o", names, columns, "largest difference (LSB)")
        yield Plot("Error by operator", text, svg)
    times = model["operator_times"][:_MOST_OPERATORS]
    if times:
        names = [f"{each['index']} {each['name']}" for each in times]
        columns = [("time", [float(each["microseconds"]) for each in times])]
        total = sum(each["microseconds"] for each in model["operator_times"])
        svg = plots.operators(f"{mark}t", names, columns, "µs")
        yield Plot("Time by operator", f"{total} µs in all.", svg)


def _outputs(model: ModelRecord) -> tuple[Reals | None, Reals, Reals, str] | None:
    """Output 0 of all samples: differences in LSB if it is quantised, the board's and the
    reference's real values, and their unit. None if outputs were not kept."""
    import numpy as np

    ours, theirs, apart = [], [], []
    for sample in model["samples"]:
        board, reference = arrays_of(sample["board"][:1]), arrays_of(sample["reference"][:1])
        if not board or not reference or board[0].shape != reference[0].shape:
            continue
        ours.append(real_values(board, model["outputs"])[0].ravel())
        theirs.append(real_values(reference, model["outputs"])[0].ravel())
        if board[0].dtype.kind in "iu":
            apart.append((board[0].astype(np.int64) - reference[0].astype(np.int64)).ravel())
    if not ours:
        return None
    board_values, wanted = np.concatenate(ours), np.concatenate(theirs)
    finite = np.isfinite(board_values) & np.isfinite(wanted)
    if not finite.any():
        return None
    output = model["outputs"][0]
    is_real = output["scale"] is not None or output["dtype"].startswith("float")
    return (
        np.concatenate(apart) if apart else None,
        board_values[finite],
        wanted[finite],
        "real units" if is_real else "codes",
    )


def _confusions(model: ModelRecord) -> Iterator[dict[str, Any]]:
    metrics = model["metrics"]
    if metrics is None or len(metrics["classes"]) > _MOST_CLASSES:
        return
    for name, table in metrics["confusion"].items():
        totals = [sum(row) or 1 for row in table]
        rows = [
            {
                "label": label,
                "cells": [
                    {"count": count, "share": count / total, "right": at == number}
                    for at, count in enumerate(row)
                ],
            }
            for number, (label, row, total) in enumerate(
                zip(metrics["classes"], table, totals, strict=False)
            )
        ]
        yield {"name": runtime_words(name), "classes": metrics["classes"], "rows": rows}


def _worst(model: ModelRecord, mark: str) -> Iterator[Worst]:
    differing = [each for each in worst_samples(model, _WORST) if each["outcome"] != "equal"]
    for sample in differing:
        ours, theirs = (_shown(model, sample[who]) for who in ("board", "reference"))
        yield Worst(
            sample["index"],
            difference_words(sample),
            f"{sample['beyond']} of {sample['elements']}",
            label_words(sample),
            ours,
            theirs,
            _input(model, sample, f"{mark}i{sample['index']}"),
        )


def _shown(model: ModelRecord, kept: list[Any]) -> str:
    arrays = real_values(arrays_of(kept[:1]), model["outputs"])
    values: Any = arrays[0].ravel() if arrays else []
    text = " ".join(f"{value:.4g}" for value in values[:_SMALLEST_IMAGE])
    return f"{text} …" if len(values) > _SMALLEST_IMAGE else text


def _input(model: ModelRecord, sample: SampleRecord, mark: str) -> str:
    """The first input as an image or a curve; empty where it was not kept or is neither."""
    from pytest_tflm.report.html import plots

    values = real_values(arrays_of(sample["inputs"][:1]), model["inputs"])
    if not values or values[0].size < _SMALLEST_IMAGE:
        return ""
    array = values[0]
    shape = array.shape[-3:]
    is_image = (
        len(array.shape) >= 3
        and shape[2] in (1, 3)
        and min(shape[:2]) >= _SMALLEST_IMAGE
        and math.prod(shape) == array.size
    )
    if is_image:
        return plots.picture(mark, array.reshape(shape))
    return plots.curve(mark, array)


def _history(runs: Sequence[Run]) -> dict[str, Any]:
    """Boards and models over runs, in the order that they were given."""
    from pytest_tflm.report.html import plots

    columns: dict[tuple[str, str], list[dict[str, Any] | None]] = {}
    for number, run in enumerate(runs):
        first = run["board"]["name"] if run["board"] is not None else "no board"
        for model in run["models"]:
            board = model["board"] or first
            cells = columns.setdefault((board, model["name"]), [None] * len(runs))
            cells[number] = _cell(run, model)
    labels = [(run["run"]["commit"] or run["run"]["started"])[:10] for run in runs]
    drawn = []
    for key, title in (
        ("lsb", "Largest difference (LSB)"),
        ("accuracy", "Accuracy"),
        ("latency", "Latency p95 (µs)"),
        ("arena", "Arena used (bytes)"),
    ):
        lines = [
            (" / ".join(who), [cell[key] if cell is not None else None for cell in cells])
            for who, cells in columns.items()
        ]
        known = [(name, values) for name, values in lines if any(v is not None for v in values)]
        if known:
            drawn.append(Plot(title, title, plots.history(f"history-{key}", labels, known)))
    rows = [
        {
            "run": run["run"],
            "complete": run["complete"],
            "cells": [cells[i] for cells in columns.values()],
        }
        for i, run in enumerate(runs)
    ]
    return {"columns": list(columns), "rows": rows[::-1], "plots": drawn}


def _cell(run: Run, model: ModelRecord) -> dict[str, Any]:
    found = answer(run, model)
    metrics, latency, memory = model["metrics"], model["latency"], model["memory"]
    board = metrics["runtimes"].get("board", {}) if metrics is not None else {}
    return {
        "status": found.status,
        "text": found.text,
        "lsb": max((each["largest_lsb"] for each in model["samples"]), default=None),
        "accuracy": board.get("accuracy"),
        "latency": latency["p95"] if latency is not None else None,
        "arena": memory["arena_used"] if memory is not None else None,
    }
