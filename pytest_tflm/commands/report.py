"""``pytest-tflm report RUN.json… --html FILE``: a page about runs that are over."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pytest_tflm.errors import SettingsError


def add(commands: Any) -> None:
    """Add the subcommand to argparse's ``commands``."""
    parser = commands.add_parser(
        "report",
        help="make a page or a table from the records of pytest --tflm-json",
        description="Make a page about the last run, with the history of all runs in the order"
        " given; a table of its samples; or the table that CI services show. The record of a run"
        " that was killed is used as far as it goes.",
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN.json")
    parser.add_argument("--html", type=Path, metavar="FILE", help="the page to write")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="the table to write")
    parser.add_argument("--markdown", action="store_true", help="print a summary in Markdown")
    parser.set_defaults(run=_report)


def _report(options: argparse.Namespace) -> int:
    from pytest_tflm.record.journal import read_run
    from pytest_tflm.whole_file import write_whole

    if options.html is None and options.csv is None and not options.markdown:
        raise SettingsError("give --html FILE, --csv FILE or --markdown")
    runs = [read_run(path) for path in options.runs]
    if options.html is not None:
        from pytest_tflm.report.html import as_html

        write_whole(options.html, as_html(runs).encode())
        print(f"page: {options.html}")
    if options.csv is not None:
        from pytest_tflm.report.table import as_csv

        write_whole(options.csv, as_csv(runs[-1]).encode())
        print(f"table: {options.csv}")
    if options.markdown:
        from pytest_tflm.report.markdown import as_markdown

        print(as_markdown(runs[-1]), end="")
    return 0
