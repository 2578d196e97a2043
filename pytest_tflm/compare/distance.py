"""How far two arrays are apart: the one place that says it.

Integers and bools are compared in LSBs (one LSB is one step of the code), exactly, 64-bit codes
included. Floats are compared in their own unit, or in units in the last place. NaN against NaN and
an infinity against the same infinity are no difference; any other pair with one of them is an
infinite one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_tflm.errors import SampleError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pytest_tflm.runtime.base import Arrays


def differences(got: NDArray[Any], expected: NDArray[Any]) -> NDArray[Any]:
    """``got`` minus ``expected``, element by element, for arrays of one shape and dtype.

    int64 LSBs for integers and bools, saturated, which only 64-bit codes can reach; float64 in the
    tensor's own unit for floats. Raises SampleError for other dtypes.
    """
    import numpy as np

    if got.dtype.kind in "biu":
        if got.dtype.itemsize < 8:
            return got.astype(np.int64) - expected.astype(np.int64)
        limits = np.iinfo(np.int64)
        exact = [int(g) - int(e) for g, e in zip(got.ravel(), expected.ravel(), strict=True)]
        clamped = [min(max(value, limits.min + 1), limits.max) for value in exact]
        return np.array(clamped, dtype=np.int64).reshape(got.shape)
    if got.dtype.kind != "f":
        raise SampleError(f"outputs of dtype {got.dtype} cannot be compared.")
    with np.errstate(invalid="ignore"):
        apart = got.astype(np.float64) - expected.astype(np.float64)
    same = _same_values(got, expected)
    apart[same] = 0.0
    apart[~same & ~np.isfinite(apart)] = np.inf
    return apart


def in_steps(apart: NDArray[Any], step: float) -> NDArray[np.int64]:
    """Differences of real values as LSBs of ``step`` real units each, rounded; what is more than a
    thousandth of a step is at least one LSB. NaN and infinity are as far as can be."""
    import numpy as np

    limits = np.iinfo(np.int64)
    with np.errstate(invalid="ignore"):
        ratio = apart / step
        rounded = np.sign(ratio) * np.maximum(np.rint(np.abs(ratio)), np.abs(ratio) > 1e-3)
    found: NDArray[np.int64] = np.full(apart.shape, limits.max, np.int64)
    near = np.isfinite(rounded) & (np.abs(rounded) < 2.0**62)
    found[near] = rounded[near].astype(np.int64)
    return found


def steps(got: NDArray[Any], expected: NDArray[Any]) -> float:
    """The largest distance in steps of the representation: LSBs, and for floats units in the last
    place. NaN is as far from a number as can be."""
    import numpy as np

    if not got.size:
        return 0.0
    if got.dtype.kind != "f":
        return float(np.abs(differences(got, expected)).max())
    apart = np.abs(_ordered(got) - _ordered(expected))
    return float(np.where(_same_values(got, expected), 0, apart).max())


def same(got: Arrays, expected: Arrays) -> bool:
    """Bit for bit: the same shapes, dtypes and bytes, also of NaN and -0."""
    return len(got) == len(expected) and all(
        a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()
        for a, b in zip(got, expected, strict=True)
    )


def _same_values(got: NDArray[Any], expected: NDArray[Any]) -> NDArray[np.bool_]:
    import numpy as np

    equal: NDArray[np.bool_] = (got == expected) | (np.isnan(got) & np.isnan(expected))
    return equal


def _ordered(values: NDArray[Any]) -> NDArray[np.float64]:
    """Floats as whole numbers in the same order, neighbours one apart: the bits of a float, read as
    sign and magnitude."""
    import numpy as np

    bits = values.dtype.itemsize * 8
    whole = np.ascontiguousarray(values).view(f"i{values.dtype.itemsize}")
    magnitude = (whole & np.iinfo(whole.dtype).max).astype(np.float64 if bits == 64 else np.int64)
    return np.where(whole < 0, -magnitude, magnitude).astype(np.float64)


@dataclass(frozen=True)
class Gap:
    """How far apart the outputs of two runs over the same samples are.

    ``elements`` differ of ``total``; ``lsb`` is the largest difference of an integer or bool
    output, ``real`` that of a float output in its own unit. ``shapes`` is set where the two do not
    have the same shape: then nothing else is known, and every element counts as different.
    """

    elements: int
    total: int
    lsb: int = 0
    real: float = 0.0
    shapes: tuple[tuple[int, ...], tuple[int, ...]] | None = None

    @property
    def is_none(self) -> bool:
        return not self.elements

    @property
    def largest(self) -> float:
        """The largest difference: in LSBs, or in the unit of a float tensor where no integer one
        differs."""
        return self.lsb or self.real

    def short(self) -> str:
        """``62 of 16000, at most 1 LSB``, for a table."""
        return self.describe().replace(" elements,", ",")

    def describe(self) -> str:
        """``62 of 16000 elements, at most 1 LSB``."""
        if self.shapes:
            return f"shape {list(self.shapes[0])} and not {list(self.shapes[1])}"
        if self.is_none:
            return "equal"
        sizes = [f"at most {self.lsb} LSB"] if self.lsb else []
        if math.isinf(self.real):
            sizes.append("some of them NaN or infinite")
        elif self.real:
            sizes.append(f"at most {self.real:.3g} (float)")
        return f"{self.elements} of {self.total} elements, {' and '.join(sizes)}"


def allowance(expected: NDArray[Any], tolerance: float) -> float:
    """How far a float may be from ``expected``: ``tolerance`` times its largest finite magnitude,
    or times 1 if that is smaller; in the tensor's own unit."""
    import numpy as np

    finite = np.abs(expected[np.isfinite(expected)].astype(np.float64))
    return tolerance * max(1.0, float(finite.max()) if finite.size else 0.0)


def gap_of(
    got: Iterable[Arrays], expected: Iterable[Arrays], *, float_tolerance: float = 0.0
) -> Gap:
    """The gap between two runs over the same samples. Floats that are no farther apart than
    :func:`allowance` says do not count."""
    import numpy as np

    elements = total = lsb = 0
    real = 0.0
    for ours, theirs in zip(got, expected, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            if a.shape != b.shape:
                return Gap(a.size, a.size, shapes=(tuple(a.shape), tuple(b.shape)))
            total += a.size
            if a.tobytes() == b.tobytes():
                continue
            apart = np.abs(differences(a, b))
            if float_tolerance and apart.dtype.kind == "f":
                apart[apart <= allowance(b, float_tolerance)] = 0
            elements += int(np.count_nonzero(apart))
            if apart.dtype.kind == "f":
                real = max(real, float(apart.max()))
            else:
                lsb = max(lsb, int(apart.max()))
    return Gap(elements, total, lsb, real)


@dataclass(frozen=True)
class RunGap:
    """How two runs over the same samples differ: in ``differing`` of ``samples``, by ``gap``.
    ``within`` is the part of the largest magnitude that floats may have differed by all the same;
    0 if none did."""

    samples: int
    differing: int
    gap: Gap
    within: float = 0.0

    def describe(self) -> str:
        """``differ in 3 of 16 samples: 62 of 16000 elements, at most 1 LSB``."""
        count = f"{self.samples} sample{'s' * (self.samples != 1)}"
        if not self.differing and self.within:
            return f"equal over {count}, floats within {self.within:g} of the largest magnitude"
        if not self.differing:
            return f"equal, bit for bit, over {count}"
        return f"differ in {self.differing} of {count}: {self.gap.describe()}"


def run_gap(
    got: Sequence[Arrays], expected: Sequence[Arrays], *, float_tolerance: float = 0.0
) -> RunGap:
    """The gap between two runs, and in how many samples there is one; ``float_tolerance`` as
    :func:`gap_of` takes it."""
    gaps = [
        gap_of([a], [b], float_tolerance=float_tolerance)
        for a, b in zip(got, expected, strict=True)
    ]
    is_exact = not float_tolerance or gap_of(got, expected).is_none
    return RunGap(
        len(got),
        sum(not gap.is_none for gap in gaps),
        gap_of(got, expected, float_tolerance=float_tolerance),
        0.0 if is_exact else float_tolerance,
    )
