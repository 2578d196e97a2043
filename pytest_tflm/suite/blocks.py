"""One block for each failing model, in the place of a section for each of its tests."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from pytest_tflm.errors import BaselineChanged, LimitMissed
from pytest_tflm.report.block import Failure, Line, block_lines
from pytest_tflm.report.figures import title_of

if TYPE_CHECKING:
    from pytest_tflm.suite.run_reports import RunReports

_LOOKS: dict[str, dict[str, bool]] = {
    "answer": {"red": True, "bold": True},
    "cause": {"bold": True},
    "plain": {},
}
_VERY_VERBOSE = 2
_SEARCHES = ("test_fuzz", "test_kernel")
"""Tests whose failures tell what they found."""


class _Crash:
    """What pytest's short summary reads of a failure."""

    def __init__(self, path: str, message: str) -> None:
        self.path, self.lineno, self.message = path, 0, message

    def __str__(self) -> str:
        return f"{self.path}:{self.lineno}: {self.message}"


class _Block:
    """In the place of a traceback."""

    def __init__(self, path: str, lines: list[Line]) -> None:
        self._lines = lines
        self.reprcrash = _Crash(path, lines[0].text)

    def toterminal(self, writer: Any) -> None:
        for line in self._lines:
            writer.line(line.text, **_LOOKS[line.look])

    def __str__(self) -> str:
        return "\n".join(line.text for line in self._lines)


@contextlib.contextmanager
def in_blocks(
    reporter: pytest.TerminalReporter, reports: RunReports, level: str
) -> Iterator[list[Any]]:
    """While the block lasts, the terminal reporter has one failed test for each model. With ``-vv``
    it has all. Gives the reports that it does not have."""
    failed = reporter.stats.get("failed", [])
    groups: dict[str, list[Any]] = {}
    if reporter.config.get_verbosity() < _VERY_VERBOSE:
        for report in failed:
            key = getattr(report, "tflm_block", None)
            if key is not None and reports.record.model(key) is not None:
                groups.setdefault(key, []).append(report)
    if not groups:
        yield []
        return
    merged = {key: _merged(reporter, reports, key, group, level) for key, group in groups.items()}
    shown = []
    for report in failed:
        key = getattr(report, "tflm_block", None)
        if key not in groups:
            shown.append(report)
        elif report is groups[key][0]:
            shown.append(merged[key])
    reporter.stats["failed"] = shown
    try:
        yield [report for group in groups.values() for report in group]
    finally:
        reporter.stats["failed"] = failed


def _merged(
    reporter: pytest.TerminalReporter,
    reports: RunReports,
    key: str,
    group: list[Any],
    level: str,
) -> Any:
    model = reports.record.model(key)
    assert model is not None
    # A subtest is one of the samples.
    failures = [_failure(each) for each in group if not hasattr(each, "context")]
    width = reporter.config.get_terminal_writer().fullwidth
    lines = block_lines(
        reports.run, model, failures, width=width, level=level, written=reports.names
    )
    file = group[0].nodeid.split("::")[0]
    names = {each.nodeid.split("::")[-1].partition("[")[0] for each in group}
    name = names.pop() if len(names) == 1 else ""
    return pytest.TestReport(
        nodeid=f"{file}::{name}" if name else file,
        location=(group[0].location[0], 0, f"{title_of(model)}: {len(failures)} failed"),
        keywords={},
        outcome="failed",
        longrepr=_Block(file, lines),  # type: ignore[arg-type]
        when="call",
    )


def _failure(report: Any) -> Failure:
    """What a failed test said: of a sample what is not in the table of samples."""
    message = getattr(getattr(report.longrepr, "reprcrash", None), "message", None)
    first, *more = str(message or report.longrepr or "").splitlines() or [""]
    name, colon, text = first.partition(": ")
    text = text if colon else first
    test = report.nodeid.split("::")[-1].partition("[")[0]
    says_all = name in (LimitMissed.__name__, BaselineChanged.__name__) or test in _SEARCHES
    if says_all:
        return Failure(report.nodeid, text, tuple(more), True)
    said = getattr(report, "tflm_more", "").strip().splitlines()
    return Failure(report.nodeid, text, tuple(more), False, tuple(said))
