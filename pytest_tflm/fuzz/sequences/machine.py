"""Look for the order of things in which a board goes wrong: Hypothesis' stateful testing.

The machine loads models, runs inputs, runs them again, resets variables, loads another model, reads
inputs back, provokes errors, drops the line and opens it again. Host TFLM does the same and is what
is right (:class:`~.driven.Driven`). What is found is shrunk to the fewest steps.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import hypothesis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from pytest_tflm.errors import OutputMismatch, TflmError
from pytest_tflm.fuzz.hypothesis_setup import profile
from pytest_tflm.fuzz.inputs.strategies import samples
from pytest_tflm.fuzz.sequences.driven import Driven
from pytest_tflm.fuzz.sequences.fewer_steps import fewest_steps
from pytest_tflm.runtime.interpreter import interpreter

if TYPE_CHECKING:
    from pytest_tflm.model import Model
    from pytest_tflm.replay.format import Replay, Step
    from pytest_tflm.runtime.base import Arrays
    from pytest_tflm.runtime.board import BoardHost

_MOST_AT_ONCE = 6


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
    board: BoardHost,
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

    Raises InterpreterMissing without host TFLM, and LinkError or BoardError if the line to the
    board, once dropped or broken, does not come back.
    """
    if not models:
        raise ValueError("sequences need at least one model")
    with interpreter("tflm") as oracle:
        driven = Driven(board, oracle, models, lsb=lsb, float_tolerance=float_tolerance)
        result = _Result()
        machine = _machine(driven, models, result, tried)
        round_number = 0
        while driven.count < steps and not result.error:
            left = steps - driven.count
            hypothesis.seed(seed + 7919 * round_number)(machine)
            _run(machine, max(1, min(200, left // length + 1)), length)
            if result.broken is not None:
                raise result.broken
            round_number += 1
        count, finding = driven.count, None
        if result.error:
            # Hypothesis has begun once more since.
            driven.steps, driven.samples = list(result.steps), list(result.samples)
            recorded = driven.replay(result.error)
            error = fewest_steps(driven, result.steps, result.samples)
            result.error = error or f"{result.error}\nIt did not happen again."
            finding = driven.replay(error) if error else recorded
        return SequenceReport(count, driven.losses, finding, result.error)


@dataclass
class _Result:
    """How a sequence ended: with outputs that differ (``error``), or ``broken``."""

    error: str = ""
    steps: tuple[Step, ...] = ()
    samples: tuple[Arrays, ...] = ()
    broken: TflmError | None = None


def _run(machine: Any, examples: int, length: int) -> None:
    settings = hypothesis.settings(
        profile(),
        max_examples=examples,
        stateful_step_count=length,
        phases=(hypothesis.Phase.generate,),
        database=None,
        derandomize=False,
        verbosity=hypothesis.Verbosity.quiet,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    # What is found is kept by the machine, and made small by fewer_steps: Hypothesis' shrinker has
    # no limit but five minutes.
    with contextlib.suppress(OutputMismatch, TflmError, hypothesis.errors.Flaky):
        run_state_machine_as_test(machine, settings=settings)


def _machine(
    driven: Driven,
    models: Sequence[Model],
    result: _Result,
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
            if result.error or result.broken is not None:
                return  # Hypothesis does it once more, which it need not
            try:
                step()
            except OutputMismatch as error:
                result.error = str(error)
                result.steps, result.samples = tuple(driven.steps), tuple(driven.samples)
                raise
            except TflmError as error:
                result.broken = error
                raise
            tried(driven.count)

    return BoardSequences
