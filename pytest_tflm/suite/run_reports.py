"""The record of the run, and the reports made from it: in the process that pytest's user sees."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_tflm.errors import RecordError
from pytest_tflm.printable import printable
from pytest_tflm.record.facts import fact, now, run_info
from pytest_tflm.record.journal import Journal
from pytest_tflm.record.run_record import RunRecord
from pytest_tflm.suite.own_errors import told
from pytest_tflm.whole_file import write_whole

if TYPE_CHECKING:
    from pytest_tflm.options import Settings
    from pytest_tflm.record.run_record import Run

SUMMARY_FILE = "GITHUB_STEP_SUMMARY"


class RunReports:
    """Takes the facts that tests' reports carry. Made for a run that uses this package. Raises
    SettingsError where ``--tflm-html`` was given and its packages are missing."""

    def __init__(self, settings: Settings, directory: Path, arguments: list[str]) -> None:
        self._settings = settings
        self._directory = directory
        self.record = RunRecord(run_info(arguments, directory))
        self._journal: Journal | None = None
        self._seen: set[str] = set()
        if settings.html is not None:  # now, and not at the end of a long run
            from pytest_tflm.report.html import require_packages

            require_packages()
        self.notes: list[str] = []
        """What went wrong with the record or a report; the run went on."""
        if settings.json is not None:
            with told("the run's record", self.notes.append):
                self._journal = Journal(directory / settings.json, self.record)

    @property
    def run(self) -> Run:
        return self.record.run

    @property
    def names(self) -> list[str]:
        """The files that hold, or will hold, all samples."""
        chosen = (self._settings.html, self._settings.csv, self._settings.json)
        return [str(path) for path in chosen if path is not None]

    def take(self, report: pytest.TestReport) -> None:
        """Add what a test's report says."""
        carried: Any = report
        for each in getattr(report, "tflm_facts", ()):
            self.add(each)
        carried.tflm_facts = []  # pytest keeps all reports to the end
        test = _test_of(report)
        if test is not None and (report.nodeid not in self._seen or test["outcome"] == "error"):
            self._seen.add(report.nodeid)
            self.add(fact("test", test))

    def add(self, each: dict[str, Any]) -> None:
        """Add a fact."""
        with told("the run's record", self._note_once):
            self.record.add(each)
            if self._journal is not None:
                self._journal.add(each)

    def _note_once(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def finish(self, status: int, link: str | None) -> Iterator[str]:
        """End the record and write what was asked for. Gives a line for each file."""
        if link is not None:
            self.add(fact("link", link))
        self.add(fact("end", {"finished": now(), "status": status}))
        if self._journal is not None:
            journal = self._journal
            with told("the run's record", self._note_once):
                journal.finish()
                yield f"record: {journal.path}"
        settings = self._settings
        makers: tuple[tuple[str, Path | None, Callable[[Run], str]], ...] = (
            ("table", settings.csv, _csv),
            ("page", settings.html, _html),
        )
        for what, name, make in makers:
            if name is not None:
                with told(f"the {what} {printable(str(name))}", self._note_once):
                    path = self._directory / name
                    made = make(self.run).encode()
                    try:
                        path.parent.mkdir(parents=True, exist_ok=True)
                        write_whole(path, made)
                    except OSError as error:
                        why = error.strerror or error
                        raise RecordError(f"it cannot be written: {why}") from None
                    yield f"{what}: {path}"
        self._write_summary()

    def _write_summary(self) -> None:
        name = os.environ.get(SUMMARY_FILE)
        if name and self.run["models"]:
            from pytest_tflm.report.markdown import as_markdown

            with told(f"${SUMMARY_FILE}", self._note_once), Path(name).open("a") as file:
                file.write(as_markdown(self.run))

    def close(self) -> None:
        """Leave the record as it is."""
        if self._journal is not None:
            self._journal.close()


def _csv(run: Run) -> str:
    from pytest_tflm.report.table import as_csv

    return as_csv(run)


def _html(run: Run) -> str:
    from pytest_tflm.report.html import as_html

    return as_html([run])


def _test_of(report: pytest.TestReport) -> dict[str, Any] | None:
    """What a report says of its test; None for a phase that says nothing, and for others' tests."""
    model = getattr(report, "tflm_model_key", None)
    is_subtest = hasattr(report, "context")  # its test says the same
    if model is None or is_subtest or (report.when != "call" and report.passed):
        return None
    outcome = report.outcome
    xfail = hasattr(report, "wasxfail")
    is_broken = report.failed and (report.when != "call" or getattr(report, "tflm_error", False))
    words = getattr(getattr(report.longrepr, "reprcrash", None), "message", None)
    first = words.splitlines()[0] if words else None
    cause = _class_of(first) if first and report.failed else None
    return {
        "test": report.nodeid,
        "outcome": {"skipped": "xfailed", "passed": "xpassed"}.get(outcome, outcome)
        if xfail
        else "error"
        if is_broken
        else outcome,
        "seconds": round(report.duration, 6),
        "model": model or None,
        "cause": cause,
        "error": first if report.failed else None,
    }


def _class_of(message: str) -> str | None:
    """The class of what a test failed with: pytest leaves out that of a plain ``assert``."""
    name, colon, _ = message.partition(":")
    if colon and name.replace(".", "_").isidentifier():
        return name
    return "AssertionError" if message.startswith("assert ") else None


REPORTS = pytest.StashKey[RunReports]()


def reports_of(config: pytest.Config, make: Callable[[], RunReports]) -> RunReports:
    """The run's reports, made by ``make`` when they are first needed."""
    found = config.stash.get(REPORTS, None)
    if found is None:
        found = config.stash[REPORTS] = make()
    return found


def is_worker(config: pytest.Config) -> bool:
    """Whether this process is one of pytest-xdist's workers, whose reports another one takes."""
    return hasattr(config, "workerinput")
