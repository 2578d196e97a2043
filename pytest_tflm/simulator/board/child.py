"""A board that is a process of this machine: what the simulator and QEMU have in common."""

from __future__ import annotations

import signal
import subprocess
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self

_STOP_SECONDS = 2.0


class BoardProcess:
    """A running board. Also a context manager, which closes it.

    ``port`` is what pyserial opens, ``pid`` the process, ``baud`` the rate that its line begins
    with, 0 where it has none.
    """

    port: str
    pid: int
    baud: int = 0
    _process: subprocess.Popen[bytes]
    _ended: str | None = None
    """How it ended, once it is closed: the files that say so are closed too."""

    def exit_description(self, wait: float = 0.0) -> str | None:
        """How it ended, or None if it still runs after ``wait`` seconds.

        For example ``killed by SIGKILL`` or ``exited with status 1: ValueError: …``.
        """
        if self._ended is not None:
            return self._ended
        try:
            status = self._process.wait(wait)
        except subprocess.TimeoutExpired:
            return None
        said = self._said()
        return f"{_how(status)}: {said}" if said else _how(status)

    def close(self) -> None:
        """End it and release its port. May be called twice."""
        if self._ended is not None:
            return
        self._ask_to_end()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:  # native code that does not return
            self._process.kill()
            self._process.wait()
        self._ended = self.exit_description()
        self._close_files()

    def _said(self) -> str:
        """What it printed that tells why it ended; empty if there is nothing."""
        raise NotImplementedError

    def _close_files(self) -> None:
        """Close what :meth:`_said` reads."""
        raise NotImplementedError

    def _ask_to_end(self) -> None:
        """Also of one that has ended, and more than once."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _how(status: int) -> str:
    if status >= 0:
        return f"exited with status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"
