"""Who runs the small models of a search: an interpreter in its worker process, or a board.

A runner is a runtime for models of which each is run once, and one whose refusals and crashes are
results like any other.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pytest_tflm.errors import (
    BoardCrashed,
    BoardError,
    BoardReset,
    InterpreterCrashed,
    InterpreterRefused,
    LinkError,
    PortVanished,
    SettingsError,
    TflmError,
)
from pytest_tflm.runtime import packages
from pytest_tflm.runtime.worker import Ticket, Worker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_tflm.fuzz.kernels.codes import Sample
    from pytest_tflm.fuzz.kernels.operators.case import OperatorCase
    from pytest_tflm.link import Connection
    from pytest_tflm.runtime.base import Arrays
    from pytest_tflm.runtime.pool import Pool

ARENA = 1 << 18
"""Bytes for TFLM on this machine: more than any model of these needs."""
TIMEOUT = 20.0
_REOPENINGS = 5
_MOST_CRASHES = 40


@dataclass(frozen=True)
class Ran:
    """Outputs, one tuple of arrays for each sample."""

    outputs: list[Arrays]


@dataclass(frozen=True)
class Failed:
    """No outputs: ``crashed``, or refused. ``text`` is the error."""

    text: str
    crashed: bool


class Runner(Protocol):
    """Runs a case's model over samples. ``start`` and ``finish`` are two so that two runners work
    at the same time."""

    name: str

    def start(self, case: OperatorCase, samples: Sequence[Sample]) -> None:
        """Begin with a model, its variables at their initial values."""

    def finish(self) -> Ran | Failed:
        """What became of it."""

    def renew(self) -> None:
        """Whatever models before have done to the memory is gone: a new process."""

    def versions(self) -> dict[str, str]:
        """Of the packages or the firmware that computes."""

    def close(self) -> None:
        """Release what it holds."""


class InterpreterRunner:
    """An interpreter of this machine, ``kind`` and ``resolver`` as for
    :class:`~pytest_tflm.runtime.interpreter.InterpreterRuntime`, whose errors it raises."""

    def __init__(self, kind: str, resolver: str | None = None) -> None:
        self.name = packages.runtime_name(kind, resolver)
        packages.check_installed(kind)
        self._kind = kind
        self._resolver = resolver or packages.DEFAULT_RESOLVER
        self._worker = Worker(self.name, timeout=TIMEOUT)
        self._ticket: Ticket | None = None

    def start(self, case: OperatorCase, samples: Sequence[Sample]) -> None:
        self._ticket = self._worker.submit(
            "run_once",
            self._kind,
            samples,
            case.data,
            tuple(tensor.index for tensor in case.inputs),
            tuple(tensor.index for tensor in case.outputs),
            self._resolver,
            False,
            ARENA,
            doing=f"with a model of {case.operator}",
        )

    def finish(self) -> Ran | Failed:
        assert self._ticket is not None, "start first"
        try:
            return Ran(self._worker.next(self._ticket))
        except InterpreterRefused as error:
            return Failed(str(error), crashed=False)
        except InterpreterCrashed as error:
            return Failed(str(error), crashed=True)

    def renew(self) -> None:
        self._worker.close()

    def versions(self) -> dict[str, str]:
        return packages.versions(self._kind)

    def close(self) -> None:
        self._worker.close()


class _OnBoard:
    """A board has run by the time that ``start`` comes back."""

    _result: Ran | Failed | None = None

    def finish(self) -> Ran | Failed:
        assert self._result is not None, "start first"
        return self._result


class BoardRunner(_OnBoard):
    """The board at ``port``, a simulated one (``sim``, ``sim?…``, ``qemu:IMAGE``) included.

    Each model is sent over the link. A board that crashes or resets is greeted anew, a simulated
    one started anew; one that does not come back raises the LinkError.
    """

    def __init__(self, port: str, *, baud: int = 115200, timeout: float = 20.0) -> None:
        self._port, self._baud, self._timeout = port, baud, timeout
        self._process: Any = None
        self._connection: Connection | None = None
        self._open()
        assert self._connection is not None
        self.name = f"board {self._connection.identity.board}"

    def start(self, case: OperatorCase, samples: Sequence[Sample]) -> None:
        try:
            self._result = _run_on_board(self._open(), case, samples)
        except (LinkError, BoardReset, BoardCrashed) as error:
            self._result = Failed(self._told(error), crashed=True)
            self.renew()
        except BoardError as error:
            self._result = Failed(str(error), crashed=False)

    def renew(self) -> None:
        self.close()
        for left in reversed(range(_REOPENINGS)):
            try:
                self._open()
                return
            except LinkError:
                self.close()
                if not left:
                    raise

    def versions(self) -> dict[str, str]:
        return self._open().identity.versions()

    def close(self) -> None:
        connection, self._connection = self._connection, None
        process, self._process = self._process, None
        for thing in (connection, process):
            if thing is not None:
                with contextlib.suppress(TflmError, OSError):
                    thing.close()

    def _open(self) -> Connection:
        from pytest_tflm.link import Connection, ports
        from pytest_tflm.runtime.pool import start_process

        if self._connection is None:
            port = self._port
            if port == ports.AUTO:
                port = ports.the_board(baud=self._baud)
            self._process = start_process(port)
            self._connection = Connection.open(
                port if self._process is None else self._process.port,
                baud=self._baud,
                timeout=self._timeout,
                name=port,
            )
        return self._connection

    def _told(self, error: TflmError) -> str:
        """The error, and how the simulator's process ended if it did."""
        died = None if self._process is None else self._process.exit_description(wait=0.5)
        return str(error) if died is None else f"{self._port}: {died}"


class BoardBroke(BaseException):
    """The link or the board broke with ``case``'s model: ``error``. Not an Exception, which
    Hypothesis would take for a failure and try again."""

    def __init__(self, error: TflmError, case: OperatorCase) -> None:
        super().__init__(str(error))
        self.error, self.case = error, case


class PoolRunner(_OnBoard):
    """The board of a run, whose line is the run's.

    A board that crashes or restarts is started or greeted again, and what crashed it is a result
    like any other. What breaks it for good, or too often, raises :class:`BoardBroke`.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._crashes = 0
        self.name = f"board {pool.connection().identity.board}"

    def start(self, case: OperatorCase, samples: Sequence[Sample]) -> None:
        try:
            self._result = _run_on_board(self._pool.connection(), case, samples)
        except (BoardCrashed, BoardReset, PortVanished) as error:
            told = self._pool.note(error)  # of a simulator's process how it ended
            self._crashes += 1
            if self._crashes > _MOST_CRASHES:
                raise BoardBroke(told, case) from error
            try:
                self._pool.restart()
            except TflmError:
                raise BoardBroke(told, case) from error
            self._result = Failed(str(told), crashed=True)
        except LinkError as error:
            raise BoardBroke(error, case) from error
        except BoardError as error:
            self._result = Failed(str(error), crashed=False)

    def renew(self) -> None:
        """Nothing: the board goes on."""

    def versions(self) -> dict[str, str]:
        return self._pool.connection().identity.versions()

    def close(self) -> None:
        """Nothing: the line is the pool's."""


def _run_on_board(connection: Connection, case: OperatorCase, samples: Sequence[Sample]) -> Ran:
    from pytest_tflm.model import model_from_bytes
    from pytest_tflm.runtime.board import BoardRuntime

    runtime = BoardRuntime(connection, model_from_bytes(case.data, case.operator))
    if case.stateful:
        runtime.reset_state()
    return Ran([outputs.arrays for outputs in runtime.run_many(samples)])


def runner(name: str, *, port: str | None = None, baud: int = 115200) -> Runner:
    """The runner called ``tflm``, ``litert``, ``litert:RESOLVER``, ``tensorflow:RESOLVER`` or
    ``board`` (the one at ``port``). Raises SettingsError, InterpreterMissing or LinkError."""
    kind, _, resolver = name.partition(":")
    if kind == "board":
        if port is None:
            raise SettingsError("Which board? Say --port PORT, for example --port sim.")
        return BoardRunner(port, baud=baud)
    if kind not in packages.KINDS:
        raise SettingsError(
            f"There is no runtime {name!r}: choose tflm, litert:RESOLVER, tensorflow:RESOLVER "
            f"(RESOLVER one of {', '.join(packages.RESOLVERS)}) or board."
        )
    return InterpreterRunner(kind, resolver or None)
