"""The stand-ins that make a pytest run or a command cheap enough to have hundreds of them.

:class:`Kept` lends interpreters' processes and simulated boards: who closes one hands it back, and
the next user gets it as new. Starting them is what most tests of the plugin would spend their time
on. :class:`InProcess` runs pytest and ``pytest-tflm`` in the process of the test.

This is the only file that knows where the package starts processes.
"""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import pkgutil
import time
import traceback
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import pytest_tflm
from pytest_tflm.runtime import worker
from pytest_tflm.simulator.board import launch
from pytest_tflm.simulator.board.spec import SimulatorSpec, require_simulator
from tests.processes import Finished, outcomes

EDITABLE = "ignore:Module already imported so cannot be rewritten:pytest.PytestAssertRewriteWarning"
"""Of scikit-build-core's editable installation; no user sees it."""

_LONGEST_GOODBYE = 5.0
"""Seconds that a process may take to finish what its last user began; it is ended after that."""


class _KeptProcess(worker._Process):
    """A worker's process that goes back to where it was lent from, if it is as new."""

    give_back: Callable[[_KeptProcess], None]

    def stop(self) -> None:
        if self._is_as_new():
            self.finalizer = None
            self.give_back(self)
        else:
            self.end()

    def end(self) -> None:
        super().stop()

    def _is_as_new(self) -> bool:
        self.guard.deadline = time.monotonic() + _LONGEST_GOODBYE
        try:
            self.requests.write(pickle.dumps((0, "forget", ()), protocol=5))
            self.requests.flush()
            number, status, is_new = -1, "", False
            while number != 0:  # replies that the last user did not wait for come before it
                number, status, is_new = pickle.load(self.replies)
            return status == "value" and bool(is_new)
        except (EOFError, OSError, ValueError, pickle.UnpicklingError):
            return False
        finally:
            self.guard.deadline = None


class _KeptBoard:
    """A simulated board that stays when it is closed. All else is the real one's."""

    def __init__(self, real: launch.Simulator) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def close(self) -> None:
        pass


class Kept:
    """Interpreters' processes and simulated boards that are used again.

    A board with a defect or a bad line is never kept: what it does depends on what it did before.
    """

    def __init__(self) -> None:
        self._idle: dict[float, list[_KeptProcess]] = {}
        self._boards: dict[str, launch.Simulator] = {}
        self._start_process = worker._Process
        self._start_board = launch.start

    def process(self, target: str, timeout: float) -> worker._Process:
        """In the place of a worker's process."""
        if target != worker.INTERPRETERS:
            return self._start_process(target, timeout)
        idle = self._idle.setdefault(timeout, [])
        while idle:
            process = idle.pop()
            if process.popen.poll() is None:
                return process
            process.end()
        process = _KeptProcess("tests.kept_interpreters:KeptInterpreters", timeout)
        process.give_back = idle.append
        return process

    def board(self, spec: str) -> Any:
        """In the place of ``launch.start``."""
        parsed = SimulatorSpec.parse(spec)
        require_simulator()
        if "defect=" in spec or "faults=" in spec:
            return self._start_board(spec)
        board = self._boards.get(str(parsed))
        if board is None or board.exit_description() is not None:
            board = self._boards[str(parsed)] = self._start_board(spec)
        return _KeptBoard(board)

    def close(self) -> None:
        """End all of them."""
        for processes in self._idle.values():
            for process in processes:
                process.end()
        for board in self._boards.values():
            board.close()


@pytest.fixture(scope="session")
def _kept() -> Iterator[Kept]:
    """One for each process that runs tests."""
    kept = Kept()
    yield kept
    kept.close()


@pytest.fixture
def kept(_kept: Kept, monkeypatch: pytest.MonkeyPatch) -> Kept:
    """The test's interpreters and simulated boards are borrowed, and not started for it."""
    monkeypatch.setattr(worker, "_Process", _kept.process)
    monkeypatch.setattr(launch, "start", _kept.board)
    return _kept


@pytest.fixture(scope="session")
def _whole_package() -> None:
    """All modules of the package are imported: what an inner run imports is forgotten after it, and
    would be another module in the next, with other classes."""
    for module in pkgutil.walk_packages(pytest_tflm.__path__, "pytest_tflm."):
        if not module.name.endswith(("__main__", "worker_main")):
            with contextlib.suppress(ImportError):  # what is not for this machine
                import_module(module.name)
    import_module("serial.urlhandler.protocol_socket")


class InProcess:
    """Runs pytest and ``pytest-tflm`` in this process, in an empty folder."""

    def __init__(self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory: Path = pytester.path
        self._pytester = pytester
        self._monkeypatch = monkeypatch

    def pytest(
        self, *words: str | os.PathLike[str], cache: bool = False, **environment: str
    ) -> Finished:
        """Run pytest to its end, without what the repository's own configuration says."""
        words = ("-p", "no:xdist", *(() if cache else ("-p", "no:cacheprovider")), *words)
        with self._environment(environment):
            done = self._pytester.runpytest_inprocess(*words)
        output = "\n".join((*done.outlines, *done.errlines))
        return Finished(int(done.ret), output, outcomes(output))

    def pytest_tflm(self, *words: str | os.PathLike[str], **environment: str) -> Finished:
        """Run a subcommand of ``pytest-tflm`` to its end."""
        from pytest_tflm import cli

        output = io.StringIO()
        with (
            self._environment(environment),
            contextlib.redirect_stdout(output),
            contextlib.redirect_stderr(output),
        ):
            try:
                status = cli.main([os.fspath(word) for word in words])
            except SystemExit as end:
                status = int(end.code or 0)
            except Exception:
                traceback.print_exc()
                status = 1
        return Finished(status, output.getvalue())

    @contextlib.contextmanager
    def _environment(self, changes: dict[str, str]) -> Iterator[None]:
        with self._monkeypatch.context() as patch:
            for name in list(os.environ):
                if name.startswith(("PYTEST_", "TFLM_")):
                    patch.delenv(name)
            for name, value in {"COLUMNS": "140", **changes}.items():
                patch.setenv(name, value)
            yield


@pytest.fixture
def inner(
    _whole_package: None, kept: Kept, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> InProcess:
    """Runs pytest and ``pytest-tflm`` in this process, with processes that are kept."""
    return InProcess(pytester, monkeypatch)
