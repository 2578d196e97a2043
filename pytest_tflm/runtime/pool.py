"""The runtimes of one run: each is made when it is first asked for, and kept until the end.

The board is one, whatever the number of models; it has one model loaded at a time. A board that
broke stays broken: who asks for it again gets the same error at once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from pytest_tflm.errors import BoardError, LinkError, PortVanished, TflmError

if TYPE_CHECKING:
    from pytest_tflm.link import Connection, Counters
    from pytest_tflm.model import Model
    from pytest_tflm.options import Settings
    from pytest_tflm.runtime.base import Runtime
    from pytest_tflm.runtime.board import BoardRuntime
    from pytest_tflm.runtime.interpreter import InterpreterRuntime
    from pytest_tflm.simulator.board.child import BoardProcess

_LAST_BREATH = 0.5
"""Seconds that a process which closed its port may take to end, so that its end can be told."""

Progress = Callable[[str, int, int], None]


class Pool:
    """Makes and keeps the runtimes that ``settings`` asks for.

    ``progress(what, done, total)`` is called while something long goes on, with bytes.
    """

    def __init__(self, settings: Settings, progress: Progress | None = None) -> None:
        self._settings = settings
        self._progress = progress
        self._simulator: BoardProcess | None = None
        self._connection: Connection | None = None
        self._board: BoardRuntime | None = None
        self._broken: TflmError | None = None
        self._refused: dict[str, BoardError] = {}
        self._references: dict[tuple[str, str, str], InterpreterRuntime] = {}

    @property
    def broken(self) -> TflmError | None:
        """The error that took the board out of this run, if one did."""
        return self._broken

    @property
    def simulator_pid(self) -> int | None:
        """The simulator's process, if there is one."""
        return self._simulator.pid if self._simulator is not None else None

    @property
    def link(self) -> Counters | None:
        """What the link to the board did; None if no board has been greeted."""
        return self._connection.counters if self._connection is not None else None

    def connection(self) -> Connection:
        """The link to the board. Raises LinkError or BoardError; the same again ever after."""
        if self._broken is not None:
            raise self._broken
        if self._connection is None:
            try:
                self._connection = self._open()
            except TflmError as error:
                self._broken = error
                raise
        return self._connection

    def reopen(self) -> None:
        """Drop the line to the board and open it again. What the board has loaded stays. Raises
        LinkError or BoardError."""
        if self._connection is not None:
            self._connection.close()
        self._connection = self._board = None
        self.connection()

    def restart(self) -> None:
        """Begin anew with a board that broke: a simulated one is started again, a real one greeted
        again, which may have to be reset by hand first. Raises LinkError or BoardError, and the
        board stays broken."""
        for thing in (self._connection, self._simulator):
            if thing is not None:
                with contextlib.suppress(TflmError, OSError):
                    thing.close()
        self._connection = self._simulator = self._board = self._broken = None
        self.connection()

    def _open(self) -> Connection:
        from pytest_tflm.link import Connection, ports

        port = self._settings.port
        assert port is not None, "ask only where a port was asked for"
        if port == ports.AUTO:
            port = ports.the_board(baud=self._settings.baud)
        if self._simulator is None:
            self._simulator = start_process(port)
        if self._simulator is not None:
            return Connection.open(
                self._simulator.port,
                baud=self._simulator.baud or self._settings.baud,
                line_baud=self._settings.line_baud,
                is_uart=bool(self._simulator.baud),
                timeout=self._settings.timeout,
                name=port,
            )
        return Connection.open(
            port,
            baud=self._settings.baud,
            line_baud=self._settings.line_baud,
            timeout=self._settings.timeout,
        )

    def board(self, model: Model) -> Runtime:
        """The board with ``model`` loaded.

        Raises LinkError if the link broke, BoardError if the board does not take the model. A
        refused model is not sent a second time; the board can be asked for with another.
        """
        from pytest_tflm.runtime.board import BoardRuntime

        connection = self.connection()
        if model.sha256 in self._refused:
            raise self._refused[model.sha256]
        if self._board is None or self._board.model.sha256 != model.sha256:
            self._board = None
            try:
                self._board = BoardRuntime(connection, model, progress=self._report(model))
            except BoardError as error:
                if connection.broken is None:
                    self._refused[model.sha256] = error
                raise
        return self._board

    def _report(self, model: Model) -> Callable[[int, int], None] | None:
        progress = self._progress
        if progress is None:
            return None
        return lambda done, total: progress(f"sending {model.name} to the board", done, total)

    def reference(self, model: Model, kind: str, resolver: str) -> Runtime:
        """The interpreter ``kind`` with ``resolver`` (ignored for tflm) for ``model``."""
        from pytest_tflm.runtime.interpreter import InterpreterRuntime

        key = (model.sha256, kind, resolver)
        if key not in self._references:
            self._references[key] = InterpreterRuntime(
                kind, model, resolver=None if kind == "tflm" else resolver
            )
        return self._references[key]

    def note(self, error: TflmError) -> TflmError:
        """Take notice of an error that a board call raised: the link's errors, and a board that
        restarted, end its use. Gives the error to show, which for a simulator that died says so."""
        if self._broken is not None:
            return self._broken
        if self._simulator is not None and isinstance(error, LinkError):
            died = self._simulator.exit_description(wait=_LAST_BREATH)
            if died is not None:
                error = PortVanished(
                    f"{self._settings.port} is gone (process {self._simulator.pid}: {died}). "
                    "The board's tests cannot go on.",
                    details=error.details,
                )
        if self._connection is not None and (
            isinstance(error, LinkError) or self._connection.broken is not None
        ):
            self._broken = error
        return error

    def close(self) -> None:
        """Release the port, end the simulator and the interpreters' processes."""
        closers: list[Callable[[], None]] = [r.close for r in self._references.values()]
        if self._connection is not None:
            closers.insert(0, self._connection.close)
        if self._simulator is not None:
            closers.append(self._simulator.close)
        self._references = {}
        self._connection = self._board = self._simulator = None
        for close in closers:
            try:
                close()
            except (TflmError, OSError):
                continue  # closing what is broken: there is nobody left to tell


def start_process(port: str) -> BoardProcess | None:
    """The process behind ``sim``, ``sim?arena=64k`` … or ``qemu:IMAGE``; None for a real port."""
    if port == "sim" or port.startswith("sim?"):
        from pytest_tflm.simulator.board import launch

        return launch.start(port)
    if port.startswith("qemu:"):
        from pytest_tflm.simulator.board import qemu

        return qemu.start(port)
    return None
