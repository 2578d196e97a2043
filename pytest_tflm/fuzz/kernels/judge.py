"""What two runtimes make of the same model and inputs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_tflm.fuzz.kernels.runners import Failed, Ran

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pytest_tflm.fuzz.kernels.codes import Sample
    from pytest_tflm.fuzz.kernels.operators.case import OperatorCase
    from pytest_tflm.fuzz.kernels.runners import Runner

EQUAL, DIFFERS, SHAPES, REFUSED, CRASHED, NEITHER = (
    "equal",
    "differs",
    "shapes",
    "refused",
    "crashed",
    "neither",
)


@dataclass(frozen=True)
class Outcome:
    """``kind``: ``equal``; ``differs`` by ``size`` at most (LSBs, or for float outputs units in the
    last place); ``shapes`` of outputs differ; ``refused`` or ``crashed`` by the runtime ``who``
    while the other ran; ``neither`` ran. ``text`` has the error, or the shapes."""

    kind: str
    size: float = 0.0
    who: str = ""
    text: str = ""


@dataclass(frozen=True)
class Pair:
    """Two runtimes: what ``subject`` computes is held against what ``reference`` computes."""

    subject: Runner
    reference: Runner

    def run(
        self, case: OperatorCase, samples: Sequence[Sample]
    ) -> tuple[Ran | Failed, Ran | Failed]:
        """Results of subject and reference."""
        self.subject.start(case, samples)
        self.reference.start(case, samples)
        return self.subject.finish(), self.reference.finish()

    def renew(self) -> None:
        """Both in new processes."""
        self.subject.renew()
        self.reference.renew()

    def judge(self, case: OperatorCase, samples: Sequence[Sample]) -> Outcome:
        """Run and compare."""
        return compare(self, *self.run(case, samples))


def compare(pair: Pair, got: Ran | Failed, expected: Ran | Failed) -> Outcome:
    """The outcome of two results."""
    if isinstance(got, Failed) and isinstance(expected, Failed):
        return Outcome(NEITHER, text=f"{got.text}; {expected.text}")
    for result, runner in ((got, pair.subject), (expected, pair.reference)):
        if isinstance(result, Failed):
            kind = CRASHED if result.crashed else REFUSED
            return Outcome(kind, math.inf, runner.name, result.text)
    assert isinstance(got, Ran)
    assert isinstance(expected, Ran)
    largest = 0.0
    for ours, theirs in zip(got.outputs, expected.outputs, strict=True):
        for one, other in zip(ours, theirs, strict=True):
            if one.shape != other.shape or one.dtype != other.dtype:
                text = f"{pair.subject.name} gives {_described(one)}, "
                text += f"{pair.reference.name} {_described(other)}"
                return Outcome(SHAPES, math.inf, text=text)
            largest = max(largest, distance(one, other))
    return Outcome(DIFFERS, largest) if largest else Outcome(EQUAL)


def distance(one: NDArray[Any], other: NDArray[Any]) -> float:
    """The largest difference of two arrays of one type and shape: in codes, and for float32 in
    units in the last place. NaN is equal to NaN and far from all else."""
    if not one.size:
        return 0.0
    if one.dtype.kind == "f":
        same = (one == other) | (np.isnan(one) & np.isnan(other))
        steps = np.abs(_ordered(one) - _ordered(other))
        return float(np.where(same, 0, steps).max())
    return float(np.abs(one.astype(np.int64) - other.astype(np.int64)).max())


def _ordered(values: NDArray[Any]) -> NDArray[np.int64]:
    """float32 as integers in the same order, neighbours one apart."""
    bits = np.ascontiguousarray(values, np.float32).view(np.int32).astype(np.int64)
    return np.where(bits < 0, -(bits & 0x7FFFFFFF), bits)


def _described(array: NDArray[Any]) -> str:
    return f"{array.dtype}[{','.join(map(str, array.shape))}]"
