"""Make a sequence of steps small: as few as show the same, with inputs close to the zero point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pytest_tflm.errors import OutputMismatch
from pytest_tflm.fuzz.shrink import shrunk
from pytest_tflm.replay.format import LOAD, REOPEN, RESET, RUN, WRITE, Step

if TYPE_CHECKING:
    from pytest_tflm.fuzz.inputs.strategies import Sample
    from pytest_tflm.fuzz.sequences.driven import Driven

DEFAULT_RUNS = 600


def fewest(
    driven: Driven, steps: Sequence[Step], samples: Sequence[Sample], *, runs: int = DEFAULT_RUNS
) -> str | None:
    """Do ``steps`` again, and ever fewer of them, as long as outputs differ; at most ``runs``
    sequences. Leaves the smallest in ``driven`` (its steps and samples) and gives the error that it
    ended in; None if the steps did not show it again."""
    return _Search(driven, samples, runs).run(list(steps))


class _Search:
    def __init__(self, driven: Driven, samples: Sequence[Sample], runs: int) -> None:
        self._driven = driven
        self._samples = list(samples)
        self._left = runs

    def run(self, steps: list[Step]) -> str | None:
        if self._error(steps) is None:
            return None
        # What came before a model was loaded seldom matters.
        for at in reversed([i for i, step in enumerate(steps) if step.do == LOAD and i]):
            if self._error(steps[at:]) is not None:
                steps = steps[at:]
                break
        size = max(1, len(steps) // 2)
        while True:
            before = len(steps)
            at = len(steps) - size
            while at > -size:
                fewer = steps[: max(at, 1)] + steps[max(at, 0) + size :]
                if len(fewer) < len(steps) and self._error(fewer) is not None:
                    steps = fewer
                at -= size
            if size == 1 and len(steps) == before:
                break
            size = max(1, size // 2)
        self._simpler(steps)
        return self._error(steps, last=True)

    def _simpler(self, steps: list[Step]) -> None:
        """Each input of the steps closer to the zero point."""
        model = None
        for step in steps:
            if step.do == LOAD:
                model = self._driven.models[step.index]
            if step.do != RUN or model is None:
                continue
            number = step.index
            first = self._samples[number]

            def shows(candidates: list[Sample], number: int = number) -> list[bool]:
                answers: list[bool] = []
                for candidate in candidates:
                    self._samples[number] = candidate
                    # One that shows it is enough: of the others nobody needs to know.
                    answers.append(not any(answers) and self._error(steps) is not None)
                return answers

            self._samples[number] = shrunk(model.inputs, first, shows, runs=max(0, self._left // 2))

    def _error(self, steps: Sequence[Step], last: bool = False) -> str | None:
        """What the steps end in; None if nothing differs."""
        if self._left <= 0 and not last:
            return None
        self._left -= 1
        driven = self._driven
        driven.begin()
        try:
            for step in steps:
                if step.do == LOAD:
                    driven.load(step.index)
                elif step.do == RESET:
                    driven.reset()
                elif step.do == REOPEN:
                    driven.drop_line()
                elif step.do == RUN:
                    driven.run([self._samples[step.index]])
                elif step.do == WRITE:
                    driven.read_back(self._samples[step.index])
        except OutputMismatch as error:
            return str(error)
        return None
