"""Where two hosts part: every operator alone with equal inputs, and the chain of all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_tflm.compare.distance import Gap, gap_of, same
from pytest_tflm.errors import BoardError, InterpreterError, ModelError, TflmError
from pytest_tflm.verdict.evidence import (
    Evidence,
    Localisation,
    OperatorResult,
    Progress,
    Step,
    experiment,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pytest_tflm.model import Model, Operator
    from pytest_tflm.runtime.base import Arrays, Host, Observation

SAMPLES_LOCALISED = 4
"""How many samples are followed operator by operator: those that differ most. Of a stream, all
samples up to the first that differs are."""
_MOST_BYTES = 64 << 20
"""Of observed tensors, of a stream."""


def chosen(evidence: Evidence, step: Step) -> list[int]:
    """The samples that are followed operator by operator."""
    apart = [evidence.gap([a], [b]) for a, b in zip(step.suspect, step.trusted, strict=True)]
    if evidence.model.is_stream:
        first = next((i for i, gap in enumerate(apart) if not gap.is_none), 0)
        size = max(1, sum(t.nbytes for t in evidence.model.tensors if not t.is_constant))
        return list(range(min(first + SAMPLES_LOCALISED, len(apart), 1 + _MOST_BYTES // size)))
    # Also where nothing differs: an unsteady TFLM is looked into all the same.
    order = sorted(range(len(apart)), key=lambda i: (-apart[i].largest, -apart[i].elements, i))
    return order[:SAMPLES_LOCALISED]


@experiment
def observed(evidence: Evidence) -> list[Observation]:
    """What the board's oracle has in every tensor, for the samples of the board's step that are
    followed."""
    step = evidence.step("board")
    assert step is not None
    samples = [evidence.samples[i] for i in chosen(evidence, step)]
    return evidence.oracle[0].observe(evidence.model, samples, reset_between=False)


@experiment
def on_board(evidence: Evidence) -> Localisation | None:
    """Each operator alone on the board, and the chain of them; None if the board takes no
    models."""
    step = evidence.step("board")
    if step is None or not evidence.board.takes_models:
        return None
    _localised(evidence, step, evidence.board, evidence.oracle[0], observed(evidence), real=False)
    return step.localisation


def on_hosts(evidence: Evidence, step: Step, suspect: Host, trusted: Host) -> None:
    """The same of two interpreters, with the shapes of the run."""
    samples = [evidence.samples[i] for i in chosen(evidence, step)]
    seen = trusted.observe(evidence.model, samples, reset_between=False)
    _localised(evidence, step, suspect, trusted, seen, real=True)


def _localised(
    evidence: Evidence,
    step: Step,
    suspect: Host,
    trusted: Host,
    seen: Sequence[Observation],
    *,
    real: bool,
) -> None:
    step.localisation = localise(
        evidence.model,
        suspect,
        trusted,
        seen,
        [step.suspect[i] for i in chosen(evidence, step)],
        real_shapes=real,
        float_tolerance=evidence.float_tolerance,
        progress=evidence.progress,
    )


@dataclass(frozen=True)
class _Sides:
    model: Model
    suspect: Host
    trusted: Host
    shapes: Mapping[int, tuple[int, ...]] | None
    float_tolerance: float

    def gap(self, got: Sequence[Arrays], expected: Sequence[Arrays]) -> Gap:
        return gap_of(got, expected, float_tolerance=self.float_tolerance)


def localise(
    model: Model,
    suspect: Host,
    trusted: Host,
    seen: Sequence[Observation],
    whole: Sequence[Arrays],
    *,
    real_shapes: bool,
    float_tolerance: float = 0.0,
    progress: Progress | None = None,
) -> Localisation:
    """Compare operator by operator over the samples that ``seen`` observed.

    ``seen`` is the trusted host's run of the whole model, one observation for each sample: what
    each operator is given. ``whole`` holds the suspect's outputs of the whole model for the same
    samples. Each operator is cut out and run on both hosts with the shapes of the run if
    ``real_shapes``, else with the stored ones. Two runs for each operator on the suspect, of models
    no larger than the operator, whatever the model's size. Floats that differ by less than
    ``float_tolerance`` of the largest magnitude are equal.

    An operator that cannot be cut, or that a host refuses, is named and passed by; a suspect whose
    link breaks ends it, with what is known until then.
    """
    sides = _Sides(
        model, suspect, trusted, seen[0].shapes if real_shapes else None, float_tolerance
    )
    # What the suspect's own chain holds: starts as the inputs, which are equal.
    chain = [{t.index: o.tensors[t.index] for t in model.inputs} for o in seen]
    results: list[OperatorResult] = []
    note = ""
    for operator in model.operators:
        if progress is not None:
            progress(f"comparing operators on {suspect.name}", operator.index, len(model.operators))
        try:
            results.append(_one(sides, operator, seen, chain))
        except TflmError as error:
            note = f"ended at operator {operator.index}, {operator.name}: {error.headline}"
            break
    if progress is not None:
        progress("", 1, 1)
    explains = None
    if not note and not any(result.problem for result in results):
        ends = [tuple(tensors[t.index] for t in model.outputs) for tensors in chain]
        explains = sides.gap(ends, whole).is_none
    outputs = frozenset(tensor.index for tensor in model.outputs)
    return Localisation(suspect.name, trusted.name, tuple(results), explains, outputs, note)


def _one(
    sides: _Sides,
    operator: Operator,
    seen: Sequence[Observation],
    chain: list[dict[int, NDArray[np.generic]]],
) -> OperatorResult:
    from pytest_tflm.model.transform.cut import cut_operator

    result = OperatorResult(operator)
    try:
        cut = cut_operator(sides.model, operator.index, shapes=sides.shapes)
        result = replace(result, cut=cut)
        given = tuple(tuple(o.tensors[i] for i in cut.inputs) for o in seen)
        result = replace(result, inputs=given)
        own = [
            tuple(c.get(i, o.tensors[i]) for i in cut.inputs)
            for c, o in zip(chain, seen, strict=True)
        ]
        trusted = sides.trusted.attempt(cut.model, given).outputs()
        alone, ends = _runs(sides, cut.model, given, own)
    except (ModelError, InterpreterError, BoardError, KeyError) as error:
        problem = (
            f"tensor {error} was not seen in the run"
            if isinstance(error, KeyError)
            else error.headline
        )
        return replace(result, problem=problem)
    for tensors, outputs in zip(chain, ends, strict=True):
        tensors.update(zip(cut.outputs, outputs, strict=True))
    should = [tuple(o.tensors[i] for i in cut.outputs if i in o.tensors) for o in seen]
    is_whole = all(len(a) == len(b) for a, b in zip(ends, should, strict=True))
    return replace(
        result,
        trusted=tuple(trusted),
        alone=tuple(alone),
        gap=sides.gap(alone, trusted),
        chained=sides.gap(ends, should) if is_whole else None,
    )


def _runs(
    sides: _Sides, model: Model, given: Sequence[Arrays], own: Sequence[Arrays]
) -> tuple[list[Arrays], list[Arrays]]:
    """What the suspect makes of the inputs given, and of those that its own chain holds."""
    host = sides.suspect
    inherited = [i for i in range(len(given)) if not same(own[i], given[i])]
    if model.is_stream:  # each of the two is a stream from its beginning
        alone = host.attempt(model, given).outputs()
        return alone, host.attempt(model, own).outputs() if inherited else alone
    made = host.attempt(model, [*given, *(own[i] for i in inherited)]).outputs()
    alone = made[: len(given)]
    ends = list(alone)
    for position, outputs in zip(inherited, made[len(given) :], strict=True):
        ends[position] = outputs
    return alone, ends
