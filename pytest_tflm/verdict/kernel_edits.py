"""Operators with a fault on purpose: of an edited model or edited inputs, a correct kernel computes
what a kernel with that fault computes of the operator."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_tflm.model.arithmetic.requantise import ACCUMULATING
from pytest_tflm.model.arithmetic.single import NO_ACTIVATION, SAME, VALID, Single
from pytest_tflm.model.graph import pack, unpack

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_tflm.runtime.base import Arrays

    Edited = tuple[bytes, Sequence[Arrays]] | None
    """A model in bytes, and its inputs; None where there is nothing to edit."""

    Edit = Callable[[Single, Sequence[Arrays]], Edited]

    _Edges = list[tuple[int, int]]
    _Pad = Callable[[NDArray[Any], _Edges, _Edges], NDArray[Any]]
    """Given an input, and what there is to pad in front and behind, as numpy.pad takes it."""

_PADS = "if it padded with code 0, where the zero point is meant"
WITH_WEIGHTS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")


def with_another_scale(single: Single, by: float) -> bytes | None:
    """The scale of the first input multiplied, and that of a bias that must fit it."""
    table = unpack(single.model.data)
    graph = table.subgraphs[0]
    operator = graph.operators[0]
    bias = operator.inputs[2] if single.name in WITH_WEIGHTS and len(operator.inputs) > 2 else -1
    for place in (operator.inputs[0], bias):
        quantization = graph.tensors[place].quantization if place >= 0 else None
        if quantization is None or quantization.scale is None or not len(quantization.scale):
            if place != bias:
                return None
            continue
        quantization.scale = [by * float(scale) for scale in quantization.scale]
    return pack(table)


def _first_scale(scales: list[float]) -> list[float]:
    return scales[:1] * len(scales)


def _scales(change: Callable[[list[float]], list[float]]) -> Edit:
    """``change`` of the scales of each channel, for every constant that has them per channel."""

    def edit(single: Single, inputs: Sequence[Arrays]) -> Edited:
        if single.name not in WITH_WEIGHTS:
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
    if single.name == "PAD" and not behind_alone:
        table = unpack(single.model.data)
        graph = table.subgraphs[0]
        operator = graph.operators[0]
        for place in (operator.inputs[0], operator.outputs[0]):
            graph.tensors[place].quantization.zeroPoint = [0]
        return pack(table), inputs
    in_front = source.zero_point if behind_alone else 0

    def pad(array: NDArray[Any], before: _Edges, after: _Edges) -> NDArray[Any]:
        return np.pad(np.pad(array, before, constant_values=in_front), after)

    return _padded(single, inputs, pad)


def _repeats_edges(single: Single, inputs: Sequence[Arrays]) -> Edited:
    """The elements at the edges again, where padding should be."""
    return _padded(
        single,
        inputs,
        lambda array, before, after: np.pad(np.pad(array, before, "edge"), after, "edge"),
    )


def _pads_on_the_other_side(single: Single, inputs: Sequence[Arrays]) -> Edited:
    """More padding in front where there should be more behind."""
    window, source = single.window, single.inputs[0] if single.inputs else None
    if source is None or window is None or window.before == window.after:
        return None
    code = source.zero_point or 0
    edges = [(0, 0), *zip(window.after, window.before, strict=True), (0, 0)]
    return _padded(
        single, inputs, lambda array, before, after: np.pad(array, edges, constant_values=code)
    )


def _padded(single: Single, inputs: Sequence[Arrays], pad: _Pad) -> Edited:
    """A convolution of inputs that ``pad`` has padded."""
    window = single.window
    if (
        single.name not in ("CONV_2D", "DEPTHWISE_CONV_2D")
        or window is None
        or not window.is_padded
        or min(*window.before, *window.after) < 0
        or single.options.padding != SAME
        or len(inputs[0]) != 1
    ):
        return None
    before = [(0, 0), *((count, 0) for count in window.before), (0, 0)]
    after = [(0, 0), *((0, count) for count in window.after), (0, 0)]
    wider = [(pad(arrays[0], before, after),) for arrays in inputs]
    table = unpack(single.model.data)
    graph = table.subgraphs[0]
    operator = graph.operators[0]
    operator.builtinOptions.padding = VALID
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


def _bias(change: Callable[[NDArray[Any]], NDArray[Any]]) -> Edit:
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


def _rolled(by: int) -> Callable[[NDArray[Any]], NDArray[Any]]:
    return lambda array: np.roll(array.ravel(), by).reshape(array.shape)


def _given(change: Callable[[NDArray[Any]], NDArray[Any]]) -> Edit:
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


def _operand(which: int) -> Edit:
    """One of two inputs in the place of the other one, too."""

    def edit(single: Single, inputs: Sequence[Arrays]) -> Edited:
        first = inputs[0]
        if len(first) != 2 or (first[0].shape, first[0].dtype) != (first[1].shape, first[1].dtype):
            return None
        return single.model.data, [(arrays[which], arrays[which]) for arrays in inputs]

    return edit


def _beta(by: float) -> Edit:
    """SOFTMAX's beta multiplied."""

    def edit(single: Single, inputs: Sequence[Arrays]) -> Edited:
        if single.name != "SOFTMAX":
            return None
        table = unpack(single.model.data)
        table.subgraphs[0].operators[0].builtinOptions.beta *= by
        return pack(table), inputs

    return edit


def _weights(
    change: Callable[[Single, NDArray[Any]], NDArray[Any] | None],
) -> Edit:
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


def _mirrored(*axes: int) -> Edit:
    """The weights of a window from behind. ``axes``: 1 for rows, 2 for columns."""
    return _weights(lambda single, w: np.flip(w, axes) if w.ndim == 4 else None)


def _transposed(single: Single, weights: NDArray[Any]) -> NDArray[Any] | None:
    if weights.ndim == 2:
        return np.asarray(weights.T.reshape(weights.shape))
    if single.name == "CONV_2D" and weights.shape[1] == weights.shape[2] > 1:
        return np.ascontiguousarray(weights.transpose(0, 2, 1, 3))
    return None


def _repeated(axis: int, line: int) -> Edit:
    """A row or column of a window's weights in the place of the one behind it."""

    def change(single: Single, weights: NDArray[Any]) -> NDArray[Any] | None:
        if weights.ndim != 4 or weights.shape[axis] <= line + 1:
            return None
        other = np.moveaxis(weights.copy(), axis, 0)
        other[line + 1] = other[line]
        return np.ascontiguousarray(np.moveaxis(other, 0, axis))

    return _weights(change)


def _next_scale(by: int) -> Edit:
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


EDITS: tuple[tuple[str, str, Edit], ...] = (
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
    *(
        ("kernel-differs", f"with the bias of the {which} channel", _bias(_rolled(-by)))
        for which, by in (("next", 1), ("previous", -1))
    ),
    *(
        (
            "kernel-differs",
            f"with weights that are read from {by:+d} element on",
            _weights(lambda single, weights, by=by: _rolled(-by)(weights)),  # type: ignore[misc]
        )
        for by in (1, -1)
    ),
    ("kernel-differs", "with the elements at its edges repeated as padding", _repeats_edges),
    ("kernel-differs", "with its first input instead of the second", _operand(0)),
    ("kernel-differs", "with its second input instead of the first", _operand(1)),
    ("kernel-differs", "with twice its beta", _beta(2)),
    ("kernel-differs", "with half of its beta", _beta(0.5)),
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
