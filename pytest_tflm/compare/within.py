"""``within(expected, lsb=N)``: what a test compares a runtime's outputs with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_tflm.compare.comparison import Comparison
    from pytest_tflm.runtime.base import Outputs


class Within:
    """Equal to outputs that differ from ``expected`` by at most a tolerance.

    Created by :func:`within`. ``outputs == within(expected, lsb=1)`` is a bool; if a test's
    ``assert`` fails, the report shows what differs.
    """

    __array_ufunc__ = None  # so that numpy leaves ``array == within(…)`` to this class
    __hash__ = None  # type: ignore[assignment]

    def __init__(
        self,
        expected: Outputs | Sequence[NDArray[Any]] | NDArray[Any],
        *,
        lsb: int,
        float_tolerance: float,
    ) -> None:
        self.expected = expected
        self.lsb = lsb
        self.float_tolerance = float_tolerance
        self._compared: tuple[object, Comparison] | None = None

    def compare(self, got: Outputs | Sequence[NDArray[Any]] | NDArray[Any]) -> Comparison:
        """The comparison behind ``==``. Raises SampleError if the shapes or dtypes differ."""
        from pytest_tflm.compare.comparison import compare

        # pytest asks again for the report of an ``assert`` that failed.
        if self._compared is None or self._compared[0] is not got or isinstance(got, list):
            made = compare(got, self.expected, lsb=self.lsb, float_tolerance=self.float_tolerance)
            self._compared = (got, made)
        return self._compared[1]

    def check(self, got: Outputs | Sequence[NDArray[Any]] | NDArray[Any]) -> Comparison:
        """Compare, and raise OutputMismatch with the whole report if ``got`` is not within the
        tolerance. Use it outside ``assert``."""
        comparison = self.compare(got)
        if not comparison.passed:
            from pytest_tflm.compare.words import mismatch

            raise mismatch(comparison)
        return comparison

    def __eq__(self, other: object) -> bool:
        if other is None or isinstance(other, str | bytes | Within):
            return NotImplemented
        return self.compare(other).passed  # type: ignore[arg-type]

    def __repr__(self) -> str:
        of = getattr(self.expected, "runtime", None) or "the expected outputs"
        return f"within {self.lsb} LSB of {of}"


def compared(left: object, right: object) -> Comparison | None:
    """The comparison behind ``left == right``, of which one is a :class:`Within`, or both are
    outputs; None if it is neither. Raises SampleError if the shapes or dtypes differ."""
    from pytest_tflm.runtime.base import Outputs

    if isinstance(left, Within):
        left, right = right, left
    if isinstance(right, Within):
        return right.compare(left)  # type: ignore[arg-type]
    if isinstance(left, Outputs) and isinstance(right, Outputs):
        return Within(right, lsb=0, float_tolerance=0.0).compare(left)
    return None


def within(
    expected: Outputs | Sequence[NDArray[Any]] | NDArray[Any],
    *,
    lsb: int = 1,
    float_tolerance: float = 1e-4,
) -> Within:
    """Outputs that differ from ``expected`` by at most ``lsb`` codes in every integer element.

    ``expected`` is the result of a runtime's ``run``, one array, or a sequence of arrays. Float
    outputs may differ by ``float_tolerance`` times the tensor's largest magnitude (or times 1 if
    that is smaller).
    """
    if isinstance(lsb, bool) or not isinstance(lsb, int) or lsb < 0:
        raise ValueError(f"lsb must be a whole number of LSBs, 0 or more, not {lsb!r}")
    if not 0 <= float_tolerance < float("inf"):
        raise ValueError(f"float_tolerance must be a finite number, 0 or more: {float_tolerance!r}")
    return Within(expected, lsb=lsb, float_tolerance=float_tolerance)
