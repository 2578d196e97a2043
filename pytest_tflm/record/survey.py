"""What samples can show: whether the reference's outputs vary over them, and whether they fit the
input's range. A test that passes over samples that show nothing says nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from pytest_tflm.errors import TflmError
from pytest_tflm.record.samples import QuietSamples, RandomSamples, Recent

if TYPE_CHECKING:
    from pytest_tflm.model import Model
    from pytest_tflm.record.samples import Samples
    from pytest_tflm.runtime.base import Host

_LOOKED_AT = 16
"""Samples that are run on the reference before the tests, at most."""
CLAMPED_SHARE = 0.01
"""A share of clamped values that is worth a line."""


@dataclass(frozen=True)
class Survey:
    """``samples`` to use, and ``notes`` on them, a sentence each."""

    samples: Samples
    notes: tuple[str, ...] = ()


def survey(model: Model, samples: Samples, reference: Host) -> Survey:
    """Look at the first of ``samples`` before the tests.

    Random samples for which all outputs of ``reference`` are the same are replaced by quieter ones,
    if those make outputs vary. A reference that does not run the model leaves that unknown: its
    error is the tests' to show.
    """
    first = list(islice(samples, _LOOKED_AT))
    notes = [f"{model.name}: {each}" for each in model.clamped(first) if each.share > CLAMPED_SHARE]
    used = Recent(samples) if isinstance(samples, RandomSamples) else samples
    try:
        if len(first) < 2 or _varies(model, first, reference):
            return Survey(used, tuple(notes))
        if isinstance(samples, RandomSamples):
            quiet = QuietSamples(samples.model, samples.count, samples.seed)
            if _varies(model, list(islice(quiet, _LOOKED_AT)), reference):
                notes.append(
                    f"{model.name}: the reference gives the same outputs for all uniformly random "
                    "samples, so samples close to the zero point are used"
                )
                return Survey(Recent(quiet), tuple(notes))
    except TflmError:
        return Survey(used, tuple(notes))
    what = "all" if len(samples) == len(first) else f"the first {len(first)} of"
    notes.append(
        f"{model.name}: the reference gives the same outputs for {what} {len(samples)} samples. "
        "Tests that pass show little: a board that always gives these outputs passes too. Give "
        "samples for which outputs vary (--tflm-samples)"
    )
    return Survey(used, tuple(notes))


def _varies(model: Model, samples: Sequence[object], reference: Host) -> bool:
    made = reference.attempt(model, samples, reset_between=model.is_stream).outputs()
    first = [array.tobytes() for array in made[0]]
    return any([array.tobytes() for array in arrays] != first for arrays in made[1:])
