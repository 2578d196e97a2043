"""Where in a tensor two runs differ: at edges, in one channel, in one run of neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Pair = tuple[NDArray[Any], NDArray[Any]]


_VALUES = 3
"""So many different values that are one value instead are no chance."""
CHANCE = 0.01
"""What is less probable than this, if as many differences were spread by chance, is a pattern."""


def difference_mask(pairs: Sequence[Pair]) -> NDArray[np.bool_] | None:
    """Where any of the pairs differs, in the tensor's shape; None if there is no pair."""
    if not pairs:
        return None
    return np.asarray(np.stack([ours != theirs for ours, theirs in pairs]).any(axis=0))


def edges(mask: NDArray[np.bool_]) -> tuple[str, ...]:
    """Names of the edges (``first row``, ``last column``, ``last position`` …) that hold all
    differences of a (N, H, W, C) or (N, T, C) tensor; empty if they are elsewhere as well, or if
    every position is at an edge.

    The smallest set of edges is given.
    """
    axes = {4: ((1, "row"), (2, "column")), 3: ((1, "position"),)}.get(mask.ndim, ())
    # A column of a sequence that was made an image (height 1) is its position.
    named = [(axis, name) for axis, name in axes if mask.shape[axis] > 2]
    if not named or not mask.any():
        return ()
    by_position: NDArray[np.bool_] = np.asarray(mask.any(axis=(0, mask.ndim - 1)))
    # The channels of a place are no independent witnesses; two of them count.
    places = int(by_position.sum())
    witnesses = max(places, min(int(mask.sum()), 2 * places))
    found: list[str] = []
    left = by_position.copy()
    for axis, name in named:
        for end, word in ((0, "first"), (-1, "last")):
            line: list[Any] = [slice(None)] * by_position.ndim
            line[axis - 1] = end
            if left[tuple(line)].any() and _mostly(by_position[tuple(line)]):
                found.append(f"{word} {name}")
                left[tuple(line)] = False
    if not left.any():
        return tuple(found) if _is_no_chance(by_position, found, named, witnesses) else ()
    # Not whole lines of them: any element within one of an edge.
    inner = by_position.copy()
    for axis, _ in named:
        for end in (0, -1):
            line = [slice(None)] * by_position.ndim
            line[axis - 1] = end
            inner[tuple(line)] = False
    if inner.any():
        return ()
    at = [
        f"{word} {name}"
        for axis, name in named
        for end, word in ((0, "first"), (-1, "last"))
        if np.take(by_position, end, axis - 1).any()
    ]
    return tuple(at) if _is_no_chance(by_position, at, named, witnesses) else ()


def _is_no_chance(
    by_position: NDArray[np.bool_],
    names: Sequence[str],
    axes: Sequence[tuple[int, str]],
    witnesses: int,
) -> bool:
    """So many differences, spread by chance, would hardly all lie on those edges."""
    on_edges = np.zeros_like(by_position)
    for axis, name in axes:
        for end, word in ((0, "first"), (-1, "last")):
            if f"{word} {name}" in names:
                line: list[Any] = [slice(None)] * by_position.ndim
                line[axis - 1] = end
                on_edges[tuple(line)] = True
    return bool(on_edges.mean() ** witnesses < CHANCE)


def _mostly(line: NDArray[np.bool_]) -> bool:
    return bool(line.mean() >= 0.5)


def one_channel(mask: NDArray[np.bool_]) -> int | None:
    """The channel (last axis) that holds all differences, of at least two that there are; None if
    they are in several, or if there are too few elements to tell."""
    if mask.ndim < 2 or mask.shape[-1] < 2:
        return None
    channels = np.flatnonzero(mask.reshape(-1, mask.shape[-1]).any(axis=0))
    if len(channels) != 1 or mask.shape[-1] ** (1.0 - mask.sum()) >= CHANCE:
        return None
    return int(channels[0])


def one_run(mask: NDArray[np.bool_]) -> tuple[int, int] | None:
    """First and last place, in memory's order, of one short run of neighbours that holds all
    differences: at most half of the tensor. None if they are spread."""
    places = np.flatnonzero(mask)
    if not len(places):
        return None
    first, last = int(places[0]), int(places[-1])
    span = last - first + 1
    if span > max(1, mask.size // 2) or len(places) < 0.5 * span:
        return None
    return first, last


def limits(pairs: Sequence[Pair]) -> tuple[int, int] | None:
    """The lowest and highest code, if clipping the trusted tensors to them gives exactly the
    suspect's; None else.

    Fewer than four clipped elements, or all of them by one LSB, are no evidence: a largest element
    that is one LSB smaller looks the same.
    """
    if not pairs or any(theirs.dtype.kind not in "iu" for _, theirs in pairs):
        return None
    low = min(int(ours.min()) for ours, _ in pairs)
    high = max(int(ours.max()) for ours, _ in pairs)
    clipped, farthest = 0, 0
    for ours, theirs in pairs:
        if not np.array_equal(np.clip(theirs, low, high), ours):
            return None
        apart = np.abs(ours.astype(np.int64) - theirs.astype(np.int64))
        clipped += int(np.count_nonzero(apart))
        farthest = max(farthest, int(apart.max()) if apart.size else 0)
    return (low, high) if clipped >= 4 and farthest > 1 else None


def channels(mask: NDArray[np.bool_]) -> list[int]:
    """The channels (last axis) that hold all differences, where that is a set worth telling: no
    more than three quarters of at least four, and in each of them most elements differ; empty
    else."""
    if mask.ndim < 2 or mask.shape[-1] < 4:
        return []
    shares = mask.reshape(-1, mask.shape[-1]).mean(axis=0)
    found = np.flatnonzero(shares)
    if not len(found) or 4 * len(found) > 3 * mask.shape[-1] or shares[found].min() < 0.5:
        return []
    return [int(channel) for channel in found]


def offset(pairs: Sequence[Pair]) -> int:
    """By how many LSBs all elements are off that are not at the end of their range; 0 if they are
    not all off by one number."""
    found = set()
    for ours, theirs in pairs:
        if ours.dtype.kind not in "iu":
            return 0
        info = np.iinfo(ours.dtype)
        inner = (ours > info.min) & (ours < info.max)
        found |= set(np.unique(ours[inner].astype(np.int64) - theirs[inner]).tolist())
    return int(found.pop()) if len(found) == 1 else 0


def ratio(pairs: Sequence[Pair], zero_point: int) -> float:
    """What the outputs' distance from the zero point is multiplied by, to within rounding; 0 if it
    is no one number, or too little to tell."""
    if not pairs or any(ours.dtype.kind not in "iu" for ours, _ in pairs):
        return 0.0
    info = np.iinfo(pairs[0][0].dtype)
    ours = np.concatenate([o.ravel() for o, _ in pairs]).astype(np.float64)
    theirs = np.concatenate([t.ravel() for _, t in pairs]).astype(np.float64)
    inner = (ours > info.min) & (ours < info.max) & (theirs > info.min) & (theirs < info.max)
    y, x = ours[inner] - zero_point, theirs[inner] - zero_point
    if len(x) < 8 or np.abs(x).max() < 16:
        return 0.0
    found = float((x * y).sum() / (x * x).sum())
    return found if np.abs(y - found * x).max() <= 1.01 < np.abs(y - x).max() else 0.0


def permutation(pairs: Sequence[Pair]) -> str:
    """How the right values are in other places, in words; empty if they are not."""
    if not pairs or any(not np.array_equal(np.sort(o, None), np.sort(t, None)) for o, t in pairs):
        return ""
    if len(np.unique(pairs[0][1])) < 4:
        return ""
    ours = np.stack([o for o, _ in pairs])
    theirs = np.stack([t for _, t in pairs])
    names = {0: "batches", theirs.ndim - 2: "channels"}
    for axis in range(1, theirs.ndim):
        name = names.get(axis - 1, "rows" if axis == 2 else "columns" if axis == 3 else "elements")
        size = theirs.shape[axis]
        for shift in (1, -1):
            if np.array_equal(ours, np.roll(theirs, shift, axis)):
                return f"its {name} are rotated by one"
        if size > 1 and np.array_equal(ours, np.flip(theirs, axis)):
            return f"its {name} are in the reverse order"
        pairwise = np.arange(size) ^ 1
        pairwise[pairwise >= size] = size - 1
        if size > 1 and np.array_equal(ours, np.take(theirs, pairwise, axis)):
            return f"its {name} 2k and 2k + 1 are exchanged"
    return "the right values in other places"


def whole_rows(mask: NDArray[np.bool_]) -> str:
    """In words: how the differences lie. For a report, where no cause explains them."""
    total, count = mask.size, int(mask.sum())
    if not count:
        return "nowhere"
    if found := edges(mask):
        return "only at the edges: " + ", ".join(found)
    channel = one_channel(mask)
    if channel is not None:
        return f"only in channel {channel} (of {mask.shape[-1]})"
    if count == total:
        return "in every element"
    run = one_run(mask)
    if run is not None:
        return f"in one run of elements, {run[0]} to {run[1]} in memory's order"
    return f"in {count} of {total} elements, without a pattern"


def unfinished(pairs: Sequence[Pair]) -> str:
    """Whether all elements from one on hold one value, where they should not, and those before are
    right: in words; empty if not."""
    ours, theirs = (np.stack([pair[k].ravel() for pair in pairs]) for k in (0, 1))
    wrong = np.flatnonzero((ours != theirs).any(axis=0))
    if not len(wrong) or wrong[0] == 0:
        return ""
    start, size = int(wrong[0]), ours.shape[1]
    end, right = ours[:, start:], theirs[:, start:]
    if (end != end[0, 0]).any() or np.unique(right).size < _VALUES or len(wrong) < _VALUES:
        return ""
    return (
        f"only its first {start} of {size} elements are computed, all behind them hold "
        f"{end[0, 0]:g}"
    )
