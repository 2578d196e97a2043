"""Make the inputs of a finding small: fewer samples, fewer elements off the zero point, and those
closer to it. Hypothesis shrinks the patterns that were drawn; this goes on with single codes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_tflm.fuzz.kernels.codes import Sample
    from pytest_tflm.model import Tensor

_FEW = 4

Holds = Callable[[list["Sample"]], bool]


def reduced(
    tensors: Sequence[Tensor], samples: Sequence[Sample], holds: Holds, *, runs: int = 400
) -> list[Sample]:
    """The smallest ``samples`` found for which ``holds`` is still true, after at most ``runs``
    questions. ``tensors`` are the model's inputs."""
    search = _Search(tensors, list(samples), holds, runs)
    search.fewer_samples()
    search.fewer_elements()
    # What takes a large sum takes fewer elements if each is as large as can be.
    if search.farther_codes():
        search.fewer_elements()
    search.closer_codes()
    return search.samples


def off_zero_point(tensors: Sequence[Tensor], samples: Sequence[Sample]) -> int:
    """How many elements of all samples are not at their tensor's zero point (0 for floats)."""
    return sum(
        int((array != _rest(tensor)).sum())
        for sample in samples
        for tensor, array in zip(tensors, sample, strict=True)
    )


class _Search:
    def __init__(
        self, tensors: Sequence[Tensor], samples: list[Sample], holds: Holds, runs: int
    ) -> None:
        self.tensors, self.samples, self.left = tensors, samples, runs
        self._holds = holds

    def accepts(self, samples: list[Sample]) -> bool:
        """Whether it holds for these, which then are the present ones."""
        if self.left <= 0:
            return False
        self.left -= 1
        if not self._holds(samples):
            return False
        self.samples = samples
        return True

    def fewer_samples(self) -> None:
        """One sample if one will do; else without those that are not needed."""
        if any(self.accepts([sample]) for sample in list(self.samples) if len(self.samples) > 1):
            return
        at = len(self.samples) - 1
        while len(self.samples) > 1 and at >= 0:
            self.accepts(self.samples[:at] + self.samples[at + 1 :])
            at -= 1

    def fewer_elements(self) -> None:
        """Delta debugging (Zeller): put ever smaller groups of elements to the zero point."""
        places = self._places()
        size = len(places)
        while size >= 1 and places:
            at = 0
            while at < len(places):
                group = places[at : at + size]
                if self.accepts(self._with(group, None)):
                    places = places[:at] + places[at + size :]
                else:
                    at += size
            size //= 2

    def farther_codes(self) -> bool:
        """Elements that remain as far off the zero point as they can be, if it holds for that."""
        if len(self._places()) <= _FEW:
            return False
        changed = []
        for sample in self.samples:
            arrays = []
            for tensor, array in zip(self.tensors, sample, strict=True):
                if array.dtype.kind == "f":
                    arrays.append(array)
                    continue
                low, high = tensor.code_range
                rest = _rest(tensor)
                far = np.where(array > rest, high, np.where(array < rest, low, rest))
                arrays.append(far.astype(array.dtype))
            changed.append(tuple(arrays))
        return self.accepts(changed)

    def closer_codes(self) -> None:
        """Each element that remains as close to the zero point as it can be."""
        for place in self._places():
            array, rest = self._array(place), _rest(self.tensors[place[1]])
            if array.dtype.kind == "f":
                continue
            far = int(array.reshape(-1)[place[2]]) - rest
            sign, low, high = (1 if far > 0 else -1), 0, abs(far)
            if high > 1 and self.accepts(self._with([place], rest + sign)):
                continue
            while high - low > 1:
                middle = (low + high) // 2
                if self.accepts(self._with([place], rest + sign * middle)):
                    high = middle
                else:
                    low = middle

    def _places(self) -> list[tuple[int, int, int]]:
        """Sample, input and flat index of every element that is not at the zero point."""
        return [
            (number, position, int(index))
            for number, sample in enumerate(self.samples)
            for position, array in enumerate(sample)
            for index in np.flatnonzero(array != _rest(self.tensors[position]))
        ]

    def _array(self, place: tuple[int, int, int]) -> NDArray[Any]:
        return self.samples[place[0]][place[1]]

    def _with(self, places: Sequence[tuple[int, int, int]], code: int | None) -> list[Sample]:
        """The samples with these elements at ``code``, None for the zero point."""
        changed = [[array.copy() for array in sample] for sample in self.samples]
        for number, position, index in places:
            value = _rest(self.tensors[position]) if code is None else code
            changed[number][position].reshape(-1)[index] = value
        return [tuple(sample) for sample in changed]


def _rest(tensor: Tensor) -> int:
    return 0 if tensor.dtype == "float32" else tensor.zero_point or 0
