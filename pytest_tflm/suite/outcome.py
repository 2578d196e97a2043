"""How an error of ours stands in a test's report: its name and text, and where the test was."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from pytest_tflm.errors import BaselineChanged, LimitMissed, OutputMismatch, TflmError
from pytest_tflm.printable import PAGE, printable
from pytest_tflm.record.facts import finite
from pytest_tflm.suite.own_errors import told
from pytest_tflm.suite.state import State, settings_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

_KNOWN_WIDTH = 110
_DETAILS, _WHAT, WHY = "tflm: details", "tflm: comparison", "tflm: why"
_LONGEST_SECTION = 1 << 16
_SAID = (OutputMismatch, LimitMissed, BaselineChanged)
"""Failures whose text says all: they are shown without a traceback."""


def describe(
    item: pytest.Item,
    excinfo: pytest.ExceptionInfo[BaseException],
    report: pytest.TestReport,
    state: State,
) -> None:
    """Put into the report of a failed test what this package knows of it. What breaks in here is
    one more section; the outcome, and what was put there before, stay."""

    def note(text: str) -> None:
        _add(report, "tflm: note", text)

    error = excinfo.value
    if isinstance(error, (TflmError, *_SAID)):
        text = printable(f"{type(error).__name__}: {error}", PAGE, keep="\n")
        _record(item, report, "tflm_error", text)
    if isinstance(error, TflmError):
        report.tflm_error = True  # type: ignore[attr-defined]
        with told("describing this error", note):
            _describe_error(item, excinfo, error, report, state)
    else:
        _describe_mismatch(item, excinfo, report, state, note)
    if _is_line(item):  # pytest would put the sections between its lines
        report.sections = [
            each for each in report.sections if each[0] not in (_DETAILS, _WHAT, WHY)
        ]


def add_versions(item: pytest.Item, report: pytest.TestReport, state: State) -> None:
    """What ran a test, for reports that are read elsewhere: the board and the versions of all that
    is open. Asks nobody who is not open already."""
    if not {"_tflm_device", "_tflm_reference"} & getattr(item, "funcargs", {}).keys():
        return

    def note(text: str) -> None:
        report.sections.append(("tflm: note", text))

    with told("describing the board", note):
        settings = settings_of(item, state)
        board = state.board(settings)
        if board is not None and board.identity is not None:
            _record(item, report, "tflm_board", board.identity.describe())
        if settings.board_name:
            _record(item, report, "tflm_board_name", settings.board_name)
        versions = state.hosts.versions()
        words = ", ".join(f"{name} {version}" for name, version in versions.items())
        _record(item, report, "tflm_versions", printable(words, PAGE))


def attach(item: pytest.Item, report: pytest.TestReport) -> None:
    """Give Allure and pytest-html what stands in the report and they do not read by themselves."""
    ours = [(n, value) for n, value in report.user_properties if n.startswith("tflm_")]
    figures = "\n".join(f"{name}: {value}" for name, value in ours)
    plugins = item.config.pluginmanager
    if plugins.has_plugin("allure_listener"):
        import allure

        texts = [("tflm", figures)] if figures else []
        texts += [each for each in report.sections if each[0].startswith("tflm: ")]
        for title, text in texts:
            allure.attach(text, name=title, attachment_type=allure.attachment_type.TEXT)
    if plugins.has_plugin("html") and figures:  # it shows sections, and no properties
        import html

        import pytest_html

        shown: Any = report
        made = pytest_html.extras.html(f"<pre>{html.escape(figures)}</pre>")
        shown.extras = [*getattr(report, "extras", []), made]


def add_facts(
    item: pytest.Item,
    excinfo: pytest.ExceptionInfo[BaseException] | None,
    report: pytest.TestReport,
    state: State,
) -> None:
    """Give the report what it carries into the record of the run: which model it is about, what was
    found out in it, and whether it is told with others of its model."""
    from pytest_tflm.record.facts import key_of
    from pytest_tflm.suite.collect import ModelFile

    file = item.getparent(ModelFile)
    model = getattr(item, "funcargs", {}).get("tflm_model")
    if model is None and file is not None:
        model = state.open(file.path)
    if model is None:
        return
    carried: Any = report
    board = ""
    if state.is_used:
        with contextlib.suppress(TflmError):  # of samples that cannot be read, which the test says
            settings = settings_of(item, state)
            state.facts.describe(model, settings)
            state.facts.board(state.board(settings), state.hosts.versions())
            board = settings.board_name
    key = carried.tflm_model_key = key_of(model, board)
    carried.tflm_facts = state.facts.take()
    if excinfo is not None and isinstance(excinfo.value, OutputMismatch):
        carried.tflm_more = printable(excinfo.value.more, _LONGEST_SECTION, keep="\n")
    if file is not None and report.when == "call" and report.failed:
        carried.tflm_block = "" if getattr(report, "tflm_error", False) else key
        carried.tflm_apart = None  # the suite's are told by their model


def _describe_mismatch(
    item: pytest.Item,
    excinfo: pytest.ExceptionInfo[BaseException],
    report: pytest.TestReport,
    state: State,
    note: Callable[[str], None],
) -> None:
    error, comparison = excinfo.value, state.comparison
    compared = comparison or getattr(error, "comparison", None)
    if compared is not None:
        size = max(float(compared.largest_lsb), finite(compared.largest_float) or 0.0)
        report.tflm_apart = size  # type: ignore[attr-defined]
    if isinstance(error, _SAID):
        with told("describing this mismatch", note):
            report.longrepr = _without_traceback(item, excinfo, error)
    if isinstance(error, AssertionError) and comparison is not None:
        with told("describing this comparison", note):
            from pytest_tflm.compare.words import comparison_lines

            _add(report, _WHAT, "\n".join(comparison_lines(comparison)))
    if isinstance(error, LimitMissed | BaselineChanged):
        return  # what differs is no output of this run
    with told("explaining this test", note):
        _add_verdict(item, report, state, getattr(error, "sample", None))


def _describe_error(
    item: pytest.Item,
    excinfo: pytest.ExceptionInfo[BaseException],
    error: TflmError,
    report: pytest.TestReport,
    state: State,
) -> None:
    error = state.hosts.note(error)
    is_known = not state.first_time(error)
    report.longrepr = _without_traceback(item, excinfo, error, is_known)
    if is_known:
        return
    if error.details:
        _add(report, _DETAILS, error.details)
    _add_page(report, error)


def _record(item: pytest.Item, report: pytest.TestReport, name: str, value: str) -> None:
    """A property of the test: of this report, and of the last one, which JUnit reads."""
    for properties in (item.user_properties, report.user_properties):
        if (name, value) not in properties:  # the reports of subtests have them too
            properties.append((name, value))


def _add(report: pytest.TestReport, title: str, text: str) -> None:
    report.sections.append((title, printable(text, _LONGEST_SECTION, keep="\n")))


def _without_traceback(
    item: pytest.Item,
    excinfo: pytest.ExceptionInfo[BaseException],
    error: BaseException,
    is_known: bool = False,
) -> Any:
    """What is shown of ``error`` in place of a traceback through this package: ``Name: message``,
    and the line of the test file that was reached if there is one.

    ``error`` is what ``excinfo`` holds, or what is known better since. One that ``is_known`` from a
    test before is cut to its first line.
    """
    message = printable(f"{type(error).__name__}: {error}", _LONGEST_SECTION, keep="\n")
    reached = [entry for entry in excinfo.traceback if entry.path == item.path]
    path, line = str(item.path), reached[-1].lineno + 1 if reached else 0
    lines = message.splitlines()
    if is_known:
        lines = [f"{lines[0][:_KNOWN_WIDTH]}{' …' * (len(message) > _KNOWN_WIDTH)} (as before)"]
    shown = excinfo.getrepr(style="value", chain=False)
    entry: Any = shown.reprtraceback.reprentries[-1]
    entry.lines[:] = [] if _is_line(item) else [f"E   {each}" for each in lines]
    if reached and not _is_line(item):
        entry.lines += ["", f"{path}:{line}"]
    if shown.reprcrash is not None:
        shown.reprcrash.path, shown.reprcrash.lineno = path, line
        shown.reprcrash.message = message
    return shown


def _is_line(item: pytest.Item) -> bool:
    """Whether pytest writes where and what by itself, in one line a test."""
    return bool(item.config.getoption("tbstyle") == "line")


def _add_verdict(
    item: pytest.Item, report: pytest.TestReport, state: State, sample: object = None
) -> None:
    """Say in the report of a test whose outputs differ why they do. ``sample`` is the input that
    they differ for, where that is none of the model's samples."""
    values = getattr(item, "funcargs", {})
    model = values.get("tflm_model")
    has_board = not {"device", "_tflm_device"}.isdisjoint(values)
    if model is None or not has_board or item.get_closest_marker("xfail") is not None:
        return  # nobody asks why a test fails that is expected to
    settings = settings_of(item, state)
    samples = state.survey(model, settings).samples
    failed = getattr(item, "callspec", None)
    number = failed.params.get("tflm_sample", -1) if failed is not None else -1
    try:
        found = state.verdicts.section(
            report.nodeid, model, settings, samples, number, sample, state.verdict_level
        )
    except KeyboardInterrupt:
        # The test has failed, and that is not lost: pytest ends after it.
        found = ("interrupted", "interrupted")
        item.session.shouldstop = (
            "interrupted during the verdict (disable it with --tflm-verdict=off)"
        )
    if found is not None:
        section, line = found
        _add(report, WHY, section)
        _record(item, report, "tflm_verdict", f"{settings.title(model.name)}: {line}")


def _add_page(report: pytest.TestReport, error: TflmError) -> None:
    """Name the page that is about an error, if there is one."""
    from pytest_tflm.verdict.causes import page_of

    name = page_of(error)
    if name is not None:
        text = f"more: pytest-tflm explain {name} (docs/causes/{name}.md)"
        report.sections.append((WHY, text))
