"""Experiments with the model file and the interpreters of this machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_tflm.compare.distance import Gap, gap_of
from pytest_tflm.errors import InterpreterError, ModelError, NotSupported
from pytest_tflm.verdict.evidence import Evidence, Fact, experiment

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from pytest_tflm.model import Operator


@dataclass(frozen=True)
class StoredShape(Fact):
    """An operator makes a tensor of the shape ``real``, and the file stores ``stored`` for it."""

    operator: int
    name: str
    real: tuple[int, ...]
    stored: tuple[int, ...]


@experiment
def shapes_of_a_run(evidence: Evidence) -> dict[int, tuple[int, ...]]:
    """The shape that each tensor has in TFLite; nothing if TFLite does not run the model."""
    model = evidence.model
    try:
        return evidence.row.builtin_ref.observe(model, evidence.samples[:1])[0].shapes
    except InterpreterError:
        return {}


@experiment
def stored_shapes(evidence: Evidence) -> tuple[StoredShape, ...]:
    """The operators whose outputs' real shapes are not the stored ones."""
    model, shapes = evidence.model, shapes_of_a_run(evidence)
    found = []
    for operator in model.operators:
        for index in operator.outputs:
            real, stored = shapes.get(index), model.tensors[index].shape
            if real is not None and real != stored:
                found.append(StoredShape(operator.index, operator.name, real, stored))
                break
    return tuple(found)


@experiment
def frozen(evidence: Evidence) -> Gap | None:
    """How host TFLM differs from BUILTIN_REF once the real shapes are written into the file; None
    if that is not known."""
    from pytest_tflm.model import model_from_bytes
    from pytest_tflm.model.transform.freeze import freeze

    model, tflm = evidence.model, evidence.row.tflm
    if not stored_shapes(evidence) or tflm is None:
        return None
    try:
        data = freeze(model, shapes_of_a_run(evidence))
        real = model_from_bytes(data, f"{model.name} with real shapes")
        got = tflm.attempt(real, evidence.samples).outputs()
        want = evidence.outputs.get("builtin_ref")
        want = want or evidence.row.builtin_ref.attempt(model, evidence.samples).outputs()
    except (ModelError, InterpreterError):
        return None
    return evidence.gap(got, want)


@experiment
def tflm_is_tflite(evidence: Evidence) -> bool:
    """Host TFLM gives BUILTIN_REF's outputs, where the two are no step of the ladder."""
    try:
        want = evidence.row.builtin_ref.attempt(evidence.model, evidence.samples).outputs()
    except InterpreterError:
        return True  # nothing to compare with
    return evidence.alike(evidence.outputs["tflm"], want)


@experiment
def differs_without_delegates(evidence: Evidence) -> frozenset[int]:
    """The operators that differ from BUILTIN_REF under the reference's resolver, and also without
    delegates (indices)."""
    step = evidence.step("resolver")
    assert step is not None
    assert step.localisation is not None
    differing = step.localisation.differing
    if evidence.row.reference.spec.resolver == "builtin_without_default_delegates":
        return frozenset(result.operator.index for result in differing)
    plain = evidence.row.without_delegates
    return frozenset(
        result.operator.index
        for result in differing
        if result.cut is not None
        and not evidence.alike(
            plain.attempt(result.cut.model, result.inputs).outputs(), result.trusted
        )
    )


@experiment
def changed_by_observing(evidence: Evidence) -> str:
    """How the reference's outputs differ from its own when all its tensors are kept; empty if they
    do not."""
    reference, step = evidence.row.reference, evidence.step("resolver")
    if step is None or reference.spec.is_board:
        return ""
    try:
        seen = reference.observe(evidence.model, evidence.samples, reset_between=False)
    except (InterpreterError, NotSupported):
        return ""
    gap = gap_of([each.outputs.arrays for each in seen], step.suspect)
    return "" if gap.is_none else gap.describe()


@dataclass(frozen=True)
class FirstNaN(Fact):
    """The first operator on ``who`` that makes a NaN or an infinity of inputs without; ``operator``
    is -1 if sample ``sample`` holds one itself."""

    who: str
    operator: int
    name: str
    sample: int


@experiment
def first_nan(evidence: Evidence) -> FirstNaN | None:
    """Where a NaN or an infinity comes from, if any outputs have one; None if that is not known."""
    wild = [
        (key, number)
        for key, outputs in evidence.outputs.items()
        for number, arrays in enumerate(outputs)
        if _is_wild(arrays)
    ]
    if not wild:
        return None
    number = wild[0][1]
    if _is_wild(evidence.samples[number]):
        return FirstNaN("", -1, "", number)
    step = evidence.step("board")
    where = step.localisation if step is not None else None
    for result in where.operators if where is not None else ():
        for i, (given, made) in enumerate(zip(result.inputs, result.alone, strict=False)):
            if not _is_wild(given) and _is_wild(made):
                return FirstNaN(where.suspect if where else "", *_named(result.operator), i)
    host, trusted = evidence.oracle
    if not any(key == trusted for key, _ in wild):
        host, trusted = evidence.row.builtin_ref, "builtin_ref"
    if not any(key == trusted for key, _ in wild):
        return None
    seen = host.observe(evidence.model, evidence.samples[: number + 1], reset_between=False)
    tensors = seen[-1].tensors
    for operator in evidence.model.operators:
        if _is_wild(tensors[i] for i in operator.outputs if i in tensors):
            return FirstNaN(host.name, *_named(operator), number)
    return None


def _named(operator: Operator) -> tuple[int, str]:
    return operator.index, operator.name


def _is_wild(arrays: Iterable[NDArray[Any]]) -> bool:
    return any(a.dtype.kind == "f" and not np.isfinite(a).all() for a in arrays)
