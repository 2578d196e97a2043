"""A board and host TFLM that do the same, one after the other: what a sequence is made of."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_tflm.compare.within import within
from pytest_tflm.errors import BoardError, BoardReset, LinkError, OutputMismatch, TflmError
from pytest_tflm.link import message
from pytest_tflm.link.message import Region
from pytest_tflm.replay.format import LOAD, REOPEN, RESET, RUN, WRITE, Replay, ReplayModel, Step
from pytest_tflm.replay.record import party
from pytest_tflm.runtime.board import BoardRuntime
from pytest_tflm.runtime.interpreter import InterpreterRuntime

if TYPE_CHECKING:
    from pytest_tflm.fuzz.inputs.strategies import Sample
    from pytest_tflm.link import Connection
    from pytest_tflm.model import Model
    from pytest_tflm.runtime.base import Outputs
    from pytest_tflm.runtime.worker import Worker

_MOST_LOSSES = 30
"""So often in a row a line may be lost before it counts as broken."""
_JUNK = (b"", b"no model", bytes(64), b"\x1c\x00\x00\x00TFL3" + bytes(24))


class Line:
    """The line to a board that is dropped and opened again: ``open_board()`` opens it. Also a
    context manager, which closes it."""

    def __init__(self, open_board: Callable[[], Connection]) -> None:
        self._open = open_board
        self._connection: Connection | None = None
        self.losses = 0
        """How often the line broke by itself."""

    @property
    def connection(self) -> Connection:
        """The link as it is; opened if it is not."""
        if self._connection is None:
            self._connection = self._open()
        return self._connection

    def drop(self) -> None:
        """Close it in the middle of whatever it does."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(TflmError, OSError):
                connection.close()

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        self.drop()


class Driven:
    """Does the same on the board behind ``line`` and on host TFLM, and holds the one against the
    other: outputs within ``lsb``, inputs that read back as they were written, errors where there
    must be some and none elsewhere.

    Raises OutputMismatch. A line that breaks by itself is no finding: it is opened again, and the
    model loaded anew on both; BoardError and LinkError are raised only when that does not help.
    ``steps`` is what has been done since :meth:`begin`, with the ``samples`` that it names by
    number.
    """

    def __init__(
        self,
        line: Line,
        models: Sequence[Model],
        *,
        worker: Worker,
        lsb: int = 0,
        float_tolerance: float = 0.0,
    ) -> None:
        self._line, self.models, self._worker = line, models, worker
        self._lsb, self._float_tolerance = lsb, float_tolerance
        self._number = 0
        self._board: BoardRuntime | None = None
        self._host: InterpreterRuntime | None = None
        self._versions: dict[str, str] = {}
        self._losses = 0
        self.count = 0
        """Steps in all."""
        self.begin()

    def begin(self) -> None:
        """Forget what was done; :meth:`load` must follow."""
        self.steps: list[Step] = []
        self.samples: list[Sample] = []

    @property
    def model(self) -> Model:
        """The model that is loaded."""
        return self.models[self._number]

    def load(self, number: int) -> None:
        """Send a model, also if the board has it already."""
        self._number = number
        self._step(Step(LOAD, number))
        self._anew()

    def reset(self) -> None:
        """Put variables back to their initial values."""
        self._step(Step(RESET))
        if self._on_board(lambda board: board.reset_state()) is not None:
            self._on_host().reset_state()

    def run(self, samples: Sequence[Sample]) -> None:
        """Run samples, all under way at once on the board."""
        first = len(self.samples)
        self.samples += samples
        self.count += len(samples)
        got = self._on_board(lambda board: list(board.run_many(samples)))
        if got is None:
            return  # the line broke, and all begins anew
        expected = list(self._on_host().run_many(samples))
        for at, (ours, theirs) in enumerate(zip(got[0], expected, strict=True)):
            self.steps.append(Step(RUN, first + at, theirs.arrays, ours.arrays))
            self._hold(ours, theirs)

    def read_back(self, sample: Sample) -> None:
        """Write the input tensors and read them."""
        self.samples.append(sample)
        self._step(Step(WRITE, len(self.samples) - 1))
        found = self._on_board(lambda board: board.read_back(sample))
        if found is None:
            return
        for tensor, sent, read in zip(self.model.inputs, sample, found[0], strict=True):
            if sent.tobytes() != read.tobytes():
                wrong = int((np.ravel(sent) != np.ravel(read)).sum())
                raise OutputMismatch(
                    f"input {tensor.name!r} of {self.model.name} reads back with {wrong} of "
                    f"{sent.size} elements changed"
                )

    def refused_model(self, number: int) -> None:
        """Send what is no model: the board must refuse it, and take the next one."""
        junk = _JUNK[number % len(_JUNK)]
        data = self.model.data
        # Cut short, the root and all it points to may lie behind the end.
        junk = junk or data[: len(data) // 2]

        def send(board: BoardRuntime) -> bool:
            try:
                self._line.connection.load(junk)
            except BoardReset:
                raise
            except BoardError:
                return True
            return False

        refused = self._on_board(send)
        if refused == (False,):
            raise OutputMismatch(f"the board took {len(junk)} bytes that are no model")
        self.count += 1
        self.load(self._number)

    def bad_request(self, number: int) -> None:
        """Ask for what cannot be: a write behind the end of the inputs, a read of an input that
        there is not. The board must say no and go on as if nothing had been."""
        size = self.model.inputs[0].nbytes
        request: message.Request = (
            message.Write(Region.INPUT, 0, size, b"\x01\x02")
            if number % 2
            else message.Read(Region.INPUT, len(self.model.inputs) + number % 5, 0, 4)
        )
        self.count += 1

        def ask(board: BoardRuntime) -> bool:
            channel = self._line.connection.channel
            return isinstance(channel.wait(channel.ask(request)), message.Failure)

        if self._on_board(ask) == (False,):
            raise OutputMismatch(f"the board took a request that makes no sense: {request}")

    def drop_line(self) -> None:
        """Close the line and open it again: the model and its variables stay."""
        self._step(Step(REOPEN))
        self._line.drop()
        self._board = None
        self._on_board(lambda board: None)

    def drop_line_while_running(self, samples: Sequence[Sample]) -> None:
        """Close the line while samples are under way. Which of them ran nobody knows, so variables
        are reset."""

        def start(board: BoardRuntime) -> None:
            outputs = board.run_many(samples)
            next(outputs)
            self._line.drop()

        self.count += 1
        if self._on_board(start) is not None:
            self._board = None
            self.drop_line()
            self.reset()

    def replay(self, title: str) -> Replay:
        """What was done, as a file's contents."""
        port, name = "", "board"
        with contextlib.suppress(TflmError, OSError):
            port, name = self._line.connection.name, self._ready().name
            self._versions = self._ready().versions()
        used = sorted({step.index for step in self.steps if step.do == LOAD})
        numbers = {number: at for at, number in enumerate(used)}
        steps = (
            Step(step.do, numbers[step.index]) if step.do == LOAD else step for step in self.steps
        )
        host = self._on_host()
        return Replay(
            kind="differs",
            subject=party(name, self._versions, port),
            reference=party(host.name, host.versions()),
            models=tuple(ReplayModel.of(self.models[number]) for number in used),
            samples=tuple(self.samples),
            steps=tuple(steps),
            lsb=self._lsb,
            float_tolerance=self._float_tolerance,
            title=title.splitlines()[0],
            text=title,
        )

    def close(self) -> None:
        """Take the model out of the host's process. The line and the worker are the caller's."""
        if self._host is not None:
            self._host.close()
            self._host = None

    def _step(self, step: Step) -> None:
        self.count += 1
        self.steps.append(step)

    def _hold(self, got: Outputs, expected: Outputs) -> None:
        within(expected, lsb=self._lsb, float_tolerance=self._float_tolerance).check(got)

    def _anew(self) -> None:
        """The model loaded, for the first time or once more, on both."""
        self.close()
        self._host = InterpreterRuntime("tflm", self.model, worker=self._worker)
        self._board = None
        self._on_board(lambda board: None)
        if self._ready().takes_models:
            self._on_board(lambda board: board.reload())
        else:
            self._on_board(lambda board: board.reset_state())

    def _on_host(self) -> InterpreterRuntime:
        assert self._host is not None, "load first"
        return self._host

    def _ready(self) -> BoardRuntime:
        if self._board is None:
            self._board = BoardRuntime(self._line.connection, self.model)
        return self._board

    def _on_board(self, do: Callable[[BoardRuntime], Any]) -> tuple[Any] | None:
        """What ``do`` returns, in a tuple; None if the line broke, and then both began anew."""
        try:
            result = do(self._ready())
        except (LinkError, BoardReset):
            self._losses += 1
            self._line.losses += 1
            if self._losses > _MOST_LOSSES:
                raise
            self._line.drop()
            self._board = None
            # All that was done before is gone, also for a replay.
            self.begin()
            self.load(self._number)
            return None
        self._losses = 0
        return (result,)
