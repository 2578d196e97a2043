"""Defects of kernels that compute with other options, scales or constants: TFLM's kernel on an
operator that is bent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_tflm.model.arithmetic.requantise import ACCUMULATING, activation_range
from pytest_tflm.model.arithmetic.single import NO_ACTIVATION, RELU, RELU6
from pytest_tflm.simulator.defects.registry import SUMMING, kernel_defect
from pytest_tflm.simulator.defects.wrapper import CODES, wrapped

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from pytest_tflm.model import Tensor
    from pytest_tflm.model.arithmetic.single import Single
    from pytest_tflm.simulator.defects.operators import Kernel, Run

_OFFSET = (*ACCUMULATING, "TRANSPOSE_CONV", "ADD", "SUB", "MUL")


def set_zero_point(table: Any, tensor: Tensor, zero_point: int) -> None:
    """Of an operator's tensor, in its model ``table`` (a ``ModelT``)."""
    table.subgraphs[0].tensors[tensor.index].quantization.zeroPoint = [zero_point]


def set_data(table: Any, tensor: Tensor, data: NDArray[Any]) -> None:
    """The data of a constant, in the same."""
    buffer = table.buffers[table.subgraphs[0].tensors[tensor.index].buffer]
    buffer.data = np.frombuffer(data.tobytes(), np.uint8)


@kernel_defect(
    "activation-lost",
    says="the fused activation is not applied",
    cause="activation-ignored",
    shows="fused activations that clip codes: not RELU with a zero point of -128",
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
    "activation-6",
    says="a fused RELU ends at 6, as RELU6 does",
    cause="saturated-outputs",
    shows="a fused RELU whose outputs go beyond 6",
)
def _activation_6(kernel: Kernel, number: int) -> Run | None:
    output = kernel.single.outputs[0]
    if getattr(kernel.single.options, "fusedActivationFunction", NO_ACTIVATION) != RELU:
        return None
    if output.dtype not in CODES or not output.is_quantized:
        return None
    if activation_range(RELU6, output) == activation_range(RELU, output):
        return None

    def bend(table: Any) -> None:
        table.subgraphs[0].operators[0].builtinOptions.fusedActivationFunction = RELU6

    return kernel.bent(bend)


@kernel_defect("softmax-beta", says="beta is twice what it should be", shows="SOFTMAX")
def _softmax_beta(kernel: Kernel, number: int) -> Run | None:
    if kernel.single.name != "SOFTMAX":
        return None

    def bend(table: Any) -> None:
        table.subgraphs[0].operators[0].builtinOptions.beta *= 2

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
    return kernel.bent(lambda table: set_zero_point(table, first, 0))


@kernel_defect("bias-lost", says="the bias is not added", shows=f"{SUMMING} with a bias")
def _bias_lost(kernel: Kernel, number: int) -> Run | None:
    return _with_bias(kernel, np.zeros_like)


@kernel_defect(
    "bias-truncated",
    says="only the lowest bits of the bias are used, the highest of them as the sign",
    shows=f"{SUMMING} with a bias beyond that",
    number=16,
    number_is="bits of a bias",
    numbers=range(2, 32),
)
def _bias_truncated(kernel: Kernel, number: int) -> Run | None:
    return _with_bias(kernel, lambda bias: wrapped(bias.astype(np.int64), number))


@kernel_defect(
    "next-bias",
    says="each channel has the bias of the next one, the last that of the first",
    shows=f"{SUMMING} with a bias",
)
def _next_bias(kernel: Kernel, number: int) -> Run | None:
    return _with_bias(kernel, lambda bias: np.roll(bias, -1))


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
    return kernel.bent(lambda table: set_data(table, bias, changed))


@kernel_defect(
    "weights-shifted",
    says="weights are read from the next byte on",
    shows=f"{SUMMING} with int8 weights",
)
def _weights_shifted(kernel: Kernel, number: int) -> Run | None:
    single = kernel.single
    weights = single.inputs[1] if single.name in ACCUMULATING else None
    stored = None if weights is None else single.model.constant(weights.index)
    if weights is None or stored is None or stored.dtype != np.int8:
        return None
    moved_on = np.roll(stored.reshape(-1), -1)
    return kernel.bent(lambda table: set_data(table, weights, moved_on))


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
    says="the n-th operator of its type in a model uses the scales, zero points, activation and"
    " beta of the n-th of that type in the first model",
    cause="state-between-models",
    shows="models loaded after another one",
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


@kernel_defect(
    "parameters-last",
    says="all operators of the type compute with the scales, zero points, activation and beta of"
    " the one that is prepared last",
    cause="parameters-shared",
    shows="models with several operators of a type",
)
def _parameters_last(kernel: Kernel, number: int) -> Run | None:
    found, last = _parameters(kernel), _parameters(kernel.last)
    if found.keys() != last.keys() or found == last:
        return None
    return kernel.bent(lambda table: _set_parameters(table, kernel.single, last))
