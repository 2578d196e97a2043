"""A board and host TFLM that do the same steps: what a sequence is made of."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from pytest_tflm.compare.within import within
from pytest_tflm.errors import (
    BoardError,
    BoardReset,
    InputAltered,
    LinkError,
    OutputMismatch,
    TflmError,
)
from pytest_tflm.link import message
from pytest_tflm.link.message import Region
from pytest_tflm.replay.format import (
    LOAD,
    REOPEN,
    RESET,
    RUN,
    WRITE,
    Party,
    Replay,
    ReplayModel,
    Step,
)
from pytest_tflm.runtime.base import check_read_back

if TYPE_CHECKING:
    from pytest_tflm.model import Model
    from pytest_tflm.runtime.base import Arrays, Host, Outputs, Runtime
    from pytest_tflm.runtime.board import BoardHost, BoardRuntime

_MOST_LOSSES = 30
"""So often in a row a line may be lost before it counts as broken."""
_JUNK = (b"", b"no model", bytes(64), b"\x1c\x00\x00\x00TFL3" + bytes(24))


class Driven:
    """Does the same on ``board`` and on ``oracle``, host TFLM, and compares the two: outputs within
    ``lsb``, inputs that read back as they were written, errors where there must be some and none
    elsewhere.

    Raises OutputMismatch. A line that breaks by itself is no finding: it is opened again, and the
    model loaded anew on both; BoardError and LinkError are raised only when that does not help.
    ``steps`` is what has been done since :meth:`begin`, with the ``samples`` that it names by
    number.
    """

    def __init__(
        self,
        board: BoardHost,
        oracle: Host,
        models: Sequence[Model],
        *,
        lsb: int = 0,
        float_tolerance: float = 0.0,
    ) -> None:
        self._board, self._oracle, self.models = board, oracle, models
        self._lsb, self._float_tolerance = lsb, float_tolerance
        self._number = 0
        self._party: Party | None = None
        self._in_a_row = 0
        self.losses = 0
        """How often the line broke by itself."""
        self.count = 0
        """Steps in all."""
        self.begin()

    def begin(self) -> None:
        """Forget what was done; :meth:`load` must follow."""
        self.steps: list[Step] = []
        self.samples: list[Arrays] = []

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
            self._there().reset_state()

    def run(self, samples: Sequence[Arrays]) -> None:
        """Run samples, all under way at once on the board."""
        first = len(self.samples)
        self.samples += samples
        self.count += len(samples)
        got = self._on_board(lambda board: list(board.run_many(samples)))
        if got is None:
            return  # the line broke, and all begins anew
        expected = list(self._there().run_many(samples))
        for at, (ours, theirs) in enumerate(zip(got[0], expected, strict=True)):
            self.steps.append(Step(RUN, first + at, theirs.arrays, ours.arrays))
            self._hold(ours, theirs)

    def read_back(self, sample: Arrays) -> None:
        """Write the input tensors and read them."""
        self.samples.append(sample)
        self._step(Step(WRITE, len(self.samples) - 1))
        try:
            self._on_board(lambda board: check_read_back(board, sample))
        except InputAltered as error:
            raise OutputMismatch(str(error)) from None

    def refused_model(self, number: int) -> None:
        """Send what is no model: the board must refuse it, and take the next one."""
        junk = _JUNK[number % len(_JUNK)]
        data = self.model.data
        # Cut short, the root and all it points to may lie behind the end.
        junk = junk or data[: len(data) // 2]

        def send(board: BoardRuntime) -> bool:
            try:
                self._board.connection().load(junk)
            except BoardReset:
                raise
            except BoardError:
                return True
            return False

        refused = self._on_board(send)
        if refused == (False,):
            raise OutputMismatch(f"the board accepted {len(junk)} bytes that are not a model")
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
            channel = self._board.connection().channel
            return isinstance(channel.wait(channel.ask(request)), message.Failure)

        if self._on_board(ask) == (False,):
            raise OutputMismatch(f"the board accepted an invalid request: {request}")

    def drop_line(self) -> None:
        """Close the line and open it again: the model and its variables stay."""
        self._step(Step(REOPEN))
        self._reopen()
        self._on_board(lambda board: None)

    def drop_line_while_running(self, samples: Sequence[Arrays]) -> None:
        """Close the line while samples are under way. Which of them ran nobody knows, so variables
        are reset."""

        def start(board: BoardRuntime) -> None:
            outputs = board.run_many(samples)
            next(outputs)
            self._board.connection().close()

        self.count += 1
        if self._on_board(start) is not None:
            self.drop_line()
            self.reset()

    def replay(self, title: str) -> Replay:
        """What was done, as a file's contents."""
        with contextlib.suppress(TflmError):
            self._party = Party.of(self._board)
        used = sorted({step.index for step in self.steps if step.do == LOAD})
        numbers = {number: at for at, number in enumerate(used)}
        steps = (
            Step(step.do, numbers[step.index]) if step.do == LOAD else step for step in self.steps
        )
        return Replay(
            kind="differs",
            subject=self._party or Party("board", self._board.spec),
            reference=Party.of(self._oracle),
            models=tuple(ReplayModel.of(self.models[number]) for number in used),
            samples=tuple(self.samples),
            steps=tuple(steps),
            lsb=self._lsb,
            float_tolerance=self._float_tolerance,
            title=title.splitlines()[0],
            text=title,
        )

    def _step(self, step: Step) -> None:
        self.count += 1
        self.steps.append(step)

    def _hold(self, got: Outputs, expected: Outputs) -> None:
        within(expected, lsb=self._lsb, float_tolerance=self._float_tolerance).check(got)

    def _anew(self) -> None:
        """The model loaded, for the first time or once more, on both."""
        self._there().reload()
        self._on_board(lambda board: board.reload() if board.takes_models else board.reset_state())

    def _there(self) -> Runtime:
        return self._oracle.load(self.model)

    def _reopen(self) -> None:
        try:
            self._board.reopen()
        except TflmError:
            self._board.renew()  # a simulator that has died

    def _on_board(self, do: Callable[[BoardRuntime], Any]) -> tuple[Any] | None:
        """What ``do`` returns, in a tuple; None if the line broke, and then both began anew."""
        try:
            result = do(self._board.load(self.model))
        except (LinkError, BoardReset):
            self._in_a_row += 1
            self.losses += 1
            if self._in_a_row > _MOST_LOSSES:
                raise
            self._reopen()
            # All that was done before is gone, also for a replay.
            self.begin()
            self.load(self._number)
            return None
        self._in_a_row = 0
        return (result,)
