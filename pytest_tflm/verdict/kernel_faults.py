"""Faults of kernels that are known well enough to compute: if a correct kernel, given the fault on
purpose, makes exactly what the board made, that is what the board does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_tflm.compare.distance import gap_of
from pytest_tflm.errors import BoardError, InterpreterError, ModelError, TflmError
from pytest_tflm.model.arithmetic.accumulators import accumulators, windows
from pytest_tflm.model.arithmetic.requantise import requantisation, requantise
from pytest_tflm.model.arithmetic.single import Single
from pytest_tflm.model.graph import pack, unpack
from pytest_tflm.verdict.evidence import (
    MOST,
    Evidence,
    Fact,
    OperatorResult,
    experiment,
    worst_of,
)
from pytest_tflm.verdict.kernel_edits import EDITS, with_another_scale
from pytest_tflm.verdict.localise import on_board

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_tflm.runtime.base import Arrays, Host
    from pytest_tflm.verdict.kernel_edits import Edit

    Fault = Callable[[OperatorResult, Single, Host, Host], Iterator[tuple[str, str]]]
    """Given the board, and a host with right kernels."""

_WORD = 4
"""Bytes that kernels load at a time."""
_DRAWN = 4


@dataclass(frozen=True)
class Computes(Fact):
    """Operator ``operator`` of the board computes exactly what a kernel with the fault ``cause``
    does, which is said in ``words``."""

    operator: int
    cause: str
    words: str


@experiment
def computed(evidence: Evidence) -> tuple[Computes, ...]:
    """What known faults explain the operators that differ alone on the board."""
    where = on_board(evidence)
    if where is None:
        return ()
    return tuple(
        found
        for results in where.by_type.values()
        for found in _of_type(results, evidence.board, evidence.oracle[0])
    )


def _of_type(results: list[OperatorResult], board: Host, oracle: Host) -> Iterator[Computes]:
    """The faults that explain operators of one type. A kernel has its fault in nearly all of them:
    one that does not explain the first few is excluded, and not tried on the others."""
    misses = dict.fromkeys(range(len(_FAULTS)), 0)
    for result in results:
        cut = result.cut
        if cut is None or (result.gap is not None and result.gap.shapes):
            continue
        single = Single(cut.model)
        for number in list(misses):
            found = list(_FAULTS[number](result, single, board, oracle))
            misses[number] += not found
            if misses[number] > (1 - MOST) * len(results):
                del misses[number]
            for name, words in found:
                yield Computes(result.operator.index, name, words)


@experiment
def keeps_parameters(evidence: Evidence) -> frozenset[str]:
    """The types of operators whose kernels do not look at their own parameters: with another scale
    of the input the board's answer is the same, and that of a correct kernel is not."""
    where = on_board(evidence)
    return frozenset(
        name
        for name, results in (where.by_type if where is not None else {}).items()
        if all(_ignores_scale(evidence, worst_of(results), by) for by in (2.0, 0.5))
    )


def _ignores_scale(evidence: Evidence, result: OperatorResult, by: float) -> bool:
    from pytest_tflm.model import model_from_bytes

    edited = None if result.cut is None else with_another_scale(Single(result.cut.model), by)
    if edited is None:
        return False
    try:
        other = model_from_bytes(edited, "another scale")
        inputs = [*result.inputs, *_drawn(result)]
        right = evidence.oracle[0].attempt(result.cut.model, inputs).outputs()  # type: ignore[union-attr]
        theirs = evidence.oracle[0].attempt(other, inputs).outputs()
        alone = evidence.board.attempt(result.cut.model, inputs).outputs()  # type: ignore[union-attr]
        mine = evidence.board.attempt(other, inputs).outputs()
    except (BoardError, InterpreterError, ModelError):
        return False
    return not evidence.alike(theirs, right) and evidence.alike(mine, alone)


def _drawn(result: OperatorResult) -> list[Arrays]:
    """Inputs of the operator beside those of the run, which may all be at the end of a range."""
    rng = np.random.default_rng(0)
    first = result.inputs[0]
    if any(array.dtype.kind not in "iu" for array in first):
        return []
    return [
        tuple(
            np.clip(rng.normal(0, 24, array.shape), -120, 120).astype(array.dtype)
            for array in first
        )
        for _ in range(_DRAWN)
    ]


def _maximum(
    result: OperatorResult, single: Single, board: Host, oracle: Host
) -> Iterator[tuple[str, str]]:
    """A maximum in place of an average."""
    source, output = single.inputs[0] if single.inputs else None, single.outputs[0]
    if source is None or source.scale is None or output.scale is None:
        return
    ratio = source.scale / output.scale
    for arrays, made in zip(result.inputs, result.alone, strict=True):
        x = arrays[0].astype(np.float64)
        if single.name == "AVERAGE_POOL_2D":
            seen = windows(single, x, padding=-np.inf)
            most = None if seen is None else np.max(np.stack(seen), axis=0)
        elif single.name == "MEAN" and single.inputs[1] is not None:
            axes = single.model.constant(single.inputs[1].index)
            most = None if axes is None else x.max(axis=tuple(int(a) for a in axes.ravel()))
        else:
            return
        if most is None or most.size != made[0].size:
            return
        codes = _half_away((most - (source.zero_point or 0)) * ratio) + (output.zero_point or 0)
        low, high = output.code_range
        if np.abs(np.clip(codes, low, high).ravel() - made[0].astype(np.int64).ravel()).max() > 1:
            return
    yield "kernel-differs", "what it would compute if it took the maximum instead of the average"


def _cut_off_average(
    result: OperatorResult, single: Single, board: Host, oracle: Host
) -> Iterator[tuple[str, str]]:
    """An average that is cut off where it should be rounded."""
    if single.name != "AVERAGE_POOL_2D":
        return
    low, high = single.outputs[0].code_range
    for arrays, made in zip(result.inputs, result.alone, strict=True):
        seen = windows(single, arrays[0].astype(np.float64), padding=np.nan)
        if seen is None or arrays[0].dtype.kind != "i":
            return
        codes = np.clip(np.trunc(np.nanmean(np.stack(seen), axis=0)), low, high)
        if not np.array_equal(codes.ravel(), made[0].ravel()):
            return
    yield "rounding", "exactly as a kernel that truncates the average instead of rounding"


def _is_made(target: Host, data: bytes, inputs: Sequence[Arrays], wanted: Sequence[Arrays]) -> bool:
    """``target`` makes exactly ``wanted`` of ``inputs`` with the model in ``data``."""
    from pytest_tflm.model import model_from_bytes

    try:
        made = target.attempt(model_from_bytes(data, "changed"), inputs).outputs()
    except TflmError:
        return False
    return gap_of(made, wanted).is_none


def _edit_fault(name: str, words: str, edit: Edit) -> Fault:
    """The fault that a correct kernel has with an edited model or edited inputs."""

    def fault(
        result: OperatorResult, single: Single, board: Host, oracle: Host
    ) -> Iterator[tuple[str, str]]:
        edited = edit(single, result.inputs)
        if edited is not None and _is_made(oracle, *edited, result.alone):
            yield name, f"exactly what it would compute {words}"

    return fault


def _by_accumulators(
    result: OperatorResult, single: Single, board: Host, oracle: Host
) -> Iterator[tuple[str, str]]:
    """What another requantisation, or an accumulator that is too narrow, would have made."""
    cut, steps = result.cut, requantisation(single)
    if cut is None or steps is None:
        return
    sums = [accumulators(single, arrays) for arrays in result.inputs]
    if any(each is None for each in sums):
        return
    known = [each for each in sums if each is not None]
    made = [arrays[0] for arrays in result.alone]

    def is_made(codes: Callable[[NDArray[np.int64]], NDArray[Any]]) -> bool:
        return all(
            np.array_equal(codes(each).reshape(got.shape), got)
            for each, got in zip(known, made, strict=True)
        )

    if not steps.is_wide and is_made(lambda each: steps.codes(each, single_rounding=True)):
        yield "rounding", "exactly as a kernel that rounds once"
    elif not steps.is_wide and is_made(lambda each: steps.codes(each, cut_off=True)):
        yield "rounding", "exactly as a kernel that truncates instead of rounding"
    if not steps.is_wide:
        for kept in (16, 15):
            low = 31 - kept
            for half, how in ((0, "cut off"), (1 << (low - 1), "rounded")):
                reduced = replace(steps, multipliers=(steps.multipliers + half) >> low << low)
                if is_made(reduced.codes):
                    yield (
                        "rounding",
                        f"exactly as a kernel whose multiplier is {how} to {kept} bits",
                    )
    bits = 8 * steps.dtype.itemsize
    for lowest in (steps.lowest, None):

        def wraps(each: NDArray[np.int64], lowest: int | None = lowest) -> Any:
            scaled = requantise(each, steps.multipliers, steps.shifts, wide=steps.is_wide)
            made = np.maximum(scaled + steps.zero_point, scaled.min() if lowest is None else lowest)
            return made.astype(steps.dtype)

        if is_made(wraps):
            yield (
                "kernel-differs",
                f"exactly what it would compute if codes beyond {bits} bits wrapped around, where "
                "they should saturate",
            )
            break
    for kind in (np.float64, np.float32):
        for rounding in (np.rint, _half_away, _half_up):
            reals = steps.reals.astype(kind)
            if is_made(
                lambda each, reals=reals, rounding=rounding: steps.clamped(  # type: ignore[misc]
                    rounding(each.astype(reals.dtype) * reals).astype(np.int64)
                )
            ):
                yield "rounding", "exactly as a kernel that requantises in float"
                break
    for bits in range(31, 11, -1):
        half = 1 << (bits - 1)
        for how in ("wraps around", "saturates"):

            def narrow(each: NDArray[np.int64], half: int = half, how: str = how) -> Any:
                if how == "saturates":
                    return steps.codes(np.clip(each, -half, half - 1))
                return steps.codes(((each + half) & (2 * half - 1)) - half)

            if is_made(narrow):
                where = f"exactly what an accumulator makes that {how} at {bits} bits"
                yield "accumulator-overflow", where
                return
    sizes = [np.abs(each.reshape(got.shape)) for each, got in zip(known, made, strict=True)]
    equal = [got == want[0] for got, want in zip(made, result.trusted, strict=True)]
    wrong = [size[~same] for size, same in zip(sizes, equal, strict=True)]
    right = [size[same] for size, same in zip(sizes, equal, strict=True)]
    least = min((int(each.min()) for each in wrong if each.size), default=0)
    most = max((int(each.max()) for each in right if each.size), default=0)
    if least > most > 0:
        where = f"the elements that differ are those with the largest accumulators, from {least} on"
        yield "accumulator-overflow", where


def _half_away(values: NDArray[Any]) -> NDArray[Any]:
    rounded: NDArray[Any] = np.copysign(np.floor(np.abs(values) + 0.5), values)
    return rounded


def _half_up(values: NDArray[Any]) -> NDArray[Any]:
    rounded: NDArray[Any] = np.floor(values + 0.5)
    return rounded


def _cured_by_width(
    result: OperatorResult, single: Single, board: Host, oracle: Host
) -> Iterator[tuple[str, str]]:
    """The same operator with an innermost dimension that is a multiple of 4, the added weights
    being 0, is right on the board."""
    if single.name not in ("CONV_2D", "FULLY_CONNECTED") or len(result.inputs[0]) != 1:
        return
    weights = single.inputs[1]
    stored = None if weights is None else single.model.constant(weights.index)
    depth = 0 if stored is None else stored.shape[-1]
    if weights is None or stored is None or stored.dtype != np.int8 or depth % _WORD == 0:
        return
    given = result.inputs[0][0]
    if (
        given.shape[-1] != depth
        or result.gap is None
        or 20 * result.gap.elements < result.gap.total
    ):
        return  # rows that are read from elsewhere are wrong in many places
    more = -depth % _WORD
    table = unpack(single.model.data)
    graph = table.subgraphs[0]
    operator = graph.operators[0]
    for place in operator.inputs[:2]:
        tensor = graph.tensors[place]
        tensor.shape = [*list(tensor.shape)[:-1], depth + more]
        tensor.shapeSignature = None
    wider = np.pad(stored, [(0, 0)] * (stored.ndim - 1) + [(0, more)])
    table.buffers[graph.tensors[operator.inputs[1]].buffer].data = np.frombuffer(
        wider.tobytes(), np.uint8
    )
    inputs = [
        (np.pad(arrays[0], [(0, 0)] * (given.ndim - 1) + [(0, more)]),) for arrays in result.inputs
    ]
    if _is_made(board, pack(table), inputs, result.trusted):
        yield (
            "alignment",
            "only where the innermost dimension is no multiple of 4; widened to a multiple of 4 "
            "the same operator is equal",
        )


_FAULTS: tuple[Fault, ...] = (
    *(_edit_fault(*each) for each in EDITS),
    _maximum,
    _cut_off_average,
    _by_accumulators,
    _cured_by_width,
)
"""Each gives the names of causes that fit one operator exactly, with what it computes."""
