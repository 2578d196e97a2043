"""One block for each failing model, in the place of a section for each of its tests; and one
section for a user's own test that fails in the same place for many samples."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_tflm.errors import BaselineChanged, LimitMissed
from pytest_tflm.report.block import Failure, Line, block_lines
from pytest_tflm.report.figures import title_of
from pytest_tflm.suite.outcome import WHY
from pytest_tflm.suite.verdicts import AS_SHOWN

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
_WORST = 10
"""Failures of a user's test that have a line each, beside the one that is shown in full."""


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


class Blocks:
    """What the terminal reporter has in the place of failed tests."""

    def __init__(self, reporter: pytest.TerminalReporter) -> None:
        self._reporter = reporter
        self._failed = list(reporter.stats.get("failed", []))
        self._in_place: dict[int, list[Any]] = {}
        self._of_users: set[int] = set()

    def replace(self, group: list[Any], shown: list[Any], is_users: bool = False) -> None:
        """Show ``shown`` in the place of the first of ``group``, and none of the others."""
        for report in group:
            self._in_place[id(report)] = shown if report is group[0] else []
            if is_users:
                self._of_users.add(id(report))

    @property
    def hidden(self) -> list[Any]:
        """The failed tests that the reporter does not have."""
        shown = {id(each) for each in self._shown()}
        return [each for each in self._failed if id(each) not in shown]

    def show(self) -> None:
        """Let the reporter have them."""
        if self._failed:
            self._reporter.stats["failed"] = self._shown()

    def _shown(self) -> list[Any]:
        found = (self._in_place.get(id(each), [each]) for each in self._failed)
        return [each for some in found for each in some]

    def give_back(self, only_users: bool = False) -> None:
        """Let the reporter have all failed tests again; with ``only_users`` those of users' own
        test functions, which have a line each in the short summary."""
        gone = self._of_users if only_users else set(self._in_place)
        self._in_place = {k: v for k, v in self._in_place.items() if k not in gone}
        self.show()


@contextlib.contextmanager
def in_blocks(
    reporter: pytest.TerminalReporter, reports: RunReports, level: str
) -> Iterator[Blocks]:
    """While the block lasts, the terminal reporter has one failed test for each model, and one for
    those of a user's test that failed alike. With ``-vv`` it has all."""
    blocks = Blocks(reporter)
    if reporter.config.get_verbosity() < _VERY_VERBOSE:
        groups: dict[str, list[Any]] = {}
        alike: dict[tuple[object, ...], list[Any]] = {}
        for report in reporter.stats.get("failed", []):
            key = getattr(report, "tflm_block", None)
            if key is not None and reports.record.model(key) is not None:
                groups.setdefault(key, []).append(report)
            elif getattr(report, "tflm_apart", None) is not None and not _is_subtest(report):
                alike.setdefault(_place(report), []).append(report)
        for key, group in groups.items():
            blocks.replace(group, [_merged(reporter, reports, key, group, level)])
        if reporter.config.getoption("tbstyle") != "line":
            for group in alike.values():
                if len(group) > 1:
                    blocks.replace(group, _of_user(reporter, group), is_users=True)
    blocks.show()
    try:
        yield blocks
    finally:
        blocks.give_back()


def _is_subtest(report: Any) -> bool:
    return hasattr(report, "context")


def _place(report: Any) -> tuple[object, ...]:
    """Where a user's test failed, and with which model."""
    crash = getattr(report.longrepr, "reprcrash", None)
    where = (crash.path, crash.lineno) if crash is not None else (report.nodeid,)
    return (_test_of(report), getattr(report, "tflm_model_key", None), *where)


def _test_of(report: Any) -> str:
    """The name of a test without its parameters."""
    path, colons, name = report.nodeid.partition("::")
    return f"{path}{colons}{name.partition('[')[0]}"


def _of_user(reporter: pytest.TerminalReporter, group: list[Any]) -> list[Any]:
    """One of a user's failures in full, as pytest shows it, and the largest of the others in a line
    each, with what they say."""
    full = next(filter(_explains, group), group[0])
    others = [each for each in group if each is not full]
    worst = sorted(others, key=lambda each: -each.tflm_apart)[:_WORST]
    width = reporter.config.get_terminal_writer().fullwidth
    crash = full.longrepr.reprcrash
    where = f"{Path(crash.path).name}:{crash.lineno}"
    some = "" if len(worst) == len(others) else f"; the {len(worst)} largest differences"
    lines = [f"{len(others)} more failed at {where}{some}:"]
    lines += [f"  {_parameters(each)} {_message(each)}"[:width] for each in worst]
    lines.append(f"in full: -vv, or pytest {worst[0].nodeid!r}")
    name = _test_of(full).rpartition("::")[2]
    rest = pytest.TestReport(
        nodeid=_test_of(full),
        location=(full.location[0], 0, f"{name}: {len(others)} more"),
        keywords={},
        outcome="failed",
        longrepr=_Block(full.location[0], [Line(each) for each in lines]),  # type: ignore[arg-type]
        when="call",
    )
    return [full, rest]


def _explains(report: Any) -> bool:
    """Whether a report holds the verdict, and not only where it is."""
    return any(title == WHY and not text.startswith(AS_SHOWN) for title, text in report.sections)


def _parameters(report: Any) -> str:
    return str(report.nodeid)[len(_test_of(report)) :] or report.nodeid


def _message(report: Any) -> str:
    """What a user's test said, in one line."""
    crash = getattr(report.longrepr, "reprcrash", None)
    said = str(crash.message if crash is not None else report.longrepr).splitlines() or [""]
    return said[0]


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
    failures = [_failure(each) for each in group if not _is_subtest(each)]
    width = reporter.config.get_terminal_writer().fullwidth
    lines = block_lines(
        reports.run, model, failures, width=width, level=level, written=reports.names
    )
    file = group[0].nodeid.split("::")[0]
    names = {_test_of(each).split("::")[-1] for each in group}
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
    test = _test_of(report).split("::")[-1]
    says_all = name in (LimitMissed.__name__, BaselineChanged.__name__) or test in _SEARCHES
    if says_all:
        return Failure(report.nodeid, text, tuple(more), True)
    said = getattr(report, "tflm_more", "").strip().splitlines()
    return Failure(report.nodeid, text, tuple(more), False, tuple(said))
