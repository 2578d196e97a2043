"""Defects of kernels that compute with other inputs than they are given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_tflm.model.arithmetic.requantise import ACCUMULATING, requantisation
from pytest_tflm.model.arithmetic.single import VALID
from pytest_tflm.simulator.defects.kernel_parameters import set_data, set_zero_point
from pytest_tflm.simulator.defects.registry import SUMMING, kernel_defect

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from pytest_tflm.simulator.defects.operators import Arrays, Kernel, Run

    Edges = list[tuple[int, int]]
    Pad = Callable[[NDArray[Any], Edges, Edges, int], NDArray[Any]]

_PADDED = "CONV_2D, DEPTHWISE_CONV_2D with SAME padding and an input zero point that is not 0"

_WORD = 4  # bytes


@kernel_defect(
    "padding-zero",
    says="pads with code 0 instead of the zero point",
    cause="padding-value",
    shows=f"{_PADDED}; PAD",
)
def _padding_zero(kernel: Kernel, number: int) -> Run | None:
    single = kernel.single
    first, output = single.inputs[0] if single.inputs else None, single.outputs[0]
    if first is None or not first.zero_point:
        return None
    if single.name != "PAD":
        return _padded(
            kernel, lambda source, before, after, zero_point: np.pad(np.pad(source, before), after)
        )
    if not output.zero_point:
        return None

    def bend(table: Any) -> None:
        set_zero_point(table, first, 0)
        set_zero_point(table, output, 0)

    return kernel.bent(bend)


@kernel_defect(
    "asymmetric-padding",
    says="pads with code 0 at the bottom and right, if these sides have one more than the others",
    cause="padding-value",
    shows=f"{_PADDED}, of an odd number",
)
def _asymmetric_padding(kernel: Kernel, number: int) -> Run | None:
    window = kernel.single.window
    if window is None or all(
        after <= before for before, after in zip(window.before, window.after, strict=True)
    ):
        return None
    first = kernel.single.inputs[0]
    return _padded(kernel, _behind) if first is not None and first.zero_point else None


def _behind(source: NDArray[Any], before: Edges, after: Edges, zero_point: int) -> NDArray[Any]:
    """Code 0 where there is one more behind than before, and right elsewhere."""
    bad = [
        behind if behind[1] > front[0] else (0, 0)
        for front, behind in zip(before, after, strict=True)
    ]
    good = [(0, behind[1] - b[1]) for behind, b in zip(after, bad, strict=True)]
    for edges, code in ((before, zero_point), (good, zero_point), (bad, 0)):
        source = np.pad(source, edges, constant_values=code)
    return source


@kernel_defect(
    "padding-repeated",
    says="pads with the elements at the edge, repeated",
    cause="edge-positions",
    shows="CONV_2D, DEPTHWISE_CONV_2D with SAME padding",
)
def _padding_repeated(kernel: Kernel, number: int) -> Run | None:
    return _padded(
        kernel,
        lambda source, before, after, zero_point: np.pad(
            np.pad(source, before, "edge"), after, "edge"
        ),
    )


def _padded(kernel: Kernel, pad: Pad) -> Run | None:
    """The padding of a convolution done beforehand: ``pad`` is given the input, what there is to
    pad in front and behind (as for ``numpy.pad``), and the zero point."""
    single, window = kernel.single, kernel.single.window
    first = single.inputs[0] if single.inputs else None
    if first is None or window is None or not window.is_padded:
        return None
    if single.name not in ACCUMULATING or first not in single.model.inputs:
        return None
    zero_point, at = first.zero_point or 0, single.model.inputs.index(first)
    before = [(0, 0), *((each, 0) for each in window.before), (0, 0)]
    after = [(0, 0), *((0, max(0, each)) for each in window.after), (0, 0)]

    def padded(source: NDArray[Any]) -> NDArray[Any]:
        return pad(source, before, after, zero_point)

    def bend(table: Any) -> None:
        table.subgraphs[0].operators[0].builtinOptions.padding = VALID
        shape = padded(np.zeros(first.shape, np.int8)).shape
        table.subgraphs[0].tensors[first.index].shape = list(shape)

    return _with_input(kernel.bent(bend), at, padded)


def _with_input(run: Run, at: int, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Run:
    """``run`` with its input number ``at`` changed."""

    def changed(arrays: Arrays) -> list[NDArray[Any]]:
        given = list(arrays)
        given[at] = change(given[at])
        return run(given)

    return changed


@kernel_defect(
    "misaligned",
    says="rows of the input, and FULLY_CONNECTED's weights, are read from the next lower multiple"
    " of 4 bytes",
    cause="alignment",
    shows=f"{SUMMING} whose depth is not a multiple of 4 bytes",
)
def _misaligned(kernel: Kernel, number: int) -> Run | None:
    single = kernel.single
    if single.name not in ACCUMULATING or requantisation(single) is None:
        return None
    first, weights = single.inputs[:2]
    if first is None or weights is None or first not in single.model.inputs:
        return None
    at = single.model.inputs.index(first)
    stored = single.model.constant(weights.index) if single.name == "FULLY_CONNECTED" else None
    depth = weights.shape[-1] if single.name == "FULLY_CONNECTED" else first.shape[-1]
    rows = first.size // depth
    shifted = rows > 1 and depth * np.dtype(first.dtype).itemsize % _WORD != 0
    bad_weights = stored is not None and len(stored) > 1 and depth * stored.itemsize % _WORD != 0
    if not shifted and not bad_weights:
        return None

    def bend(table: Any) -> None:
        if stored is not None:
            set_data(table, weights, _rounded_down(stored, depth))

    return _with_input(kernel.bent(bend), at, lambda source: _rounded_down(source, depth))


def _rounded_down(array: NDArray[Any], depth: int) -> NDArray[Any]:
    """The rows as they are read from the next lower multiple of 4 bytes."""
    flat = array.reshape(-1)
    step = _WORD // array.itemsize
    starts = np.arange(0, flat.size, depth) // step * step
    read: NDArray[Any] = flat[starts[:, None] + np.arange(depth)].reshape(array.shape)
    return read


@kernel_defect(
    "operand-twice",
    says="the first input is used instead of the second",
    shows="ADD, SUB, MUL of two inputs of one shape and type",
)
def _operand_twice(kernel: Kernel, number: int) -> Run | None:
    single = kernel.single
    kinds = {(each.shape, each.dtype) for each in single.model.inputs}
    if single.name not in ("ADD", "SUB", "MUL") or len(single.model.inputs) != 2 or len(kinds) > 1:
        return None
    run = kernel.run
    return lambda arrays: run([arrays[0], arrays[0]])
