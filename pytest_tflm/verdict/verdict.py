"""A verdict: the evidence over one model, and what it means."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_tflm.verdict.causes import Accusation, accusations
from pytest_tflm.verdict.ladder import climb

if TYPE_CHECKING:
    from pytest_tflm.model import Model
    from pytest_tflm.verdict.evidence import Evidence
    from pytest_tflm.verdict.row import Row


@dataclass(frozen=True, eq=False)
class Verdict:
    """What was found out about a model on a board. ``accusations`` holds what explains the
    outputs first, then notes; empty if all are equal."""

    evidence: Evidence
    accusations: tuple[Accusation, ...]

    @property
    def is_equal(self) -> bool:
        """Every step of the ladder that was climbed is equal, and there was one. What quantising
        cost is no difference of runtimes, and does not count."""
        rungs = [rung for rung in self.evidence.rungs if rung.key != "float"]
        return bool(rungs) and all(rung.outcome == "equal" for rung in rungs)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the causes that explain the outputs; notes are not among them."""
        return tuple(each.name for each in self.accusations if not each.cause.is_note)


def judge(
    model: Model,
    samples: Sequence[object],
    row: Row,
    *,
    float_model: Path | None = None,
    codes: Sequence[object] | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Verdict:
    """Climb the ladder over ``samples`` and say what it shows.

    ``float_model`` is the file of the model before it was quantised; ``codes`` what another
    program made of the same samples, if they are float. Raises ModelError for a float model that
    cannot be read, SampleError for samples that do not fit, and no other TflmError: what breaks on
    the way is part of the evidence.
    """
    evidence = climb(model, samples, row, float_model=float_model, codes=codes, progress=progress)
    return Verdict(evidence, tuple(accusations(evidence)))
