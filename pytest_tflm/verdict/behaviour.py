"""How a board behaves as a whole: whether it repeats itself, and whether what it answers is what a
known fault of firmware would answer. Each finding predicts the board's outputs exactly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_tflm.compare.distance import gap_of, same
from pytest_tflm.runtime.base import outputs_of
from pytest_tflm.verdict.evidence import Fact
from pytest_tflm.verdict.positions import limits

if TYPE_CHECKING:
    from pytest_tflm.model import Model
    from pytest_tflm.runtime.base import Arrays, Host

REPETITIONS = 4
WITNESSES = 4
"""Samples with which it is tried whether the end of the input matters."""


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
            all(same(each, self.outputs[0]) for each in self.outputs)
            and same(*self.after_others)
            and (self.after_reset is None or same(*self.after_reset))
        )

    @property
    def text(self) -> str:
        """What differed, in words; empty if nothing did."""
        parts = []
        if not all(same(each, self.outputs[0]) for each in self.outputs):
            gap = gap_of(self.outputs[1:], [self.outputs[0]] * (len(self.outputs) - 1))
            parts.append(f"one input run {len(self.outputs)} times: {gap.describe()}")
        if not same(*self.after_others):
            gap = gap_of([self.after_others[0]], [self.after_others[1]])
            parts.append(f"the same input after other inputs: {gap.describe()}")
        if self.after_reset is not None and not same(*self.after_reset):
            gap = gap_of([self.after_reset[0]], [self.after_reset[1]])
            parts.append(f"the same inputs after a reset of the state: {gap.describe()}")
        return "; ".join(parts)


def repeats(target: Host, model: Model, samples: Sequence[Arrays]) -> Repeats:
    """Run the first sample several times, then after the others, from the initial state each; and
    for a model with state two samples in a row, with a reset and then once more."""
    runtime = target.load(model)
    stateful = model.is_stream

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
    model: Model, got: Sequence[Arrays], want: Sequence[Arrays], target: Host
) -> Iterator[Fact]:
    """Known faults of firmware that explain each output of a board (``got``) exactly, given those
    of a correct one (``want``); samples in the order in which they ran."""
    if (fact := _constant(got, want)) is not None:
        yield fact
        return
    if len(got) > 2 and all(same(a, b) for a, b in zip(got[1:], want[:-1], strict=True)):
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


def ignored_input(
    model: Model, samples: Sequence[Arrays], board: Host, oracle: Host
) -> Fact | None:
    """The end of the input that a board's outputs do not depend on, while they should: the fact
    ``ignored`` with the first ignored ``element`` and how many are (``count`` of ``size``)."""
    probe = _Probe(model, samples[:WITNESSES], board, oracle)
    for position, tensor in enumerate(samples[0]):
        if tensor.size < 2 or tensor.dtype.kind not in "iu":
            continue
        size = tensor.size
        starts = sorted({size - 4, size - 16, size // 2}, reverse=True)
        seen = next((s for s in starts if s > 0 and probe.ignores(position, s)), None)
        if seen is None:
            continue
        low, high = 0, seen  # it ignores what is from high on; the first such is looked for
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if probe.ignores(position, middle) else (middle, high)
        name = model.inputs[position].name
        values = {"input": name, "element": high, "count": size - high, "size": size}
        return Fact("ignored", values)
    return None


@dataclass(frozen=True)
class _Probe:
    model: Model
    samples: Sequence[Arrays]
    board: Host
    oracle: Host

    def ignores(self, position: int, start: int) -> bool:
        """Another end of the input never changes the board's outputs, and changes those of a
        correct one most of the time. (One LSB more or less may be chance, with one input.)"""
        pairs = [
            (sample, _changed(sample, position, start, mask))
            for sample in self.samples
            for mask in (0x55, 0x2A)
        ]
        flat = [arrays for pair in pairs for arrays in pair]
        mine = outputs_of(self.board, self.model, flat)
        if any(not same(a, b) for a, b in zip(mine[::2], mine[1::2], strict=True)):
            return False
        theirs = outputs_of(self.oracle, self.model, flat)
        changes = sum(not same(a, b) for a, b in zip(theirs[::2], theirs[1::2], strict=True))
        return 3 * changes >= 2 * len(pairs)


def _changed(sample: Arrays, position: int, start: int, mask: int) -> Arrays:
    """The sample with other codes, far from those that there are, from an element on."""
    flat = sample[position].ravel().copy()
    flat[start:] ^= flat.dtype.type(mask)
    arrays = list(sample)
    arrays[position] = flat.reshape(sample[position].shape)
    return tuple(arrays)


def _constant(got: Sequence[Arrays], want: Sequence[Arrays]) -> Fact | None:
    if len(got) < 2 or any(not same(each, got[0]) for each in got):
        return None
    if all(same(each, want[0]) for each in want):
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
