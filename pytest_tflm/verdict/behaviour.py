"""How a board behaves as a whole: whether it repeats itself, and whether what it answers is what a
known fault of firmware would answer. Each finding predicts the board's outputs exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_tflm.compare.distance import gap_of, same
from pytest_tflm.errors import BoardError, InterpreterError, ModelError, NotSupported
from pytest_tflm.model.transform.cut import cut_operator
from pytest_tflm.verdict.evidence import Evidence, Fact, experiment
from pytest_tflm.verdict.localise import chosen, observed
from pytest_tflm.verdict.positions import limits

if TYPE_CHECKING:
    from pytest_tflm.model import Model
    from pytest_tflm.runtime.base import Arrays, Host

_REPETITIONS = 7
"""An odd number: a fault may come every few runs."""
_WITNESSES = 4
"""Samples with which it is tried whether the end of the input matters."""
_WITH_RESETS = 16
"""Samples with which it is tried whether a reset does anything."""
_MOST_STEPS = 3
_TELLING = 16
"""So many bytes that are found elsewhere, half of them of different values, are no chance."""
_REPLAYED = 64
"""How many of the inputs before the failure are run again, of a model without state."""


@dataclass(frozen=True, eq=False)
class Repeats:
    """``runs`` is one sample again and again, or for a stream all samples from a reset. ``later``
    pairs the outputs of equal inputs, the later ones first: after other inputs, or in the order in
    which the run had them."""

    runs: tuple[tuple[Arrays, ...], ...]
    later: tuple[tuple[str, Arrays, Arrays], ...]

    @property
    def is_steady(self) -> bool:
        """All of them were equal."""
        return not self.text

    @property
    def text(self) -> str:
        """What differed, in words; empty if nothing did."""
        parts = []
        again = gap_of(
            [arrays for run in self.runs[1:] for arrays in run],
            [arrays for _ in self.runs[1:] for arrays in self.runs[0]],
        )
        if not again.is_none or not all(_same_run(run, self.runs[0]) for run in self.runs):
            what = "one input" if len(self.runs[0]) == 1 else "the same inputs"
            parts.append(f"{what} run {len(self.runs)} times: {again.describe()}")
        for words in dict.fromkeys(words for words, _, _ in self.later):
            pairs = [(a, b) for each, a, b in self.later if each == words and not same(a, b)]
            if pairs:
                gap = gap_of([a for a, _ in pairs], [b for _, b in pairs])
                parts.append(f"{words}: {gap.describe()}")
        return "; ".join(parts)


def _same_run(first: Sequence[Arrays], second: Sequence[Arrays]) -> bool:
    return all(same(a, b) for a, b in zip(first, second, strict=True))


@experiment
def board_repeats(evidence: Evidence) -> Repeats:
    """Whether the board repeats itself: again, after other inputs, in the order of the run."""
    found = _repeats(evidence, evidence.board)
    first_pass = evidence.outputs["board"]
    if evidence.model.is_stream:
        words = "the same inputs from a reset later"
        again = zip(found.runs[0], first_pass, strict=True)
        return Repeats(found.runs, tuple((words, new, old) for new, old in again))
    later = [*found.later, ("the same input later", found.runs[0][0], first_pass[0])]
    if evidence.history and evidence.board.takes_models:
        later += _replayed(evidence)
    return Repeats(found.runs, tuple(later))


@experiment
def tflm_repeats(evidence: Evidence) -> Repeats:
    """The same of host TFLM."""
    assert evidence.row.tflm is not None
    return _repeats(evidence, evidence.row.tflm)


def _repeats(evidence: Evidence, host: Host) -> Repeats:
    model, samples = evidence.model, evidence.samples
    if model.is_stream:
        runs = [tuple(host.attempt(model, samples).outputs()) for _ in range(3)]
        return Repeats(tuple(runs), ())
    made = host.attempt(model, [*[samples[0]] * _REPETITIONS, *samples[1:], samples[0]]).outputs()
    return Repeats(
        tuple((arrays,) for arrays in made[:_REPETITIONS]),
        (("the same input after other inputs", made[-1], made[0]),),
    )


def _replayed(evidence: Evidence) -> list[tuple[str, Arrays, Arrays]]:
    """What the run gave the board last, in its order, after the model was sent anew: each input
    that was there before, with what it gave then."""
    evidence.board.load(evidence.model).reload()
    history = evidence.history[-_REPLAYED:]
    made = evidence.board.attempt(evidence.model, history).outputs()
    known = {
        _bytes(sample): outputs
        for sample, outputs in zip(evidence.samples, evidence.outputs["board"], strict=True)
    }
    pairs = []
    for number, (sample, outputs) in enumerate(zip(history, made, strict=True)):
        words = "the same input in the order of the tests"
        if not number:
            words = "the same input in the first run after the model was loaded"
        pairs.append((words, outputs, known.setdefault(_bytes(sample), outputs)))
    return pairs


def _bytes(sample: Arrays) -> bytes:
    return b"".join(array.tobytes() for array in sample)


@dataclass(frozen=True)
class Unsteady(Fact):
    """Equal inputs gave other outputs; ``drifts``: with each run, always moving the same way, by at
    most ``step`` LSB a run. ``order``: only after other inputs. ``place``: the one element of the
    outputs that moves, in words."""

    text: str
    runs: int
    drifts: bool
    order: bool
    step: int = 0
    place: str = ""


@experiment
def unsteady(evidence: Evidence) -> Unsteady | None:
    """What kind of unsteady the board is, where host TFLM is not."""
    seen = board_repeats(evidence)
    if seen.is_steady or is_unsteady_by_design(evidence):
        return None
    outputs = [_flat(run) for run in seen.runs]
    steps = [b - a for a, b in pairwise(outputs)]
    signs = {int(s) for step in steps for s in np.sign(step) if s}
    drifts = all(step.any() for step in steps) and len(signs) == 1
    largest = max(int(np.abs(step).max()) for step in steps) if drifts else 0
    order = not any(step.any() for step in steps)
    moving = np.flatnonzero(np.any(steps, axis=0))
    place = ""
    if drifts and len(moving) == 1 and len(outputs[0]) > 1 and len(seen.runs[0]) == 1:
        place = f"element {moving[0]} of {len(outputs[0])}"
    return Unsteady(seen.text, len(outputs), drifts, order, largest, place)


@experiment
def unsteady_operators(evidence: Evidence) -> tuple[str, ...]:
    """The operators that do not repeat themselves when they run alone on the board, another input
    between: their titles."""
    step = evidence.step("board")
    if not evidence.board.takes_models or step is None:
        return ()
    found = []
    for operator in evidence.model.operators:
        try:
            cut = cut_operator(evidence.model, operator.index)
            given = [tuple(o.tensors[i] for i in cut.inputs) for o in observed(evidence)]
            other = tuple(
                np.invert(a) if a.dtype.kind in "iub" else np.asarray(1 - a, a.dtype)
                for a in given[0]
            )
            runs = [given[0], other, given[0], given[-1], given[0]]
            made = evidence.board.attempt(cut.model, runs).outputs()
        except (ModelError, BoardError, InterpreterError, KeyError):
            continue
        if not cut.model.is_stream and not (same(made[0], made[2]) and same(made[0], made[4])):
            found.append(f"{operator.name} (operator {operator.index})")
    return tuple(found)


def is_unsteady_by_design(evidence: Evidence) -> bool:
    """Host TFLM does not repeat itself on this model either."""
    if evidence.row.tflm is None or "tflm" not in evidence.outputs:
        return False
    return not tflm_repeats(evidence).is_steady


@dataclass(frozen=True)
class StateKept(Fact):
    """The board, told to reset its state before each of ``samples`` inputs, answers exactly as a
    correct one that is never told; ``gap`` to one that is."""

    gap: str
    samples: int


@experiment
def state_kept(evidence: Evidence) -> StateKept | None:
    """Whether a reset leaves the model's state as it is."""
    model = evidence.model
    samples = (evidence.samples * _WITH_RESETS)[:_WITH_RESETS]  # a short stream tells little
    runtime = evidence.board.load(model)
    if not model.is_stream or not evidence.board.takes_models:
        return None
    runtime.reload()
    mine = []
    for sample in samples:
        runtime.reset_state()
        mine.append(runtime.run(sample).arrays)
    oracle, _ = evidence.oracle
    never = oracle.attempt(model, samples).outputs()
    always = oracle.attempt(model, samples, reset_between=True).outputs()
    if evidence.alike(mine, always) or not evidence.alike(mine, never):
        return None
    return StateKept(gap_of(mine, always).describe(), len(samples))


@experiment
def is_cured_by_loading(evidence: Evidence) -> bool:
    """The board, sent the model anew, gives the outputs of the first run again; a reset of the
    state does not bring that about."""
    if not evidence.model.is_stream or not evidence.board.takes_models:
        return False
    evidence.board.load(evidence.model).reload()
    again = evidence.board.attempt(evidence.model, evidence.samples).outputs()
    return evidence.alike(again, evidence.outputs["board"])


@experiment
def is_right_at_first(evidence: Evidence) -> bool:
    """A wrong sample is right in the first run after the model was loaded, and wrong again behind
    others."""
    step = evidence.step("board")
    if step is None or evidence.model.is_stream or not evidence.board.takes_models:
        return False
    order = chosen(evidence, step)
    worst = order[0]
    evidence.board.load(evidence.model).reload()
    runs = [evidence.samples[i] for i in (worst, *order[1:], worst)]
    made = evidence.board.attempt(evidence.model, runs).outputs()
    return evidence.alike(made[:1], step.trusted[worst : worst + 1]) and not evidence.alike(
        made[-1:], made[:1]
    )


@experiment
def is_wrong_at_first(evidence: Evidence) -> bool:
    """A sample is wrong in the first run after the model was loaded, and right in those after it,
    twice over."""
    if evidence.model.is_stream or not evidence.board.takes_models:
        return False
    sample = evidence.samples[0]
    (right,) = evidence.oracle[0].attempt(evidence.model, [sample]).outputs()
    for _ in range(2):
        evidence.board.load(evidence.model).reload()
        first, *later = evidence.board.attempt(evidence.model, [sample] * 3).outputs()
        if evidence.alike([first], [right]) or not evidence.alike(later, [right] * 2):
            return False
    return True


@experiment
def steps_for_each_input(evidence: Evidence) -> int:
    """How many steps the state goes for each input, if that is more than one and explains the
    outputs; 0 if it does not."""
    if not evidence.model.is_stream:
        return 0
    for count in range(2, _MOST_STEPS + 1):
        repeated = [sample for sample in evidence.samples for _ in range(count)]
        made = evidence.oracle[0].attempt(evidence.model, repeated).outputs()
        if evidence.alike(made[count - 1 :: count], evidence.outputs["board"]):
            return count
    return 0


@dataclass(frozen=True)
class Elsewhere(Fact):
    """The board's first output holds the bytes of the tensor ``tensor`` (index) from byte
    ``offset`` on, in each of ``samples``."""

    tensor: int
    offset: int
    samples: int


@experiment
def read_elsewhere(evidence: Evidence) -> Elsewhere | None:
    """Whether the board's outputs are the bytes of an input."""
    step = evidence.step("board")
    if step is None or not evidence.differs("board"):
        return None
    got = [arrays[0].tobytes() for arrays in step.suspect]
    for position, tensor in enumerate(evidence.model.inputs):
        held = [sample[position].tobytes() for sample in evidence.samples]
        if (offset := _found_in(got, held)) >= 0:
            return Elsewhere(tensor.index, offset, len(got))
    return None


def _found_in(got: Sequence[bytes], held: Sequence[bytes]) -> int:
    """Where in ``held`` the bytes of ``got`` are, in all samples; -1 if they are not, or if it may
    be by chance."""
    together = b"".join(got)
    if len(set(got)) < 2 or len(together) < _TELLING or len(set(together)) < _TELLING // 2:
        return -1
    size, offset = len(got[0]), -1
    while (offset := held[0].find(got[0], offset + 1)) >= 0:
        if all(h[offset : offset + size] == g for g, h in zip(got, held, strict=True)):
            return offset
    return -1


@dataclass(frozen=True)
class InputReused(Fact):
    """``changed`` of ``size`` bytes of the input tensors are others after Invoke."""

    changed: int
    size: int


@experiment
def input_reused(evidence: Evidence) -> InputReused | None:
    """Whether Invoke leaves something else in the input tensors than was written there."""
    sample = evidence.samples[0]
    runtime = evidence.board.load(evidence.model)
    runtime.run(sample)
    try:
        left = runtime.read_inputs()
    except NotSupported:
        return None
    size = sum(array.nbytes for array in sample)
    changed = sum(
        int(np.count_nonzero(np.frombuffer(a.tobytes(), "u1") != np.frombuffer(b.tobytes(), "u1")))
        for a, b in zip(sample, left, strict=True)
    )
    return InputReused(changed, size) if changed else None


@dataclass(frozen=True)
class Constant(Fact):
    """All ``samples`` give the same outputs, which have these ``values`` (the first four)."""

    values: tuple[float, ...]
    samples: int


def constant(got: Sequence[Arrays]) -> Constant | None:
    """Whether all outputs are the same."""
    if len(got) < 2 or any(not same(each, got[0]) for each in got):
        return None
    values = sorted({float(v) for array in got[0] for v in np.unique(array)})
    return Constant(tuple(int(v) if v.is_integer() else v for v in values[:4]), len(got))


@dataclass(frozen=True)
class Stale(Fact):
    """``count`` of ``samples`` outputs are those of the run before. If that is not all of them, it
    is where the input and the one before it begin with ``prefix`` equal bytes or more, or
    (``by_sum``) where their bytes have one sum, or in every second run (``by_turns``); 0 and False
    if none of them tells."""

    count: int
    samples: int
    prefix: int = 0
    by_sum: bool = False
    by_turns: bool = False


@experiment
def stale(evidence: Evidence) -> Stale | None:
    """Whether each wrong output is that of the input before it."""
    got, want = evidence.outputs["board"], evidence.outputs[evidence.oracle[1]]
    runs = range(len(got))
    old = [i > 0 and same(got[i], got[i - 1]) and not same(want[i], got[i]) for i in runs]
    behind = [i > 0 and same(got[i], want[i - 1]) for i in runs]
    if len(got) > 2 and all(behind[1:]):
        return Stale(len(got) - 1, len(got) - 1)
    right = [evidence.alike([g], [w]) for g, w in zip(got, want, strict=True)]
    if not any(old) or not all(a or b for a, b in zip(old, right, strict=True)):
        return None
    if not _is_kept(evidence, old.index(True)):
        return None
    data = [_bytes(sample) for sample in evidence.samples]
    # Where right outputs are equal anyway, nothing can be told.
    told = [i for i in runs if i and not same(want[i], want[i - 1])]
    shared = {i: _shared(data[i], data[i - 1]) for i in told}
    least = min(shared[i] for i in told if old[i])
    most = max((shared[i] for i in told if not old[i]), default=0)
    by_sum = all(sum(data[i]) == sum(data[i - 1]) for i in told if old[i])
    prefix = least if least > most else 0
    if prefix or by_sum:
        return Stale(sum(old), len(got) - 1, prefix, by_sum and not prefix)
    return Stale(sum(old), len(got) - 1, by_turns=len(told) > 4 and _in_turns(told, old))


def _in_turns(told: Sequence[int], old: Sequence[bool]) -> bool:
    """All of every second run, and none between."""
    return any(all(old[i] == (i % 2 == turn) for i in told) for turn in (0, 1))


def _is_kept(evidence: Evidence, index: int) -> bool:
    """The wrong output for a sample is another one if another input ran before it."""
    sample = evidence.samples[index]
    other = tuple(
        np.invert(array) if array.dtype.kind in "iub" else np.asarray(1 - array, array.dtype)
        for array in sample
    )
    made = evidence.board.attempt(evidence.model, [other, sample]).outputs()
    return not same(made[1], evidence.outputs["board"][index])


def _shared(first: bytes, second: bytes) -> int:
    """How many bytes two inputs begin with in common."""
    differing = np.flatnonzero(np.frombuffer(first, "u1") != np.frombuffer(second, "u1"))
    return int(differing[0]) if len(differing) else len(first)


@dataclass(frozen=True)
class StaleTail(Fact):
    """The last ``count`` of ``size`` elements of output ``output`` are those of the run before."""

    output: int
    count: int
    size: int


def stale_tail(got: Sequence[Arrays], want: Sequence[Arrays]) -> StaleTail | None:
    """Whether the end of an output, and nothing else, is that of the sample before."""
    for output in range(len(got[0])):
        ours = np.stack([each[output].ravel() for each in got])
        theirs = np.stack([each[output].ravel() for each in want])
        if not _equal(ours[1:], theirs[1:]).all():
            break
    else:
        return None
    differing = np.flatnonzero(~_equal(ours[1:], theirs[1:]).all(axis=0))
    start, size = int(differing[0]), ours.shape[1]
    before = [_equal(ours[1:, start:], each[:-1, start:]).all() for each in (theirs, ours)]
    if start == 0 or not any(before) or len(got) < 3 or (ours[:, start:] == ours[0, start:]).all():
        return None
    # One element that happens to be what it was is no tail.
    if int((~_equal(theirs[1:, start:], theirs[:-1, start:])).sum()) < 3:
        return None
    return StaleTail(output, size - start, size)


@dataclass(frozen=True)
class ConstantTail(Fact):
    """The last ``count`` of ``size`` elements of output ``output`` are the same in all runs, and
    begin with ``values`` (the first four); they should not be."""

    output: int
    count: int
    size: int
    values: tuple[float, ...]


def constant_tail(got: Sequence[Arrays], want: Sequence[Arrays]) -> ConstantTail | None:
    """Whether the end of one output never changes, and all else is right."""
    found = None
    for output in range(len(got[0])):
        ours = np.stack([each[output].ravel() for each in got])
        theirs = np.stack([each[output].ravel() for each in want])
        wrong = np.flatnonzero(~_equal(ours, theirs).all(axis=0))
        if not len(wrong):
            continue
        start, size = int(wrong[0]), ours.shape[1]
        end = ours[:, start:]
        varies = int((~_equal(theirs[1:, start:], theirs[0, start:])).sum())
        if found is not None or start == 0 or varies < 3 or not _equal(end, end[0]).all():
            return None
        values = tuple(float(value) for value in end[0][:4])
        found = ConstantTail(output, size - start, size, values)
    return found


def _equal(a: Any, b: Any) -> Any:
    return (a == b) | ((a != a) & (b != b))


def exchanged(got: Sequence[Arrays], want: Sequence[Arrays]) -> list[int] | None:
    """Which output each output really is, if that explains all; None else."""
    count = len(got[0])
    order = []
    for index in range(count):
        fits = [
            other
            for other in range(count)
            if all(same((g[index],), (w[other],)) for g, w in zip(got, want, strict=True))
        ]
        if not fits:
            return None
        order.append(index if index in fits else fits[0])
    return order if order != list(range(count)) else None


def clipped(got: Sequence[Arrays], want: Sequence[Arrays]) -> tuple[int, int] | None:
    """The lowest and highest code, if clipping to them makes the board's outputs."""
    pairs = [(g, w) for a, b in zip(got, want, strict=True) for g, w in zip(a, b, strict=True)]
    if any(g.shape != w.shape or g.dtype.kind not in "iu" for g, w in pairs):
        return None
    found = limits(pairs)
    info = np.iinfo(str(pairs[0][0].dtype))
    return found if found != (int(info.min), int(info.max)) else None


@dataclass(frozen=True)
class Ignored(Fact):
    """The board's outputs do not depend on the last ``count`` of ``size`` elements of ``input``."""

    input: str
    count: int
    size: int

    @property
    def element(self) -> int:
        """The first that is ignored."""
        return self.size - self.count


@experiment
def ignored_input(evidence: Evidence) -> Ignored | None:
    """The end of an input that the board's outputs do not depend on, while they should."""
    model, samples = evidence.model, evidence.samples[:_WITNESSES]
    oracle, _ = evidence.oracle
    probe = _Probe(model, samples, evidence.board, oracle)
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
        return Ignored(model.inputs[position].name, size - high, size)
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
        mine = self.board.attempt(self.model, flat).outputs()
        if any(not same(a, b) for a, b in zip(mine[::2], mine[1::2], strict=True)):
            return False
        theirs = self.oracle.attempt(self.model, flat).outputs()
        changes = sum(not same(a, b) for a, b in zip(theirs[::2], theirs[1::2], strict=True))
        return 3 * changes >= 2 * len(pairs)


def _changed(sample: Arrays, position: int, start: int, mask: int) -> Arrays:
    """The sample with other codes, far from those that there are, from an element on."""
    flat = sample[position].ravel().copy()
    flat[start:] ^= flat.dtype.type(mask)
    arrays = list(sample)
    arrays[position] = flat.reshape(sample[position].shape)
    return tuple(arrays)


def _flat(run: Sequence[Arrays]) -> Any:
    arrays = [array for each in run for array in each]
    kind = np.float64 if any(a.dtype.kind == "f" for a in arrays) else np.int64
    with np.errstate(invalid="ignore"):
        return np.nan_to_num(np.concatenate([a.ravel().astype(kind) for a in arrays]))
