"""A model of one operator, taken apart: its options, its constants, its windows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_tflm.model.model import Model
    from pytest_tflm.model.tensor import Tensor

SAME, VALID = range(2)
"""TFLite's ``Padding``."""

NO_ACTIVATION, RELU, RELU_N1_TO_1, RELU6 = range(4)
"""TFLite's ``ActivationFunctionType``, those that quantised kernels clamp for."""

_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")
_POOLS = ("AVERAGE_POOL_2D", "MAX_POOL_2D")


@dataclass(frozen=True)
class Window:
    """What one output element of a spatial operator looks at; each pair is (height, width).

    ``before`` and ``after`` are elements of padding, 0 for VALID. ``after`` counts what the
    output's stored size needs; it can be negative, where the input's end is never looked at.
    """

    size: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    before: tuple[int, int]
    after: tuple[int, int]

    @property
    def is_padded(self) -> bool:
        """Some windows reach over an edge of the input."""
        return max(*self.before, *self.after) > 0


@dataclass(frozen=True, eq=False)
class Single:
    """The one operator of ``model``. ValueError if the model has another number of them."""

    model: Model

    def __post_init__(self) -> None:
        if len(self.model.operators) != 1:
            count = len(self.model.operators)
            raise ValueError(f"{self.model.name} has {count} operators, not one")

    @property
    def name(self) -> str:
        return self.model.operators[0].name

    @cached_property
    def options(self) -> Any:
        """The operator's options, such as a ``Conv2DOptionsT``; None if there are none."""
        return self.model.options(0)

    @property
    def inputs(self) -> tuple[Tensor | None, ...]:
        """The operator's inputs, constants among them; None for an optional one left out."""
        return tuple(
            None if index < 0 else self.model.tensors[index]
            for index in self.model.operators[0].inputs
        )

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        return tuple(self.model.tensors[index] for index in self.model.operators[0].outputs)

    def operands(self, arrays: Sequence[NDArray[Any]]) -> list[NDArray[Any] | None]:
        """An array for each of the operator's inputs: from ``arrays``, which are the model's
        inputs in their order, or the constant stored; None where there is neither."""
        given = {t.index: array for t, array in zip(self.model.inputs, arrays, strict=True)}
        return [
            None
            if t is None
            else given[t.index]
            if t.index in given
            else self.model.constant(t.index)
            for t in self.inputs
        ]

    @cached_property
    def window(self) -> Window | None:
        """Of a convolution or a pool; None for other operators.

        Padding as TensorFlow's ``kernels/padding.h`` has it.
        """
        first = self.inputs[0] if self.inputs else None
        if self.name not in _CONVOLUTIONS + _POOLS or first is None or len(first.shape) != 4:
            return None
        options = self.options
        if self.name in _POOLS:
            size = (options.filterHeight, options.filterWidth)
            dilation = (1, 1)
        else:
            weights = self.inputs[1]
            if weights is None or len(weights.shape) != 4:
                return None
            size = weights.shape[1:3]
            dilation = (options.dilationHFactor, options.dilationWFactor)
        stride = (options.strideH, options.strideW)
        before, after = [0, 0], [0, 0]
        for axis in range(2):
            reach = (size[axis] - 1) * dilation[axis] + 1
            there = first.shape[1 + axis]
            if options.padding == SAME:
                count = math.ceil(there / stride[axis])
                before[axis] = max(0, (count - 1) * stride[axis] + reach - there) // 2
            stored = self.outputs[0].shape[1 + axis]
            after[axis] = (stored - 1) * stride[axis] + reach - there - before[axis]
        return Window(
            (size[0], size[1]),
            stride,
            dilation,
            (before[0], before[1]),
            (after[0], after[1]),
        )
