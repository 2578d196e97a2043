"""Where two hosts part: every operator alone with equal inputs, and the chain of all of them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

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
    from pytest_tflm.model.transform.cut import Cut
    from pytest_tflm.runtime.base import Arrays, Attempt, Host, Observation

    _Chain = dict[int, NDArray[np.generic]]

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


def between(evidence: Evidence, step: Step, suspect: Host, trusted: Host) -> None:
    """The same of two boards, each operator with what the suspect's oracle feeds it."""
    samples = [evidence.samples[i] for i in chosen(evidence, step)]
    seen = evidence.oracle[0].observe(evidence.model, samples, reset_between=False)
    _localised(evidence, step, suspect, trusted, seen, real=False)


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
    no larger than the operator, whatever the model's size; a board gets the next operator while it
    has one. Floats that differ by less than
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
    trials = [_Trial(sides, operator, seen) for operator in model.operators]
    for trial in trials[:2]:
        trial.ask_trusted()
        if trial is trials[0]:
            trial.send()
    # The suspect never waits for this machine: the next operator is on its way to it while it has
    # one, and the trusted host computes the one behind.
    for trial, second, third in zip_longest(trials, trials[1:], trials[2:]):
        operator = trial.operator
        if progress is not None:
            progress(f"comparing operators on {suspect.name}", operator.index, len(model.operators))
        try:
            trial.send_own(chain)
            if second is not None:
                second.send()
            if third is not None:
                third.ask_trusted()
            results.append(trial.finish(chain))
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


def _step(do: Callable[..., None]) -> Callable[..., None]:
    """A step of a :class:`_Trial`, which does nothing after one that could not be done."""

    @functools.wraps(do)
    def step(trial: _Trial, *arguments: Any) -> None:
        if trial._result.problem or trial._error is not None:
            return
        try:
            do(trial, *arguments)
        except (ModelError, InterpreterError, BoardError) as error:
            trial._result = replace(trial._result, problem=error.headline)
        except KeyError as error:
            problem = f"tensor {error} was not seen in the run"
            trial._result = replace(trial._result, problem=problem)
        except TflmError as error:
            trial._error = error

    return step


class _Trial:
    """One operator alone, step by step. A step that cannot be done leaves ``problem``, and those
    behind it do nothing."""

    def __init__(self, sides: _Sides, operator: Operator, seen: Sequence[Observation]) -> None:
        self.operator = operator
        self._sides, self._seen = sides, seen
        self._result = OperatorResult(operator)
        self._cut: Cut
        self._asked: Attempt
        self._trusted: list[Arrays]
        self._alone: Attempt
        self._inherited: list[int] = []
        """The samples for which the suspect's own chain does not hold what the trusted run had."""
        self._ends: Attempt | None = None
        self._error: TflmError | None = None

    @_step
    def ask_trusted(self) -> None:
        """Cut it out, and have the trusted host begin."""
        from pytest_tflm.model.transform.cut import cut_operator

        cut = cut_operator(self._sides.model, self.operator.index, shapes=self._sides.shapes)
        self._result = replace(self._result, cut=cut)
        given = tuple(tuple(o.tensors[i] for i in cut.inputs) for o in self._seen)
        self._result = replace(self._result, inputs=given)
        self._cut = cut
        self._asked = self._sides.trusted.attempt(cut.model, given)

    @_step
    def send(self) -> None:
        """Have the suspect begin, once the trusted host has shown that it can be done."""
        self._trusted = self._asked.outputs()
        self._alone = self._sides.suspect.attempt(
            self._cut.model, self._result.inputs, expected=self._trusted
        )

    @_step
    def send_own(self, chain: Sequence[_Chain]) -> None:
        """Behind that, what the suspect's own chain holds, where that is something else."""
        given, model = self._result.inputs, self._cut.model
        own = [
            tuple(c.get(i, o.tensors[i]) for i in self._cut.inputs)
            for c, o in zip(chain, self._seen, strict=True)
        ]
        self._inherited = [i for i in range(len(given)) if not same(own[i], given[i])]
        if self._inherited and model.is_stream:
            self._inherited = list(range(len(given)))  # a stream from its beginning
        if self._inherited:
            inputs = [own[i] for i in self._inherited]
            unknown = [None] * len(inputs)
            self._ends = self._sides.suspect.attempt(model, inputs, expected=unknown)

    def finish(self, chain: Sequence[_Chain]) -> OperatorResult:
        """What came of it; ``chain`` goes on. Raises what ended the whole comparison."""
        self._conclude(chain)
        if self._error is not None:
            raise self._error
        return self._result

    @_step
    def _conclude(self, chain: Sequence[_Chain]) -> None:
        sides, made = self._sides, self._cut.outputs
        alone = self._alone.outputs()
        ends = list(alone)
        if self._ends is not None:
            for i, outputs in zip(self._inherited, self._ends.outputs(), strict=True):
                ends[i] = outputs
        for tensors, outputs in zip(chain, ends, strict=True):
            tensors.update(zip(made, outputs, strict=True))
        should = [tuple(o.tensors[i] for i in made if i in o.tensors) for o in self._seen]
        is_whole = all(len(a) == len(b) for a, b in zip(ends, should, strict=True))
        self._result = replace(
            self._result,
            trusted=tuple(self._trusted),
            alone=tuple(alone),
            gap=sides.gap(alone, self._trusted),
            chained=sides.gap(ends, should) if is_whole else None,
        )
