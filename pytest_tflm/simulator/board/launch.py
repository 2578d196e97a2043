"""Start a simulated board in a process of its own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time

from pytest_tflm.errors import PortFailed
from pytest_tflm.ready import ready
from pytest_tflm.simulator.board.child import BoardProcess
from pytest_tflm.simulator.board.spec import SimulatorSpec, require_simulator

_START_SECONDS = 30.0


class Simulator(BoardProcess):
    """A running simulated board; ``spec`` is what it simulates."""

    def __init__(self, spec: SimulatorSpec) -> None:
        self.spec = spec
        self.baud = spec.baud
        # Files, not pipes: nobody has to read them while the board runs.
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        self._native_text = tempfile.TemporaryFile()  # noqa: SIM115
        native = self._native_text.fileno()
        command = [sys.executable, "-m", "pytest_tflm.simulator", str(spec)]
        command += ["--with-parent", "--native-text", str(native)]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,  # its end tells the child that this process is gone
                stdout=subprocess.PIPE,
                stderr=self._errors,
                pass_fds=(native,),
                # Ctrl-C in the terminal is for pytest, which closes the port first.
                start_new_session=True,
            )
        except OSError as error:
            self._close_files()
            raise PortFailed(f"the simulator cannot be started: {error}") from error
        self.pid = self._process.pid
        try:
            self.port = self._first_line()
        except BaseException:
            self.close()
            raise

    def _first_line(self) -> str:
        assert self._process.stdout is not None
        output = self._process.stdout.fileno()
        deadline = time.monotonic() + _START_SECONDS
        line = b""
        while not line.endswith(b"\n"):
            left = deadline - time.monotonic()
            if not ready([output], [], max(0.0, left))[0]:
                raise PortFailed(
                    f"the simulator ({self.spec}) has not started in {_START_SECONDS:g} seconds",
                    details=self._said(),
                )
            data = os.read(output, 4096)
            if not data:
                how = self.exit_description(wait=1.0)
                raise PortFailed(f"the simulator ({self.spec}) did not start: {how}")
            line += data
        return line.decode("utf-8", "replace").splitlines()[0]

    def _ask_to_end(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _said(self) -> str:
        """What tells most of what it wrote: native code's last lines, and Python's verdict."""
        native, own = (_lines_at_end(file.fileno()) for file in (self._native_text, self._errors))
        # faulthandler begins with the reason, a traceback ends with it.
        fatal = [line for line in own if line.startswith("Fatal Python error")]
        return "; ".join([*native[-2:], *(fatal[:1] or own[-1:])])

    def _close_files(self) -> None:
        self._errors.close()
        self._native_text.close()


def _lines_at_end(fd: int) -> list[str]:
    """The lines in the last 8 KB of a file, without empty ones."""
    size = os.fstat(fd).st_size
    text = os.pread(fd, 8192, max(0, size - 8192)).decode("utf-8", "replace")
    return [line.strip() for line in text.splitlines() if line.strip()]


def start(spec: str) -> Simulator:
    """Start a simulated board and wait until its port is there.

    ``spec`` is what :meth:`SimulatorSpec.parse` reads: ``sim``, ``sim?arena=64k``, …
    Raises SettingsError if it makes no sense, InterpreterMissing where
    :func:`require_simulator` does, and PortFailed if the process does not come up.
    """
    parsed = SimulatorSpec.parse(spec)
    require_simulator()
    return Simulator(parsed)
