"""A run's samples as a table: ``--tflm-csv``."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pytest_tflm.record.facts import arrays_of, real_values

if TYPE_CHECKING:
    from pytest_tflm.record.run_record import Codes, ModelRecord, Run, SampleRecord

COLUMNS = (
    "model",
    "sample",
    "test",
    "outcome",
    "largest_lsb",
    "largest_float",
    "elements_beyond",
    "elements",
    "label",
    "microseconds",
    "board_class",
    "reference_class",
    "board",
    "reference",
    "board_name",
)
_MOST_VALUES = 32
"""Elements of an output that are written into a cell."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for a formula at the beginning of a text."""


def as_csv(run: Run) -> str:
    """A header and a row for each sample. ``board`` and ``reference`` are the elements of output 0
    in real units, where they are few; ``…_class`` the position of the largest of several;
    ``board_name`` is empty where boards have no names."""
    made = io.StringIO()
    table = csv.writer(made, lineterminator="\n")
    table.writerow(COLUMNS)
    for model in run["models"]:
        for sample in sorted(model["samples"], key=lambda each: each["index"]):
            table.writerow(_row(model, sample))
    return made.getvalue()


def _row(model: ModelRecord, sample: SampleRecord) -> Iterator[Any]:
    yield _text(model["name"])
    yield sample["index"]
    yield _text(sample["test"])
    yield sample["outcome"]
    yield sample["largest_lsb"]
    yield "" if sample["largest_float"] is None else sample["largest_float"]
    yield sample["beyond"]
    yield sample["elements"]
    label = sample["label"]
    yield _text(label) if isinstance(label, str) else "" if label is None else label
    yield "" if sample["microseconds"] is None else sample["microseconds"]
    values = [_values(model, kept) for kept in (sample["board"], sample["reference"])]
    for each in values:
        yield each.index(max(each)) if len(each) > 1 else ""
    for each in values:
        yield " ".join(f"{value:.6g}" for value in each) if len(each) <= _MOST_VALUES else ""
    yield _text(model["board"])


def _values(model: ModelRecord, kept: list[Codes]) -> list[float]:
    arrays = real_values(arrays_of(kept[:1]), model["outputs"])
    return [float(value) for value in arrays[0].ravel()] if arrays else []


def _text(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text
