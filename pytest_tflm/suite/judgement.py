"""Whether outputs pass by the settings of a test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_tflm.compare.comparison import Comparison, compare
from pytest_tflm.compare.words import mismatch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_tflm.errors import OutputMismatch
    from pytest_tflm.model import Model
    from pytest_tflm.options import Settings
    from pytest_tflm.runtime.base import Outputs
    from pytest_tflm.suite.state import State
    from pytest_tflm.verdict.carried import Carried


@dataclass(frozen=True)
class Judgement:
    """``carried`` says whether a difference beyond 1 LSB is rounding, if ``auto`` was asked for."""

    comparison: Comparison
    carried: Carried | None = None

    @property
    def passed(self) -> bool:
        return self.comparison.passed or (self.carried is not None and self.carried.is_rounding)

    def error(self, more: str = "") -> OutputMismatch:
        """The failure, with ``more`` behind it."""
        if self.carried is not None:
            more = f"\nmore than rounding (--tflm-tolerance=auto): {self.carried.text}{more}"
        return mismatch(self.comparison, more)


def judge(
    state: State,
    settings: Settings,
    model: Model,
    samples: Callable[[], Sequence[object]],
    got: Outputs,
    expected: Outputs,
) -> Judgement:
    """Compare the board's and the reference's outputs for the last of ``samples()``, which gives
    those since the reset of a model with state."""
    comparison = compare(got, expected, lsb=settings.lsb, float_tolerance=settings.float_tolerance)
    if comparison.passed or settings.tolerance is not None:
        return Judgement(comparison)
    found = state.carried(model, settings, samples(), got.arrays, expected.arrays)
    return Judgement(comparison, found)
