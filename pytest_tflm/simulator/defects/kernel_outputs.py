"""Defects of kernels that change what TFLM's kernel has computed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_tflm.model.arithmetic.accumulators import accumulators, windows
from pytest_tflm.model.arithmetic.requantise import requantisation
from pytest_tflm.simulator.defects.registry import CODED, SUMMING, WINDOWED, kernel_defect
from pytest_tflm.simulator.defects.wrapper import CODES, end_zeroed, moved

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from pytest_tflm.simulator.defects.operators import Arrays, Kernel, Run

_EDGES = "operators with outputs of 3 or 4 dimensions and more than one row or column"

_SCRATCH = 16  # elements
_BLOCK = 16  # bytes
_COPYING = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS", "CONCATENATION")
_OUTSIDE = 1 << 20  # no code of any type
_LARGE = 1 << 23


@kernel_defect("off-by-one", says="+1 in every output element", shows=CODED)
def _off_by_one(kernel: Kernel, number: int) -> Run | None:
    return kernel.changed(lambda output, inputs: moved(output, 1))


@kernel_defect(
    "one-code",
    says="+1 where an input element has one code: the element itself, or the first of a window or"
    " of a row",
    shows=CODED,
    number=17,
    number_is="the code",
)
def _one_code(kernel: Kernel, number: int) -> Run | None:
    return _where_input(kernel, lambda codes: codes == number, 1)


@kernel_defect(
    "negative-codes",
    says="+3 where an input element has a negative code: the element itself, or the first of a"
    " window or of a row",
    shows="operators with int8 or int16 inputs and outputs",
)
def _negative_codes(kernel: Kernel, number: int) -> Run | None:
    return _where_input(kernel, lambda codes: codes < 0, 3)


def _where_input(
    kernel: Kernel, hit: Callable[[NDArray[np.int64]], NDArray[np.bool_]], by: int
) -> Run | None:
    """Outputs moved where the input element that counts for them is hit."""
    inputs = kernel.single.inputs
    codes = [at for at, each in enumerate(inputs) if each is not None and each.dtype in CODES]
    if not codes:
        return None

    def change(output: NDArray[Any], inputs: Arrays) -> NDArray[Any]:
        source = kernel.single.operands(inputs)[codes[0]]
        if source is None:
            return output
        return moved(output, by * _counting(kernel, hit, source.astype(np.int64), output.shape))

    return kernel.changed(change)


def _counting(
    kernel: Kernel,
    hit: Callable[[NDArray[np.int64]], NDArray[np.bool_]],
    source: NDArray[np.int64],
    shape: tuple[int, ...],
) -> NDArray[np.bool_]:
    """Of the output's shape: whether the input element that counts for it is hit."""
    single = kernel.single
    if single.name == "DEPTHWISE_CONV_2D":
        source = np.repeat(source, shape[-1] // source.shape[-1], axis=-1)
    if (seen := windows(single, source, _OUTSIDE)) is not None:
        first = seen[0][..., :1] if single.name == "CONV_2D" else seen[0]
        return np.broadcast_to(hit(first), shape)
    if single.name == "FULLY_CONNECTED":
        weights = single.inputs[1]
        depth = weights.shape[-1] if weights is not None else source.shape[-1]
        rows = hit(source.reshape(-1, depth)[:, :1])
        found: NDArray[np.bool_] = np.broadcast_to(rows, (len(rows), shape[-1])).reshape(shape)
        return found
    if source.shape == shape:
        return hit(source)
    return np.full(shape, bool(hit(source).any()))


@kernel_defect(
    "last-row", says="+3 in the last row and the last column", cause="edge-positions", shows=_EDGES
)
def _last_row(kernel: Kernel, number: int) -> Run | None:
    return _edge(kernel, -1)


@kernel_defect(
    "first-row",
    says="+3 in the first row and the first column",
    cause="edge-positions",
    shows=_EDGES,
)
def _first_row(kernel: Kernel, number: int) -> Run | None:
    return _edge(kernel, 0)


def _edge(kernel: Kernel, which: int) -> Run | None:
    if not any(_edges(tensor.shape, which).any() for tensor in kernel.single.outputs):
        return None
    return kernel.changed(lambda output, inputs: moved(output, 3 * _edges(output.shape, which)))


def _edges(shape: tuple[int, ...], which: int) -> NDArray[np.bool_]:
    """Where a spatial tensor's row or column ``which`` is; nowhere if it has only one of them."""
    edges = np.zeros(shape, np.bool_)
    for axis in range(1, len(shape) - 1) if len(shape) in (3, 4) else ():
        if shape[axis] > 1:
            edges[(slice(None),) * axis + (which,)] = True
    return edges


@kernel_defect(
    "right-edge",
    says="+3 in the last column, only for square windows of one size",
    cause="edge-positions",
    shows=f"{WINDOWED} with such windows",
    number=3,
    number_is="rows and columns of the window",
)
def _right_edge(kernel: Kernel, number: int) -> Run | None:
    window = kernel.single.window
    if window is None or window.size != (number, number):
        return None
    column = np.zeros(kernel.single.outputs[0].shape, np.int64)
    column[:, :, -1] = 3
    return kernel.changed(lambda output, inputs: moved(output, column))


@kernel_defect(
    "last-channel",
    says="+2 in the last channel",
    cause="one-channel",
    shows="more than one channel",
)
def _last_channel(kernel: Kernel, number: int) -> Run | None:
    if not any(tensor.shape[-1:] > (1,) for tensor in kernel.single.outputs):
        return None

    def change(output: NDArray[Any], inputs: Arrays) -> NDArray[Any]:
        last = np.zeros(output.shape, np.int64)
        if output.shape[-1:] > (1,):
            last[..., -1] = 2
        return moved(output, last)

    return kernel.changed(change)


@kernel_defect(
    "odd-stride-and-padding",
    says="+1 everywhere, but only if stride and padding at the top or left are both odd",
    shows=f"{WINDOWED} of that kind",
)
def _odd_stride_and_padding(kernel: Kernel, number: int) -> Run | None:
    window = kernel.single.window
    if window is None:
        return None
    pairs = zip(window.stride, window.before, strict=True)
    return _off_by_one(kernel, 0) if any(s % 2 and p % 2 for s, p in pairs) else None


@kernel_defect(
    "scratch-overlap",
    says="the first 16 output elements are overwritten with code 0",
    cause="scratch-overlap",
    shows=CODED,
)
def _scratch_overlap(kernel: Kernel, number: int) -> Run | None:
    def change(output: NDArray[Any], inputs: Arrays) -> NDArray[Any]:
        changed: NDArray[Any] = output.copy()
        changed.reshape(-1)[:_SCRATCH] = 0
        return changed

    return kernel.changed(change)


@kernel_defect("minimum-lost", says="the lowest code never occurs in outputs", shows=CODED)
def _minimum_lost(kernel: Kernel, number: int) -> Run | None:
    def change(output: NDArray[Any], inputs: Arrays) -> NDArray[Any]:
        higher: NDArray[Any] = np.maximum(output, np.iinfo(output.dtype).min + 1)
        return higher

    return kernel.changed(change)


@kernel_defect(
    "above-2^23",
    says="+1 where the accumulator's magnitude is above 2^23",
    cause="accumulator-overflow",
    shows=f"{SUMMING}, where sums are that large",
)
def _above_2_23(kernel: Kernel, number: int) -> Run | None:
    if requantisation(kernel.single) is None:
        return None

    def change(output: NDArray[Any], inputs: Arrays) -> NDArray[Any]:
        sums = accumulators(kernel.single, inputs)
        return output if sums is None else moved(output, abs(sums) > _LARGE)

    return kernel.changed(change)


@kernel_defect(
    "shift-below",
    says="+2 in channels whose multiplier is shifted right by more than 8 bits",
    shows=f"{SUMMING}, with such channels",
    number=-8,
    number_is="the shift, negative to the right, below which channels are wrong",
)
def _shift_below(kernel: Kernel, number: int) -> Run | None:
    how = requantisation(kernel.single)
    if how is None or not (how.shifts < number).any():
        return None
    by = 2 * (how.shifts < number)
    return kernel.changed(lambda output, inputs: moved(output, by))


@kernel_defect(
    "wrong-scale",
    says="outputs are 7/8 of the right value, relative to the zero point",
    shows=CODED,
)
def _wrong_scale(kernel: Kernel, number: int) -> Run | None:
    zero_point = (kernel.single.outputs[0].zero_point or 0) if kernel.single.outputs else 0

    def change(output: NDArray[Any], inputs: Arrays) -> NDArray[Any]:
        levels = output.astype(np.int64) - zero_point
        return moved(output, (7 * levels + 4) // 8 - levels)

    return kernel.changed(change)


@kernel_defect(
    "permuted",
    says="each channel has the values of the previous one, the first those of the last",
    shows=f"{CODED} of more than one channel",
)
def _permuted(kernel: Kernel, number: int) -> Run | None:
    if not any(tensor.shape[-1:] > (1,) for tensor in kernel.single.outputs):
        return None
    return kernel.changed(
        lambda output, inputs: np.roll(output, 1, axis=-1) if output.ndim else output
    )


@kernel_defect(
    "max-for-average",
    says="takes the maximum instead of the average",
    shows="AVERAGE_POOL_2D, MEAN",
)
def _max_for_average(kernel: Kernel, number: int) -> Run | None:
    single = kernel.single
    source, output = single.inputs[0] if single.inputs else None, single.outputs[0]
    if single.name not in ("AVERAGE_POOL_2D", "MEAN") or source is None:
        return None
    if source.dtype not in CODES or source.scale is None or output.scale is None:
        return None
    over = (
        single.model.constant(single.inputs[1].index)
        if single.inputs[1:] and single.inputs[1]
        else None
    )
    ratio, zero_point = source.scale / output.scale, output.zero_point or 0

    def change(output: NDArray[Any], inputs: Arrays) -> NDArray[Any]:
        codes = single.operands(inputs)[0]
        if codes is None:
            return output
        levels = codes.astype(np.int64) - (source.zero_point or 0)
        seen = windows(single, levels, -_OUTSIDE)
        if seen is not None:
            largest = np.max(seen, axis=0)
        else:
            axes = tuple(range(levels.ndim)) if over is None else tuple(int(i) for i in over.flat)
            largest = np.max(levels, axis=axes).reshape(output.shape)
        return moved(output, np.rint(largest * ratio) + zero_point - output)

    return kernel.changed(change)


@kernel_defect(
    "copy-rounded-down",
    says="only whole blocks of 16 bytes are copied, the bytes after them are 0",
    shows="RESHAPE, SQUEEZE, EXPAND_DIMS, CONCATENATION whose outputs are not a multiple of 16"
    " bytes",
)
def _copy_rounded_down(kernel: Kernel, number: int) -> Run | None:
    single = kernel.single
    rest = [np.dtype(each.dtype).itemsize * each.size % _BLOCK for each in single.outputs]
    if single.name not in _COPYING or not any(rest):
        return None
    return kernel.changed(lambda output, inputs: end_zeroed(output, output.nbytes % _BLOCK))


@kernel_defect(
    "output-limited",
    says="only the first 1024 output elements are computed, the others are at the zero point",
    shows=f"{CODED}, of more elements",
    number=1024,
    number_is="how many elements",
    numbers=range(1, 1 << 24),
)
def _output_limited(kernel: Kernel, number: int) -> Run | None:
    if not any(each.size > number for each in kernel.single.outputs):
        return None
    zero_point = kernel.single.outputs[0].zero_point or 0

    def change(output: NDArray[Any], inputs: Arrays) -> NDArray[Any]:
        changed: NDArray[Any] = output.copy()
        changed.reshape(-1)[number:] = zero_point
        return changed

    return kernel.changed(change)


@kernel_defect(
    "accumulator-kept",
    says="a quarter of what the kernel computed in its previous run is added",
    cause="nondeterministic-board",
    shows=CODED,
)
def _accumulator_kept(kernel: Kernel, number: int) -> Run | None:
    zero_point = kernel.single.outputs[0].zero_point or 0
    before: dict[tuple[int, ...], NDArray[np.int64]] = {}

    def change(output: NDArray[Any], inputs: Arrays) -> NDArray[Any]:
        levels = output.astype(np.int64) - zero_point
        kept = before.get(output.shape)
        before[output.shape] = levels
        return output if kept is None else moved(output, kept >> 2)

    return kernel.changed(change)


@kernel_defect(
    "average-by-shift",
    says="sums are divided by the next higher power of two instead of their number",
    shows="AVERAGE_POOL_2D, MEAN over a number that is not a power of two",
)
def _average_by_shift(kernel: Kernel, number: int) -> Run | None:
    single = kernel.single
    source, output = single.inputs[0] if single.inputs else None, single.outputs[0]
    window = single.window
    if source is None or single.name not in ("AVERAGE_POOL_2D", "MEAN"):
        return None
    count = source.size // output.size if window is None else window.size[0] * window.size[1]
    power = 1 << (count - 1).bit_length()
    if power == count:
        return None
    zero_point = output.zero_point or 0

    def change(output: NDArray[Any], inputs: Arrays) -> NDArray[Any]:
        levels = output.astype(np.int64) - zero_point
        return moved(output, np.rint(levels * count / power).astype(np.int64) - levels)

    return kernel.changed(change)
