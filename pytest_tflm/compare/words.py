"""A comparison as text: what a failing test shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_tflm.errors import OutputMismatch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from pytest_tflm.compare.comparison import Comparison, TensorComparison

_HISTOGRAM_ROWS = 11
_BAR_WIDTH = 40


def comparison_lines(comparison: Comparison) -> list[str]:
    """The report of a comparison that did not pass: for each output that differs by more than the
    tolerance how many elements differ, the largest difference in LSBs and in real units, where,
    both values, and a histogram; outputs that pass in one line."""
    lines = [
        f"{' and '.join(_apart(comparison))}: "
        f"{comparison.got_name} against {comparison.expected_name}"
    ]
    for tensor in comparison.tensors:
        lines += tensor_lines(tensor, comparison.got_name, comparison.expected_name)
    return lines


def mismatch(comparison: Comparison, more: str = "") -> OutputMismatch:
    """The error of a comparison that did not pass, with the whole report and ``more`` behind it."""
    lines = comparison_lines(comparison)
    return OutputMismatch("\n".join(lines) + more, comparison=comparison, more=more)


def headline(comparison: Comparison) -> list[str]:
    """The same in at most one line for each output, for pytest's assertion message."""
    return [
        comparison_lines(comparison)[0],
        *(
            f"output {tensor.index}: {tensor.beyond} of {tensor.differences.size} elements, "
            f"largest {_size(tensor)} at {list(tensor.largest_at)}"
            for tensor in comparison.tensors
            if tensor.beyond
        ),
    ]


def tensor_lines(tensor: TensorComparison, got_name: str, expected_name: str) -> list[str]:
    """The part of the report that is about one output."""
    title = f"  {_title(tensor)}:"
    if not tensor.different:
        return [f"{title} equal"]
    if not tensor.beyond:
        return [f"{title} within tolerance, largest difference {_size(tensor)}"]
    total = tensor.differences.size
    at = tensor.largest_at
    got, expected = _value(tensor, tensor.got[at]), _value(tensor, tensor.expected[at])
    lines = [
        title,
        f"    {tensor.beyond} of {total} element{'s' * (total != 1)} beyond the tolerance,"
        f" {tensor.different} different in total",
        f"    largest: {_size(tensor)} at {list(at)}: {got_name} {got}, {expected_name} {expected}",
    ]
    if not tensor.is_float and total > 1:
        lines.append("    difference (LSB)    elements")
        lines += [f"    {row}" for row in histogram_rows(tensor.differences)]
    return lines


def histogram_rows(differences: NDArray[Any]) -> list[str]:
    """``differences`` (signed LSBs, int64, any shape) counted, at most 11 rows: one a value where
    there are few, one a range of equal width where there are many."""
    import numpy as np

    values, counts = np.unique(differences, return_counts=True)
    low, high = int(values[0]), int(values[-1])
    if len(values) > _HISTOGRAM_ROWS:
        width = -(-(high - low + 1) // _HISTOGRAM_ROWS)
        bins: dict[int, int] = {}
        for value, count in zip(values.tolist(), counts.tolist(), strict=True):
            start = low + (value - low) // width * width
            bins[start] = bins.get(start, 0) + count
        labelled = [
            (f"{start:+d} to {min(start + width - 1, high):+d}", n) for start, n in bins.items()
        ]
    else:
        labelled = [
            (f"{value:+d}" if value else "0", n)
            for value, n in zip(values.tolist(), counts.tolist(), strict=True)
        ]
    most = max(n for _, n in labelled)
    return [
        f"{label:>16}  {n:>10}  {'#' * max(1, round(n / most * _BAR_WIDTH))}"
        for label, n in labelled
    ]


def _title(tensor: TensorComparison) -> str:
    shape = "x".join(map(str, tensor.differences.shape)) or "scalar"
    described = tensor.tensor
    if described is None:
        return f"output {tensor.index} ({tensor.got.dtype} {shape})"
    quantised = (
        ""
        if described.scale is None
        else f", scale {described.scale:.6g}, zero point {described.zero_point}"
    )
    return f"output {tensor.index} {described.name!r} ({tensor.got.dtype} {shape}{quantised})"


def _apart(comparison: Comparison) -> Iterator[str]:
    """The largest difference first: pytest's summary cuts a long line at its end."""
    failing = [t for t in comparison.tensors if t.beyond]
    if any(not t.is_float for t in failing):
        yield f"{comparison.largest_lsb} LSB apart, {comparison.lsb} allowed"
    floats = [t for t in failing if t.is_float]
    if floats:
        worst = max(floats, key=lambda t: t.largest / t.allowed if t.allowed else float("inf"))
        yield f"{worst.largest:.3g} apart, {worst.allowed:.3g} allowed (float tolerance)"


def _size(tensor: TensorComparison) -> str:
    if tensor.is_float:
        return f"{tensor.largest:.6g}"
    if tensor.scale is None:
        return f"{int(tensor.largest)} LSB"
    return f"{int(tensor.largest)} LSB = {tensor.largest * tensor.scale:.6g} in real units"


def _value(tensor: TensorComparison, value: Any) -> str:
    described = tensor.tensor
    if tensor.is_float:
        return f"{float(value):.6g}"
    if described is None or described.scale is None or described.zero_point is None:
        return f"{value}"
    return f"{value} ({(int(value) - described.zero_point) * described.scale:.6g})"
