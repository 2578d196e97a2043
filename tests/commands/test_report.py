"""``pytest-tflm report``: pages and tables of runs that are over."""

from __future__ import annotations

import pytest

from pytest_tflm.record.journal import as_text
from tests.report.made_runs import made_run


@pytest.fixture
def runs(inner):
    paths = []
    for number, commit in enumerate(("aaaa", "bbbb")):
        path = inner.directory / f"run{number}.json"
        path.write_text(as_text(made_run(samples=6, commit=commit)))
        paths.append(path)
    return paths


@pytest.mark.slow
def test_a_page_of_one_run_and_of_several(inner, runs):
    done = inner.pytest_tflm("report", runs[0], "--html", inner.directory / "one.html")
    assert done.status == 0, done.output
    assert 'id="history"' not in (inner.directory / "one.html").read_text()
    done = inner.pytest_tflm("report", *runs, "--html", inner.directory / "two.html")
    assert done.status == 0, done.output
    page = (inner.directory / "two.html").read_text()
    assert 'id="history"' in page
    assert "aaaa" in page


def test_a_table_and_a_summary(inner, runs):
    done = inner.pytest_tflm("report", *runs, "--csv", inner.directory / "x.csv", "--markdown")
    assert done.status == 0, done.output
    assert len((inner.directory / "x.csv").read_text().splitlines()) == 7
    assert "| ❌ m.tflite |" in done.output


def test_what_cannot_be_read_is_named(inner, runs):
    done = inner.pytest_tflm("report", "nothing.json", "--markdown")
    assert done.status == 1
    assert "there is no file nothing.json" in done.output
    done = inner.pytest_tflm("report", runs[0])
    assert "give --html FILE, --csv FILE or --markdown" in done.output
