"""A QEMU that this process starts, and that ends with it."""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence

from pytest_tflm.errors import PortFailed
from pytest_tflm.simulator.board.child import BoardProcess

_SET_DEATH_SIGNAL = 1


class QemuProcess(BoardProcess):
    """A running ``program`` with ``arguments``, which inherits ``descriptors``.

    Raises PortFailed if the program cannot be started.
    """

    def __init__(
        self, program: str, arguments: Sequence[str], descriptors: Sequence[int] = ()
    ) -> None:
        if descriptors and sys.platform == "win32":
            raise PortFailed(
                f"{program} would inherit open files, which Windows does not do for it. Start QEMU"
                " yourself, with its UART on a TCP port, and use --tflm-port=socket://HOST:PORT"
            )
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            self._process = subprocess.Popen(
                [program, *arguments, "-display", "none", "-monitor", "none", "-parallel", "none"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                pass_fds=tuple(descriptors),
                # Ctrl-C in the terminal is for pytest, which closes the port first.
                start_new_session=True,
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,
            )
        except OSError as error:
            self._errors.close()
            raise PortFailed(f"{program} cannot be started: {error}") from error
        self.pid = self._process.pid

    def _ask_to_end(self) -> None:
        self._process.terminate()

    def _close_files(self) -> None:
        self._errors.close()

    def _said(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().decode("utf-8", "replace").split("\n")
        told = [line.strip() for line in lines if line.strip() and ": info: " not in line]
        return "; ".join(told[-2:])


def _die_with_parent() -> None:
    # A pytest that is killed cannot end QEMU, so that the kernel does. Runs in the child.
    ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)
