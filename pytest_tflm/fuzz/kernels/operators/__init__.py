"""Random models of one quantised operator, one strategy for each operator.

What a converter would not write is not drawn: a difference on such a model is no finding.
"""

from __future__ import annotations

import functools
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

    from pytest_tflm.fuzz.kernels.operators.case import OperatorCase

# Operator → module and function that draws it.
_HOMES = {
    "CONV_2D": ("weighted", "conv_2d"),
    "DEPTHWISE_CONV_2D": ("weighted", "depthwise_conv_2d"),
    "TRANSPOSE_CONV": ("weighted", "transpose_conv"),
    "FULLY_CONNECTED": ("weighted", "fully_connected"),
    "ADD": ("elementwise", "arithmetic"),
    "SUB": ("elementwise", "arithmetic"),
    "MUL": ("elementwise", "arithmetic"),
    "MAXIMUM": ("elementwise", "larger_or_smaller"),
    "MINIMUM": ("elementwise", "larger_or_smaller"),
    "AVERAGE_POOL_2D": ("reducing", "pool_2d"),
    "MAX_POOL_2D": ("reducing", "pool_2d"),
    "MEAN": ("reducing", "reduction"),
    "SUM": ("reducing", "reduction"),
    "ARG_MAX": ("reducing", "arg_max"),
    "SOFTMAX": ("activation", "softmax"),
    "LOGISTIC": ("activation", "sigmoid"),
    "TANH": ("activation", "sigmoid"),
    "HARD_SWISH": ("activation", "hard_swish"),
    "LEAKY_RELU": ("activation", "leaky_relu"),
    "RELU": ("activation", "relu"),
    "RELU6": ("activation", "relu"),
    "PRELU": ("activation", "prelu"),
    "QUANTIZE": ("activation", "quantize"),
    "DEQUANTIZE": ("activation", "dequantize"),
    "PAD": ("moving", "pad"),
    "PADV2": ("moving", "pad"),
    "CONCATENATION": ("moving", "concatenation"),
    "SPLIT": ("moving", "split"),
    "RESHAPE": ("moving", "reshape"),
    "TRANSPOSE": ("moving", "transpose"),
    "STRIDED_SLICE": ("moving", "strided_slice"),
    "SPACE_TO_BATCH_ND": ("spatial", "space_to_batch_nd"),
    "BATCH_TO_SPACE_ND": ("spatial", "batch_to_space_nd"),
    "RESIZE_NEAREST_NEIGHBOR": ("spatial", "resize"),
    "RESIZE_BILINEAR": ("spatial", "resize"),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": ("recurrent", "lstm"),
    "SVDF": ("recurrent", "svdf"),
}

OPERATORS = tuple(_HOMES)
"""Names of the operators that are drawn, as in the schema's BuiltinOperator."""


@functools.cache
def cases(operator: str) -> SearchStrategy[OperatorCase]:
    """Models of one ``operator``. Raises SettingsError for one that is not drawn."""
    from hypothesis import strategies as st

    from pytest_tflm.errors import SettingsError
    from pytest_tflm.fuzz.kernels.operators.case import Drawing

    if operator not in _HOMES:
        raise SettingsError(
            f"No models of {operator!r} are made. Known operators: {', '.join(OPERATORS)}"
        )
    # All of them: in a checkout Hypothesis also draws numbers that it finds in the modules imported
    # so far, and a seed's models would depend on the order in which operators are searched.
    for each in {home[0] for home in _HOMES.values()}:
        import_module(f"{__name__}.{each}")
    module, name = _HOMES[operator]
    make = getattr(import_module(f"{__name__}.{module}"), name)

    @st.composite
    def case(draw: st.DrawFn) -> OperatorCase:
        # Hypothesis warns of a composite that does not call draw itself.
        made: OperatorCase = make(Drawing(draw, draw(st.just(operator))))
        return made

    return case()
