"""Make one sample small: as few elements off the zero point as show the same, close to it.

Hypothesis shrinks the numbers that a sample was made of; this goes on with its elements. Questions
are asked many at a time, so that a board behind a slow line answers them in one go: a single
element among a thousand is found in three such rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_tflm.record.words import rest_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_tflm.model import Tensor

    Sample = tuple[NDArray[Any], ...]
    Places = NDArray[np.int64]

Shows = Callable[[list["Sample"]], list[bool]]

DEFAULT_RUNS = 400
_PARTS = 16
_MOST_MOVED = 12
"""So many elements are brought closer to the zero point one by one."""


def shrunk(
    tensors: Sequence[Tensor], sample: Sample, shows: Shows, *, runs: int = DEFAULT_RUNS
) -> Sample:
    """The simplest sample found that still ``shows`` what ``sample`` does, after at most ``runs``
    samples have been tried. ``shows`` answers for each of a list of samples, which hold the arrays
    of ``tensors`` in their dtypes and shapes."""
    search = _Shrinking(tensors, sample, shows, runs)
    if not search.to_rest():
        search.fewer_elements()
        search.coarser()
        search.closer()
        search.fewer_codes()
    return search.sample


class _Shrinking:
    def __init__(self, tensors: Sequence[Tensor], sample: Sample, shows: Shows, runs: int) -> None:
        self._tensors = tensors
        self._shows = shows
        self._left = runs
        self._rest = tuple(
            np.full_like(array, rest_of(tensor))
            for tensor, array in zip(tensors, sample, strict=True)
        )
        self._ends = np.cumsum([array.size for array in sample])
        self.sample = sample

    def _first(self, candidates: list[Sample]) -> int | None:
        """Which of the candidates is the first that shows it, which then is the sample."""
        return next(iter(self._all(candidates)), None)

    def _all(self, candidates: list[Sample]) -> list[int]:
        """Which of the candidates show it; the first of them then is the sample."""
        candidates = candidates[: self._left]
        if not candidates:
            return []
        self._left -= len(candidates)
        found = [i for i, yes in enumerate(self._shows(candidates)) if yes]
        if found:
            self.sample = candidates[found[0]]
        return found

    def to_rest(self) -> bool:
        """Whether it shows at the zero point everywhere."""
        return self._first([self._rest]) is not None

    def fewer_elements(self) -> None:
        """Delta debugging (Zeller and Hildebrandt): one part of the elements alone, or all but one
        part, ever smaller parts."""
        places = self._places()
        parts = 2 if len(places) < 4 else _PARTS
        kept, self._left = self._left // 4, self._left - self._left // 4  # for what comes after
        while len(places) > 1 and self._left > 0:
            parts = min(parts, len(places))
            groups = np.array_split(places, parts)
            alone = self._first([self._only(group) for group in groups])
            if alone is not None:
                places, parts = groups[alone], _PARTS
                continue
            rests = [self._without(group) for group in groups]
            spare = self._all(rests) if parts > 2 else []
            if len(spare) > 1:
                # Each can go; perhaps they all can.
                everything = self._without(np.concatenate([groups[i] for i in spare]))
                half = self._without(np.concatenate([groups[i] for i in spare[: len(spare) // 2]]))
                self._first([everything, half])
            if spare:
                places = self._places()
                parts = max(parts - len(spare), 2)
            elif parts < len(places):
                parts = parts * 4
            else:
                break
        self._left += kept

    def coarser(self) -> None:
        """Where many elements are needed: one code for all, or at least fewer."""
        if len(self._places()) <= _MOST_MOVED:
            return
        candidates = []
        for pick in (np.median, np.max, np.min):
            arrays = [np.full_like(a, pick(a) if a.size else 0) for a in self.sample]
            candidates.append(tuple(arrays))
        for levels in (1, 2, 4):
            arrays = []
            for array, rest in zip(self.sample, self._rest, strict=True):
                far = array.astype(np.float64) - rest
                reach = float(np.abs(far).max(initial=0.0))
                step = reach / levels if reach else 1.0
                rounded = rest + np.round(far / step) * step
                low, high = _limits(array)
                arrays.append(np.clip(rounded, low, high).astype(array.dtype))
            candidates.append(tuple(arrays))
        self._first(candidates)

    def closer(self) -> None:
        """Each element as close to the zero point as it can be, found in 16 parts at a time."""
        for place in self._places()[:_MOST_MOVED]:
            position, index = self._of(int(place))
            flat = self.sample[position].reshape(-1)
            rest = self._rest[position].reshape(-1)[index].item()
            if flat.dtype.kind == "f":
                continue
            far = int(flat[index]) - int(rest)
            low, high = 0, abs(far)  # it shows at ``high``, and not at ``low``
            while high - low > 1 and self._left > 0:
                steps = sorted({low + max(1, (high - low) * k // _PARTS) for k in range(_PARTS)})
                steps = [step for step in steps if low < step < high]
                sign = 1 if far > 0 else -1
                found = self._first([self._with([place], rest + sign * step) for step in steps])
                high, low = (
                    (high, steps[-1])
                    if found is None
                    else (steps[found], steps[found - 1] if found else low)
                )

    def fewer_codes(self) -> None:
        """The remaining elements of an input at one code, if that will do."""
        places = self._places()
        if not 1 < len(places) <= _MOST_MOVED:
            return
        codes = [self._code(int(place)) for place in places]
        if len(set(codes)) > 1:
            self._first([self._with(places, code) for code in sorted(set(codes), key=abs)])

    def _places(self) -> Places:
        """Where it is not at the zero point, counted through all inputs."""
        off = [
            (array != rest).reshape(-1) for array, rest in zip(self.sample, self._rest, strict=True)
        ]
        found: Places = np.flatnonzero(np.concatenate(off))
        return found

    def _of(self, place: int) -> tuple[int, int]:
        """Input and index in it."""
        position = int(np.searchsorted(self._ends, place, "right"))
        return position, place - int(self._ends[position - 1] if position else 0)

    def _code(self, place: int) -> Any:
        position, index = self._of(place)
        return self.sample[position].reshape(-1)[index].item()

    def _only(self, places: Places) -> Sample:
        changed = [array.copy() for array in self._rest]
        for place in places:
            position, index = self._of(int(place))
            changed[position].reshape(-1)[index] = self.sample[position].reshape(-1)[index]
        return tuple(changed)

    def _without(self, places: Places) -> Sample:
        return self._changed(places, None)

    def _with(self, places: Sequence[int] | Places, code: Any) -> Sample:
        return self._changed(places, code)

    def _changed(self, places: Sequence[int] | Places, code: Any) -> Sample:
        changed = [array.copy() for array in self.sample]
        for place in places:
            position, index = self._of(int(place))
            value = self._rest[position].reshape(-1)[index] if code is None else code
            low, high = _limits(changed[position])
            changed[position].reshape(-1)[index] = min(max(value, low), high)
        return tuple(changed)


def _limits(array: NDArray[Any]) -> tuple[float, float]:
    if array.dtype.kind in "iu":
        limits = np.iinfo(array.dtype)
        return int(limits.min), int(limits.max)
    return (0, 1) if array.dtype.kind == "b" else (-float("inf"), float("inf"))
