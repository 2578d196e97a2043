"""Look for the order of things in which a board goes wrong: Hypothesis' stateful testing.

The machine loads models, runs inputs, runs them again, resets variables, loads another model, reads
inputs back, provokes errors, drops the line and opens it again. Host TFLM does the same and is what
is right (:class:`pytest_tflm.fuzz.driven.Driven`). What is found is shrunk to the fewest steps.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import hypothesis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from pytest_tflm.errors import OutputMismatch
from pytest_tflm.fuzz.driven import Driven, Line
from pytest_tflm.fuzz.hypothesis_setup import profile
from pytest_tflm.fuzz.inputs import samples
from pytest_tflm.runtime.worker import Worker

if TYPE_CHECKING:
    from pytest_tflm.fuzz.replay import Replay
    from pytest_tflm.link import Connection
    from pytest_tflm.model import Model

_MOST_AT_ONCE = 6
SHRINK_STEPS = 3000
"""Steps that shrinking may take. Hypothesis has no limit but five minutes, which a board can need
for twenty tries."""


@dataclass(frozen=True)
class SequenceReport:
    """``steps`` that were done until the end or the finding, the losses of the line that were got
    over, and the ``finding``: the fewest steps found that show it, ready to be saved, and its
    ``error``."""

    steps: int
    losses: int
    finding: Replay | None
    error: str = ""


def sequences(
    open_board: Callable[[], Connection],
    models: Sequence[Model],
    *,
    steps: int = 1000,
    length: int = 50,
    seed: int = 0,
    lsb: int = 0,
    float_tolerance: float = 0.0,
    tried: Callable[[int], None] = lambda done: None,
) -> SequenceReport:
    """Do at least so many ``steps`` on a board, at most about ``length`` in one sequence.

    ``open_board()`` opens the line, each time it was dropped. Raises InterpreterMissing without
    host TFLM, and LinkError or BoardError if the line does not come back.
    """
    from pytest_tflm.runtime import packages

    packages.check_installed("tflm")
    if not models:
        raise ValueError("sequences of what? at least one model is needed")
    with Line(open_board) as line, Worker("tflm") as worker:
        driven = Driven(line, models, worker=worker, lsb=lsb, float_tolerance=float_tolerance)
        found = _Smallest()
        machine = _machine(driven, models, found, tried)
        round_number = 0
        while driven.count < steps and found.replay is None:
            left = steps - driven.count
            hypothesis.seed(seed + 7919 * round_number)(machine)
            _run(machine, max(1, min(200, left // length + 1)), length)
            round_number += 1
        driven.close()
        return SequenceReport(found.at or driven.count, line.losses, found.replay, found.error)


class _Smallest:
    """The smallest of what shows it: the fewest steps, then the fewest elements that are not at the
    zero point. ``at``: how many steps it took until the first."""

    def __init__(self) -> None:
        self.replay: Replay | None = None
        self.error = ""
        self.at = 0
        self._size = (0, 0)

    def add(self, driven: Driven, error: str) -> None:
        size = (len(driven.steps), driven.off_zero_point)
        self.at = self.at or driven.count
        if self.replay is None or size < self._size:
            self.replay, self.error, self._size = driven.replay(error), error, size


def _run(machine: Any, examples: int, length: int) -> None:
    settings = hypothesis.settings(
        profile(),
        max_examples=examples,
        stateful_step_count=length,
        phases=(hypothesis.Phase.generate, hypothesis.Phase.shrink),
        database=None,
        derandomize=False,
        verbosity=hypothesis.Verbosity.quiet,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    # What is found is kept by the machine; a board that does not do it again is told there.
    with contextlib.suppress(OutputMismatch, hypothesis.errors.Flaky):
        run_state_machine_as_test(machine, settings=settings)


def _machine(
    driven: Driven,
    models: Sequence[Model],
    found: _Smallest,
    tried: Callable[[int], None],
) -> type[RuleBasedStateMachine]:
    strategies = [samples(model) for model in models]
    numbers = st.integers(0, len(models) - 1)
    small = st.integers(0, 7)

    class BoardSequences(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            driven.begin()
            self._last: Any = None
            self._number = 0

        @initialize(number=numbers)
        def load_first(self, number: int) -> None:
            self._do(lambda: driven.load(number))
            self._number = number

        @rule(data=st.data())
        def run_one(self, data: Any) -> None:
            self._last = data.draw(strategies[self._number])
            self._do(lambda: driven.run([self._last]))

        @rule()
        def run_again(self) -> None:
            if self._last is not None:
                self._do(lambda: driven.run([self._last]))

        @rule()
        def reset(self) -> None:
            self._do(driven.reset)

        @rule(data=st.data())
        def run_several(self, data: Any) -> None:
            several = data.draw(
                st.lists(strategies[self._number], min_size=2, max_size=_MOST_AT_ONCE)
            )
            self._last = several[-1]
            self._do(lambda: driven.run(several))

        @rule(number=numbers)
        def load_another(self, number: int) -> None:
            self._number, self._last = number, None
            self._do(lambda: driven.load(number))

        @rule(data=st.data())
        def read_back(self, data: Any) -> None:
            sample = data.draw(strategies[self._number])
            self._do(lambda: driven.read_back(sample))

        @rule(number=small)
        def bad_request(self, number: int) -> None:
            self._do(lambda: driven.bad_request(number))

        @rule(number=small)
        def refused_model(self, number: int) -> None:
            self._do(lambda: driven.refused_model(number))

        @rule()
        def drop_line(self) -> None:
            self._do(driven.drop_line)

        @rule(data=st.data())
        def drop_line_while_running(self, data: Any) -> None:
            several = data.draw(
                st.lists(strategies[self._number], min_size=2, max_size=_MOST_AT_ONCE)
            )
            self._do(lambda: driven.drop_line_while_running(several))

        def _do(self, step: Callable[[], None]) -> None:
            if found.at and driven.count > found.at + SHRINK_STEPS:
                return  # enough: Hypothesis sees no more that shows it
            try:
                step()
            except OutputMismatch as error:
                found.add(driven, str(error))
                raise
            tried(driven.count)

    return BoardSequences


