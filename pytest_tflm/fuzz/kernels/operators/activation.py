"""Activations that are operators of their own, SOFTMAX, and QUANTIZE and DEQUANTIZE."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pytest_tflm.fuzz.kernels.operators.case import Drawing, OperatorCase

# Fixed by the operators' specifications: tensorflow/compiler/mlir/lite/quantization/lite, and
# https://ai.google.dev/edge/litert/conversion/tensorflow/quantization/quantization_spec.
_FIXED: dict[tuple[str, str], tuple[str, float, int]] = {
    ("SOFTMAX", "int8"): ("int8", 1 / 256, -128),
    ("SOFTMAX", "int16"): ("int16", 1 / 32768, 0),
    ("LOGISTIC", "int8"): ("int8", 1 / 256, -128),
    ("LOGISTIC", "int16"): ("int16", 1 / 32768, 0),
    ("TANH", "int8"): ("int8", 1 / 128, 0),
    ("TANH", "int16"): ("int16", 1 / 32768, 0),
}


def softmax(d: Drawing) -> OperatorCase:
    dtype = d.activation_type()
    shape = (1, d.whole(1, 12)) if d.flag() else d.shape(1, 4, 10)
    beta = float(d.pick((1.0, 1.0, 1.0, 0.5, 2.0, 10.0), "beta"))
    x = d.input("x", shape, d.quantisation(dtype))
    y = d.output("y", shape, _FIXED["SOFTMAX", dtype])
    version = 3 if dtype == "int16" else 2
    d.graph.operator("SOFTMAX", (x,), (y,), "SoftmaxOptions", version=version, beta=beta)
    return d.finish(dtype)


def sigmoid(d: Drawing) -> OperatorCase:
    """LOGISTIC and TANH."""
    dtype = d.activation_type()
    shape = d.shape(1, 4, 8)
    x = d.input("x", shape, d.quantisation(dtype))
    y = d.output("y", shape, _FIXED[d.operator, dtype])
    d.graph.operator(d.operator, (x,), (y,), version=3 if dtype == "int16" else 2)
    return d.finish(dtype)


def hard_swish(d: Drawing) -> OperatorCase:
    shape = d.shape(1, 4, 8)
    quantisation = d.quantisation("int8")
    scale = _beside(d, quantisation[1])
    x = d.input("x", shape, quantisation)
    y = d.output("y", shape, ("int8", scale, d.zero_point("int8")))
    d.graph.operator("HARD_SWISH", (x,), (y,), "HardSwishOptions", version=1)
    return d.finish("int8")


def leaky_relu(d: Drawing) -> OperatorCase:
    dtype = d.activation_type()
    shape = d.shape(1, 4, 8)
    quantisation = d.quantisation(dtype)
    alpha = float(d.pick((0.5, 0.1, 0.3, 0.01, 0.0, 0.99)))
    d.note(f"alpha {alpha:g}")
    x = d.input("x", shape, quantisation)
    y = d.output("y", shape, (dtype, _beside(d, quantisation[1]), d.zero_point(dtype)))
    d.graph.operator("LEAKY_RELU", (x,), (y,), "LeakyReluOptions", version=2, alpha=alpha)
    return d.finish(dtype)


def relu(d: Drawing) -> OperatorCase:
    """RELU and RELU6."""
    shape = d.shape(1, 4, 8)
    quantisation = d.quantisation("int8")
    if d.flag():
        result = quantisation
    else:
        result = ("int8", _beside(d, quantisation[1]), d.zero_point("int8"))
    x = d.input("x", shape, quantisation)
    y = d.output("y", shape, result)
    d.graph.operator(d.operator, (x,), (y,), version=2)
    return d.finish("int8")


def prelu(d: Drawing) -> OperatorCase:
    """The slopes are shared by all places of a channel, or all of their own."""
    shape = d.shape(2, 4, 5)
    quantisation, slopes = d.quantisation("int8"), d.quantisation("int8")
    shared = not d.flag("slope for each element")
    of = (*(1 for _ in shape[1:-1]), shape[-1]) if shared else shape[1:]
    codes = d.codes("int8", of, zero=slopes[2])
    reach = quantisation[1] * max(1.0, float(np.abs(codes - float(slopes[2])).max()) * slopes[1])
    scale = d.output_scale(quantisation[1], 255 * reach, "int8")
    x = d.input("x", shape, quantisation)
    a = d.constant("slopes", codes, "int8", slopes[1], slopes[2])
    y = d.output("y", shape, ("int8", scale, d.zero_point("int8")))
    d.graph.operator("PRELU", (x, a), (y,), version=1)
    return d.finish("int8")


def quantize(d: Drawing) -> OperatorCase:
    """float32 to codes, and codes to codes of another scale or width."""
    pairs = (("float32", "int8"), ("int8", "int8"), ("float32", "int16"), ("int16", "int8"),
             ("int8", "int16"), ("int16", "int16"))  # fmt: skip
    source, target = d.pick(pairs)
    shape = d.shape(1, 4, 8)
    to = d.quantisation(target)
    if source == "float32":
        x = d.input("x", shape, (source, None, 0))
    else:
        x = d.input("x", shape, (source, _beside(d, to[1]), d.zero_point(source)))
    y = d.output("y", shape, to)
    version = 1 if source == "float32" and target == "int8" else 2
    d.graph.operator("QUANTIZE", (x,), (y,), "QuantizeOptions", version=version)
    return d.finish(f"{source} to {target}")


def dequantize(d: Drawing) -> OperatorCase:
    dtype = d.activation_type()
    shape = d.shape(1, 4, 8)
    x = d.input("x", shape, d.quantisation(dtype))
    y = d.output("y", shape, ("float32", None, 0))
    version = {"int8": 2, "int16": 3}[dtype]
    d.graph.operator("DEQUANTIZE", (x,), (y,), "DequantizeOptions", version=version)
    return d.finish(f"{dtype} to float32")


def _beside(d: Drawing, scale: float) -> float:
    """A scale that is the same, or some steps finer or coarser."""
    factor = d.pick((1.0, 0.5, 2.0, 0.75, 1.3, 0.1, 8.0, 100.0))
    return float(np.float32(scale * factor))
