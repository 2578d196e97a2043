"""ADD, SUB, MUL, MAXIMUM, MINIMUM: two tensors of one shape, or of shapes that broadcast."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_tflm.fuzz.kernels.operators.case import Drawing, OperatorCase


def arithmetic(d: Drawing) -> OperatorCase:
    """ADD, SUB and MUL. As for converted models, the output's scale is not far from what the
    operands' can reach."""
    dtype = d.activation_type()
    left, right, result = _shapes(d)
    first = d.quantisation(dtype)
    second = d.quantisation(dtype) if d.flag() else first
    if d.operator == "MUL":
        unit = first[1] * second[1]
        limit = unit * (255 * 255 if dtype == "int8" else 32767 * 32767)
    else:
        unit = max(first[1], second[1])
        limit = (first[1] + second[1]) * (255 if dtype == "int8" else 32767)
    scale = d.output_scale(unit, limit, dtype)
    a = d.input("a", left, first)
    if d.flag():
        codes = d.codes(dtype, right, zero=second[2])
        b = d.constant("b", codes, dtype, second[1], second[2])
    else:
        b = d.input("b", right, second)
    y = d.output("y", result, (dtype, scale, d.zero_point(dtype)))
    if d.operator == "MUL":
        d.graph.operator(
            "MUL", (a, b), (y,), "MulOptions", version=2, fusedActivationFunction=d.activation()
        )
    else:
        d.graph.operator(
            d.operator, (a, b), (y,), f"{d.operator.title()}Options", version=2,
            potScaleInt16=False, fusedActivationFunction=d.activation(),
        )  # fmt: skip
    return d.finish(dtype)


def larger_or_smaller(d: Drawing) -> OperatorCase:
    """MAXIMUM and MINIMUM compare codes, so all three tensors have one scale."""
    dtype = d.activation_type("int8")
    left, right, result = _shapes(d)
    quantisation = d.quantisation(dtype)
    a = d.input("a", left, quantisation)
    if d.flag():
        codes = d.codes(dtype, right, zero=quantisation[2])
        b = d.constant("b", codes, dtype, quantisation[1], quantisation[2])
    else:
        b = d.input("b", right, quantisation)
    y = d.output("y", result, quantisation)
    d.graph.operator(d.operator, (a, b), (y,), "MaximumMinimumOptions", version=2)
    return d.finish(dtype)


def _shapes(d: Drawing) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Two shapes and what they broadcast to."""
    result = d.shape(1, 4, 5)
    if d.pick((False, False, False, True)):
        # Two operands have 65536 pairs of codes, and rounding differs in few of them.
        result = (1, d.whole(256, 2048))
    how = d.pick(
        ("same", "same", "second has ones", "both have ones", "second is shorter"), "broadcast"
    )
    left = right = result
    if how in ("second has ones", "both have ones"):
        right = tuple(1 if d.flag() else n for n in result)
    if how == "both have ones":
        left = tuple(1 if m != 1 and d.flag() else n for n, m in zip(result, right, strict=True))
    if how == "second is shorter":
        right = result[d.whole(0, len(result) - 1) :]
    return (
        left,
        right,
        tuple(max(pair) for pair in zip(left, _to_rank(right, len(left)), strict=True)),
    )


def _to_rank(shape: tuple[int, ...], rank: int) -> tuple[int, ...]:
    return (1,) * (rank - len(shape)) + shape
