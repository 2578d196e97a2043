"""Faults of kernels that are known well enough to compute: if a correct kernel, given the fault on
purpose, makes exactly what the board made, that is what the board does."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_tflm.compare.distance import gap_of
from pytest_tflm.errors import TflmError
from pytest_tflm.model.arithmetic.accumulators import accumulators
from pytest_tflm.model.arithmetic.requantise import requantisation
from pytest_tflm.model.arithmetic.single import NO_ACTIVATION, SAME, Single
from pytest_tflm.model.graph import pack, unpack
from pytest_tflm.runtime.base import outputs_of
from pytest_tflm.verdict.evidence import Fact, OperatorResult

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_tflm.runtime.base import Arrays, Host

_VALID = 1
_WORD = 4
"""Bytes that kernels load at a time."""
_WITH_WEIGHTS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")


def explanations(result: OperatorResult, board: Host, oracle: Host) -> Iterator[Fact]:
    """Facts ``computes`` for one operator that differs on ``board``; ``oracle`` has right kernels.

    ``as`` in a fact's values is the name of the cause, ``words`` says what it is.
    """
    cut = result.cut
    if cut is None or (result.gap is not None and result.gap.shapes):
        return
    single = Single(cut.model)
    index = result.operator.index
    for name, edit in _EDITS:
        edited = edit(single, result.inputs)
        if edited is None:
            continue
        data, inputs = edited
        if _is_made(oracle, data, inputs, result.alone):
            yield Fact("computes", {"as": name, "words": name}, index)
    yield from _by_accumulators(result, single)
    if _is_cured_by_width(result, single, board):
        yield Fact("computes", {"as": "alignment", "words": "alignment"}, index)


def _is_made(target: Host, data: bytes, inputs: Sequence[Arrays], wanted: Sequence[Arrays]) -> bool:
    """``target`` makes exactly ``wanted`` of ``inputs`` with the model in ``data``."""
    from pytest_tflm.model import model_from_bytes

    try:
        made = outputs_of(target, model_from_bytes(data, "changed"), inputs)
    except TflmError:
        return False
    return gap_of(made, wanted).is_none


Edited = tuple[bytes, Sequence["Arrays"]] | None


def _one_scale(single: Single, inputs: Sequence[Arrays]) -> Edited:
    """The scale of channel 0 for all channels."""
    if single.name not in _WITH_WEIGHTS:
        return None
    table = unpack(single.model.data)
    graph = table.subgraphs[0]
    changed = False
    for place in graph.operators[0].inputs:
        quantization = graph.tensors[place].quantization if place >= 0 else None
        if quantization is not None and quantization.scale is not None:
            scales = list(quantization.scale)
            changed |= len(set(scales)) > 1
            quantization.scale = [scales[0]] * len(scales) if scales else scales
    return (pack(table), inputs) if changed else None


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


_EDITS: tuple[tuple[str, Callable[[Single, Sequence[Any]], Edited]], ...] = (
    ("per-channel-ignored", _one_scale),
    ("zero-point-ignored", _no_zero_point),
    ("activation-ignored", _no_activation),
    ("padding-value", _pads_with_0),
    ("padding-value", functools.partial(_pads_with_0, behind_alone=True)),
)


def _by_accumulators(result: OperatorResult, single: Single) -> Iterator[Fact]:
    """What another requantisation, or an accumulator that is too narrow, would have made."""
    cut, steps = result.cut, requantisation(single)
    if cut is None or steps is None:
        return
    sums = [accumulators(single, arrays) for arrays in result.inputs]
    if any(each is None for each in sums):
        return
    known = [each for each in sums if each is not None]
    made = [arrays[0] for arrays in result.alone]
    index = result.operator.index

    def is_made(codes: Callable[[NDArray[np.int64]], NDArray[Any]]) -> bool:
        return all(
            np.array_equal(codes(each).reshape(got.shape), got)
            for each, got in zip(known, made, strict=True)
        )

    if not steps.is_wide and is_made(lambda each: steps.codes(each, single_rounding=True)):
        words = "a kernel that rounds once"
        yield Fact("computes", {"as": "single-rounding", "words": words}, index)
    for kind in (np.float64, np.float32):
        for rounding in (np.rint, _half_away, _half_up):
            reals = steps.reals.astype(kind)
            if is_made(
                lambda each, reals=reals, rounding=rounding: steps.clamped(  # type: ignore[misc]
                    rounding(each.astype(reals.dtype) * reals).astype(np.int64)
                )
            ):
                words = "a kernel that requantises in float"
                yield Fact("computes", {"as": "float-requantised", "words": words}, index)
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
                values = {"as": "accumulator-overflow", "words": "", "where": where}
                yield Fact("computes", values, index)
                return
    sizes = [np.abs(each.reshape(got.shape)) for each, got in zip(known, made, strict=True)]
    equal = [got == want[0] for got, want in zip(made, result.trusted, strict=True)]
    wrong = [size[~same] for size, same in zip(sizes, equal, strict=True)]
    right = [size[same] for size, same in zip(sizes, equal, strict=True)]
    least = min((int(each.min()) for each in wrong if each.size), default=0)
    most = max((int(each.max()) for each in right if each.size), default=0)
    if least > most > 0:
        where = f"the elements that differ are those with the largest accumulators, from {least} on"
        values = {"as": "accumulator-overflow", "words": "", "where": where}
        yield Fact("computes", values, index)


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
