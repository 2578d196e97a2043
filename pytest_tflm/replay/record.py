"""Samples for which the outputs of two runtimes differ, as a replay."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_tflm.errors import ReplayError
from pytest_tflm.record.words import sample_lines
from pytest_tflm.replay.format import LOAD, RESET, RUN, Party, Replay, ReplayModel, Step

if TYPE_CHECKING:
    from pytest_tflm.runtime.base import Arrays, Outputs, Runtime


def differing(
    subject: Runtime,
    reference: Runtime,
    runs: Sequence[tuple[Arrays, Outputs | None, Outputs | None]],
    message: str,
    *,
    lsb: int,
    float_tolerance: float,
) -> Replay:
    """``runs`` are samples in the order in which they ran, each with what the subject and the
    reference computed where that was kept; several ran from the initial state on. ``message`` says
    how the outputs differ, ``lsb`` and ``float_tolerance`` what was allowed."""
    samples = tuple(sample for sample, _, _ in runs)
    steps = [Step(LOAD), *([Step(RESET)] if len(runs) > 1 else [])]
    steps += [
        Step(RUN, number, _arrays(expected), _arrays(got))
        for number, (_, got, expected) in enumerate(runs)
    ]
    lines = message.splitlines() or ["the test's assertion does not hold"]
    title = lines[0]
    for sample, got, _ in runs:
        if got is not None:
            lines += sample_lines(subject.model.inputs, sample)
    return Replay(
        kind="differs",
        subject=Party.of(subject.host),
        reference=Party.of(reference.host),
        models=(ReplayModel.of(subject.model),),
        samples=samples,
        steps=tuple(steps),
        lsb=lsb,
        float_tolerance=float_tolerance,
        title=title,
        text="\n".join(lines),
    )


def _arrays(outputs: Outputs | None) -> Arrays | None:
    return None if outputs is None else outputs.arrays


def again(keep: Callable[[Replay], Path | None], make: Callable[[], Replay]) -> str:
    """Keep the replay that ``make`` gives; a line that says where, or why it is not kept. What
    cannot be saved must not hide the mismatch that it is about."""
    try:
        path = keep(make())
    except ReplayError as error:
        return f"not saved: {error}"
    if path is None:
        return "not saved (no pytest cache; give --tflm-save=DIR)"
    return f"again: pytest {path}"


def keep(replay: Replay, directory: Path) -> Path:
    """Write it into ``directory``; the path as a user types it, from where they are."""
    path = replay.save(directory)
    try:
        return path.relative_to(Path.cwd())
    except ValueError:
        return path
