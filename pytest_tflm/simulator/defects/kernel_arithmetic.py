"""Defects of kernels that compute something else: TFLM's kernel on an operator that is bent, or
from the exact accumulators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_tflm.model.arithmetic.accumulators import accumulators
from pytest_tflm.model.arithmetic.requantise import (
    ACCUMULATING,
    Requantisation,
    activation_range,
    requantisation,
)
from pytest_tflm.model.arithmetic.single import NO_ACTIVATION, VALID
from pytest_tflm.simulator.engine.wrapper import CODES

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from pytest_tflm.model import Tensor
    from pytest_tflm.simulator.defects.kernel import Defective, Kernel
    from pytest_tflm.simulator.engine.segments import Arrays, Run

_OFFSET = (*ACCUMULATING, "TRANSPOSE_CONV", "ADD", "SUB", "MUL")
_WORD = 4  # bytes


def _float_requantised(kernel: Kernel, number: int) -> Run | None:
    def codes(sums: NDArray[np.int64], how: Requantisation) -> NDArray[Any]:
        scaled = np.rint(sums.astype(np.float32) * how.reals.astype(np.float32))
        return how.clamped(scaled.astype(np.int64))

    return _from_sums(kernel, codes)


def _single_rounding(kernel: Kernel, number: int) -> Run | None:
    how = requantisation(kernel.single)
    if how is None or how.is_wide:  # of 64 bits TFLM, too, rounds once
        return None
    return _from_sums(kernel, lambda sums, how: how.codes(sums, single_rounding=True))


def _accumulator_overflow(kernel: Kernel, number: int) -> Run | None:
    half = 1 << (number - 1)

    def codes(sums: NDArray[np.int64], how: Requantisation) -> NDArray[Any]:
        return how.codes(((sums + half) & (2 * half - 1)) - half)

    return _from_sums(kernel, codes)


def _from_sums(
    kernel: Kernel, codes: Callable[[NDArray[np.int64], Requantisation], NDArray[Any]]
) -> Run | None:
    """Outputs that ``codes`` makes of the accumulators."""
    single = kernel.single
    how = requantisation(single)
    given = [np.zeros(tensor.shape, tensor.dtype) for tensor in single.model.inputs]
    if how is None or accumulators(single, given) is None:
        return None

    def run(arrays: Arrays) -> list[NDArray[Any]]:
        sums = accumulators(single, arrays)
        assert sums is not None
        return [codes(sums, how)]

    return run


def _activation_lost(kernel: Kernel, number: int) -> Run | None:
    single = kernel.single
    activation = getattr(single.options, "fusedActivationFunction", NO_ACTIVATION)
    output = single.outputs[0]
    if output.dtype not in CODES or not output.is_quantized:
        return None
    if activation_range(activation, output) == output.code_range:
        return None

    def bend(table: Any) -> None:
        options = table.subgraphs[0].operators[0].builtinOptions
        options.fusedActivationFunction = NO_ACTIVATION

    return kernel.bent(bend)


def _per_channel_lost(kernel: Kernel, number: int) -> Run | None:
    tensors = [tensor for tensor in kernel.single.inputs[1:] if tensor is not None]
    many = [tensor.index for tensor in tensors if len(set(tensor.scales)) > 1]
    if not many:
        return None

    def bend(table: Any) -> None:
        for index in many:
            quantisation = table.subgraphs[0].tensors[index].quantization
            quantisation.scale = [quantisation.scale[0]] * len(quantisation.scale)

    return kernel.bent(bend)


def _zero_point_lost(kernel: Kernel, number: int) -> Run | None:
    single = kernel.single
    first = single.inputs[0] if single.inputs else None
    if single.name not in _OFFSET or first is None or not first.zero_point:
        return None
    return kernel.bent(lambda table: _set_zero_point(table, first, 0))


def _set_zero_point(table: Any, tensor: Tensor, zero_point: int) -> None:
    table.subgraphs[0].tensors[tensor.index].quantization.zeroPoint = [zero_point]


def _bias_lost(kernel: Kernel, number: int) -> Run | None:
    single = kernel.single
    bias = single.inputs[2] if single.name in ACCUMULATING and len(single.inputs) > 2 else None
    stored = None if bias is None else single.model.constant(bias.index)
    if bias is None or stored is None or not stored.any():
        return None
    return kernel.bent(lambda table: _set_data(table, bias, np.zeros_like(stored)))


def _set_data(table: Any, tensor: Tensor, data: NDArray[Any]) -> None:
    buffer = table.buffers[table.subgraphs[0].tensors[tensor.index].buffer]
    buffer.data = np.frombuffer(data.tobytes(), np.uint8)


def _padding_zero(kernel: Kernel, number: int) -> Run | None:
    single = kernel.single
    if single.name != "PAD":
        return _padded(kernel, only_after=False)
    first, output = single.inputs[0], single.outputs[0]
    if first is None or not first.zero_point or not output.zero_point:
        return None

    def bend(table: Any) -> None:
        _set_zero_point(table, first, 0)
        _set_zero_point(table, output, 0)

    return kernel.bent(bend)


def _asymmetric_padding(kernel: Kernel, number: int) -> Run | None:
    window = kernel.single.window
    if window is None or all(
        after <= before for before, after in zip(window.before, window.after, strict=True)
    ):
        return None
    return _padded(kernel, only_after=True)


def _padded(kernel: Kernel, *, only_after: bool) -> Run | None:
    """The padding of a convolution done beforehand, with code 0; or, ``only_after``, with code 0
    where there is one more behind than before, and right elsewhere."""
    single, window = kernel.single, kernel.single.window
    first = single.inputs[0] if single.inputs else None
    if first is None or window is None or not window.is_padded or not first.zero_point:
        return None
    if single.name not in ACCUMULATING or first not in single.model.inputs:
        return None
    zero_point, at = first.zero_point, single.model.inputs.index(first)
    before = [(0, 0), *((each, 0) for each in window.before), (0, 0)]
    after = [(0, 0), *((0, max(0, each)) for each in window.after), (0, 0)]
    wrong = [
        pair if not only_after or window.after[axis - 1] > window.before[axis - 1] else (0, 0)
        for axis, pair in enumerate(after)
        if axis in (1, 2)
    ]
    bad = [(0, 0), *wrong, (0, 0)]
    good = [(0, a[1] - b[1]) for a, b in zip(after, bad, strict=True)]

    def pad(source: NDArray[Any]) -> NDArray[Any]:
        source = np.pad(source, before, constant_values=zero_point if only_after else 0)
        source = np.pad(source, good, constant_values=zero_point)
        return np.pad(source, bad, constant_values=0)

    def bend(table: Any) -> None:
        table.subgraphs[0].operators[0].builtinOptions.padding = VALID
        padded = pad(np.zeros(first.shape, np.int8))
        table.subgraphs[0].tensors[first.index].shape = list(padded.shape)

    return _with_input(kernel.bent(bend), at, pad)


def _with_input(run: Run, at: int, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Run:
    """``run`` with its input number ``at`` changed."""

    def changed(arrays: Arrays) -> list[NDArray[Any]]:
        given = list(arrays)
        given[at] = change(given[at])
        return run(given)

    return changed


def _misaligned(kernel: Kernel, number: int) -> Run | None:
    single = kernel.single
    if single.name not in ACCUMULATING or requantisation(single) is None:
        return None
    first, weights = single.inputs[:2]
    if first is None or weights is None or first not in single.model.inputs:
        return None
    at = single.model.inputs.index(first)
    stored = single.model.constant(weights.index) if single.name == "FULLY_CONNECTED" else None
    depth = weights.shape[-1] if single.name == "FULLY_CONNECTED" else first.shape[-1]
    rows = first.size // depth
    shifted = rows > 1 and depth * np.dtype(first.dtype).itemsize % _WORD != 0
    bad_weights = stored is not None and len(stored) > 1 and depth * stored.itemsize % _WORD != 0
    if not shifted and not bad_weights:
        return None

    def bend(table: Any) -> None:
        if stored is not None:
            _set_data(table, weights, _rounded_down(stored, depth))

    return _with_input(kernel.bent(bend), at, lambda source: _rounded_down(source, depth))


def _rounded_down(array: NDArray[Any], depth: int) -> NDArray[Any]:
    """The rows as they are read from the next lower multiple of 4 bytes."""
    flat = array.reshape(-1)
    step = _WORD // array.itemsize
    starts = np.arange(0, flat.size, depth) // step * step
    read: NDArray[Any] = flat[starts[:, None] + np.arange(depth)].reshape(array.shape)
    return read


ARITHMETIC: dict[str, Defective] = {
    "float-requantised": _float_requantised,
    "single-rounding": _single_rounding,
    "accumulator-overflow": _accumulator_overflow,
    "activation-lost": _activation_lost,
    "per-channel-lost": _per_channel_lost,
    "zero-point-lost": _zero_point_lost,
    "bias-lost": _bias_lost,
    "padding-zero": _padding_zero,
    "asymmetric-padding": _asymmetric_padding,
    "misaligned": _misaligned,
}
"""By name."""
