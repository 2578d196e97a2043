"""How much more arena a board's kernels need than host TFLM's: their scratch memory.

A kernel library asks for scratch memory while TFLM prepares a model; it is there during one
operator and planned between the tensors. The sizes are those that the libraries' own functions
(``…_get_buffer_size``, ``…_get_scratch_size``) give, in our words:

- CMSIS-NN of 2023 and 2024 (ARM-software/CMSIS-NN, Source/ConvolutionFunctions, PoolingFunctions,
  FullyConnectedFunctions);
- ESP-NN 1.2.3 (espressif/esp-nn d45b843c, src/convolution, src/softmax) with the kernels of
  esp-tflite-micro 1.4.0, for each of its three kinds of chip.

docs/boards.md has how far this is from what boards use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_tflm.model.arithmetic.single import SAME

if TYPE_CHECKING:
    from pytest_tflm.model import Model
    from pytest_tflm.model.tensor import Operator

_ALIGNMENT = 16
"""Of each buffer in TFLM's arena."""
_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")


def rounded_up(value: int, step: int) -> int:
    """The smallest multiple of ``step`` that is not below ``value``."""
    return -(-value // step) * step


@dataclass(frozen=True)
class Kernel:
    """What the formulas look at; each pair is (height, width), ``pad`` is in front."""

    name: str
    dtype: str
    size: tuple[int, int]
    channels: int
    filter: tuple[int, int]
    stride: tuple[int, int]
    pad: tuple[int, int]
    dilation: tuple[int, int]
    output: tuple[int, int]
    output_channels: int

    @property
    def pixels(self) -> int:
        """Of the input."""
        return self.size[0] * self.size[1]

    @property
    def window(self) -> int:
        """Elements of the filter in one channel."""
        return self.filter[0] * self.filter[1]

    @property
    def is_pointwise(self) -> bool:
        return self.window == 1 and self.pad == (0, 0) and self.stride == (1, 1)

    def missing(self, axis: int) -> int:
        """Rows or columns that the last window begins and the input does not have, as ESP-NN counts
        them."""
        wanted = self.output[axis] * self.stride[axis] + self.filter[axis] - 1
        return max(0, wanted - self.size[axis])


_Formula = Callable[[Kernel], int]


def _cmsis_nn(kernel: Kernel) -> int:
    """With the DSP instructions of Cortex-M4, M7 and M33; without them it is less."""
    wide = kernel.dtype == "int16"
    columns = kernel.channels * kernel.window
    if kernel.name == "CONV_2D":
        if wide:
            return 2 * 2 * columns
        return 0 if kernel.window == 1 and kernel.pad == (0, 0) else 2 * 2 * rounded_up(columns, 4)
    if kernel.name == "DEPTHWISE_CONV_2D":
        is_optimised = kernel.channels == kernel.output_channels and kernel.dilation == (1, 1)
        return 2 * columns if is_optimised else 0
    return 4 * kernel.channels if kernel.name == "AVERAGE_POOL_2D" else 0


_MVE_BLOCK = 124
"""Channels that a depthwise convolution takes at a time."""


def _cmsis_nn_mve(kernel: Kernel) -> int:
    """With the vector instructions of Cortex-M52, M55 and M85."""
    columns = kernel.channels * kernel.window
    if kernel.name == "CONV_2D" and kernel.dtype == "int8":
        return 4 * rounded_up(columns, 8) + 4 * kernel.output_channels
    if kernel.name == "DEPTHWISE_CONV_2D" and kernel.dtype == "int8":
        return 4 * _MVE_BLOCK * kernel.window
    if kernel.name == "FULLY_CONNECTED":
        return 4 * kernel.output_channels
    return _cmsis_nn(kernel) if kernel.dtype == "int16" else 0


def _softmax(kernel: Kernel) -> int:
    return 4 * kernel.size[0] if kernel.name == "SOFTMAX" and kernel.dtype == "int8" else 0


def _esp_nn_s3(kernel: Kernel) -> int:
    if kernel.dtype != "int8" or kernel.name not in _CONVOLUTIONS:
        return _softmax(kernel)
    if kernel.name == "CONV_2D":
        return _s3_convolution(kernel)
    return _s3_depthwise(kernel)


def _s3_convolution(kernel: Kernel) -> int:
    outputs, channels = kernel.output_channels, kernel.channels
    if kernel.is_pointwise:
        eights = rounded_up(channels, 8)
        turned = 16 * eights if kernel.pixels >= 8 else 0
        copied = kernel.pixels * eights if channels % 8 else 0
        return copied + eights * outputs + turned + 64
    row, window = kernel.filter[1] * channels, kernel.window * channels
    if row < 16 <= window:
        return 4 * outputs + 16 + (outputs + 1) * rounded_up(window, 16) + 16 + 64
    padded = 0
    if kernel.pad != (0, 0):
        padded = (kernel.size[0] + 2 * kernel.pad[0]) * (kernel.size[1] + 2 * kernel.pad[1])
    beyond = 0
    if kernel.missing(0) or kernel.missing(1):
        beyond = (kernel.size[0] + kernel.missing(0)) * (kernel.size[1] + kernel.missing(1))
    filters = kernel.window * rounded_up(channels, 16) + rounded_up(row, 16) * kernel.filter[0]
    return (padded + beyond) * channels + filters * outputs + 64 + 4 * outputs


def _s3_depthwise(kernel: Kernel) -> int:
    channels, window = kernel.channels, kernel.window
    multiplier = max(1, kernel.output_channels // max(1, channels))
    filters = window * channels * multiplier
    if multiplier == 1 and channels % 8 == 0:
        if kernel.filter == (3, 3) and channels % 16 == 0:
            padded = _s3_padded(kernel)
            return filters + padded + 16
        if kernel.filter == (3, 3) and channels >= 12:
            more = rounded_up(channels, 16)
            sides = [2 * kernel.pad[axis] + kernel.missing(axis) for axis in (0, 1)]
            copied = (kernel.size[0] + sides[0]) * (kernel.size[1] + sides[1])
            return (9 + copied + kernel.output[0] * kernel.output[1]) * more + 64
        whole = 2 * (filters + kernel.pixels * channels)
        if kernel.filter == (3, 3) or whole <= 48 * 1024:
            return whole + 32
        return 2 * (filters + kernel.size[1] * kernel.filter[0] * channels) + 32
    if multiplier == 1 and channels > 3:
        more = rounded_up(channels, 8)
        end = rounded_up(2 * window * more, 16)
        end = rounded_up(end + 2 * kernel.pixels * more, 16)
        end = rounded_up(end + kernel.output[0] * kernel.output[1] * more, 16)
        return end + 3 * 4 * more + 16
    if multiplier % 4 == 0:
        return 2 * (filters + kernel.pixels * channels) + 32
    return 32


def _s3_padded(kernel: Kernel) -> int:
    """A copy of the input with its border, whole or so many rows as the filter has."""
    if kernel.pad != (0, 0):
        border = [2 * pad for pad in kernel.pad]
    else:
        border = [
            kernel.output[axis] * kernel.stride[axis] + kernel.filter[axis] - 1 - kernel.size[axis]
            for axis in (0, 1)
        ]
    if border == [0, 0]:
        return 0
    width = (kernel.size[1] + border[1]) * kernel.channels
    whole = (kernel.size[0] + border[0]) * width
    return whole if whole <= 40 * 1024 else kernel.filter[0] * width


_P4_CACHE = 32768


def _esp_nn_p4(kernel: Kernel) -> int:
    if kernel.dtype != "int8" or kernel.name != "CONV_2D":
        return _softmax(kernel)
    outputs, channels = kernel.output_channels, kernel.channels
    sums = 4 * outputs
    if kernel.is_pointwise:
        if channels < 16:
            return sums + 16 * outputs + 32 + 32
        return _s3_convolution(kernel) - 32
    sixteens = rounded_up(channels, 16)
    window, row = kernel.window * channels, kernel.filter[1] * channels
    if kernel.pad == (0, 0) and row >= 16:
        return kernel.window * sixteens * outputs + 32 + sums
    if window >= 16:
        return sums + window + 32
    effective = rounded_up(-(-16 // kernel.filter[1]), 16)
    filters = kernel.window * effective * outputs
    if kernel.pad == (0, 0):
        return sums + filters + kernel.pixels * effective + 32
    width = kernel.size[1] + 2 * kernel.pad[1]
    whole = width * (kernel.size[0] + 2 * kernel.pad[0]) * channels
    if whole + sums <= _P4_CACHE:
        return whole + kernel.window * sixteens * outputs + 32 + sums
    row_bytes = width * effective
    spare = _P4_CACHE - sums - filters - kernel.filter[0] * row_bytes
    tiles = 1 if spare < 0 else min(spare // (kernel.stride[0] * row_bytes) + 1, kernel.output[0])
    rows = (tiles - 1) * kernel.stride[0] + kernel.filter[0] + 2 * kernel.pad[0]
    return rows * row_bytes + filters + 32 + sums


class Kernels(NamedTuple):
    """A kernel library for one kind of processor. ``condition`` is true for the preprocessor there;
    it is empty for those that are meant where no other is."""

    formula: _Formula
    condition: str = ""


KERNELS = {
    "CMSIS-NN": Kernels(_cmsis_nn),
    "CMSIS-NN with MVE": Kernels(_cmsis_nn_mve, "defined(__ARM_FEATURE_MVE)"),
    "ESP-NN": Kernels(_softmax),
    "ESP-NN of the ESP32-S3": Kernels(_esp_nn_s3, "defined(CONFIG_IDF_TARGET_ESP32S3)"),
    "ESP-NN of the ESP32-P4": Kernels(_esp_nn_p4, "defined(CONFIG_IDF_TARGET_ESP32P4)"),
}
"""By the names that a board's row has (:class:`pytest_tflm.firmware.boards.Board`)."""


def more_than_host(model: Model, kernels: str) -> int:
    """Bytes of arena that ``kernels``, one of :data:`KERNELS`, need for ``model`` beyond what host
    TFLM's reference kernels do: the difference between TFLM's plan of subgraph 0 with and without
    their scratch memory. At least 0."""
    tensors = list(_tensors(model))
    without = _planned(tensors)
    return max(without, _planned(tensors + list(_scratch(model, kernels)))) - without


class _Buffer(NamedTuple):
    size: int
    first: int
    last: int


def _tensors(model: Model) -> Iterator[_Buffer]:
    """The tensors that TFLM plans, and from which operator to which each is needed (0: before the
    first)."""
    first = {tensor.index: 0 for tensor in model.inputs}
    last = dict(first)
    for number, operator in enumerate(model.operators, 1):
        last.update((index, number) for index in (*operator.inputs, *operator.outputs))
        for index in operator.outputs:
            first.setdefault(index, number)
    last.update((tensor.index, len(model.operators)) for tensor in model.outputs)
    for tensor in model.tensors:
        if tensor.index in first and not (tensor.is_variable or tensor.is_constant):
            size = rounded_up(tensor.nbytes, _ALIGNMENT)
            yield _Buffer(size, first[tensor.index], last[tensor.index])


def _scratch(model: Model, kernels: str) -> Iterator[_Buffer]:
    formula = KERNELS[kernels].formula
    for number, operator in enumerate(model.operators, 1):
        kernel = _kernel(model, operator)
        if kernel is not None and (size := formula(kernel)) > 0:
            yield _Buffer(rounded_up(size, _ALIGNMENT), number, number)


def _planned(buffers: list[_Buffer]) -> int:
    """Bytes of the plan: TFLM's GreedyMemoryPlanner places the largest first, each at the lowest
    offset where nothing lies that is needed at the same time."""
    placed: list[tuple[int, _Buffer]] = []
    for buffer in sorted(buffers, key=lambda each: -each.size):
        offset = 0
        for at, other in placed:
            if other.first > buffer.last or other.last < buffer.first:
                continue
            if offset + buffer.size <= at:
                break
            offset = max(offset, at + other.size)
        placed.append((offset, buffer))
        placed.sort(key=lambda each: each[0])
    return max((offset + buffer.size for offset, buffer in placed), default=0)


def _kernel(model: Model, operator: Operator) -> Kernel | None:
    """None for an operator whose kernels ask for nothing."""
    if not operator.inputs or not operator.outputs or operator.inputs[0] < 0:
        return None
    source, result = model.tensors[operator.inputs[0]], model.tensors[operator.outputs[0]]
    if source.dtype not in ("int8", "int16"):
        return None
    if operator.name == "SOFTMAX" and len(source.shape) >= 2:
        # The kernels take the shape's second number for the width.
        return _flat(operator.name, source.dtype, source.shape[1], result.shape[-1])
    if operator.name == "FULLY_CONNECTED" and result.shape:
        return _flat(operator.name, source.dtype, 1, result.shape[-1])
    stored = model.options(operator.index)
    if len(source.shape) != 4 or len(result.shape) != 4 or not hasattr(stored, "strideH"):
        return None
    if operator.name in _CONVOLUTIONS:
        shape = model.tensors[operator.inputs[1]].shape
        if len(shape) != 4:
            return None
        size = shape[1], shape[2]
        dilation = stored.dilationHFactor, stored.dilationWFactor
    elif operator.name == "AVERAGE_POOL_2D":
        size, dilation = (stored.filterHeight, stored.filterWidth), (1, 1)
    else:
        return None
    return _spatial(operator.name, source, result, stored, size, dilation)


def _flat(name: str, dtype: str, width: int, channels: int) -> Kernel:
    one = (1, 1)
    return Kernel(name, dtype, (width, 1), 1, one, one, (0, 0), one, one, channels)


def _spatial(
    name: str, source: Any, result: Any, stored: Any, size: tuple[int, int], dilation: Any
) -> Kernel:
    stride = stored.strideH, stored.strideW
    inputs, outputs = source.shape[1:3], result.shape[1:3]
    pad = [0, 0]
    if stored.padding == SAME:
        for axis in (0, 1):
            reach = (outputs[axis] - 1) * stride[axis] + (size[axis] - 1) * dilation[axis] + 1
            pad[axis] = max(0, reach - inputs[axis]) // 2
    return Kernel(
        name, source.dtype, (inputs[0], inputs[1]), source.shape[3], size, stride,
        (pad[0], pad[1]), dilation, (outputs[0], outputs[1]), result.shape[3],
    )  # fmt: skip
