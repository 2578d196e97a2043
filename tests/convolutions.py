"""Random quantised models of one FULLY_CONNECTED, CONV_2D or DEPTHWISE_CONV_2D, for tests."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pytest_tflm.model.graph import Graph

OPTIONS = {
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
}
INT32, INT64 = 2, 4


def random_convolution(name: str, rng: np.random.Generator, **fixed: Any) -> bytes:
    """One operator with everything about it drawn, except what ``fixed`` says.

    ``fixed``: dtype, batch, height, width, channels, filters, size, stride, dilation, same,
    activation, zero_point, per_channel, bias, depth_multiplier; of pairs, (height, width).
    """
    drawn = {
        "dtype": rng.choice(["int8", "int8", "int8", "int16"]),
        "batch": int(rng.integers(1, 4)),
        "height": int(rng.integers(5, 9)),
        "width": int(rng.integers(5, 9)),
        "channels": int(rng.integers(1, 9)),
        "filters": int(rng.integers(1, 7)),
        "size": (int(rng.integers(1, 4)), int(rng.integers(1, 4))),
        "stride": (int(rng.integers(1, 3)), int(rng.integers(1, 3))),
        "dilation": (int(rng.integers(1, 3)), int(rng.integers(1, 3))),
        "same": bool(rng.integers(2)),
        "activation": int(rng.choice([0, 1, 3])),
        "zero_point": int(rng.integers(-128, 128)),
        "per_channel": bool(rng.integers(2)),
        # TFLM crashes in Prepare of a DEPTHWISE_CONV_2D whose optional bias is left out.
        "bias": name == "DEPTHWISE_CONV_2D" or bool(rng.integers(4)),
        "depth_multiplier": int(rng.integers(1, 3)),
    } | fixed
    return _write(name, rng, **drawn)


def _write(
    name: str,
    rng: np.random.Generator,
    *,
    dtype: str,
    batch: int,
    height: int,
    width: int,
    channels: int,
    filters: int,
    size: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    same: bool,
    activation: int,
    zero_point: int,
    per_channel: bool,
    bias: bool,
    depth_multiplier: int,
) -> bytes:
    g = Graph()
    fields: dict[str, Any] = {"fusedActivationFunction": activation}
    if name == "FULLY_CONNECTED":
        shape, weights_shape, axis = (batch, channels), (filters, channels), 0
        out_shape: tuple[int, ...] = (batch, filters)
        taps = channels
    else:
        shape = (batch, height, width, channels)
        if name == "CONV_2D":
            weights_shape, axis, taps = (filters, *size, channels), 0, math.prod(size) * channels
        else:
            filters = channels * depth_multiplier
            weights_shape, axis, taps = (1, *size, filters), 3, math.prod(size)
            fields["depthMultiplier"] = depth_multiplier
        places = []
        for there, reach, step, rate in zip((height, width), size, stride, dilation, strict=True):
            seen = there if same else there - (reach - 1) * rate
            places.append(-(-seen // step))
        out_shape = (batch, *places, filters)
        fields |= {"strideH": stride[0], "strideW": stride[1], "padding": 0 if same else 1}
        fields |= {"dilationHFactor": dilation[0], "dilationWFactor": dilation[1]}
    wide = dtype == "int16"
    zero = 0 if wide else zero_point
    x_scale = float(rng.uniform(0.001, 0.2))
    count = filters if per_channel else 1
    w_scales = [float(s) for s in 10 ** rng.uniform(-3.5, -1, count)]
    # The accumulators' usual size fills two thirds of the output's codes.
    spread = 60 * 70 * math.sqrt(taps) * (256 if wide else 1)
    y_scale = spread * x_scale * float(np.mean(w_scales)) / (80 * (256 if wide else 1))
    x = g.tensor("x", shape, dtype, x_scale, zero)
    w = g.tensor(
        "weights",
        weights_shape,
        "int8",
        w_scales,
        0,
        rng.integers(-127, 128, weights_shape),
        axis,
    )
    b = -1
    if bias:
        b_type = "int64" if wide else "int32"
        biases = rng.integers(-spread, spread, filters)
        b = g.tensor("bias", (filters,), b_type, [x_scale * s for s in w_scales], 0, biases)
    y_zero = 0 if wide else int(rng.integers(-128, 128))
    y = g.tensor("y", out_shape, dtype, y_scale, y_zero)
    version = {"FULLY_CONNECTED": 4, "CONV_2D": 3, "DEPTHWISE_CONV_2D": 3}[name]
    g.operator(name, (x, w, b), (y,), OPTIONS[name], version=version, **fields)
    return g.finish((x,), (y,))
