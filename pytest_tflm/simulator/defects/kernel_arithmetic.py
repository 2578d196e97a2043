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
from pytest_tflm.simulator.defects.registry import SUMMING, kernel_defect
from pytest_tflm.simulator.defects.wrapper import CODES

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from pytest_tflm.model import Tensor
    from pytest_tflm.model.arithmetic.single import Single
    from pytest_tflm.simulator.defects.operators import Arrays, Kernel, Run

_PADDED = "CONV_2D, DEPTHWISE_CONV_2D with SAME padding and an input zero point that is not 0"

_OFFSET = (*ACCUMULATING, "TRANSPOSE_CONV", "ADD", "SUB", "MUL")
_WORD = 4  # bytes


@kernel_defect(
    "float-requantised",
    says="accumulators become codes in float32, halves to the even code",
    cause="rounding",
    shows=SUMMING,
)
def _float_requantised(kernel: Kernel, number: int) -> Run | None:
    def codes(sums: NDArray[np.int64], how: Requantisation) -> NDArray[Any]:
        scaled = np.rint(sums.astype(np.float32) * how.reals.astype(np.float32))
        return how.clamped(scaled.astype(np.int64))

    return _from_sums(kernel, codes)


@kernel_defect(
    "single-rounding",
    says="accumulators are rounded once where TFLM rounds twice",
    cause="rounding",
    shows=f"{SUMMING}, with accumulators of 32 bits",
)
def _single_rounding(kernel: Kernel, number: int) -> Run | None:
    how = requantisation(kernel.single)
    if how is None or how.is_wide:  # of 64 bits TFLM, too, rounds once
        return None
    return _from_sums(kernel, lambda sums, how: how.codes(sums, single_rounding=True))


@kernel_defect(
    "accumulator-overflow",
    says="accumulators wrap around",
    cause="accumulator-overflow",
    shows=f"{SUMMING}, where sums are that large",
    number=16,
    number_is="bits of an accumulator",
    numbers=range(2, 33),
)
def _accumulator_overflow(kernel: Kernel, number: int) -> Run | None:
    return _from_sums(kernel, lambda sums, how: how.codes(_wrapped(sums, number)))


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


@kernel_defect(
    "activation-lost",
    says="the fused activation is not applied",
    cause="activation-ignored",
    shows="fused activations that cut off codes: not RELU with a zero point of -128",
)
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


@kernel_defect(
    "per-channel-lost",
    says="the first channel's scale is used for all",
    cause="per-channel-ignored",
    shows="weights quantised per channel",
)
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


@kernel_defect(
    "zero-point-lost",
    says="the first input's zero point is taken as 0",
    cause="zero-point-ignored",
    shows=f"{SUMMING}, ADD, SUB, MUL with an input zero point that is not 0",
)
def _zero_point_lost(kernel: Kernel, number: int) -> Run | None:
    single = kernel.single
    first = single.inputs[0] if single.inputs else None
    if single.name not in _OFFSET or first is None or not first.zero_point:
        return None
    return kernel.bent(lambda table: _set_zero_point(table, first, 0))


def _set_zero_point(table: Any, tensor: Tensor, zero_point: int) -> None:
    table.subgraphs[0].tensors[tensor.index].quantization.zeroPoint = [zero_point]


@kernel_defect("bias-lost", says="the bias is not added", shows=f"{SUMMING} with a bias")
def _bias_lost(kernel: Kernel, number: int) -> Run | None:
    return _with_bias(kernel, np.zeros_like)


@kernel_defect(
    "bias-truncated",
    says="only the lowest bits of the bias are used, the highest of them as its sign",
    shows=f"{SUMMING} with a bias beyond that",
    number=16,
    number_is="bits of a bias",
    numbers=range(2, 32),
)
def _bias_truncated(kernel: Kernel, number: int) -> Run | None:
    return _with_bias(kernel, lambda bias: _wrapped(bias.astype(np.int64), number))


def _wrapped(values: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    """The lowest bits of integers, the highest of those as the sign."""
    half = 1 << (bits - 1)
    return ((values + half) & (2 * half - 1)) - half


def _with_bias(kernel: Kernel, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Run | None:
    """TFLM's kernel with another bias; None if it is no other one."""
    single = kernel.single
    bias = single.inputs[2] if single.name in ACCUMULATING and len(single.inputs) > 2 else None
    stored = None if bias is None else single.model.constant(bias.index)
    if bias is None or stored is None:
        return None
    changed = change(stored).astype(stored.dtype)
    if np.array_equal(changed, stored):
        return None
    return kernel.bent(lambda table: _set_data(table, bias, changed))


@kernel_defect(
    "undilated",
    says="the dilation is taken as 1",
    shows="CONV_2D, DEPTHWISE_CONV_2D with a dilation",
)
def _undilated(kernel: Kernel, number: int) -> Run | None:
    window = kernel.single.window
    if window is None or window.dilation == (1, 1):
        return None

    def bend(table: Any) -> None:
        options = table.subgraphs[0].operators[0].builtinOptions
        options.dilationHFactor = options.dilationWFactor = 1

    return kernel.bent(bend)


@kernel_defect(
    "parameters-kept",
    says="the n-th operator of its type in a model keeps the scales, zero points, activation and"
    " beta that the n-th of that type had in the first model",
    cause="state-between-models",
    shows="models that are loaded after another one",
)
class _ParametersKept:
    def __init__(self) -> None:
        self._kept: list[dict[str, Any]] = []

    def __call__(self, kernel: Kernel, number: int) -> Run | None:
        """Bad or not, it is run by itself: whether it is depends on what came before."""
        found = _parameters(kernel)
        if kernel.ordinal >= len(self._kept):
            self._kept.append(found)
        kept = self._kept[kernel.ordinal]
        if kept.keys() != found.keys() or kept == found:
            return kernel.run
        return kernel.bent(lambda table: _set_parameters(table, kernel.single, kept))


_FIELDS = ("fusedActivationFunction", "beta")


def _parameters(kernel: Kernel) -> dict[str, Any]:
    """What a kernel computes in Prepare, by name: of its options, its inputs, its outputs."""
    single = kernel.single
    ends = {
        f"in {at}": each for at, each in enumerate(single.inputs) if each in single.model.inputs
    }
    ends |= {f"out {at}": each for at, each in enumerate(single.outputs)}
    found: dict[str, Any] = {
        f"{each.dtype} {name}": (each.scale, each.zero_point)
        for name, each in ends.items()
        if each is not None and each.is_quantized
    }
    return found | {
        each: getattr(single.options, each) for each in _FIELDS if hasattr(single.options, each)
    }


def _set_parameters(table: Any, single: Single, kept: dict[str, Any]) -> None:
    graph = table.subgraphs[0]
    operator = graph.operators[0]
    for name, value in kept.items():
        if name in _FIELDS:
            setattr(operator.builtinOptions, name, value)
            continue
        _, end, at = name.split()
        tensor = graph.tensors[(operator.inputs if end == "in" else operator.outputs)[int(at)]]
        tensor.quantization.scale, tensor.quantization.zeroPoint = [value[0]], [value[1]]
    if single.name in ACCUMULATING and len(operator.inputs) > 2 and operator.inputs[2] >= 0:
        # TFLM refuses a bias whose scale does not fit.
        source, weights, bias = (graph.tensors[i].quantization for i in operator.inputs[:3])
        bias.scale = [source.scale[0] * each for each in weights.scale]


def _set_data(table: Any, tensor: Tensor, data: NDArray[Any]) -> None:
    buffer = table.buffers[table.subgraphs[0].tensors[tensor.index].buffer]
    buffer.data = np.frombuffer(data.tobytes(), np.uint8)


@kernel_defect(
    "padding-zero",
    says="pads with code 0 where the zero point was meant",
    cause="padding-value",
    shows=f"{_PADDED}; PAD",
)
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


@kernel_defect(
    "asymmetric-padding",
    says="pads with code 0 at the bottom and the right, where one more is padded than on the other"
    " side",
    cause="padding-value",
    shows=f"{_PADDED}, of an odd number",
)
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


@kernel_defect(
    "misaligned",
    says="rows are read from the next lower multiple of 4 bytes: the input's, and of"
    " FULLY_CONNECTED the weights'",
    cause="alignment",
    shows=f"{SUMMING} whose depth is no multiple of 4 bytes",
)
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
