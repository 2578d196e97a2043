"""How a board behaves as a whole: whether it repeats itself, and whether what it answers is what a
known fault of firmware would answer. Each finding predicts the board's outputs exactly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_tflm.verdict.evidence import Fact, gap_of
from pytest_tflm.verdict.positions import limits
from pytest_tflm.verdict.target import has_state, outputs_of

if TYPE_CHECKING:
    from pytest_tflm.model import Model
    from pytest_tflm.runtime.base import Arrays
    from pytest_tflm.verdict.target import Target

REPETITIONS = 4


@dataclass(frozen=True)
class Repeats:
    """What :func:`repeats` saw. ``outputs``: one sample, again and again."""

    outputs: tuple[Arrays, ...]
    after_others: tuple[Arrays, Arrays]
    after_reset: tuple[Arrays, Arrays] | None

    @property
    def is_steady(self) -> bool:
        """All of them were equal."""
        return (
            all(_equal(each, self.outputs[0]) for each in self.outputs)
            and _equal(*self.after_others)
            and (self.after_reset is None or _equal(*self.after_reset))
        )

    @property
    def text(self) -> str:
        """What differed, in words; empty if nothing did."""
        parts = []
        if not all(_equal(each, self.outputs[0]) for each in self.outputs):
            gap = gap_of(self.outputs[1:], [self.outputs[0]] * (len(self.outputs) - 1))
            parts.append(f"one input run {len(self.outputs)} times: {gap.describe()}")
        if not _equal(*self.after_others):
            gap = gap_of([self.after_others[0]], [self.after_others[1]])
            parts.append(f"the same input after other inputs: {gap.describe()}")
        if self.after_reset is not None and not _equal(*self.after_reset):
            gap = gap_of([self.after_reset[0]], [self.after_reset[1]])
            parts.append(f"the same inputs after a reset of the state: {gap.describe()}")
        return "; ".join(parts)


def repeats(target: Target, model: Model, samples: Sequence[Arrays]) -> Repeats:
    """Run the first sample several times, then after the others, from the initial state each; and
    for a model with state two samples in a row, with a reset and then once more."""
    runtime = target.put(model)
    stateful = has_state(model)

    def run(sample: Arrays) -> Arrays:
        if stateful:
            runtime.reset_state()
        return runtime.run(sample).arrays

    first = [run(samples[0]) for _ in range(REPETITIONS)]
    for other in samples[1:]:
        run(other)
    after = run(samples[0])
    pair = None
    if stateful:
        runtime.reset_state()
        before = _sequence(runtime, samples)
        runtime.reset_state()
        again = _sequence(runtime, samples)
        pair = (again, before)
    return Repeats(tuple(first), (after, first[0]), pair)


def _sequence(runtime: Any, samples: Sequence[Arrays]) -> Arrays:
    outputs: list[Any] = []
    for sample in samples[:3]:
        outputs += runtime.run(sample).arrays
    return tuple(outputs)


def unsteady_facts(seen: Repeats) -> Iterator[Fact]:
    """What kind of unsteady a board is."""
    outputs = [_flat(each) for each in seen.outputs]
    steps = [b - a for a, b in pairwise(outputs)]
    changing = [step for step in steps if step.any()]
    signs = {int(s) for step in changing for s in np.sign(step) if s}
    if len(changing) == len(steps) and len(signs) == 1:
        largest = max(int(np.abs(step).max()) for step in steps)
        yield Fact("drift", {"step": largest, "runs": len(outputs)})
    elif changing:
        gap = gap_of(seen.outputs[1:], [seen.outputs[0]] * (len(outputs) - 1))
        yield Fact("unsteady", {"gap": gap.describe(), "runs": len(outputs)})
    else:
        yield Fact("unsteady", {"gap": seen.text, "runs": len(outputs)})


def whole_facts(
    model: Model, got: Sequence[Arrays], want: Sequence[Arrays], target: Target
) -> Iterator[Fact]:
    """Known faults of firmware that explain each output of a board (``got``) exactly, given those
    of a correct one (``want``); samples in the order in which they ran."""
    if (fact := _constant(got, want)) is not None:
        yield fact
        return
    if len(got) > 2 and all(_equal(a, b) for a, b in zip(got[1:], want[:-1], strict=True)):
        yield Fact("stale", {"samples": len(got) - 1})
        return
    if (order := _exchanged(got, want)) is not None:
        yield Fact("exchanged", {"order": order})
        return
    pairs = [(g, w) for a, b in zip(got, want, strict=True) for g, w in zip(a, b, strict=True)]
    if all(g.shape == w.shape for g, w in pairs):
        found = limits(pairs)
        if found is not None and found != _type_limits(pairs):
            yield Fact("clipped", {"low": found[0], "high": found[1], "where": "outputs"})


def ignored_input(model: Model, sample: Arrays, board: Target, oracle: Target) -> Fact | None:
    """The end of the input that a board's outputs do not depend on, while they should: the fact
    ``ignored`` with the first ignored ``element`` and how many are (``count`` of ``size``)."""
    for position, tensor in enumerate(sample):
        if tensor.size < 2 or tensor.dtype.kind not in "iu":
            continue
        flat = tensor.ravel()

        def changed(start: int, position: int = position, flat: Any = flat) -> Arrays:
            other = flat.copy()
            other[start:] = _another(other[start:])
            arrays = list(sample)
            arrays[position] = other.reshape(sample[position].shape)
            return tuple(arrays)

        def ignores(start: int, changed: Any = changed) -> bool:
            pair = [sample, changed(start)]
            mine = outputs_of(board, model, pair)
            return _equal(*mine) and not _equal(*outputs_of(oracle, model, pair))

        high = flat.size - 1
        probes = [s for s in sorted({flat.size - 4, flat.size - 16, flat.size // 2}) if s > 0]
        seen = next((s for s in reversed(probes) if ignores(s)), None)
        if seen is None:
            continue
        low, high = 0, seen  # ignores(high); find the first that it still ignores
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if ignores(middle) else (middle, high)
        return Fact(
            "ignored",
            {
                "input": model.inputs[position].name,
                "element": high,
                "count": flat.size - high,
                "size": flat.size,
            },
        )
    return None


def _another(codes: Any) -> Any:
    """Codes that are far from the ones that there are."""
    return (codes ^ codes.dtype.type(0x55)).astype(codes.dtype)


def _constant(got: Sequence[Arrays], want: Sequence[Arrays]) -> Fact | None:
    if len(got) < 2 or any(not _equal(each, got[0]) for each in got):
        return None
    if all(_equal(each, want[0]) for each in want):
        return None
    values = {
        int(v) if float(v).is_integer() else float(v) for array in got[0] for v in np.unique(array)
    }
    return Fact("constant", {"values": sorted(values)[:4], "samples": len(got)})


def _exchanged(got: Sequence[Arrays], want: Sequence[Arrays]) -> list[int] | None:
    """Which output each output really is, if that explains all; None else."""
    count = len(got[0])
    order = []
    for index in range(count):
        fits = [
            other
            for other in range(count)
            if all(
                g[index].shape == w[other].shape and g[index].tobytes() == w[other].tobytes()
                for g, w in zip(got, want, strict=True)
            )
        ]
        if not fits:
            return None
        order.append(index if index in fits else fits[0])
    return order if order != list(range(count)) else None


def _type_limits(pairs: Sequence[tuple[Any, Any]]) -> tuple[int, int]:
    info = np.iinfo(pairs[0][0].dtype)
    return int(info.min), int(info.max)


def _flat(arrays: Arrays) -> Any:
    kind = np.float64 if any(a.dtype.kind == "f" for a in arrays) else np.int64
    return np.concatenate([a.ravel().astype(kind) for a in arrays])


def _equal(a: Arrays, b: Arrays) -> bool:
    return len(a) == len(b) and all(
        x.shape == y.shape and x.tobytes() == y.tobytes() for x, y in zip(a, b, strict=True)
    )
