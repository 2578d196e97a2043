"""All samples of a model in one test, for numbers of samples at which a test each costs too much.

Board and reference run side by side, each as fast as it can, and nothing is kept of a sample that
passes: memory does not grow with their number.
"""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_tflm.suite.streams import stream_until

if TYPE_CHECKING:
    from pytest_tflm.model import Model
    from pytest_tflm.record.samples import Samples
    from pytest_tflm.runtime.base import Outputs, Runtime
    from pytest_tflm.suite.judgement import Judgement

SHOWN = 10
"""Samples that failed and are reported in full."""
_RANGES_IN_TEXT = 20

Judge = Callable[[Any, "Outputs", "Outputs"], "Judgement"]
"""Of a function that gives the samples since the reset, the board's and the reference's outputs."""


class Numbers:
    """Rising numbers, kept as ranges."""

    def __init__(self) -> None:
        self._starts, self._ends = array("Q"), array("Q")
        self.count = 0

    def add(self, number: int) -> None:
        """A number larger than all before it."""
        self.count += 1
        if self._ends and self._ends[-1] == number:
            self._ends[-1] = number + 1
        else:
            self._starts.append(number)
            self._ends.append(number + 1)

    def text(self, most: int | None = None) -> str:
        """``3, 17-19, …``; ``most`` is how many ranges are written."""
        pairs = itertools.islice(zip(self._starts, self._ends, strict=True), most)
        words = [str(a) if b == a + 1 else f"{a}-{b - 1}" for a, b in pairs]
        return ", ".join(words) + ", …" * (len(words) < len(self._starts))


@dataclass
class Tally:
    """What was found over all samples. ``shown`` holds the first failures: the sample's number, its
    outputs on board and reference, and the judgement."""

    samples: int = 0
    equal: int = 0
    within: int = 0
    carried: int = 0
    largest_lsb: int = 0
    largest_float: float | None = None
    rounding: str = ""
    differing: Numbers = field(default_factory=Numbers)
    shown: list[tuple[int, Outputs, Outputs, Judgement]] = field(default_factory=list)
    runtimes: tuple[str, str] = ("", "")

    def add_equal(self) -> None:
        """A sample whose outputs are the reference's, bit for bit."""
        self.samples += 1
        self.equal += 1

    def add(self, number: int, got: Outputs, expected: Outputs, found: Judgement) -> None:
        """A sample with other outputs."""
        self.samples += 1
        comparison = found.comparison
        self.largest_lsb = max(self.largest_lsb, comparison.largest_lsb)
        if comparison.largest_float is not None:
            self.largest_float = max(self.largest_float or 0.0, comparison.largest_float)
        if not comparison.largest_lsb and not comparison.largest_float:
            self.equal += 1  # NaN in both, for example
        elif comparison.passed:
            self.within += 1
        elif found.passed:
            self.carried += 1
            self.rounding = found.carried.text if found.carried is not None else ""
        else:
            self.differing.add(number)
            if len(self.shown) < SHOWN:
                self.shown.append((number, got, expected, found))

    def headline(self) -> str:
        """``3 of 100000 samples are beyond the tolerance: 5, 17-18``."""
        count = self.differing.count
        return (
            f"{count} of {self.samples} samples {'is' if count == 1 else 'are'} beyond the "
            f"tolerance: {self.differing.text(_RANGES_IN_TEXT)}"
        )


def tallied(
    device: Runtime,
    reference: Runtime,
    samples: Samples,
    judge: Judge,
    each: Callable[[int, Outputs, Outputs, Judgement | None], None] | None = None,
) -> Tally:
    """Run all samples on both and compare. ``each`` is told of every sample: its number, both
    outputs, and how they were judged, None if they are equal. Raises what running one of them
    raises, after what came before it is lost."""
    import numpy as np

    model, total = device.model, len(samples)
    tally = Tally()
    pairs = _pairs(device, reference, samples, 0)
    while tally.samples < total:
        number = tally.samples
        got, expected = next(pairs)
        tally.runtimes = got.runtime, expected.runtime
        if all(map(np.array_equal, got.arrays, expected.arrays)):
            tally.add_equal()
            if each is not None:
                each(number, got, expected, None)
            continue
        calls = device.calls, reference.calls
        found = judge(_until(model, samples, number), got, expected)
        tally.add(number, got, expected, found)
        if each is not None:
            each(number, got, expected, found)
        if (device.calls, reference.calls) != calls:
            # It ran something else on the board: what was under way is of no use any more.
            pairs.close()
            pairs = _pairs(device, reference, samples, number + 1)
    return tally


def _until(model: Model, samples: Samples, number: int) -> Callable[[], list[Any]]:
    return lambda: stream_until(model, samples, number)


def _pairs(
    device: Runtime, reference: Runtime, samples: Samples, start: int
) -> Generator[tuple[Outputs, Outputs], None, None]:
    """The outputs for samples from ``start`` on. A model with state is run from its reset."""
    first = start
    if device.model.is_stream:
        device.reset_state()
        reference.reset_state()
        first = 0
    made, theirs = itertools.tee(samples[i] for i in range(first, len(samples)))
    ours = _Sized(made, len(samples) - first)
    if device is reference:
        both: Iterator[tuple[Outputs, Outputs]] = ((each, each) for each in device.run_many(ours))
    else:
        both = zip(device.run_many(ours), reference.run_many(theirs), strict=True)
    yield from itertools.islice(both, start - first, None)


class _Sized:
    """Samples whose number is known, so that it can be said how long they take."""

    def __init__(self, samples: Iterator[Any], count: int) -> None:
        self._samples, self._count = samples, count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Any]:
        return self._samples
