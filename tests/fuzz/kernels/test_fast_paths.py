"""Kernel libraries have special kernels for the shapes that most models have. Of 500 generated
models at least 20 reach each of them. It is an average, because Hypothesis draws models that are
like others, and numbers that it finds in the source.

The conditions are those of the libraries' own dispatch: arm_convolve_wrapper_s8.c and
arm_depthwise_conv_wrapper_s8.c of CMSIS-NN 4 to 6, esp_nn_conv_esp32s3.c and
esp_nn_depthwise_conv_s8_esp32s3.c of ESP-NN, and what TFLM's kernels ask before they call them.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import Any, NamedTuple

import hypothesis
import pytest

from pytest_tflm.fuzz.kernels.operators import cases

COUNT, LEAST, ROUNDS = 500, 20, 4
SETTINGS = hypothesis.settings(
    max_examples=COUNT,
    database=None,
    deadline=None,
    phases=[hypothesis.Phase.generate],
    suppress_health_check=list(hypothesis.HealthCheck),
)


class Convolution(NamedTuple):
    """What a library looks at. Sizes are (height, width)."""

    batch: int
    size: tuple[int, int]
    channels: int
    groups: int
    kernel: tuple[int, int]
    result: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    multiplier: int

    @property
    def padding(self) -> tuple[int, int]:
        """At the top and on the left."""
        each = zip(self.size, self.kernel, self.result, self.stride, self.dilation, strict=True)
        return tuple(max(0, ((r - 1) * s + (k - 1) * f + 1 - n) // 2) for n, k, r, s, f in each)


def _convolution(case) -> Convolution | None:
    """None for what these libraries do not have: other types than int8."""
    if case.activations != "int8":
        return None
    options: Any = case.model.options(0)
    (x,), (y,) = case.model.inputs, case.model.outputs
    weights = next(tensor for tensor in case.model.tensors if tensor.name == "w")
    is_depthwise = case.operator == "DEPTHWISE_CONV_2D"
    return Convolution(
        x.shape[0],
        x.shape[1:3],
        x.shape[3],
        1 if is_depthwise else x.shape[3] // weights.shape[3],
        weights.shape[1:3],
        y.shape[1:3],
        (options.strideH, options.strideW),
        (options.dilationHFactor, options.dilationWFactor),
        options.depthMultiplier if is_depthwise else 0,
    )


def _cmsis_convolution(c: Convolution) -> str:
    if c.kernel == c.stride == c.dilation == (1, 1) and c.padding == (0, 0):
        return "1x1"
    if c.size[0] == c.kernel[0] == 1 and c.dilation[1] == 1 and c.result[1] % 4 == 0:
        return "1xN"
    # Its inner loop takes two positions of the output at a time.
    return f"im2col, {'odd' if c.result[0] * c.result[1] % 2 else 'even'} positions"


def _cmsis_depthwise(c: Convolution) -> str:
    if c.multiplier == 1 and c.batch == 1 and c.dilation == (1, 1):
        is_small = c.kernel == (3, 3) and max(c.padding) <= 1
        # Both take four channels at a time.
        return f"{'3x3' if is_small else 'opt'}, {'rest of' if c.channels % 4 else 'only'} fours"
    if c.multiplier % 4 == 0 and c.batch == 1 and c.dilation == (1, 1):
        return "multiplier of fours"
    return "general"


def _esp_convolution(c: Convolution) -> str:
    if c.dilation != (1, 1):
        return "TFLM's own"
    if c.groups > 1:
        return "groups"
    if c.kernel == c.stride == (1, 1) and c.padding == (0, 0):
        return "1x1, channels in eights" if c.channels % 8 == 0 else "1x1, other channels"
    if c.kernel[1] * c.channels < 16 <= c.kernel[0] * c.kernel[1] * c.channels:
        return "im2col"
    return "3x3" if c.kernel == (3, 3) else "rows"


def _esp_depthwise(c: Convolution) -> str:
    if c.dilation != (1, 1):
        return "TFLM's own"
    window = "3x3" if c.kernel == (3, 3) else "other windows"
    if c.multiplier == 1 and c.channels % 8 == 0:
        return f"channels in eights, {window}"
    if c.multiplier == 1 and c.channels > 3:
        return "other channels"
    if c.multiplier % 8 == 0:
        return f"multiplier of eights, {window}"
    return "multiplier of fours" if c.multiplier % 4 == 0 else "general"


def _rows(case) -> str | None:
    """FULLY_CONNECTED: one vector by a matrix, whose rows are taken in fours or twos."""
    if case.activations != "int8" or case.model.inputs[0].size != case.model.inputs[0].shape[-1]:
        return None
    return "one row, units in fours" if case.model.outputs[0].size % 4 == 0 else "one row, others"


def _pool(case) -> str | None:
    if case.activations != "int8" or case.model.inputs[0].shape[0] != 1:
        return None
    options: Any = case.model.options(0)
    window = (options.filterHeight, options.filterWidth)
    if case.model.inputs[0].shape[1:3] == window and window != (1, 1):
        return "all of it"
    return "2x2, stride 2" if window == (options.strideH, options.strideW) == (2, 2) else "batch 1"


def _ranks(case) -> str | None:
    ranks = (len(case.model.inputs[0].shape), len(case.model.outputs[0].shape))
    return f"{ranks[0]} to {ranks[1]}" if case.activations == "int8" else None


def of(way):
    """``way`` for convolutions that are int8."""
    return lambda case: None if (c := _convolution(case)) is None else way(c)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("operator", "way", "paths"),
    [
        ("CONV_2D", of(_cmsis_convolution),
         {"1x1", "1xN", "im2col, odd positions", "im2col, even positions"}),
        ("DEPTHWISE_CONV_2D", of(_cmsis_depthwise),
         {"3x3, only fours", "3x3, rest of fours", "opt, only fours", "opt, rest of fours",
          "multiplier of fours", "general"}),
        ("CONV_2D", of(_esp_convolution),
         {"1x1, channels in eights", "1x1, other channels", "im2col", "3x3", "rows", "groups",
          "TFLM's own"}),
        ("DEPTHWISE_CONV_2D", of(_esp_depthwise),
         {"channels in eights, 3x3", "channels in eights, other windows", "other channels",
          "multiplier of eights, 3x3", "multiplier of eights, other windows",
          "multiplier of fours"}),
        ("FULLY_CONNECTED", _rows, {"one row, units in fours", "one row, others"}),
        ("AVERAGE_POOL_2D", _pool, {"all of it", "2x2, stride 2", "batch 1"}),
        ("MAX_POOL_2D", _pool, {"all of it", "2x2, stride 2", "batch 1"}),
        ("RESHAPE", _ranks, {"4 to 2", "3 to 4", "4 to 3", "4 to 4"}),
    ],
)  # fmt: skip
def test_every_fast_path_is_reached(operator, way, paths):
    reached: Counter[str | None] = Counter()

    def count(case) -> bool:
        reached[way(case)] += 1
        return False

    for seed in range(ROUNDS):
        with pytest.raises(hypothesis.errors.NoSuchExample):
            hypothesis.find(cases(operator), count, settings=SETTINGS, random=random.Random(seed))
    missed = {path: reached[path] for path in paths if reached[path] < LEAST * ROUNDS}
    assert not missed, f"too seldom: {missed} of {dict(reached)}"
