"""What kernels of TFLite and TFLM assert and do not report. See :mod:`.structure`.

A kernel's Prepare mostly answers a bad model with an error. Where it aborts or follows a null
pointer instead, a rule here says first what is wrong. The rules come from mutated models that took
an interpreter's process down; none refuses a model that could run.
"""

from __future__ import annotations

from typing import Any

from pytest_tflm.model.accessors import ints
from pytest_tflm.model.verify.tensors import Contradiction, dtype_of

# Operators with inputs that may be left out (index -1); every other kernel reads all of its inputs.
OPTIONAL_INPUTS = {
    "BATCH_MATMUL",
    "BIDIRECTIONAL_SEQUENCE_LSTM",
    "BIDIRECTIONAL_SEQUENCE_RNN",
    "CONV_2D",
    "CONV_3D",
    "CONV_3D_TRANSPOSE",
    "CUSTOM",
    "DEPTHWISE_CONV_2D",
    "FULLY_CONNECTED",
    "LSTM",
    "RNN",
    "STABLEHLO_COMPOSITE",
    "SVDF",
    "TRANSPOSE_CONV",
    "UNIDIRECTIONAL_SEQUENCE_LSTM",
    "UNIDIRECTIONAL_SEQUENCE_RNN",
}
# The fewest inputs that a kernel takes: TFLM's Prepare reads so many without counting them.
FEWEST_INPUTS = {
    name: number
    for number, names in {
        1: "ABS ADD_N AVERAGE_POOL_2D CAST CEIL CONCATENATION COS DEPTH_TO_SPACE DEQUANTIZE ELU EXP"
        " FLOOR GELU HARD_SWISH IF L2_NORMALIZATION L2_POOL_2D LEAKY_RELU LOG LOGICAL_NOT LOGISTIC"
        " LOG_SOFTMAX MAX_POOL_2D NEG PACK QUANTIZE READ_VARIABLE RELU RELU6 RELU_N1_TO_1 RESHAPE"
        " ROUND RSQRT SHAPE SIN SOFTMAX SPACE_TO_DEPTH SQRT SQUARE SQUEEZE TANH UNPACK ZEROS_LIKE",
        2: "ADD ARG_MAX ARG_MIN ASSIGN_VARIABLE BATCH_MATMUL BROADCAST_TO CONV_2D CUMSUM"
        " DEPTHWISE_CONV_2D DIV EMBEDDING_LOOKUP EQUAL EXPAND_DIMS FILL FLOOR_DIV FLOOR_MOD"
        " FULLY_CONNECTED GATHER GATHER_ND GREATER GREATER_EQUAL LESS LESS_EQUAL LOGICAL_AND"
        " LOGICAL_OR MAXIMUM MEAN MINIMUM MIRROR_PAD MUL NOT_EQUAL PAD POW PRELU REDUCE_ALL"
        " REDUCE_ANY REDUCE_MAX REDUCE_MIN REDUCE_PROD RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR"
        " REVERSE_V2 SPLIT SQUARED_DIFFERENCE SUB SUM TILE TOPK_V2 TRANSPOSE",
        3: "BATCH_TO_SPACE_ND DYNAMIC_UPDATE_SLICE PADV2 SELECT SELECT_V2 SLICE SPACE_TO_BATCH_ND"
        " SPLIT_V TRANSPOSE_CONV",
        4: "STRIDED_SLICE",
        5: "SVDF",
        20: "UNIDIRECTIONAL_SEQUENCE_LSTM",
    }.items()
    for name in names.split()
}
# Inputs that a kernel takes for images or filters: TFLM reads four dimensions, stored or not.
RANKS = {
    "AVERAGE_POOL_2D": {0: 4},
    "CONV_2D": {0: 4, 1: 4},
    "DEPTHWISE_CONV_2D": {0: 4, 1: 4},
    "DEPTH_TO_SPACE": {0: 4},
    "L2_POOL_2D": {0: 4},
    "MAX_POOL_2D": {0: 4},
    "RESIZE_BILINEAR": {0: 4},
    "RESIZE_NEAREST_NEIGHBOR": {0: 4},
    "SPACE_TO_DEPTH": {0: 4},
    "TRANSPOSE_CONV": {1: 4, 2: 4},
}
COMPARISONS = {"EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL", "NOT_EQUAL"}
_MAX_FLOAT32 = (2 - 2**-23) * 2.0**127
_CODES = {"int8", "uint8", "int16"}


def check_kernel(graph: Any, operator: Any, name: str, where: str) -> None:
    """Check one operator; its tensors and indices have been checked before.

    ``name`` is the builtin operator's. Raises :class:`Contradiction`.
    """
    fewest = FEWEST_INPUTS.get(name, 0)
    count = operator.InputsLength()
    if count < fewest:
        raise Contradiction(f"{where}{name} has {count} inputs, but needs {fewest}")
    if fewest and name != "IF" and name != "ASSIGN_VARIABLE" and not operator.OutputsLength():
        raise Contradiction(f"{where}{name} has no output")
    if name not in OPTIONAL_INPUTS and -1 in ints(operator, "Inputs"):
        raise Contradiction(f"{where}{name} lacks an input, but needs them all")
    for position, rank in RANKS.get(name, {}).items():
        inputs = ints(operator, "Inputs")
        if position < len(inputs) and inputs[position] >= 0:
            found = len(ints(graph.Tensors(inputs[position]), "Shape"))
            if found != rank:
                raise Contradiction(
                    f"{where}{name} has an input {position} of {found} dimensions, but needs {rank}"
                )
    if name in ("ADD", "SUB"):
        _check_sum(graph, operator, name, where)
    elif name in COMPARISONS:
        _check_comparison(graph, operator, name, where)


def _check_sum(graph: Any, operator: Any, name: str, where: str) -> None:
    """The output's multiplier, twice the larger input scale / (2^shift * output scale), must lie
    between 0 and 1, or QuantizeMultiplierSmallerThanOneExp aborts (kernels/add.cc, sub.cc)."""
    inputs, outputs = ints(operator, "Inputs"), ints(operator, "Outputs")
    if len(inputs) < 2 or not outputs:
        return  # Prepare reports it
    tensors = [graph.Tensors(i) for i in (*inputs[:2], outputs[0])]
    # TFLite gives the output the type of the second input, whatever the file says.
    kind = dtype_of(tensors[1]).name
    if kind not in _CODES and dtype_of(tensors[2]).name not in _CODES:
        return
    scales = [_scale(tensor) for tensor in tensors]
    divisor = scales[2] * (1 << (15 if kind == "int16" else 20))
    if not all(scales) or not 2 * max(scales[:2]) < divisor <= _MAX_FLOAT32:
        raise Contradiction(
            f"{where}{name} of {kind} has the scales {scales[0]:g} and "
            f"{scales[1]:g} for its inputs and {scales[2]:g} for its output"
        )


def _check_comparison(graph: Any, operator: Any, name: str, where: str) -> None:
    """Each input's scale is taken for a multiplier between 0 and 1 (kernels/comparisons.cc)."""
    tensors = [graph.Tensors(i) for i in ints(operator, "Inputs")[:2]]
    kinds = [dtype_of(tensor).name for tensor in tensors]
    if not {"int8", "uint8"}.intersection(kinds):
        return
    for position, tensor in enumerate(tensors):
        if not 0 < _scale(tensor) < 1:
            raise Contradiction(
                f"{where}{name} of {kinds[0]} has the scale {_scale(tensor):g} for its input"
                f" {position}, but needs one between 0 and 1"
            )


def _scale(tensor: Any) -> float:
    """The first scale, as kernels read it; 0 where none is stored."""
    quantization = tensor.Quantization()
    if quantization is None or not quantization.ScaleLength():
        return 0.0
    return float(quantization.Scale(0))
