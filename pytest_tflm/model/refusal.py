"""What TFLM refuses to prepare or to run: as the file tells, and as TFLM said it.

The rules are those of the kernels in tensorflow/lite/micro/kernels of tflite-micro. Each is
certain: a test runs a model for it on host TFLM.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_tflm.model.model import Model
    from pytest_tflm.model.tensor import Operator, Tensor

_INT8 = "convert to full int8, with converter.representative_dataset set"

_WEIGHTED = """
CONV_2D DEPTHWISE_CONV_2D FULLY_CONNECTED SVDF TRANSPOSE_CONV UNIDIRECTIONAL_SEQUENCE_LSTM
"""
_OTHERS = """
ADD ARG_MAX AVERAGE_POOL_2D BATCH_TO_SPACE_ND CONCATENATION HARD_SWISH LEAKY_RELU LOGISTIC MAXIMUM
MAX_POOL_2D MEAN MINIMUM MUL PAD PADV2 PRELU RELU RELU6 RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR
SOFTMAX SPACE_TO_BATCH_ND SPLIT STRIDED_SLICE SUB SUM TANH TRANSPOSE
"""
# Operators with weights (or a second factor) as input 1.
_HAS_WEIGHTS = frozenset((*_WEIGHTED.split(), "BATCH_MATMUL"))
TYPED = frozenset((_WEIGHTED + _OTHERS).split())
"""Operators whose kernels list their types, uint8 and float16 not among them. Movers of bytes
(RESHAPE and the like) take any type; QUANTIZE and DEQUANTIZE know uint8."""

# Where the activations are, if not in input 0.
_ACTIVATIONS = {"TRANSPOSE_CONV": 2, "SPLIT": 1}
_HALVES = ("float16", "bfloat16")


@dataclass(frozen=True)
class Reason:
    """Why TFLM does not run an operator, or computes something else: ``name`` as a lint finding
    has it, what is so (after the operator's name and a colon), and what to do."""

    name: str
    sentence: str
    remedy: str


@dataclass(frozen=True)
class Refusal:
    """What TFLM said when it refused a model, or how it died.

    ``words`` are its own. ``operator`` is the index of the operator in subgraph 0 and None where
    TFLM did not name one; ``crashed``: the process that ran TFLM ended.
    """

    words: str
    operator: int | None = None
    crashed: bool = False


def known_reason(model: Model, operator: Operator) -> Reason | None:
    """Why TFLM is certain to refuse ``operator`` of subgraph 0, or to compute something else, as
    far as the file tells. Operators without a kernel are not looked for."""
    found = (rule(model, operator) for rule in _RULES)
    return next((reason for reason in found if reason is not None), None)


def interface_reason(model: Model) -> Reason | None:
    """Why no board can be given samples of ``model``, or asked for its outputs, whatever its
    operators are: numpy has no numbers of such a type."""
    for what, tensors in (("input", model.inputs), ("output", model.outputs)):
        for tensor in tensors:
            if not tensor.is_number:
                return Reason(
                    f"{what}-type",
                    f"{what} '{tensor.name}' is {tensor.dtype}, and samples of this type cannot be"
                    " sent or compared",
                    f"convert with converter.inference_{what}_type = tf.int8 (or tf.float32)",
                )
    return None


def activations(model: Model, operator: Operator) -> Tensor | None:
    """The tensor that the operator computes on; None if it has none."""
    place = _ACTIVATIONS.get(operator.name, 0)
    index = operator.inputs[place] if place < len(operator.inputs) else -1
    return model.tensors[index] if index >= 0 else None


def _weights(model: Model, operator: Operator) -> Tensor | None:
    if operator.name not in _HAS_WEIGHTS or len(operator.inputs) < 2 or operator.inputs[1] < 0:
        return None
    return model.tensors[operator.inputs[1]]


def _sparse(model: Model, operator: Operator) -> Reason | None:
    if not any(index >= 0 and model.tensors[index].is_sparse for index in operator.inputs):
        return None
    return Reason(
        "sparse-weights",
        "its weights are stored without their zeros (tensor.sparsity). TFLM treats the stored"
        " values as all values, and reads beyond their end",
        "",
    )


def _half(model: Model, operator: Operator) -> Reason | None:
    given = activations(model, operator)
    if given is None or given.dtype not in _HALVES:
        return None
    if operator.name not in TYPED and operator.name != "DEQUANTIZE":
        return None
    return Reason(
        "float16-model",
        f"{given.dtype} values, for which TFLM has no kernel",
        "convert without converter.target_spec.supported_types = [tf.float16]: to float32, or to "
        "full int8",
    )


def _uint8(model: Model, operator: Operator) -> Reason | None:
    given = activations(model, operator)
    if given is None or given.dtype != "uint8" or operator.name not in TYPED:
        return None
    return Reason(
        "uint8-model",
        "uint8 activations. TFLM has no uint8 kernel for it",
        "convert with int8: TensorFlow 2's converter, full int8 quantisation",
    )


def _hybrid(model: Model, operator: Operator) -> Reason | None:
    given, weights = activations(model, operator), _weights(model, operator)
    if given is None or weights is None or not weights.is_constant:
        return None
    if given.dtype != "float32" or weights.dtype == "float32":
        return None
    return Reason(
        "hybrid-model",
        f"float32 activations with {weights.dtype} weights (dynamic-range quantisation), which "
        "TFLM does not run",
        _INT8,
    )


def _mixed_types(model: Model, operator: Operator) -> Reason | None:
    if operator.name != "FULLY_CONNECTED" or not operator.outputs:
        return None
    given, output = activations(model, operator), model.tensors[operator.outputs[0]]
    if given is None or given.dtype == output.dtype:
        return None
    return Reason(
        "mixed-types",
        f"{given.dtype} activations and a {output.dtype} output, but TFLM requires one type",
        "convert without an inference_output_type of its own; add a QUANTIZE after the layer",
    )


def _rescaling_pool(model: Model, operator: Operator) -> Reason | None:
    if operator.name not in ("AVERAGE_POOL_2D", "MAX_POOL_2D") or not operator.outputs:
        return None
    given, output = activations(model, operator), model.tensors[operator.outputs[0]]
    if given is None or given.dtype not in ("int8", "int16"):
        return None
    scales, zero_points = (given.scale, output.scale), (given.zero_point, output.zero_point)
    if abs((scales[0] or 0) - (scales[1] or 0)) <= 1e-6 and zero_points[0] == zero_points[1]:
        return None
    return Reason(
        "rescaling-pool",
        f"its input and its output have different scales or zero points ({scales[0]:g}, "
        f"{zero_points[0]} and {scales[1]:g}, {zero_points[1]}), which TFLM's pools do not convert"
        if scales[0] and scales[1]
        else "its input or its output has no scale",
        "convert again with a converter that keeps a pool's scale, or put a QUANTIZE after it",
    )


def _index_type(model: Model, operator: Operator) -> Reason | None:
    if operator.name not in ("ARG_MAX", "ARG_MIN") or not operator.outputs:
        return None
    kinds = [model.tensors[i].dtype for i in (*operator.inputs[1:2], operator.outputs[0]) if i >= 0]
    wrong = next((kind for kind in kinds if kind != "int32"), None)
    if wrong is None:
        return None
    return Reason(
        "int64-index",
        f"{wrong} indices, but TFLM supports only int32",
        "use tf.argmax(…, output_type=tf.int32) (or argmin) in the model",
    )


def _softmax_beta(model: Model, operator: Operator) -> Reason | None:
    """PreprocessSoftmaxScaling in kernels/internal/quantization_util.cc asserts that beta * scale *
    2^26 is above 1, in TFLite and in TFLM."""
    given = activations(model, operator)
    if operator.name != "SOFTMAX" or given is None or given.dtype != "int8" or not given.scale:
        return None
    beta = getattr(model.options(operator.index), "beta", None)
    if beta is None or beta * given.scale * 2**26 > 1:
        return None
    return Reason(
        "softmax-beta",
        f"beta is {beta:g}; TFLite and TFLM abort when they prepare it",
        "give the layer a beta of 1, or remove it from the model",
    )


_RULES: tuple[Callable[[Any, Any], Reason | None], ...] = (
    _sparse,
    _half,
    _uint8,
    _hybrid,
    _mixed_types,
    _rescaling_pool,
    _index_type,
    _softmax_beta,
)


# From here on: what TFLM said.

_NODE = re.compile(r"Node (\S+) \(number (\d+)f?\) failed to (?:prepare|invoke)")
_PLACE = re.compile(r"^\S+\.(?:cc|h)(?::\d+)?:? ")
_TYPES = "FLOAT16|FLOAT32|FLOAT64|U?INT(?:4|8|16|32|64)|BOOL|STRING|COMPLEX(?:64|128)|RESOURCE"
_TYPE = re.compile(rf"\b({_TYPES})\b")
_NO_KERNEL = ("Didn't find op for builtin opcode", "Failed to get registration from op code")


def read_refusal(model: Model, printed: str) -> Refusal:
    """What TFLM meant by what it printed when it refused ``model``."""
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    words = next((line for line in lines if not _NODE.search(line)), "it gave no reason")
    node = _NODE.search(printed)
    index = None
    if node is not None:
        index = int(node[2])
        # In a subgraph that an operator calls, the number is that subgraph's.
        if index >= len(model.operators) or model.operators[index].name != node[1]:
            index = None
    return Refusal(_PLACE.sub("", words), index)


def lacks_kernel(refusal: Refusal) -> bool:
    """TFLM has no kernel registered for an operator of the model."""
    return any(text in refusal.words for text in _NO_KERNEL)


def reason_for(model: Model, refusal: Refusal) -> Reason:
    """A refusal in plain words: by the file if that tells, else by TFLM's own words."""
    operator = None if refusal.operator is None else model.operators[refusal.operator]
    known = None if operator is None else known_reason(model, operator)
    if known is not None:
        return known
    remedy = "run this operator in isolation (pytest-tflm model cut), or replace the layer"
    if refusal.crashed:
        return Reason("crash", f"TFLM crashes on it: {refusal.words}", remedy)
    return Reason("refused", f"TFLM rejects it: {_plain(model, operator, refusal.words)}", remedy)


def _plain(model: Model, operator: Operator | None, words: str) -> str:
    quoted = f"“{words.rstrip('.')}”"
    if "Hybrid models" in words and operator is not None:
        given, weights = activations(model, operator), _weights(model, operator)
        if given is not None and weights is not None:
            return f"it does not combine {given.dtype} activations with {weights.dtype} weights"
    kind = _TYPE.search(words)
    if kind is not None and re.search(r"support|requires", words):
        got = re.search(rf"got:? '?({_TYPES})\b", words) or kind
        return f"it has no kernel for {got[1].lower()} ({quoted})"
    condition = re.fullmatch(r"(.*) was not true\.?", words)
    if condition is not None:
        return f"its kernel requires {condition[1]}"
    return quoted
