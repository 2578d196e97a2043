"""A board as a host of models: a process or a port, a connection, and the model that is loaded."""

from __future__ import annotations

import contextlib
import re
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence, Sized
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pytest_tflm.errors import (
    ArenaTooSmall,
    BoardError,
    LinkError,
    ModelRejected,
    ModelTooLarge,
    NotSupported,
    OperatorMissing,
    PortFailed,
    PortVanished,
    TflmError,
    WrongModel,
)
from pytest_tflm.model.refusal import interface_reason
from pytest_tflm.process_clock import ProcessClock
from pytest_tflm.runtime.ahead import Ahead, Turns, packed
from pytest_tflm.runtime.base import OperatorTime, Outputs, Progress
from pytest_tflm.runtime.latency import Latency, latency_of
from pytest_tflm.runtime.spec import LAB, Line, RuntimeSpec

if TYPE_CHECKING:
    import numpy as np

    from pytest_tflm.link import (
        Begun,
        BoardIdentity,
        Connection,
        Counters,
        LoadedModel,
        LoadedTensor,
        RunResult,
    )
    from pytest_tflm.model import Model, Tensor
    from pytest_tflm.runtime.base import Arrays, Attempt, Observation
    from pytest_tflm.runtime.lab import LabBoard, Lease
    from pytest_tflm.simulator.board.child import BoardProcess

    _Layout = list[tuple[np.dtype[Any], int, int, tuple[int, ...]]]

_ABOUT_THE_MODEL = (ArenaTooSmall, ModelRejected, ModelTooLarge, OperatorMissing)
_LAST_BREATH = 0.5
"""Seconds that a process which closed its port may take to end, so that its end can be told."""
_LONGEST_COMMAND = 60.0
"""Seconds that a lab's command may take."""
_REOPENINGS = 5
_LAST_RUN = 64
"""Inputs that are kept of what a model without state has run."""
_TIMES = 100_000
"""Runs whose time is kept."""
_SIMULATED: dict[str, Literal["simulator", "emulator"]] = {
    "simulator": "simulator",
    "mps2-an386": "emulator",
}
"""Boards that are programs, by the name that they give."""
_MOST_TENSORS = 255
"""Inputs, or outputs, that a board can have: requests have a u8 for their index (SPEC §5)."""
_MOST_AT_ONCE = 256 << 10
"""Bytes of a model, its inputs and its outputs that are submitted together."""
_BYTES_OF_A_STREAM = 32 << 20
"""Of what a model with state has run."""


class Lessor(Protocol):
    """Leases boards of a lab by the names of groups of equal ones."""

    def take(self, group: str) -> Lease:
        """One that is free, waiting for it. Raises PortBusy or PortNotFound."""

    def more(self, group: str) -> list[Lease]:
        """All others that are free, where this process may have several."""

    def leave_out(self, board: LabBoard, why: str) -> None:
        """Not to be leased any more in this run."""


class BoardHost:
    """A :class:`~pytest_tflm.runtime.base.Host` on the board at a port.

    A simulated board (``sim``, ``sim?…``) and an emulated one (``qemu:IMAGE``,
    ``qemu-esp32c3:IMAGE``) are processes that it starts and ends.

    It is opened by its first use. It has one model loaded at a time. One that broke stays broken
    until :meth:`renew`: whoever asks for it again gets the same error at once. A model that it
    refused is not sent a second time. ``progress(what, done, total)`` is called while a model is
    sent, with bytes.
    """

    is_observable = False

    def __init__(
        self,
        spec: RuntimeSpec,
        line: Line | None = None,
        progress: Progress | None = None,
        reset: Callable[[str, str], bool] | None = None,
        lessor: Lessor | None = None,
    ) -> None:
        self.spec = spec
        self._reset = reset
        self._lessor = lessor
        self._lease: Lease | None = None
        self.partners: list[BoardHost] = []
        """Equal boards that share the work of this one, of a lab."""
        self.ran_last: BoardHost | None = None
        """Of this board and its partners, the one that ran the last sample that was asked for."""
        self.notes: list[str] = []
        """What became of boards that broke, for the report; whoever reads it empties it."""
        self._line = line or Line()
        self.progress = progress
        self._process: BoardProcess | None = None
        self._connection: Connection | None = None
        self._last: Connection | None = None
        """The connection that was opened last, closed or not."""
        self._runtime: BoardRuntime | None = None
        self._broken: TflmError | None = None
        self._refused: dict[str, BoardError] = {}
        self.turns = Turns()
        self.was_reopened = False
        """Whether a model's state on the board is what this run left there."""

    @classmethod
    def over(cls, connection: Connection, progress: Progress | None = None) -> BoardHost:
        """The board behind an open connection."""
        host = cls(RuntimeSpec.of_board(connection.name), progress=progress)
        host._connection = host._last = connection
        return host

    @property
    def broken(self) -> TflmError | None:
        """The error that ended its use, if one did."""
        return self._broken

    @property
    def is_usable(self) -> bool:
        """Whether it was greeted and its link has not broken."""
        connection = self._connection
        return connection is not None and connection.broken is None and self._broken is None

    def raised(self, error: TflmError) -> bool:
        """Whether ``error`` ended the use of this board, and not of another one."""
        broken = self._connection.broken if self._connection is not None else None
        return error is self._broken or error is broken

    @property
    def link(self) -> Counters | None:
        """What the link did; None if the board has not been greeted."""
        return self._last.counters if self._last is not None else None

    @property
    def identity(self) -> BoardIdentity | None:
        """Who the board said it is; None if it has not been greeted."""
        return self._last.identity if self._last is not None else None

    @property
    def pid(self) -> int | None:
        """The process of a simulated or emulated board, if it runs."""
        return self._process.pid if self._process is not None else None

    @property
    def is_shared(self) -> bool:
        """Whether another process can have it: a real port, and not a process that starts here."""
        return not re.match(r"sim$|sim\?|qemu[\w-]*:", self.port)

    @property
    def is_leased(self) -> bool:
        """Whether it is one of a lab's boards."""
        return self.spec.port.startswith(LAB)

    @property
    def port(self) -> str:
        """Where it is: the port of the lease, of a lab's."""
        return self._lease.port if self._lease is not None else self.spec.port

    @property
    def label(self) -> str:
        """Its name in this run, that of the lab's board if it is leased; empty without one."""
        return self._lease.board.name if self._lease is not None else self.spec.board

    def connection(self) -> Connection:
        """The link to the board. Raises LinkError or BoardError; the same again ever after."""
        if self._broken is not None:
            raise self._broken.with_traceback(None) from None  # or it grows with each test
        if self._connection is None:
            try:
                self._connection = self._last = self._open()
            except TflmError as error:
                self._broken = error
                raise
        return self._connection

    @property
    def name(self) -> str:
        kind = self.connection().identity.board
        return f"board {self.label} ({kind})" if self.label else f"board {kind}"

    @property
    def kind(self) -> Literal["board", "simulator", "emulator"]:
        """What it is. Greets it: raises LinkError or BoardError."""
        return _SIMULATED.get(self.connection().identity.board, "board")

    @property
    def takes_models(self) -> bool:
        return self.connection().identity.takes_models

    @property
    def operators(self) -> tuple[str, ...]:
        return self.connection().identity.operators

    def load(self, model: Model) -> BoardRuntime:
        """``model``, loaded on the board.

        Raises LinkError if the link broke, and if the board does not take the model WrongModel,
        ModelTooLarge, ArenaTooSmall, OperatorMissing or ModelRejected; it can be asked for with
        another model then.
        """
        connection = self.connection()
        if model.sha256 in self._refused:
            raise self._refused[model.sha256].with_traceback(None) from None
        if self._runtime is None or not self.has(model):
            self._runtime = None
            try:
                self._runtime = BoardRuntime(self, model)
            except BoardError as error:
                if connection.broken is None:
                    self._refused[model.sha256] = error
                raise
        return self._runtime

    def has(self, model: Model) -> bool:
        """Whether it is the model that was asked for with :meth:`load`."""
        return self._runtime is not None and self._runtime.model.sha256 == model.sha256

    def attempt(
        self,
        model: Model,
        samples: Sequence[object],
        *,
        reset_between: bool = False,
        expected: Sequence[Arrays | None] | None = None,
    ) -> Attempt:
        return _Attempt(self, model, samples, reset_between, expected)

    def observe(
        self, model: Model, samples: Sequence[object], *, reset_between: bool = True
    ) -> list[Observation]:
        raise NotSupported(f"{self.name}: a board does not expose intermediate tensors")

    def versions(self) -> dict[str, str]:
        identity = self.identity or self.connection().identity  # also of one that broke
        return identity.versions(self.spec.board or identity.board)

    def describe(self) -> str:
        """One line for a header: ``nano33, pytest-tflm-core 0.1.0, kernels CMSIS-NN``."""
        identity = self.connection().identity
        parts = [identity.describe()]
        parts += [f"TFLM {identity.tflm}"] if identity.tflm else []
        parts += [identity.compiler] if identity.compiler else []
        return ", ".join(parts)

    def renew(self) -> None:
        self.turns.interrupt()
        self._release()
        self._broken = None
        self.was_reopened = False
        for left in reversed(range(_REOPENINGS)):
            try:
                self.connection()
                return
            except LinkError:
                if not left:
                    raise
                self._release()
                self._broken = None

    def reset(self) -> str:
        """Reset the board and greet it again; says how. A model has to be loaded anew. A simulated
        board is started again; a real one is reset by the user's way, or by its control lines where
        it may have some. Raises a TflmError where there is no way, or nobody answers after it."""
        self.turns.interrupt()
        self._release()
        board = self._lease.board if self._lease is not None else None
        if self._reset is not None and self._reset(self.label, self.port):
            how = "by pytest_tflm_reset"
        elif board is not None and board.reset:
            how = _commanded(board.reset)
        elif not self.is_shared:
            how = "started again"
        else:
            how = _reset_by_lines(self.port)
        try:
            self.renew()
        except LinkError:
            if board is None or not board.power_cycle:
                raise
            how = _commanded(board.power_cycle)
            self.renew()
        return how

    def replace(self, error: TflmError) -> str:
        """Leave out the board that ``error`` broke and go on with an equal one of the lab; says so.
        Raises PortBusy or PortNotFound if there is none."""
        assert self._lessor is not None
        was = self.label
        partners, self.partners = self.partners, []
        if self._lease is not None:
            self._lessor.leave_out(self._lease.board, str(error).splitlines()[0])
        self.close()
        self._broken = None
        if partners:
            self._become(partners.pop(0))
            self.partners = partners
        self.connection()
        return f"{was} was left out and {self.label} continues"

    def leave_out(self, partner: BoardHost, error: TflmError) -> None:
        """Go on without a partner that broke, or as one of the partners if it is this board."""
        if partner is self:
            with contextlib.suppress(TflmError):  # the next call says so
                self.notes.append(f"{self.replace(error)}, after {type(error).__name__}: {error}")
            return
        assert self._lessor is not None
        if partner._lease is not None:
            self._lessor.leave_out(partner._lease.board, str(error).splitlines()[0])
        self.partners.remove(partner)
        self.notes.append(f"{partner.label} was left out after {type(error).__name__}: {error}")
        partner.close()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """While it lasts, none of its partners takes part: this is the one board that ran the last
        sample, for a verdict about it."""
        self._change_places()
        partners, self.partners = self.partners, []
        try:
            yield
        finally:
            self.partners = partners

    def _change_places(self) -> None:
        """Be the partner that ran the last sample, if one did, and let it be this board."""
        self.turns.interrupt()
        partner, self.ran_last = self.ran_last, None
        if partner is None or partner not in self.partners:
            return
        for name in ("_lease", "_process", "_connection", "_last", "_broken", "_refused"):
            mine, theirs = getattr(self, name), getattr(partner, name)
            setattr(self, name, theirs)
            setattr(partner, name, mine)
        if self._runtime is not None and partner._runtime is not None:
            self._runtime.change_places(partner._runtime)

    def _become(self, partner: BoardHost) -> None:
        """Take the place of a partner, which is forgotten."""
        self._lease, partner._lease = partner._lease, None
        self._process, self._connection = partner._process, partner._connection
        self._last, self._broken = partner._last, partner._broken
        self._refused, self._runtime = partner._refused, None
        partner._process = partner._connection = None

    def reopen(self) -> None:
        self.turns.interrupt()
        if self._connection is not None:
            self._connection.close()
        self._connection = self._runtime = None
        self.was_reopened = True
        self.connection()

    def note(self, error: TflmError) -> TflmError:
        if self._broken is not None:
            return self._broken
        if self._process is not None and isinstance(error, LinkError):
            died = self._process.exit_description(wait=_LAST_BREATH)
            if died is not None:
                error = PortVanished(
                    f"{self.spec.port} is gone (process {self._process.pid}: {died}). "
                    "The board's tests cannot continue.",
                    details=error.details,
                )
        if self._connection is not None and (
            isinstance(error, LinkError) or self._connection.broken is not None
        ):
            self._broken = error
        return error

    def report(self, model: Model) -> Callable[[int, int], None] | None:
        """What is called while ``model`` is sent."""
        progress = self.progress
        if progress is None:
            return None
        return lambda done, total: progress(f"sending {model.name} to the board", done, total)

    def close(self) -> None:
        """Release the port and end the process of a simulated board; give a lab's board back."""
        self.turns.interrupt()
        self._release()
        partners, self.partners = self.partners, []
        for partner in partners:
            partner.close()
        lease, self._lease = self._lease, None
        if lease is not None:
            lease.release()

    def __enter__(self) -> BoardHost:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _release(self) -> None:
        things = (self._connection, self._process)
        self._connection = self._process = self._runtime = None
        for thing in things:
            if thing is not None:
                with contextlib.suppress(TflmError, OSError):  # nobody is left to tell
                    thing.close()

    def _take_lease(self) -> None:
        """Lease a board, and with it all others of its group that are free, if this process may
        have several."""
        assert self._lessor is not None
        group = self.spec.port.removeprefix(LAB)
        self._lease = self._lessor.take(group)
        for lease in self._lessor.more(group):
            partner = BoardHost(self.spec, self._line, self.progress, self._reset, self._lessor)
            partner._lease = lease
            self.partners.append(partner)

    def _open(self) -> Connection:
        from pytest_tflm.link import Connection, ports

        if self.is_leased and self._lease is None:
            self._take_lease()
        port, line = self.port, self._line
        if self._lease is not None:
            board = self._lease.board
            line = line._replace(
                baud=board.baud or line.baud, line_baud=board.line_baud or line.line_baud
            )
        if port == ports.AUTO:
            port = ports.the_board(baud=line.baud)
        if self._process is None:
            self._process = _start_process(port)
        process = self._process
        return Connection.open(
            port if process is None else process.port,
            baud=(process.baud if process is not None else 0) or line.baud,
            line_baud=line.line_baud,
            is_uart=process is not None and bool(process.baud),
            timeout=line.timeout,
            name=port,
            # A board of this machine that gets no processor is not silent.
            clock=time.monotonic if process is None else ProcessClock(process.pid),
        )


def _reset_by_lines(port: str) -> str:
    from pytest_tflm.link.ports import found_ports
    from pytest_tflm.link.reset import has_reset_lines, reset_by_lines

    if not has_reset_lines(port, found_ports()):
        raise NotSupported(
            f"{port}: there is no known way to reset the board behind it. Write the hook "
            "pytest_tflm_reset (docs/how-to/lab.md)"
        )
    reset_by_lines(port)
    return "by RTS"


def _commanded(words: Sequence[str]) -> str:
    """Run a command of the lab's file. Raises PortFailed if it fails."""
    import shlex
    import subprocess

    text = shlex.join(words)
    try:
        subprocess.run(words, check=True, capture_output=True, timeout=_LONGEST_COMMAND)
    except (OSError, subprocess.SubprocessError) as error:
        raise PortFailed(f"{text}: {error}") from error
    return f"by {text}"


def _start_process(port: str) -> BoardProcess | None:
    """The process behind ``sim``, ``sim?arena=64k`` …, ``qemu:IMAGE`` or ``qemu-esp32c3:IMAGE``;
    None for a real port."""
    if port == "sim" or port.startswith("sim?"):
        from pytest_tflm.simulator.board import launch

        return launch.start(port)
    if port.startswith("qemu:"):
        from pytest_tflm.simulator.board import qemu

        return qemu.start(port)
    if port.startswith("qemu-esp32c3:"):
        from pytest_tflm.simulator.board import qemu_esp32c3

        return qemu_esp32c3.start(port)
    return None


class _Attempt:
    """What is small enough is under way when this is made, and so are the attempts behind it; of
    all else, the board has told what came of it."""

    def __init__(
        self,
        host: BoardHost,
        model: Model,
        samples: Sequence[object],
        reset_between: bool,
        expected: Sequence[Arrays | None] | None,
    ) -> None:
        self._host, self._model, self._samples = host, model, samples
        self._expected = expected
        self._outputs: list[Arrays] = []
        self._error: TflmError | None = None
        self._begun: Begun | None = None
        self._bytes: list[tuple[bytes, ...]] = []
        try:
            if reset_between or not self._begin():
                self._outputs = self._whole(reset_between)
        except (LinkError, BoardError) as error:
            self._error = error

    def outputs(self) -> list[Arrays]:
        if self._begun is not None:
            begun, self._begun = self._begun, None
            try:
                self._outputs = self._arrived(begun)
            except (LinkError, BoardError) as error:
                self._error = error
        if self._error is not None:
            raise self._error
        return self._outputs

    def _arrived(self, begun: Begun) -> list[Arrays]:
        results = begun.results()
        if results is None:
            self._host.connection().was_refused()
            return self._whole(False)  # one after the other, to hear why not
        missing = [i for i, result in enumerate(results) if result is None]
        if missing:  # what they were to find in the board's memory was not there
            again = self._submit([self._bytes[i] for i in missing], [None] * len(missing)).results()
            if again is None or None in again:
                return self._whole(False)
            for i, result in zip(missing, again, strict=True):
                results[i] = result
        layout = _layout(self._model.outputs)
        return [_laid_out(b"".join(result), layout) for result in results if result is not None]

    def _begin(self) -> bool:
        """Send all of it, and wait for nothing; False if that would be too much at once."""
        model, samples = self._model, self._samples
        tensors = (*model.inputs, *model.outputs)
        total = model.size + len(samples) * sum(tensor.nbytes for tensor in tensors)
        if not self._host.takes_models or total > _MOST_AT_ONCE:
            return False
        if interface_reason(model) is not None or self._host.has(model):
            return False
        if max(len(model.inputs), len(model.outputs)) > _MOST_TENSORS:
            return False  # a request has no number for them: the board says so
        self._bytes = [_each(model.quantize(sample)) for sample in samples]
        expected = None
        if self._expected is not None:
            expected = [None if arrays is None else _each(arrays) for arrays in self._expected]
        self._host.turns.touch()
        self._begun = self._submit(self._bytes, expected)
        return True

    def _submit(
        self,
        samples: Sequence[tuple[bytes, ...]],
        expected: Sequence[tuple[bytes, ...] | None] | None,
    ) -> Begun:
        from pytest_tflm.link import Sizes

        model = self._model
        sizes = Sizes(*(tuple(t.nbytes for t in ts) for ts in (model.inputs, model.outputs)))
        return self._host.connection().begin(
            model.data, sizes, samples, reset=model.is_stream, expected=expected
        )

    def _whole(self, reset_between: bool) -> list[Arrays]:
        runtime = BoardRuntime(self._host, self._model, passing=True)
        if self._model.is_stream:
            runtime.reset_state()
        if not reset_between:
            return [outputs.arrays for outputs in runtime.run_quietly(self._samples)]
        made: list[Arrays] = []
        for number, sample in enumerate(self._samples):
            if number:
                runtime.reset_state()
            made.append(runtime.run(sample).arrays)
        return made


class BoardRuntime:
    """Runs ``model`` on the board of ``host``.

    The model is sent unless the board has it already; if another runtime loads its own on the same
    board, it is sent again with the next call.

    Raises WrongModel (the board takes no models and has another, or its tensors are not the
    file's), ModelTooLarge, ArenaTooSmall, OperatorMissing, ModelRejected, or a LinkError.
    """

    def __init__(self, host: BoardHost, model: Model, *, passing: bool = False) -> None:
        """``passing``: the model before is wanted again, and stays in the board's memory if there
        is room for both."""
        self.host = host
        self.model = model
        self._is_passing = passing
        self.name = host.name
        self._checked: LoadedModel | None = None
        self._ran: deque[bytes] = deque()
        self._times: deque[int] = deque(maxlen=_TIMES)
        self._has_forgotten = False
        size = sum(tensor.nbytes for tensor in model.inputs)
        self._most_kept = _BYTES_OF_A_STREAM // max(1, size) if model.is_stream else _LAST_RUN
        self.ahead = Ahead(model.quantize, self._run_all)
        reason = interface_reason(model)
        if reason is not None:
            raise ModelRejected(f"{model.name}: {reason.sentence}: {reason.remedy}.")
        self._layout = _layout(model.outputs)
        self._ready()

    @property
    def activity(self) -> object:
        return self.host.turns.calls

    @property
    def calls(self) -> int:
        return self.host.turns.calls

    @property
    def link(self) -> Counters:
        """What the link did so far."""
        return self._connection.counters

    @property
    def loaded(self) -> LoadedModel:
        """What the board says of the model: arena used and there, tensors."""
        return self._ready()

    @property
    def latency(self) -> Latency | None:
        """How long Invoke took over all runs of the model so far, by the board's clock; None before
        the first."""
        return latency_of(self._times, self.host.kind == "board")

    @property
    def takes_models(self) -> bool:
        """Whether models can be sent to it; else it has the one that was flashed with it."""
        return self.host.takes_models

    @property
    def _connection(self) -> Connection:
        return self.host.connection()

    def check_identity(self) -> None:
        """Ask the board anew what it has prepared. WrongModel if that is not the file."""
        loaded = self._connection.loaded()
        if loaded is None or not self._is_mine(loaded):
            raise self._wrong(loaded)
        self._check_tensors(loaded)

    def reload(self) -> None:
        """Send the model once more, also if the board has it already: what its memory held before
        is gone. Raises WrongModel if the board takes none."""
        self.host.turns.touch()
        self.ahead.was_reset()
        loaded = self._connection.current()
        if not self.takes_models:
            raise self._wrong(loaded)
        self._checked = None
        self._forget()
        loaded = self._connection.load(self.model.data, self.host.report(self.model), afresh=True)
        self._check_tensors(loaded)
        self._checked = loaded

    @property
    def history(self) -> tuple[Arrays, ...]:
        """What it has run, in order, the last at the end: of a model with state everything since
        its state was last reset (nothing, if that is too much to keep), else the last inputs."""
        if self.model.is_stream and self._has_forgotten:
            return ()
        return tuple(_arrays(data, self.model.inputs) for data in self._ran)

    def run(self, sample: object) -> Outputs:
        arrays = self.model.quantize(sample)
        outputs = self.ahead.take(arrays)
        if outputs is not None:
            self.host.turns.count()
            # Until the next call the line goes on with what it has been given. A link that breaks
            # here is the error of the call that needs it.
            with contextlib.suppress(TflmError):
                if not self.host.partners:  # whose threads do that
                    self._connection.channel.pump(block=False)
            return outputs
        self._ready()
        self.ahead.restore()
        self.host.ran_last = None
        return next(self.run_given(iter([arrays])))

    def run_quietly(self, samples: Iterable[object]) -> Iterator[Outputs]:
        """:meth:`run_many` that tells nobody how far it is."""
        self._ready()
        self.ahead.restore()
        yield from self._run_all(map(self.model.quantize, samples))

    def run_many(self, samples: Iterable[object]) -> Iterator[Outputs]:
        run = self.run_quietly(samples)
        progress = self.host.progress
        if progress is None:
            yield from run
            return
        total = len(samples) if isinstance(samples, Sized) else 0
        what = f"{self.model.name} on {self.name}"
        try:
            for done, outputs in enumerate(run, start=1):
                if done < total or not total:
                    progress(what, done, total, "samples")
                yield outputs
        finally:
            progress(what, 1, 1)

    def expect(self, samples: Iterable[object], redo: Callable[[], None] | None = None) -> None:
        self.host.turns.interrupt()
        self.ahead.restore()
        self.host.turns.begin(self.ahead)
        self.ahead.expect(samples, redo)

    def _run_all(self, samples: Iterator[Arrays]) -> Generator[Outputs, None, None]:
        if self.host.partners and not self.model.is_stream:
            yield from self._spread(samples)
        else:
            yield from self.run_given(samples)

    def _spread(self, samples: Iterator[Arrays]) -> Generator[Outputs, None, None]:
        """Run them on all boards that share the work."""
        from pytest_tflm.runtime.pool import Member, spread

        host = self.host
        broken: list[tuple[BoardHost, TflmError]] = []
        members = [self]
        for partner in host.partners:
            try:
                members.append(partner.load(self.model))
            except TflmError as why:
                broken.append((partner, why))
        hosts: dict[Member, BoardHost] = {member: member.host for member in members}
        try:
            told = spread(members, samples, lambda m, error: broken.append((hosts[m], error)))
            for outputs, member in told:
                host.ran_last = hosts[member]
                yield outputs
        finally:
            for board, error in broken:
                host.leave_out(board, error)

    def change_places(self, other: BoardRuntime) -> None:
        """The two boards have changed places, and with them what they have run."""
        self._ran, other._ran = other._ran, self._ran
        self.name, other.name = other.name, self.name

    @property
    def is_usable(self) -> bool:
        """Whether the link to the board still works."""
        return self.host.is_usable

    def run_given(self, samples: Iterator[Arrays]) -> Generator[Outputs, None, None]:
        """Run samples on this board alone, in order; they are taken as it has room."""
        self._prepared()
        under_way = deque[bytes]()

        def sent() -> Iterator[bytes]:
            for arrays in samples:
                under_way.append(packed(arrays))
                yield under_way[-1]

        for result in self._connection.run_many(sent()):
            self._remember(under_way.popleft())
            yield self._outputs(result)

    def reset_state(self) -> None:
        self._ready()
        self.ahead.was_reset()
        self._connection.reset_state()
        if self.model.is_stream:
            self._forget()

    def _remember(self, sample: bytes) -> None:
        self._ran.append(sample)
        if len(self._ran) > self._most_kept:
            self._ran.popleft()
            self._has_forgotten = True

    def _forget(self) -> None:
        self._ran.clear()
        self._has_forgotten = False

    def operator_times(self) -> list[OperatorTime]:
        """By the board's clock. Raises NotSupported on a board that does not measure them, such as
        the simulator."""
        self._after_last_run()
        times = self._connection.operator_times()
        return [
            OperatorTime(operator.index, operator.name, microseconds)
            for operator, microseconds in zip(self.model.operators, times, strict=False)
        ]

    def read_back(self, sample: object) -> Arrays:
        self._ready()
        self.ahead.restore()
        self._connection.write_inputs(packed(self.model.quantize(sample)))
        return _arrays(self._connection.read_inputs(), self.model.inputs)

    def read_inputs(self) -> Arrays:
        self._after_last_run()
        return _arrays(self._connection.read_inputs(), self.model.inputs)

    def _after_last_run(self) -> None:
        """The board's memory is as the last run that was asked for left it."""
        self._ready()
        overran = self.ahead.overran
        if not self.ahead.restore() and overran and self._ran:
            self._connection.run(self._ran[-1])

    def read_model(self) -> bytes:
        """The model as it lies in the board's memory now. NotSupported by older firmware."""
        self._ready()
        return self._connection.read_model()

    def close(self) -> None:
        """The board keeps the model until it gets another one."""

    def _outputs(self, result: RunResult) -> Outputs:
        arrays = _laid_out(result.outputs, self._layout)
        if result.microseconds is not None:
            self._times.append(result.microseconds)
        return Outputs(arrays, self.model.outputs, self.name, result.microseconds)

    def _ready(self) -> LoadedModel:
        self.host.turns.touch()
        return self._prepared()

    def _prepared(self) -> LoadedModel:
        loaded = self._connection.current()
        if loaded is None or loaded is not self._checked:
            loaded = self._ensure(loaded)
        return loaded

    def _is_mine(self, loaded: LoadedModel) -> bool:
        return (loaded.crc32, loaded.size) == (self.model.crc32, self.model.size)

    def _ensure(self, loaded: LoadedModel | None) -> LoadedModel:
        if loaded is None or not self._is_mine(loaded):
            if not self._connection.identity.takes_models:
                raise self._wrong(loaded)
            self._forget()
            try:
                loaded = self._connection.load(
                    self.model.data, self.host.report(self.model), passing=self._is_passing
                )
            except _ABOUT_THE_MODEL as error:
                raise type(error)(f"{self.model.name}: {error}", details=error.details) from None
        elif self._checked is None and self.model.is_stream and not self.host.was_reopened:
            self._connection.reset_state()  # another run left its state there
        if not self._is_passing:
            self._connection.keep(self.model.data)
        self._check_tensors(loaded)
        self._checked = loaded
        return loaded

    def _wrong(self, loaded: LoadedModel | None) -> WrongModel:
        model, connection = self.model, self._connection
        has = (
            "has no model"
            if loaded is None
            else f"has a model of {loaded.size} bytes, CRC-32 {loaded.crc32:08x}"
        )
        takes = "" if connection.identity.takes_models else ", and takes none over the link"
        return WrongModel(
            f"{connection.name}: the board {has}{takes}; {model.name} has {model.size} bytes,"
            f" CRC-32 {model.crc32:08x}. Flash firmware made with this model (pytest-tflm firmware"
            " --model)",
            details=connection.details(),
        )

    def _check_tensors(self, loaded: LoadedModel) -> None:
        for kind, expected, found in (
            ("input", self.model.inputs, loaded.inputs),
            ("output", self.model.outputs, loaded.outputs),
        ):
            if len(expected) != len(found):
                raise self._not_the_tensors(f"{len(found)} {kind}s, not {len(expected)}")
            for index, (mine, theirs) in enumerate(zip(expected, found, strict=True)):
                if theirs.dtype.startswith("TensorType"):
                    raise NotSupported(
                        f"{self._connection.name}: {kind} {index} ({mine.name}) has the type "
                        f"{mine.dtype}, which this version of pytest-tflm cannot send",
                        details=self._connection.details(),
                    )
                if wrong := _difference(mine, theirs):
                    raise self._not_the_tensors(f"{kind} {index} ({mine.name}) with {wrong}")

    def _not_the_tensors(self, what: str) -> WrongModel:
        return WrongModel(
            f"{self._connection.name}: the board has prepared {self.model.name}, but with {what}",
            details=self._connection.details(),
        )


def _difference(mine: Tensor, theirs: LoadedTensor) -> str:
    """How the board's tensor differs from the file's; empty if it does not."""
    if theirs.dtype != mine.dtype:
        return f"type {theirs.dtype}, not {mine.dtype}"
    if theirs.shape != mine.shape:
        return f"shape {theirs.shape}, not {mine.shape}"
    if theirs.nbytes != mine.nbytes:
        return f"{theirs.nbytes} bytes, not {mine.nbytes}"
    if mine.scale is None or mine.zero_point is None:
        return ""  # not quantised, or per channel, which a board cannot say
    if abs(theirs.scale - mine.scale) > 1e-6 * mine.scale:
        return f"scale {theirs.scale!r}, not {mine.scale!r}"
    if theirs.zero_point != mine.zero_point:
        return f"zero point {theirs.zero_point}, not {mine.zero_point}"
    return ""


def _each(arrays: Arrays) -> tuple[bytes, ...]:
    """The bytes of each array."""
    return tuple(array.tobytes() for array in arrays)


def _arrays(data: bytes, tensors: tuple[Tensor, ...]) -> Arrays:
    return _laid_out(data, _layout(tensors))


def _layout(tensors: tuple[Tensor, ...]) -> _Layout:
    """Where each tensor lies in the bytes of all of them: dtype, elements, offset, shape."""
    import numpy as np

    layout = []
    at = 0
    for tensor in tensors:
        layout.append((np.dtype(tensor.dtype), tensor.size, at, tensor.shape))
        at += tensor.nbytes
    return layout


def _laid_out(data: bytes, layout: _Layout) -> Arrays:
    from numpy import frombuffer

    return tuple(
        [
            frombuffer(data, dtype, count, offset).reshape(shape).copy()
            for dtype, count, offset, shape in layout
        ]
    )
