"""Make what was found small: the one reducer of inputs, of kernels and of sequences.

A problem is a question, :class:`Questions`: which of some candidates still show what was found?
Passes ask it: :func:`fewest` for the fewest of some items (samples, steps, elements), and
:func:`simplest` for samples whose elements are at the rest value, or close to it, wherever they may
be. :func:`reduced` is both for a list of samples. Candidates are asked ``batch`` at a time, so that
a board behind a slow line answers them in one go: a single element among a thousand is found in
three such rounds.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from pytest_tflm.record.words import rest_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_tflm.model import Tensor
    from pytest_tflm.runtime.base import Arrays

T = TypeVar("T")
Item = TypeVar("Item")

_PARTS = 16
_MOST_MOVED = 12
"""So many elements are brought closer to the rest value one by one."""
_FEW = 4


class Questions(Generic[T]):
    """Asks at most ``runs`` candidates, ``batch`` at a time. ``shows`` answers for each of a list
    of candidates."""

    def __init__(self, shows: Callable[[list[T]], list[bool]], runs: int, batch: int = 1) -> None:
        self._shows = shows
        self.left, self.batch = runs, batch
        self.parts = min(_PARTS, max(2, batch))
        """How many candidates are worth a round."""

    def shown(self, candidates: Iterable[T]) -> Iterator[tuple[int, T]]:
        """Those that show it, each with its number. They are asked when the next is wanted."""
        numbered = enumerate(candidates)
        while chunk := list(itertools.islice(numbered, min(self.batch, self.left))):
            self.left -= len(chunk)
            answers = self._shows([candidate for _, candidate in chunk])
            yield from itertools.compress(chunk, answers)

    def first(self, candidates: Iterable[T]) -> tuple[int, T] | None:
        """The first that shows it, with its number."""
        return next(self.shown(candidates), None)


def fewest(
    items: Sequence[Item],
    made: Callable[[Sequence[Item]], T],
    questions: Questions[T],
    least: int = 0,
) -> Sequence[Item]:
    """The fewest ``items`` found, at least ``least`` of them, of which ``made`` makes a candidate
    that shows it; all of them if fewer never do.

    Delta debugging (Zeller and Hildebrandt): one part of the items, or all but one part, ever
    smaller parts.
    """
    if not least and len(items) and questions.first([made(items[:0])]):
        return items[:0]
    parts = questions.parts if len(items) >= 4 else 2
    while len(items) > max(least, 1) and questions.left > 0:
        parts = min(parts, len(items))
        groups = _split(items, parts)
        if parts <= questions.parts and (found := questions.first(map(made, groups))):
            items, parts = groups[found[0]], questions.parts
            continue
        spare = _spare(groups, made, questions) if parts > 2 else set()
        if spare:
            items = _joined(groups, spare)
            parts = max(parts - len(spare), 2)
        elif parts < len(items):
            parts *= 2 if questions.batch == 1 else 4
        else:
            break
    return items


def _spare(
    groups: list[Sequence[Item]], made: Callable[[Sequence[Item]], T], questions: Questions[T]
) -> set[int]:
    """Groups that are not needed, all of them together; one at least is."""
    gone: set[int] = set()

    def without(numbers: Sequence[int]) -> T:
        return made(_joined(groups, gone.union(numbers)))

    def can_go(numbers: Sequence[int]) -> bool:
        return len(gone) + len(numbers) < len(groups)

    for start in range(0, len(groups), questions.batch):
        numbers = range(start, min(start + questions.batch, len(groups)))
        if not can_go([start]):
            break
        spare = [numbers[at] for at, _ in questions.shown(without([i]) for i in numbers)]
        # Each can go; perhaps they all can, or half of them.
        several = [each for each in (spare, spare[: len(spare) // 2]) if len(each) > 1]
        several = [each for each in several if can_go(each)]
        together = questions.first(map(without, several))
        gone.update(several[together[0]] if together else spare[:1])
    return gone


def reduced(
    tensors: Sequence[Tensor], samples: Sequence[Arrays], questions: Questions[list[Arrays]]
) -> list[Arrays]:
    """The fewest and simplest samples found that still show it. ``tensors`` are the model's
    inputs."""
    samples = list(fewest(samples, list, questions, least=1))
    return simplest([tensors] * len(samples), samples, questions)


def simplest(
    tensors: Sequence[Sequence[Tensor]],
    samples: Sequence[Arrays],
    questions: Questions[list[Arrays]],
) -> list[Arrays]:
    """``samples`` with as many elements at the rest value as can be, and the others close to it.
    ``tensors`` holds for each sample the inputs that it is for."""
    search = _Elements(tensors, samples, questions)
    search.fewer()
    # What takes a large sum takes fewer elements if each is as large as can be.
    if search.left() > _FEW and search.try_all([search.farther()]):
        search.fewer()
    if search.left() > _MOST_MOVED:
        search.try_all(search.coarser())
    search.closer()
    if 1 < search.left() <= _MOST_MOVED:
        search.try_all(search.of_one_code())
    return search.samples()


class _Elements:
    """The arrays of all samples, one after the other, and their elements by number."""

    def __init__(
        self,
        tensors: Sequence[Sequence[Tensor]],
        samples: Sequence[Arrays],
        questions: Questions[list[Arrays]],
    ) -> None:
        self._questions = questions
        self._counts = [len(sample) for sample in samples]
        self._arrays: list[NDArray[Any]] = [array for sample in samples for array in sample]
        self._rest: list[NDArray[Any]] = [
            np.full_like(array, rest_of(tensor))
            for inputs, sample in zip(tensors, samples, strict=True)
            for tensor, array in zip(inputs, sample, strict=True)
        ]
        self._ends = np.cumsum([array.size for array in self._arrays])

    def samples(self, arrays: Sequence[NDArray[Any]] | None = None) -> list[Arrays]:
        """These arrays, or the present ones, as samples."""
        left = iter(self._arrays if arrays is None else arrays)
        return [tuple(itertools.islice(left, count)) for count in self._counts]

    def left(self) -> int:
        """How many elements are not at rest."""
        return len(self._places())

    def fewer(self) -> None:
        """Elements at the rest value, with three quarters of the questions at most."""
        kept = self._questions.left // 4
        self._questions.left -= kept
        source = self._arrays
        places = fewest(
            self._places(),
            lambda some: self.samples(self._changed(self._rest, some, source)),
            self._questions,
        )
        self._questions.left += kept
        self._arrays = self._changed(self._rest, places, source)

    def try_all(self, candidates: Iterable[list[NDArray[Any]]]) -> bool:
        """Whether one of these shows it; the first then is the present one."""
        tried: list[list[NDArray[Any]]] = []

        def asked() -> Iterator[list[Arrays]]:
            for arrays in candidates:
                tried.append(arrays)
                yield self.samples(arrays)

        found = self._questions.first(asked())
        if found:
            self._arrays = tried[found[0]]
        return found is not None

    def farther(self) -> list[NDArray[Any]]:
        """Codes that are not at rest as far from it as they can be."""
        arrays = []
        for array, rest in zip(self._arrays, self._rest, strict=True):
            low, high = _limits(array)
            far = np.where(array > rest, high, np.where(array < rest, low, rest))
            arrays.append(array if array.dtype.kind == "f" else far.astype(array.dtype))
        return arrays

    def coarser(self) -> Iterator[list[NDArray[Any]]]:
        """One code for all elements of an array, or at least fewer different ones."""
        for pick in (np.median, np.max, np.min):
            yield [np.full_like(a, pick(a) if a.size else 0) for a in self._arrays]
        for levels in (1, 2, 4):
            arrays = []
            for array, rest in zip(self._arrays, self._rest, strict=True):
                far = array.astype(np.float64) - rest
                step = float(np.abs(far).max(initial=0.0)) / levels or 1.0
                rounded = rest + np.round(far / step) * step
                arrays.append(np.clip(rounded, *_limits(array)).astype(array.dtype))
            yield arrays

    def closer(self) -> None:
        """Each code as close to the rest value as it can be."""
        for place in self._places()[:_MOST_MOVED]:
            value, rest = self._value(self._arrays, place), self._value(self._rest, place)
            if isinstance(value, float):
                continue
            low, high = 0, abs(value - rest)  # it shows at ``high``, and not at ``low``
            sign, parts = (1 if value > rest else -1), self._questions.parts
            while high - low > 1 and self._questions.left > 0:
                cuts = {low + (high - low) * k // parts for k in range(1, parts)}
                tried = sorted(cuts | ({1} if low == 0 else set()))
                tried = [each for each in tried if low < each < high]
                found = self._questions.first(
                    self.samples(self._with([place], rest + sign * each)) for each in tried
                )
                if found is None:
                    low = tried[-1]
                else:
                    low, high = (tried[found[0] - 1] if found[0] else low), tried[found[0]]
                    self._arrays = self._with([place], rest + sign * high)

    def of_one_code(self) -> Iterator[list[NDArray[Any]]]:
        """All elements that are not at rest at the same code."""
        places = self._places()
        values = {self._value(self._arrays, place) for place in places}
        if len(values) > 1:
            for value in sorted(values, key=abs):
                yield self._with(places, value)

    def _places(self) -> list[int]:
        """The numbers of the elements that are not at rest."""
        pairs = zip(self._arrays, self._rest, strict=True)
        off = [(array != rest).reshape(-1) for array, rest in pairs]
        return np.flatnonzero(np.concatenate(off)).tolist() if off else []

    def _value(self, arrays: Sequence[NDArray[Any]], place: int) -> Any:
        at = int(np.searchsorted(self._ends, place, "right"))
        flat = arrays[at].reshape(-1)
        return flat[place - int(self._ends[at]) + flat.size].item()

    def _with(self, places: Sequence[int], value: Any) -> list[NDArray[Any]]:
        source = [np.full_like(a, np.clip(value, *_limits(a))) for a in self._arrays]
        return self._changed(self._arrays, places, source)

    def _changed(
        self,
        arrays: Sequence[NDArray[Any]],
        places: Sequence[int],
        source: Sequence[NDArray[Any]],
    ) -> list[NDArray[Any]]:
        """``arrays`` with the elements at ``places`` from ``source``."""
        chosen = np.asarray(places, np.int64)
        changed = []
        for array, new, end in zip(arrays, source, self._ends.tolist(), strict=True):
            start = end - array.size
            here = chosen[(chosen >= start) & (chosen < end)] - start
            if here.size:
                array = array.copy()
                array.reshape(-1)[here] = new.reshape(-1)[here]
            changed.append(array)
        return changed


def off_rest(tensors: Sequence[Tensor], samples: Sequence[Arrays]) -> int:
    """How many elements of all samples are not at their tensor's rest value."""
    return sum(
        int((array != rest_of(tensor)).sum())
        for sample in samples
        for tensor, array in zip(tensors, sample, strict=True)
    )


def _joined(groups: Sequence[Sequence[Item]], gone: set[int]) -> list[Item]:
    return [item for i, group in enumerate(groups) if i not in gone for item in group]


def _split(items: Sequence[Item], parts: int) -> list[Sequence[Item]]:
    ends = [len(items) * i // parts for i in range(parts + 1)]
    return [items[a:b] for a, b in itertools.pairwise(ends)]


def _limits(array: NDArray[Any]) -> tuple[float, float]:
    if array.dtype.kind in "iu":
        limits = np.iinfo(array.dtype)
        return int(limits.min), int(limits.max)
    return (0, 1) if array.dtype.kind == "b" else (-float("inf"), float("inf"))
