"""Faults of kernels that are known well enough to compute: if a correct kernel, given the fault on
purpose, makes exactly what the board made, that is what the board does."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_tflm.compare.distance import gap_of
from pytest_tflm.errors import BoardError, InterpreterError, ModelError, TflmError
from pytest_tflm.model.arithmetic.accumulators import accumulators, windows
from pytest_tflm.model.arithmetic.requantise import ACCUMULATING, requantisation
from pytest_tflm.model.arithmetic.single import NO_ACTIVATION, SAME, Single
from pytest_tflm.model.graph import pack, unpack
from pytest_tflm.verdict.evidence import MOST, Evidence, Fact, OperatorResult, experiment, worst_of
from pytest_tflm.verdict.localise import on_board

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_tflm.runtime.base import Arrays, Host

_VALID = 1
_PADS = "if it padded with code 0, where the zero point is meant"
_WORD = 4
"""Bytes that kernels load at a time."""
_DRAWN = 4
_WITH_WEIGHTS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")


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
    oracle, _ = evidence.oracle
    found: list[Computes] = []
    for results in where.by_type.values():
        misses: Counter[str] = Counter()
        for result in results:
            hopeless = {name for name in _NAMES if misses[name] > (1 - MOST) * len(results)}
            explained = [
                Computes(result.operator.index, name, words)
                for name, words in _explanations(result, evidence.board, oracle, hopeless)
            ]
            misses.update(_NAMES - {each.cause for each in explained})
            found += explained
    return tuple(found)


def _explanations(
    result: OperatorResult, board: Host, oracle: Host, hopeless: Set[str]
) -> Iterator[tuple[str, str]]:
    """Names of causes that fit one operator exactly, with what it computes; ``oracle`` has right
    kernels. The causes in ``hopeless`` are not tried: they no longer can fit most operators of the
    type, and each of them costs a model and its runs."""
    cut = result.cut
    if cut is None or (result.gap is not None and result.gap.shapes):
        return
    single = Single(cut.model)
    for name, words, edit in _EDITS:
        edited = None if name in hopeless else edit(single, result.inputs)
        if edited is None:
            continue
        data, inputs = edited
        if _is_made(oracle, data, inputs, result.alone):
            yield name, f"exactly what it would compute {words}"
    if (maximum := _maximum(result, single)) is not None:
        yield "kernel-differs", maximum
    if (cut_off := _cut_off_average(result, single)) is not None:
        yield "rounding", cut_off
    yield from _by_accumulators(result, single)
    if "alignment" not in hopeless and _is_cured_by_width(result, single, board):
        yield (
            "alignment",
            "only where the innermost dimension is no multiple of 4; widened to a multiple of 4 "
            "the same operator is equal",
        )


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


def with_another_scale(single: Single, by: float) -> bytes | None:
    """The scale of the first input multiplied, and that of a bias that must fit it."""
    table = unpack(single.model.data)
    graph = table.subgraphs[0]
    operator = graph.operators[0]
    bias = operator.inputs[2] if single.name in _WITH_WEIGHTS and len(operator.inputs) > 2 else -1
    for place in (operator.inputs[0], bias):
        quantization = graph.tensors[place].quantization if place >= 0 else None
        if quantization is None or quantization.scale is None or not len(quantization.scale):
            if place != bias:
                return None
            continue
        quantization.scale = [by * float(scale) for scale in quantization.scale]
    return pack(table)


def _maximum(result: OperatorResult, single: Single) -> str | None:
    """A maximum in place of an average."""
    source, output = single.inputs[0] if single.inputs else None, single.outputs[0]
    if source is None or source.scale is None or output.scale is None:
        return None
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
            return None
        if most is None or most.size != made[0].size:
            return None
        codes = _half_away((most - (source.zero_point or 0)) * ratio) + (output.zero_point or 0)
        low, high = output.code_range
        if np.abs(np.clip(codes, low, high).ravel() - made[0].astype(np.int64).ravel()).max() > 1:
            return None
    return "what it would compute if it took the maximum in place of the average"


def _cut_off_average(result: OperatorResult, single: Single) -> str | None:
    """An average that is cut off where it should be rounded."""
    if single.name != "AVERAGE_POOL_2D":
        return None
    low, high = single.outputs[0].code_range
    for arrays, made in zip(result.inputs, result.alone, strict=True):
        seen = windows(single, arrays[0].astype(np.float64), padding=np.nan)
        if seen is None or arrays[0].dtype.kind != "i":
            return None
        codes = np.clip(np.trunc(np.nanmean(np.stack(seen), axis=0)), low, high)
        if not np.array_equal(codes.ravel(), made[0].ravel()):
            return None
    return "exactly as a kernel that cuts the average off in place of rounding"


def _is_made(target: Host, data: bytes, inputs: Sequence[Arrays], wanted: Sequence[Arrays]) -> bool:
    """``target`` makes exactly ``wanted`` of ``inputs`` with the model in ``data``."""
    from pytest_tflm.model import model_from_bytes

    try:
        made = target.attempt(model_from_bytes(data, "changed"), inputs).outputs()
    except TflmError:
        return False
    return gap_of(made, wanted).is_none


Edited = tuple[bytes, Sequence["Arrays"]] | None


def _first_scale(scales: list[float]) -> list[float]:
    return scales[:1] * len(scales)


def _scales(change: Callable[[list[float]], list[float]]) -> Callable[[Single, Any], Edited]:
    """``change`` of the scales of each channel, for every constant that has them per channel."""

    def edit(single: Single, inputs: Sequence[Arrays]) -> Edited:
        if single.name not in _WITH_WEIGHTS:
            return None
        table = unpack(single.model.data)
        graph = table.subgraphs[0]
        changed = False
        for place in graph.operators[0].inputs:
            quantization = graph.tensors[place].quantization if place >= 0 else None
            if quantization is None or quantization.scale is None:
                continue
            scales = [float(scale) for scale in quantization.scale]
            quantization.scale = change(scales)
            changed |= quantization.scale != scales
        return (pack(table), inputs) if changed else None

    return edit


def _no_zero_point(single: Single, inputs: Sequence[Arrays]) -> Edited:
    """The first input's zero point is 0."""
    table = unpack(single.model.data)
    graph = table.subgraphs[0]
    tensor = graph.tensors[graph.operators[0].inputs[0]]
    quantization = tensor.quantization
    if quantization is None or quantization.zeroPoint is None or not any(quantization.zeroPoint):
        return None
    quantization.zeroPoint = [0] * len(quantization.zeroPoint)
    return pack(table), inputs


def _no_activation(single: Single, inputs: Sequence[Arrays]) -> Edited:
    """No fused activation."""
    table = unpack(single.model.data)
    options = table.subgraphs[0].operators[0].builtinOptions
    if getattr(options, "fusedActivationFunction", NO_ACTIVATION) == NO_ACTIVATION:
        return None
    options.fusedActivationFunction = NO_ACTIVATION
    return pack(table), inputs


def _pads_with_0(single: Single, inputs: Sequence[Arrays], *, behind_alone: bool = False) -> Edited:
    """Code 0 around the input, or behind it alone, in place of the zero point."""
    source = single.inputs[0] if single.inputs else None
    if source is None or not source.zero_point:
        return None
    table = unpack(single.model.data)
    graph = table.subgraphs[0]
    operator = graph.operators[0]
    if single.name == "PAD" and not behind_alone:
        for place in (operator.inputs[0], operator.outputs[0]):
            graph.tensors[place].quantization.zeroPoint = [0]
        return pack(table), inputs
    window = single.window
    if (
        single.name not in ("CONV_2D", "DEPTHWISE_CONV_2D")
        or window is None
        or not window.is_padded
        or single.options.padding != SAME
        or len(inputs[0]) != 1
    ):
        return None
    before, after = window.before, tuple(max(0, high) for high in window.after)
    wider = []
    for arrays in inputs:
        padded = np.pad(
            arrays[0],
            [(0, 0), *((low, 0) for low in before), (0, 0)],
            constant_values=source.zero_point if behind_alone else 0,
        )
        wider.append((np.pad(padded, [(0, 0), *((0, high) for high in after), (0, 0)]),))
    operator.builtinOptions.padding = _VALID
    tensor = graph.tensors[operator.inputs[0]]
    tensor.shape, tensor.shapeSignature = list(wider[0][0].shape), None
    return pack(table), wider


def _undilated(single: Single, inputs: Sequence[Arrays]) -> Edited:
    """A dilation of 1."""
    window = single.window
    if window is None or window.dilation == (1, 1):
        return None
    table = unpack(single.model.data)
    options = table.subgraphs[0].operators[0].builtinOptions
    options.dilationHFactor = options.dilationWFactor = 1
    return pack(table), inputs


def _bias(change: Callable[[NDArray[Any]], NDArray[Any]]) -> Callable[[Single, Any], Edited]:
    """Another bias."""

    def edit(single: Single, inputs: Sequence[Arrays]) -> Edited:
        bias = single.inputs[2] if single.name in ACCUMULATING and single.inputs[2:] else None
        stored = None if bias is None else single.model.constant(bias.index)
        if bias is None or stored is None or stored.dtype.kind != "i":
            return None
        other = change(stored.astype(np.int64)).astype(stored.dtype)
        if np.array_equal(other, stored):
            return None
        table = unpack(single.model.data)
        place = table.subgraphs[0].tensors[bias.index].buffer
        table.buffers[place].data = np.frombuffer(other.tobytes(), np.uint8)
        return pack(table), inputs

    return edit


def _given(change: Callable[[NDArray[Any]], NDArray[Any]]) -> Callable[[Single, Any], Edited]:
    """Another first input."""

    def edit(single: Single, inputs: Sequence[Arrays]) -> Edited:
        if not inputs or inputs[0][0].dtype.kind != "i":
            return None
        changed = [(change(arrays[0]).astype(arrays[0].dtype), *arrays[1:]) for arrays in inputs]
        return single.model.data, changed

    return edit


def _scales_exchanged(single: Single, inputs: Sequence[Arrays]) -> Edited:
    """The scale of each of two inputs for the other one."""
    table = unpack(single.model.data)
    graph = table.subgraphs[0]
    places = [int(i) for i in graph.operators[0].inputs]
    if len(places) != 2 or single.name not in ("ADD", "SUB"):
        return None
    both = [graph.tensors[place].quantization for place in places]
    if any(each is None or each.scale is None or not len(each.scale) for each in both):
        return None
    both[0].scale, both[1].scale = both[1].scale, both[0].scale
    return pack(table), inputs


def _pads_on_the_other_side(single: Single, inputs: Sequence[Arrays]) -> Edited:
    """More padding in front where there should be more behind."""
    window, source = single.window, single.inputs[0] if single.inputs else None
    if (
        source is None
        or window is None
        or window.before == window.after
        or min(*window.before, *window.after) < 0
        or single.name not in ("CONV_2D", "DEPTHWISE_CONV_2D")
        or len(inputs[0]) != 1
    ):
        return None
    table = unpack(single.model.data)
    graph = table.subgraphs[0]
    operator = graph.operators[0]
    edges = [(0, 0), *zip(window.after, window.before, strict=True), (0, 0)]
    code = source.zero_point or 0
    wider = [(np.pad(arrays[0], edges, constant_values=code),) for arrays in inputs]
    operator.builtinOptions.padding = _VALID
    tensor = graph.tensors[operator.inputs[0]]
    tensor.shape, tensor.shapeSignature = list(wider[0][0].shape), None
    return pack(table), wider


def _weights(
    change: Callable[[Single, NDArray[Any]], NDArray[Any] | None],
) -> Callable[[Single, Any], Edited]:
    """Other weights, as a kernel has them that reads them in another order."""

    def edit(single: Single, inputs: Sequence[Arrays]) -> Edited:
        weights = single.inputs[1] if single.name in ACCUMULATING else None
        stored = None if weights is None else single.model.constant(weights.index)
        if weights is None or stored is None or stored.dtype != np.int8:
            return None
        other = change(single, stored)
        if other is None or np.array_equal(other, stored):
            return None
        table = unpack(single.model.data)
        place = table.subgraphs[0].tensors[weights.index].buffer
        table.buffers[place].data = np.frombuffer(other.tobytes(), np.uint8)
        return pack(table), inputs

    return edit


def _mirrored(*axes: int) -> Callable[[Single, Any], Edited]:
    """The weights of a window from behind. ``axes``: 1 for rows, 2 for columns."""
    return _weights(lambda single, w: np.flip(w, axes) if w.ndim == 4 else None)


def _transposed(single: Single, weights: NDArray[Any]) -> NDArray[Any] | None:
    if weights.ndim == 2:
        return np.asarray(weights.T.reshape(weights.shape))
    if single.name == "CONV_2D" and weights.shape[1] == weights.shape[2] > 1:
        return np.ascontiguousarray(weights.transpose(0, 2, 1, 3))
    return None


def _repeated(axis: int, line: int) -> Callable[[Single, Any], Edited]:
    """A row or column of a window's weights in the place of the one behind it."""

    def change(single: Single, weights: NDArray[Any]) -> NDArray[Any] | None:
        if weights.ndim != 4 or weights.shape[axis] <= line + 1:
            return None
        other = np.moveaxis(weights.copy(), axis, 0)
        other[line + 1] = other[line]
        return np.ascontiguousarray(np.moveaxis(other, 0, axis))

    return _weights(change)


def _next_scale(by: int) -> Callable[[Single, Any], Edited]:
    """Each channel with the scale of its neighbour; the last has its own."""

    def shifted(scales: list[float]) -> list[float]:
        last = len(scales) - 1
        return [scales[min(max(i + by, 0), last)] for i in range(len(scales))]

    return _scales(shifted)


def _padding_exchanged(single: Single, inputs: Sequence[Arrays]) -> Edited:
    """PAD: behind what should be in front, and in front what should be behind."""
    amounts = single.inputs[1] if single.name in ("PAD", "PADV2", "MIRROR_PAD") else None
    stored = None if amounts is None else single.model.constant(amounts.index)
    if amounts is None or stored is None or np.array_equal(stored[:, 0], stored[:, 1]):
        return None
    table = unpack(single.model.data)
    place = table.subgraphs[0].tensors[amounts.index].buffer
    table.buffers[place].data = np.frombuffer(stored[:, ::-1].tobytes(), np.uint8)
    return pack(table), inputs


_EDITS: tuple[tuple[str, str, Callable[[Single, Sequence[Any]], Edited]], ...] = (
    ("per-channel-ignored", "with the scale of channel 0 for all channels", _scales(_first_scale)),
    ("zero-point-ignored", "with an input zero point of 0", _no_zero_point),
    ("activation-ignored", "without its fused activation", _no_activation),
    ("padding-value", _PADS, _pads_with_0),
    ("padding-value", _PADS, functools.partial(_pads_with_0, behind_alone=True)),
    ("kernel-differs", "with a dilation of 1", _undilated),
    ("kernel-differs", "without its bias", _bias(np.zeros_like)),
    (
        "kernel-differs",
        "with the lowest 16 bits of its bias, which needs more",
        _bias(lambda bias: ((bias + (1 << 15)) & 0xFFFF) - (1 << 15)),
    ),
    (
        "kernel-differs",
        "with a bias that saturates at 16 bits",
        _bias(lambda bias: np.clip(bias, -(1 << 15), (1 << 15) - 1)),
    ),
    ("kernel-differs", "with more padding in front and less behind", _pads_on_the_other_side),
    ("kernel-differs", "with its padding before and behind exchanged", _padding_exchanged),
    ("kernel-differs", "with the columns of its windows mirrored", _mirrored(2)),
    ("kernel-differs", "with the rows of its windows mirrored", _mirrored(1)),
    ("kernel-differs", "with its windows mirrored in both directions", _mirrored(1, 2)),
    ("kernel-differs", "with its weights transposed", _weights(_transposed)),
    ("kernel-differs", "with each channel scaled like the next one", _next_scale(1)),
    ("kernel-differs", "with each channel scaled like the one before it", _next_scale(-1)),
    *(
        (
            "kernel-differs",
            f"with {what} {k} of its windows' weights used for {what} {k + 1}, too",
            _repeated(axis, k),
        )
        for axis, what in ((1, "row"), (2, "column"))
        for k in (0, 1)
    ),
    ("kernel-differs", "with the scales of its two inputs exchanged", _scales_exchanged),
    (
        "kernel-differs",
        "if negative codes of its input lost their lowest bit",
        _given(lambda x: np.where(x < 0, x & ~1, x)),
    ),
    (
        "kernel-differs",
        "if negative codes of its input were 0",
        _given(lambda x: np.maximum(x, 0)),
    ),
    (
        "kernel-differs",
        "if its input's codes were taken for unsigned ones (XOR 0x80)",
        _given(lambda x: x ^ np.iinfo(str(x.dtype)).min),
    ),
)
"""The cause, what the kernel computes in words, and the model that does so with right kernels."""


def _by_accumulators(result: OperatorResult, single: Single) -> Iterator[tuple[str, str]]:
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
        yield "rounding", "exactly as a kernel that cuts off in place of rounding"
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


def _is_cured_by_width(result: OperatorResult, single: Single, board: Host) -> bool:
    """The same operator with an innermost dimension that is a multiple of 4, the added weights
    being 0, is right on the board."""
    if single.name not in ("CONV_2D", "FULLY_CONNECTED") or len(result.inputs[0]) != 1:
        return False
    weights = single.inputs[1]
    stored = None if weights is None else single.model.constant(weights.index)
    depth = 0 if stored is None else stored.shape[-1]
    if weights is None or stored is None or stored.dtype != np.int8 or depth % _WORD == 0:
        return False
    given = result.inputs[0][0]
    if (
        given.shape[-1] != depth
        or result.gap is None
        or 20 * result.gap.elements < result.gap.total
    ):
        return False  # rows that are read from elsewhere are wrong in many places
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
    return _is_made(board, pack(table), inputs, result.trusted)


_NAMES = frozenset({"alignment", *(name for name, _, _ in _EDITS)})
"""The causes that cost runs to find."""
