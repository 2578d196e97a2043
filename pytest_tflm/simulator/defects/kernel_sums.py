"""Defects of kernels that make other codes of the exact accumulators."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_tflm.model.arithmetic.accumulators import accumulators
from pytest_tflm.model.arithmetic.requantise import Requantisation, requantisation, requantise
from pytest_tflm.simulator.defects.registry import SUMMING, kernel_defect
from pytest_tflm.simulator.defects.wrapper import wrapped

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from pytest_tflm.simulator.defects.operators import Arrays, Kernel, Run


@kernel_defect(
    "float-requantised",
    says="accumulators are converted to codes in float32, with halves to even",
    cause="rounding",
    shows=SUMMING,
)
def _float_requantised(kernel: Kernel, number: int) -> Run | None:
    def codes(sums: NDArray[np.int64], how: Requantisation) -> NDArray[Any]:
        scaled = np.rint(sums.astype(np.float32) * how.reals.astype(np.float32))
        return how.clamped(scaled.astype(np.int64))

    return _from_sums(kernel, codes)


@kernel_defect(
    "single-rounding",
    says="accumulators are rounded once; TFLM rounds twice",
    cause="rounding",
    shows=f"{SUMMING}, with accumulators of 32 bits",
)
def _single_rounding(kernel: Kernel, number: int) -> Run | None:
    how = requantisation(kernel.single)
    if how is None or how.is_wide:  # of 64 bits TFLM, too, rounds once
        return None
    return _from_sums(kernel, lambda sums, how: how.codes(sums, single_rounding=True))


@kernel_defect(
    "accumulator-overflow",
    says="accumulators wrap around",
    cause="accumulator-overflow",
    shows=f"{SUMMING}, where sums are that large",
    number=16,
    number_is="bits of an accumulator",
    numbers=range(2, 33),
)
def _accumulator_overflow(kernel: Kernel, number: int) -> Run | None:
    return _from_sums(kernel, lambda sums, how: how.codes(wrapped(sums, number)))


def _from_sums(
    kernel: Kernel, codes: Callable[[NDArray[np.int64], Requantisation], NDArray[Any]]
) -> Run | None:
    """Outputs that ``codes`` makes of the accumulators."""
    single = kernel.single
    how = requantisation(single)
    given = [np.zeros(tensor.shape, tensor.dtype) for tensor in single.model.inputs]
    if how is None or accumulators(single, given) is None:
        return None

    def run(arrays: Arrays) -> list[NDArray[Any]]:
        sums = accumulators(single, arrays)
        assert sums is not None
        return [codes(sums, how)]

    return run


@kernel_defect(
    "output-wraps",
    says="codes above the highest of their type wrap around to the lowest",
    shows=f"{SUMMING}, where codes are saturated at the type's highest",
)
def _output_wraps(kernel: Kernel, number: int) -> Run | None:
    how = requantisation(kernel.single)
    if how is None or how.highest < np.iinfo(how.dtype).max:
        return None

    def codes(sums: NDArray[np.int64], how: Requantisation) -> NDArray[Any]:
        scaled = requantise(sums, how.multipliers, how.shifts, wide=how.is_wide)
        made = np.maximum(scaled + how.zero_point, how.lowest)
        return wrapped(made, 8 * how.dtype.itemsize).astype(how.dtype)

    return _from_sums(kernel, codes)


@kernel_defect(
    "multiplier-truncated",
    says="of the multiplier only the upper 16 of its 31 bits are used",
    cause="rounding",
    shows=f"{SUMMING}, with accumulators of 32 bits",
)
def _multiplier_truncated(kernel: Kernel, number: int) -> Run | None:
    how = requantisation(kernel.single)
    if how is None or how.is_wide:
        return None
    narrow = replace(how, multipliers=how.multipliers >> 15 << 15)
    return _from_sums(kernel, lambda sums, how: narrow.codes(sums))
