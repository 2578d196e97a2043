"""A board that cannot be reached before the first test: one message ends a run of which all tests
would give the same error."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from pytest_tflm.errors import SettingsError, TflmError
from pytest_tflm.printable import PAGE, printable
from pytest_tflm.suite.state import STATE, State, settings_of

if TYPE_CHECKING:
    from pytest_tflm.runtime.spec import RuntimeSpec

_OUTPUT = "tflm_no_board"
"""What a worker of pytest-xdist hands to the process that shows the run."""


def end_without_board(session: pytest.Session) -> None:
    """Open the board that all tests of the run need. Ends the run if that fails, with pytest's
    status 2, or 4 (usage) if the port is no port's name.

    A run with a test that needs no board goes on: its other tests give the error, in full once.
    """
    option = session.config.option
    if not session.items or option.collectonly or option.setupplan or session.testsfailed:
        return
    state = session.config.stash[STATE]
    for spec in sorted(_needed_by_all(session.items, state), key=str):
        try:
            _reach(state, spec)
        except TflmError as error:
            _end(session, error)


def _needed_by_all(items: list[pytest.Item], state: State) -> set[RuntimeSpec]:
    needed = _boards_of(items[0], state)
    for item in items[1:]:
        if not needed:
            break
        needed &= _boards_of(item, state)
    return needed


def _boards_of(item: pytest.Item, state: State) -> set[RuntimeSpec]:
    """The boards without which a test can give nothing but an error."""
    from pytest_tflm.suite.collect import ReplayFile

    names = set(getattr(item, "fixturenames", ()))
    specs: list[RuntimeSpec | None] = []
    try:
        settings = settings_of(item, state)
        if names & {"_tflm_device", "tflm_kernel"} or item.getparent(ReplayFile) is not None:
            specs.append(settings.board)
        if "_tflm_reference" in names:
            specs.append(settings.reference)
    except SettingsError:  # of its marker, and the test says so
        return set()
    return {spec for spec in specs if spec is not None and spec.port}


def _reach(state: State, spec: RuntimeSpec) -> None:
    """Greet a board; the tests go on with it. Raises TflmError.

    A worker of pytest-xdist takes no real port: the tests may be given to another one.
    """
    board = state.hosts.board(spec)
    if board.is_leased and _is_worker():
        return
    if not (_is_worker() and board.is_shared):
        board.connection()
        return
    from pytest_tflm.link import check_port, ports

    if spec.port != ports.AUTO:
        check_port(spec.port)


def _is_worker() -> bool:
    """Whether pytest-xdist started this process."""
    return "PYTEST_XDIST_WORKER" in os.environ


def _end(session: pytest.Session, error: TflmError) -> None:
    message = " ".join(f"{type(error).__name__}: {error}".splitlines())
    text = (printable(message, PAGE), printable(error.details, PAGE, keep="\n"))
    status = pytest.ExitCode.INTERRUPTED
    if isinstance(error, SettingsError):
        status = pytest.ExitCode.USAGE_ERROR
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[_OUTPUT] = (*text, int(status))
    _exit(session.config, *text, status)


def end_as_worker(config: pytest.Config, output: dict[str, Any]) -> None:
    """End the run of pytest-xdist in which a worker has found no board. ``output`` is what the
    worker left."""
    if _OUTPUT in output:
        _exit(config, *output[_OUTPUT])


def _exit(config: pytest.Config, message: str, details: str, status: int) -> NoReturn:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and details:
        reporter.line("")
        for line in details.splitlines():
            reporter.line(line)
    pytest.exit(message, status)
