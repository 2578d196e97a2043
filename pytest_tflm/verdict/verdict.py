"""A verdict: the evidence over one model, and what it means."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_tflm.errors import TflmError
from pytest_tflm.verdict import two_boards
from pytest_tflm.verdict.causes import Accusation, accusations
from pytest_tflm.verdict.evidence import FLOAT_TOLERANCE, Evidence, Progress
from pytest_tflm.verdict.ladder import SAMPLES, climb
from pytest_tflm.verdict.row import versions_of

if TYPE_CHECKING:
    from pytest_tflm.model import Model
    from pytest_tflm.runtime.base import Arrays
    from pytest_tflm.verdict.row import Row


@dataclass(frozen=True, eq=False)
class Verdict:
    """What was found out about a model on a board. ``accusations`` holds what explains the
    outputs first, then notes; empty if all are equal."""

    evidence: Evidence
    accusations: tuple[Accusation, ...]

    @property
    def is_equal(self) -> bool:
        """Every step of the ladder that was climbed is equal, there was one, and no cause was
        found. What quantising cost is no difference of runtimes, and does not count."""
        steps = [step for step in self.evidence.steps if step.key != "float"]
        is_equal = bool(steps) and all(step.outcome == "equal" for step in steps)
        return is_equal and not self.names

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the causes that explain the outputs; notes are not among them."""
        return tuple(each.name for each in self.accusations if not each.cause.is_note)


def judge(
    model: Model,
    samples: Sequence[object],
    row: Row,
    *,
    history: Sequence[Arrays] = (),
    float_model: Path | None = None,
    codes: Sequence[object] | None = None,
    float_tolerance: float = FLOAT_TOLERANCE,
    progress: Progress | None = None,
) -> Verdict:
    """Climb the ladder over ``samples`` and say what it shows.

    ``history`` is what a run gave the board before, in order, with the input that failed at the
    end: of a model with state everything since the last reset. That stream is looked at in place of
    ``samples``, and run once more at the end, so that the board's state is what it was.
    ``float_model`` is the file of the model before it was quantised; ``codes`` what another
    program made of the same samples, if they are float. Floats that differ by less than
    ``float_tolerance`` of the largest magnitude are equal.

    Where the reference is another board, each of the two is held against this machine, and then
    they are against each other; ``float_model`` and ``codes`` are not looked at.

    Raises ModelError for a float model that cannot be read, SampleError for samples that do not
    fit, and no other TflmError: what breaks on the way is part of the evidence.
    """
    from pytest_tflm.model import open_model

    if two_boards.are_two_boards(row):
        return _of_two_boards(model, samples, row, history, float_tolerance, progress)
    stream = tuple(history) if model.is_stream else ()
    before = () if stream else tuple(history[-2:])
    given = list(samples[: SAMPLES - len(before)])
    arrays = stream or (*before, *(model.quantize(sample) for sample in given))
    evidence = Evidence(
        model,
        arrays,
        row,
        versions_of(row),
        history=tuple(history),
        float_tolerance=float_tolerance,
        progress=progress,
    )
    other = open_model(float_model) if float_model is not None else None
    climb(evidence, given, float_model=other, codes=codes)
    found = tuple(accusations(evidence))
    if stream and row.board is not None and "board" in evidence.outputs:
        with contextlib.suppress(TflmError):  # the next test says so
            runtime = row.board.load(model)
            if row.board.takes_models:
                runtime.reload()
            runtime.reset_state()
            for _ in runtime.run_many(stream):
                pass
    return Verdict(evidence, found)


def _of_two_boards(
    model: Model,
    samples: Sequence[object],
    row: Row,
    history: Sequence[Arrays],
    float_tolerance: float,
    progress: Progress | None,
) -> Verdict:
    one, other = two_boards.each_alone(row)
    mine = judge(
        model, samples, one, history=history, float_tolerance=float_tolerance, progress=progress
    )
    same = mine.evidence.samples
    theirs = judge(
        model,
        same,
        other,
        history=same if model.is_stream else (),
        float_tolerance=float_tolerance,
        progress=progress,
    )
    two_boards.part(mine.evidence, theirs.evidence)
    name = mine.evidence.names["reference"]
    told = [each for each in mine.accusations if each.name != "not-seen-again"]
    told += [
        two_boards.of_the_reference(e, name) for e in theirs.accusations if not e.cause.is_note
    ]
    return Verdict(mine.evidence, tuple(told))
