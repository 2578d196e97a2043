"""The pytest hooks. What they do is done elsewhere; here is only when."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_tflm.errors import (
    BaselineChanged,
    LimitMissed,
    OutputMismatch,
    SettingsError,
    TflmError,
)
from pytest_tflm.fixtures import (
    _tflm_chosen,
    _tflm_device,
    _tflm_reference,
    _tflm_subject,
    device,
    reference,
    tflm_board,
    tflm_budgets,
    tflm_compared,
    tflm_keep,
    tflm_model,
    tflm_port,
    tflm_sample,
    tflm_samples,
    tflm_settings,
    tflm_tolerance,
)
from pytest_tflm.options import OPTIONS, Option, settings_from
from pytest_tflm.suite.own_errors import told
from pytest_tflm.suite.pipeline import PIPELINE, Pipeline
from pytest_tflm.suite.state import STATE, State

if TYPE_CHECKING:
    from pytest_tflm.suite.blocks import Blocks
    from pytest_tflm.suite.collect import ModelFile, ReplayFile
    from pytest_tflm.suite.run_reports import RunReports

__all__ = [  # fixtures, for pytest to find
    "_tflm_chosen",
    "_tflm_device",
    "_tflm_reference",
    "_tflm_subject",
    "device",
    "reference",
    "tflm_board",
    "tflm_budgets",
    "tflm_compared",
    "tflm_keep",
    "tflm_model",
    "tflm_port",
    "tflm_sample",
    "tflm_samples",
    "tflm_settings",
    "tflm_tolerance",
]

_OURS = (TflmError, OutputMismatch, LimitMissed, BaselineChanged)
_REPORTING = "tflm-reporting"
_MARKER = (
    "tflm(model=, runtime=, resolver=, tolerance=, float_tolerance=, samples=, seed=): "
    "pytest-tflm settings of this test; they override the command line"
)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    from pytest_tflm.suite import hooks

    pluginmanager.add_hookspecs(hooks)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("tflm", "models on microcontrollers (pytest-tflm)")
    for option in OPTIONS:
        kind: dict[str, Any] = {"action": "append", "metavar": option.metavar}
        if not option.takes_value:
            kind = {"action": "append_const", "const": "on"}
        shown = option.help_text.replace("%", "%%")  # argparse fills in its own %(names)s
        group.addoption(option.flag, dest=option.ini, help=shown, **kind)
        if option.repeatable:
            parser.addini(option.ini, help=option.help, type="paths", default=[])
        else:
            _add_scalar(parser, option)
        if option.ini_list:
            parser.addini(option.ini_list, help=option.help, type="linelist", default=[])


def _add_scalar(parser: pytest.Parser, option: Option) -> None:
    """An ini value that may be a number or a boolean in pytest's native TOML. Text first: in an ini
    file it is always that. An older pytest takes text alone."""
    scalar: Any = str | int | float | bool
    try:
        parser.addini(option.ini, help=option.help, type=scalar, default="")
    except (AssertionError, TypeError, ValueError):
        parser.addini(option.ini, help=option.help, type="string", default="")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", _MARKER)

    def command_line(option: Option) -> list[str]:
        value: Any = config.getoption(option.ini) or []
        return [value] if isinstance(value, str) else [str(each) for each in value]

    def ini(option: Option) -> list[str]:
        try:
            value: Any = config.getini(option.ini)
        except TypeError as error:  # of a pytest whose native TOML takes text alone
            raise SettingsError(f"{error}. Write it as a string, in quotes.") from None
        if isinstance(value, bool):
            return ["on" if value else "off"]
        values = list(value) if option.repeatable or isinstance(value, list) else [value]
        if option.ini_list:
            values += config.getini(option.ini_list)
        return [text for each in values if (text := str(each))]

    try:
        settings = settings_from(command_line, ini, os.environ)
        state = State(
            settings,
            named_models(config.args),
            config.invocation_params.dir,
            lambda model: config.hook.pytest_tflm_samples(config=config, model=model),
            lambda board: config.hook.pytest_tflm_port(config=config, board=board),
            lambda board, port: (
                config.hook.pytest_tflm_reset(config=config, board=board, port=port) is True
            ),
        )
        config.stash[STATE] = state
        config.stash[PIPELINE] = Pipeline(state)
    except TflmError as error:
        raise pytest.UsageError(str(error)) from None
    config.stash[STATE].verbose = config.get_verbosity() > 0
    if not hasattr(config, "workerinput"):  # of a worker of pytest-xdist; its parent has the record
        config.pluginmanager.register(_Reporting(config), _REPORTING)


def named_models(args: Iterable[str]) -> list[Path]:
    """The .tflite files among positional arguments (``m.tflite``, ``m.tflite::test``)."""
    paths = (Path(arg.split("::")[0]) for arg in args)
    return [path for path in paths if path.suffix == ".tflite"]


def pytest_unconfigure(config: pytest.Config) -> None:
    state = config.stash.get(STATE, None)
    if state is not None:
        state.close()


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> ModelFile | ReplayFile | None:
    if file_path.suffix not in (".tflite", ".tflm-replay"):
        return None
    if not parent.session.isinitpath(file_path):
        return None
    from pytest_tflm.suite.collect import ModelFile, ReplayFile

    kind = ModelFile if file_path.suffix == ".tflite" else ReplayFile
    return kind.from_parent(parent, path=file_path)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(session: pytest.Session, items: list[pytest.Item]) -> None:
    state = session.config.stash[STATE]
    if state.models and state.settings.suite:
        from pytest_tflm.suite.collect import add_suite

        add_suite(session, items, state.models)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if not {"tflm_board", "tflm_model"}.isdisjoint(metafunc.fixturenames):
        from pytest_tflm.suite.collect import parametrize

        parametrize(metafunc)


def pytest_report_collectionfinish(
    config: pytest.Config, items: list[pytest.Item]
) -> list[str] | None:
    used = {name for item in items for name in getattr(item, "fixturenames", ())}
    if config.getoption("collectonly") or not {"device", "_tflm_device", "tflm_kernel"} & used:
        return None
    lines: list[str] = []
    with told("the header", lambda text: lines.append(f"tflm: note: {text}")):
        from pytest_tflm.report.header import fitted, header_lines

        state = config.stash[STATE]
        reporter = config.pluginmanager.get_plugin("terminalreporter")
        state.show_progress(reporter, config)
        for board in state.settings.boards or ("",):
            state.port(board)
        models, settings = list(state.models.values()), state.settings
        looked_at = models if {"_tflm_device", "_tflm_reference", "tflm_samples"} <= used else []
        notes = [note for model in looked_at for note in state.survey(model, settings).notes]
        lines += header_lines(settings, state.hosts, models, notes)
        if reporter is not None and reporter.isatty:  # else they are for grep
            lines = fitted(lines, config.get_terminal_writer().fullwidth)
    return lines


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    item.config.stash[PIPELINE].begin(item, nextitem)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    from pytest_tflm.suite.start import end_without_board

    end_without_board(session)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:  # of pytest-xdist
    from pytest_tflm.suite.start import end_as_worker

    end_as_worker(node.config, getattr(node, "workeroutput", None) or {})


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    if nextitem is None:
        item.config.stash[STATE].give_back()


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    resets = pyfuncitem.config.stash[STATE].resets
    return (yield from resets.around(pyfuncitem))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    excinfo = call.excinfo
    is_ours = excinfo is not None and isinstance(excinfo.value, _OURS)
    if excinfo is not None and is_ours:
        # pytest would parse the source of each frame, for a text that is replaced below.
        traceback = excinfo.traceback
        excinfo.traceback = traceback[:0]
        report = yield
        excinfo.traceback = traceback
    else:
        report = yield
    state = item.config.stash[STATE]

    def note(text: str) -> None:
        report.sections.append(("tflm: note", text))

    # Imports fail as well, where there are no file descriptors left.
    if report.when == "call" and state.is_used:
        item.config.stash[PIPELINE].called(item)
        with told("describing the board", note):
            from pytest_tflm.suite.outcome import add_versions

            add_versions(item, report, state)
    if excinfo is not None and (is_ours or state.comparison is not None):
        with told("describing this error", note):
            from pytest_tflm.suite.outcome import describe

            describe(item, excinfo, report, state)
        state.comparison = None
    if state.is_used and (report.when == "call" or report.failed):
        from pytest_tflm.suite.outcome import attach

        with told("the report to another plugin", note):
            attach(item, report)
    if state.models or state.is_used:
        with told("the run's record", note):
            from pytest_tflm.suite.outcome import add_facts

            add_facts(item, excinfo, report, state)
    return report


class _Reporting:
    """The hooks that make the record of the run, in the process that has all tests' reports."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._state = config.stash[STATE]
        self._reports: RunReports | None = None
        self.files: list[str] = []
        """A line for each file that was written."""
        self.blocks: Blocks | None = None
        """While the terminal's summary is written: what is told in blocks."""

    @property
    def reports(self) -> RunReports:
        if self._reports is None:
            from pytest_tflm.suite.run_reports import RunReports

            invocation = self._config.invocation_params
            arguments = [str(each) for each in invocation.args]
            self._reports = RunReports(self._state.settings, invocation.dir, arguments)
        return self._reports

    def pytest_sessionstart(self) -> None:
        settings = self._state.settings
        if settings.json is not None or settings.csv is not None or settings.html is not None:
            try:
                _ = self.reports
            except TflmError as error:
                raise pytest.UsageError(str(error)) from None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if hasattr(report, "tflm_model_key"):
            self.reports.take(report)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter, exitstatus: int
    ) -> Generator[None]:
        if self._reports is None:
            yield
            return
        from pytest_tflm.suite.blocks import in_blocks

        level = self._state.verdict_level
        with in_blocks(terminalreporter, self._reports, level) as self.blocks:
            yield

    def pytest_sessionfinish(self, exitstatus: int | pytest.ExitCode) -> None:
        if self._reports is not None:
            from pytest_tflm.report.summary import link_lines

            links = self._state.links
            words = "; ".join(link_lines(links)) if links else None
            self.files = [*self._reports.finish(int(exitstatus), words), *self._reports.notes]

    def grid_lines(self, reporter: pytest.TerminalReporter) -> list[str]:
        """Boards side by side, in a run of which they have names."""
        if self._reports is None:
            return []
        from pytest_tflm.report.boards import grid_lines, side_by_side

        grid = side_by_side(self._reports.run)
        width = reporter.config.get_terminal_writer().fullwidth
        return [] if grid is None else grid_lines(grid, width)

    def pytest_unconfigure(self) -> None:
        if self._reports is not None:
            self._reports.close()


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    if report.failed and report.when == "call" and getattr(report, "tflm_error", False):
        return "error", "E", "ERROR"
    return None


def pytest_assertrepr_compare(
    config: pytest.Config, op: str, left: object, right: object
) -> list[str] | None:
    kinds = {type(left).__name__, type(right).__name__}
    if op != "==" or not ("Within" in kinds or kinds == {"Outputs"}):
        return None
    lines: list[str] = []
    with told("comparing these outputs", lambda text: lines.extend(text.splitlines())):
        from pytest_tflm.compare.within import compared
        from pytest_tflm.compare.words import headline

        comparison = compared(left, right)
        if comparison is not None:
            config.stash[STATE].comparison = comparison
            lines += headline(comparison)
    return lines or None


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    with told("the summary", terminalreporter.line):
        _summarise(terminalreporter, config)


def _summarise(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    reporting: Any = config.pluginmanager.get_plugin(_REPORTING)
    blocks: Blocks | None = reporting.blocks
    if blocks is not None:
        blocks.give_back(only_users=True)
    in_blocks = blocks.hidden if blocks is not None else []
    properties: list[dict[str, Any]] = [
        dict(report.user_properties)
        for reports in [*terminalreporter.stats.values(), in_blocks]
        for report in reports
        if getattr(report, "when", None) == "call" and report.user_properties
        if not hasattr(report, "context")  # a subtest has those of its test
    ]
    told = {"tflm_model", "tflm_verdict", "tflm_replay", "tflm_metrics", "tflm_baseline"}
    told.add("tflm_reset")
    compared = [found for found in properties if told & found.keys()]
    state = config.stash.get(STATE, None)
    verbose = config.get_verbosity() > 0
    links = state.links if state is not None and verbose else {}
    key = "tflm_operator_times"
    times = [found[key] for found in properties if key in found and verbose]
    files = reporting.files
    grid = reporting.grid_lines(terminalreporter)
    if compared or links or files:
        from pytest_tflm.report.summary import summary_lines

        terminalreporter.section("tflm")
        for line in [*grid, *summary_lines(compared, links, times), *files]:
            terminalreporter.line(line)
