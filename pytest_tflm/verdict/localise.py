"""Where two targets part: every operator alone with equal inputs, and the chain of all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_tflm.compare.distance import Gap, gap_of, same
from pytest_tflm.errors import TflmError
from pytest_tflm.runtime.base import outputs_of
from pytest_tflm.verdict.evidence import Localisation, OperatorResult

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from pytest_tflm.model import Model, Operator
    from pytest_tflm.runtime.base import Arrays, Host, Observation

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class _Sides:
    suspect: Host
    trusted: Host
    model: Model
    shapes: Mapping[int, tuple[int, ...]] | None


def localise(
    model: Model,
    suspect: Host,
    trusted: Host,
    seen: Sequence[Observation],
    whole: Sequence[Arrays],
    *,
    real_shapes: bool,
    progress: Progress | None = None,
) -> Localisation:
    """Compare operator by operator over the samples that ``seen`` observed.

    ``seen`` is the trusted target's run of the whole model, one observation for each sample: what
    each operator is given. ``whole`` holds the suspect's outputs of the whole model for the same
    samples. Each operator is cut out and run on both targets with the shapes of the run if
    ``real_shapes``, else with the stored ones. Two runs for each operator on the suspect, of models
    no larger than the operator, whatever the model's size.

    An operator that cannot be cut, or that a target refuses, is named and passed by; a suspect
    whose link breaks ends it, with what is known until then.
    """
    shapes = seen[0].shapes if real_shapes else None
    sides = _Sides(suspect, trusted, model, shapes)
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
    outputs = frozenset(tensor.index for tensor in model.outputs)
    explains = None
    if not note and not any(result.problem for result in results):
        explains = all(
            same(tuple(chain[i][t.index] for t in model.outputs), whole[i])
            for i in range(len(seen))
        )
    return Localisation(suspect.name, trusted.name, tuple(results), explains, outputs, note)


def _one(
    sides: _Sides,
    operator: Operator,
    seen: Sequence[Observation],
    chain: list[dict[int, NDArray[np.generic]]],
) -> OperatorResult:
    from pytest_tflm.errors import BoardError, InterpreterError, ModelError
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
        trusted = outputs_of(sides.trusted, cut.model, given)
        inherited = [i for i in range(len(seen)) if not same(own[i], given[i])]
        made = outputs_of(sides.suspect, cut.model, [*given, *(own[i] for i in inherited)])
    except (ModelError, InterpreterError, BoardError, KeyError) as error:
        problem = (
            f"tensor {error} was not seen in the run"
            if isinstance(error, KeyError)
            else error.headline
        )
        return replace(result, problem=problem)
    alone = made[: len(given)]
    ends = list(alone)
    for position, outputs in zip(inherited, made[len(given) :], strict=True):
        ends[position] = outputs
    for i, outputs in enumerate(ends):
        chain[i].update(zip(cut.outputs, outputs, strict=True))
    observed = [tuple(o.tensors[i] for i in cut.outputs if i in o.tensors) for o in seen]
    return replace(
        result,
        trusted=tuple(trusted),
        alone=tuple(alone),
        gap=gap_of(alone, trusted),
        chained=_chained(ends, observed),
    )


def _chained(ends: Sequence[Arrays], observed: Sequence[Arrays]) -> Gap | None:
    if any(len(a) != len(b) for a, b in zip(ends, observed, strict=True)):
        return None
    return gap_of(list(ends), observed)
