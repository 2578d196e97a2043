"""Make a sequence of steps small: the fewest that show the same, with inputs close to rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pytest_tflm.errors import OutputMismatch
from pytest_tflm.fuzz.reduce import Questions, fewest, simplest
from pytest_tflm.replay.format import LOAD, REOPEN, RESET, RUN, WRITE, Step

if TYPE_CHECKING:
    from pytest_tflm.fuzz.sequences.driven import Driven
    from pytest_tflm.model import Model
    from pytest_tflm.runtime.base import Arrays

DEFAULT_RUNS = 600


def fewest_steps(
    driven: Driven, steps: Sequence[Step], samples: Sequence[Arrays], *, runs: int = DEFAULT_RUNS
) -> str | None:
    """Do ``steps`` again, and ever fewer of them, as long as outputs differ; at most ``runs``
    sequences. Leaves the smallest in ``driven`` (its steps and samples) and gives the error that it
    ended in; None if the steps did not show it again."""
    samples = list(samples)
    if _error(driven, steps, samples) is None:
        return None

    def shows(several: list[Sequence[Step]]) -> list[bool]:
        return [_error(driven, each, samples) is not None for each in several]

    questions: Questions[Sequence[Step]] = Questions(shows, runs)
    # What came before a model was loaded seldom matters.
    loads = [at for at, step in enumerate(steps) if step.do == LOAD and at]
    found = questions.first([steps[at:] for at in reversed(loads)])
    first, *rest = steps if found is None else steps[loads[-1 - found[0]] :]
    steps = [first, *fewest(rest, lambda some: [first, *some], questions)]

    used = [step.index for step in steps if step.do in (RUN, WRITE)]

    def replaced(inputs: Sequence[Arrays]) -> list[Arrays]:
        new = dict(zip(used, inputs, strict=True))
        return [new.get(number, sample) for number, sample in enumerate(samples)]

    inputs = simplest(
        [model.inputs for model in _models(driven, steps)],
        [samples[number] for number in used],
        Questions(
            lambda several: [
                _error(driven, steps, replaced(inputs)) is not None for inputs in several
            ],
            questions.left,
        ),
    )
    return _error(driven, steps, replaced(inputs))


def _models(driven: Driven, steps: Sequence[Step]) -> list[Model]:
    """The model that each sample of the steps is for."""
    found, model = [], driven.models[steps[0].index]
    for step in steps:
        if step.do == LOAD:
            model = driven.models[step.index]
        elif step.do in (RUN, WRITE):
            found.append(model)
    return found


def _error(driven: Driven, steps: Sequence[Step], samples: Sequence[Arrays]) -> str | None:
    """What the steps end in; None if nothing differs."""
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
                driven.run([samples[step.index]])
            elif step.do == WRITE:
                driven.read_back(samples[step.index])
    except OutputMismatch as error:
        return str(error)
    return None
