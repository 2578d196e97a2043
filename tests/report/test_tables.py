"""A run as a table of samples, and as the summary that CI services show."""

from __future__ import annotations

import csv
import io

from pytest_tflm.report.markdown import as_markdown
from pytest_tflm.report.table import COLUMNS, as_csv
from tests.report.made_runs import made_run


def test_a_row_for_each_sample():
    rows = list(csv.DictReader(io.StringIO(as_csv(made_run()))))
    assert len(rows) == 40
    assert tuple(rows[0]) == COLUMNS
    first = rows[0]
    assert (first["model"], first["sample"], first["outcome"]) == ("m.tflite", "0", "beyond")
    assert (first["largest_lsb"], first["microseconds"]) == ("2", "100")
    ours, theirs = ([float(x) for x in first[who].split()] for who in ("board", "reference"))
    assert round(max(abs(a - b) for a, b in zip(ours, theirs, strict=True)), 6) == 0.02
    assert int(first["board_class"]) == ours.index(max(ours))
    assert rows[1]["outcome"] == "equal"


def test_a_spreadsheet_takes_no_text_for_a_formula():
    rows = list(csv.DictReader(io.StringIO(as_csv(made_run(name="=HYPERLINK(1)")))))
    assert rows[1]["model"] == rows[1]["label"] == "'=HYPERLINK(1)"


def test_a_summary_has_a_row_for_each_model_and_the_cause():
    text = as_markdown(made_run())
    (row,) = [line for line in text.splitlines() if "❌" in line]
    assert "14 of 40 samples beyond the tolerance, largest 6 LSB" in row
    assert "accuracy 50.00%, agreement 75.00%" in row
    assert "p95 138 µs" in row
    assert "5000 of 65536 bytes" in row
    assert "kernel-differs" in text


def test_text_from_outside_is_text_in_a_summary():
    text = as_markdown(made_run(name="<b>x</b>|[a](javascript:b)\n# y"))
    assert "<b>" not in text
    assert "](" not in text.replace("\\](", "").replace("\\]\\(", "")
    assert not any(line.startswith("# ") for line in text.splitlines())
    table = [line for line in text.splitlines() if line.startswith("| ❌")]
    assert len(table) == 1
    assert table[0].replace("\\|", "").count("|") == 6
