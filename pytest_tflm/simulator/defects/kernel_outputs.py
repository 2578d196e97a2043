"""Defects of kernels that change what TFLM's kernel has computed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_tflm.model.arithmetic.accumulators import accumulators, windows
from pytest_tflm.model.arithmetic.requantise import requantisation
from pytest_tflm.simulator.engine.wrapper import CODES, halved, moved

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_tflm.simulator.defects.kernel import Defective, Kernel
    from pytest_tflm.simulator.engine.segments import Arrays, Run

_SCRATCH = 16  # elements
_OUTSIDE = 1 << 20  # no code of any type
_LARGE = 1 << 23

_Change = Callable[["NDArray[Any]", "Arrays"], "NDArray[Any]"]


def _changed(kernel: Kernel, change: _Change) -> Run | None:
    """The kernel, and then ``change`` of each output of codes, given the inputs, too."""
    if not any(tensor.dtype in CODES for tensor in kernel.single.outputs):
        return None
    before = kernel.run

    def run(arrays: Arrays) -> list[NDArray[Any]]:
        return [
            change(output, arrays) if output.dtype.name in CODES else output
            for output in before(arrays)
        ]

    return run


def _off_by_one(kernel: Kernel, number: int) -> Run | None:
    return _changed(kernel, lambda output, inputs: moved(output, 1))


def _one_code(kernel: Kernel, number: int) -> Run | None:
    inputs = kernel.single.inputs
    codes = [at for at, each in enumerate(inputs) if each is not None and each.dtype in CODES]
    if not codes:
        return None

    def change(output: NDArray[Any], inputs: Arrays) -> NDArray[Any]:
        source = kernel.single.operands(inputs)[codes[0]]
        if source is None:
            return output
        return moved(output, _hit(kernel, source.astype(np.int64), output.shape, number))

    return _changed(kernel, change)


def _hit(
    kernel: Kernel, source: NDArray[np.int64], shape: tuple[int, ...], code: int
) -> NDArray[np.bool_]:
    """Of the output's shape: whether the input element that counts for it has that code."""
    single = kernel.single
    if single.name == "DEPTHWISE_CONV_2D":
        source = np.repeat(source, shape[-1] // source.shape[-1], axis=-1)
    if (seen := windows(single, source, _OUTSIDE)) is not None:
        first = seen[0][..., :1] if single.name == "CONV_2D" else seen[0]
        return np.broadcast_to(first == code, shape)
    if single.name == "FULLY_CONNECTED":
        weights = single.inputs[1]
        depth = weights.shape[-1] if weights is not None else source.shape[-1]
        rows = source.reshape(-1, depth)[:, :1] == code
        hit: NDArray[np.bool_] = np.broadcast_to(rows, (len(rows), shape[-1])).reshape(shape)
        return hit
    if source.shape == shape:
        return np.asarray(source == code)
    return np.full(shape, bool((source == code).any()))


def _last_row(kernel: Kernel, number: int) -> Run | None:
    return _edge(kernel, -1)


def _first_row(kernel: Kernel, number: int) -> Run | None:
    return _edge(kernel, 0)


def _edge(kernel: Kernel, which: int) -> Run | None:
    if not any(_edges(tensor.shape, which).any() for tensor in kernel.single.outputs):
        return None
    return _changed(kernel, lambda output, inputs: moved(output, 3 * _edges(output.shape, which)))


def _edges(shape: tuple[int, ...], which: int) -> NDArray[np.bool_]:
    """Where a spatial tensor's row or column ``which`` is; nowhere if it has only one of them."""
    edges = np.zeros(shape, np.bool_)
    for axis in range(1, len(shape) - 1) if len(shape) in (3, 4) else ():
        if shape[axis] > 1:
            edges[(slice(None),) * axis + (which,)] = True
    return edges


def _last_channel(kernel: Kernel, number: int) -> Run | None:
    if not any(tensor.shape[-1:] > (1,) for tensor in kernel.single.outputs):
        return None

    def change(output: NDArray[Any], inputs: Arrays) -> NDArray[Any]:
        last = np.zeros(output.shape, np.int64)
        if output.shape[-1:] > (1,):
            last[..., -1] = 2
        return moved(output, last)

    return _changed(kernel, change)


def _odd_stride_and_padding(kernel: Kernel, number: int) -> Run | None:
    window = kernel.single.window
    if window is None:
        return None
    pairs = zip(window.stride, window.before, strict=True)
    return _off_by_one(kernel, 0) if any(s % 2 and p % 2 for s, p in pairs) else None


def _scratch_overlap(kernel: Kernel, number: int) -> Run | None:
    def change(output: NDArray[Any], inputs: Arrays) -> NDArray[Any]:
        changed: NDArray[Any] = output.copy()
        changed.reshape(-1)[:_SCRATCH] = 0
        return changed

    return _changed(kernel, change)


def _saturation(kernel: Kernel, number: int) -> Run | None:
    return _changed(kernel, lambda output, inputs: halved(output))


def _minimum_lost(kernel: Kernel, number: int) -> Run | None:
    def change(output: NDArray[Any], inputs: Arrays) -> NDArray[Any]:
        higher: NDArray[Any] = np.maximum(output, np.iinfo(output.dtype).min + 1)
        return higher

    return _changed(kernel, change)


def _above_2_23(kernel: Kernel, number: int) -> Run | None:
    if requantisation(kernel.single) is None:
        return None

    def change(output: NDArray[Any], inputs: Arrays) -> NDArray[Any]:
        sums = accumulators(kernel.single, inputs)
        return output if sums is None else moved(output, abs(sums) > _LARGE)

    return _changed(kernel, change)


OUTPUTS: dict[str, Defective] = {
    "off-by-one": _off_by_one,
    "one-code": _one_code,
    "last-row": _last_row,
    "first-row": _first_row,
    "last-channel": _last_channel,
    "odd-stride-and-padding": _odd_stride_and_padding,
    "scratch-overlap": _scratch_overlap,
    "saturation": _saturation,
    "minimum-lost": _minimum_lost,
    "above-2^23": _above_2_23,
}
"""By name."""
