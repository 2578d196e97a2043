"""Whether inputs or outputs are changed around Invoke: by the firmware, not by the model.

Each change that is known is done here on purpose, to what a correct runtime is given or computes:
if that makes exactly the board's outputs, the board does so. And a model that only copies its
input to its output is sent to the board: what comes back is what was done around Invoke.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_tflm.compare.distance import same
from pytest_tflm.errors import BoardError, InterpreterError, ModelError
from pytest_tflm.verdict.behaviour import clipped
from pytest_tflm.verdict.evidence import Evidence, Fact, experiment
from pytest_tflm.verdict.localise import chosen

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_tflm.model import Tensor
    from pytest_tflm.runtime.base import Arrays

    Change = Callable[[Tensor, NDArray[Any]], NDArray[Any] | None]

_COPIES = ("RESHAPE", "CONCATENATION")
"""Operators that copy. Two, since the kernel of one may be what is wrong."""
_ENDS = (1, 2, 3, 4)
"""How many bytes at an end are tried; more of them are looked for in another way."""


def _sign_flipped(tensor: Tensor, codes: NDArray[Any]) -> NDArray[Any] | None:
    if codes.dtype.kind not in "iu":
        return None
    unsigned = np.dtype(f"u{codes.dtype.itemsize}")
    highest = unsigned.type(1 << (8 * codes.dtype.itemsize - 1))
    return np.asarray(codes.view(unsigned) ^ highest).view(codes.dtype)


def _swapped(tensor: Tensor, codes: NDArray[Any]) -> NDArray[Any] | None:
    return codes.byteswap() if codes.dtype.itemsize > 1 else None


def _mapped(rule: Callable[[Any, float, int], Any]) -> Change:
    """A change of each code ``c`` of a tensor with a scale and a zero point, clamped."""

    def change(tensor: Tensor, codes: NDArray[Any]) -> NDArray[Any] | None:
        if codes.dtype.kind not in "iu" or not tensor.scale or tensor.zero_point is None:
            return None
        made = rule(codes.astype(np.float64), tensor.scale, tensor.zero_point)
        low, high = tensor.code_range
        return np.asarray(np.clip(made, low, high)).astype(codes.dtype)

    return change


def _half_away(x: Any) -> Any:
    return np.copysign(np.floor(np.abs(x) + 0.5), x)


def _flattened(rule: Callable[[NDArray[Any]], NDArray[Any]]) -> Change:
    return lambda tensor, codes: rule(codes.ravel()).reshape(codes.shape)


def _shifted(count: int, edge: object, flat: NDArray[Any]) -> NDArray[Any]:
    made: NDArray[Any] = np.roll(flat, count)
    if edge is not None and len(flat) > abs(count):
        part = slice(0, count) if count > 0 else slice(count, None)
        made[part] = flat[0 if count > 0 else -1] if edge == "edge" else 0
    return made


def _channels_reversed(tensor: Tensor, codes: NDArray[Any]) -> NDArray[Any] | None:
    return codes[..., ::-1].copy() if codes.ndim > 1 and codes.shape[-1] > 1 else None


def _planes(tensor: Tensor, codes: NDArray[Any]) -> NDArray[Any] | None:
    """Channels first in memory, where they should come last."""
    if codes.ndim != 4 or codes.shape[-1] < 2:
        return None
    return np.ascontiguousarray(codes.transpose(0, 3, 1, 2)).reshape(codes.shape)


def _rows_and_columns(tensor: Tensor, codes: NDArray[Any]) -> NDArray[Any] | None:
    """Columns in memory where rows should be."""
    if codes.ndim != 4 or 1 in codes.shape[1:3]:
        return None
    return np.ascontiguousarray(codes.transpose(0, 2, 1, 3)).reshape(codes.shape)


def _end(first: bool, count: int, code: str) -> Change:
    def change(tensor: Tensor, codes: NDArray[Any]) -> NDArray[Any] | None:
        data = bytearray(codes.tobytes())
        if len(data) < 2 * count:
            return None
        value = {"0": 0, "255": 255, "the zero point": (tensor.zero_point or 0) & 0xFF}[code]
        part = slice(0, count) if first else slice(len(data) - count, len(data))
        data[part] = bytes([value] * count)
        return np.frombuffer(bytes(data), codes.dtype).reshape(codes.shape)

    return change


def _known() -> Iterator[tuple[str, Change]]:
    """What is done to codes, in words, the likeliest first."""
    yield "the highest bit of each code is inverted (int8 taken for uint8: XOR 0x80)", _sign_flipped
    yield "the bytes of each code are swapped (byte order)", _swapped
    for words, rule in (
        ("codes are quantised again: c becomes c / scale + zero point",
         lambda c, s, z: _half_away(c / s) + z),
        ("codes are quantised again, truncated: c becomes c / scale + zero point",
         lambda c, s, z: np.trunc(c / s) + z),
        ("codes are dequantised: c becomes (c - zero point) * scale",
         lambda c, s, z: np.trunc((c - z) * s)),
        ("the zero point is added to each code", lambda c, s, z: c + z),
        ("the zero point is subtracted from each code", lambda c, s, z: c - z),
        ("codes are halved", lambda c, s, z: np.floor(c / 2)),
        ("the lowest bit of each code is 0", lambda c, s, z: np.floor(c / 2) * 2),
        ("codes are negated", lambda c, s, z: -c),
    ):  # fmt: skip
        yield words, _mapped(rule)
    for first in (False, True):
        for count in _ENDS:
            for code in ("0", "255", "the zero point"):
                end = "first" if first else "last"
                what = f"the {end} byte is" if count == 1 else f"the {end} {count} bytes are"
                yield f"{what} {code}", _end(first, count, code)
    yield "channels are in the reverse order (RGB and BGR)", _channels_reversed
    yield "channels come first in memory, where they should come last", _planes
    yield "rows and columns of the image are exchanged", _rows_and_columns
    yield "elements are in the reverse order", _flattened(lambda flat: flat[::-1])
    yield "the two halves are exchanged", _flattened(lambda flat: np.roll(flat, flat.size // 2))
    for count in (1, 2, 4, -1, -2, -4):
        for words, edge in (
            ("those at the end come first", None),
            ("the one at the edge is repeated", "edge"),
            ("0 at the edge", 0),
        ):
            toward = "end" if count > 0 else "start"
            yield (
                f"elements are shifted by {abs(count)}, toward the {toward}; {words}",
                _flattened(functools.partial(_shifted, count, edge)),
            )


@dataclass(frozen=True)
class Changed(Fact):
    """``what`` (``inputs`` or ``outputs``) are changed around Invoke, and how; ``is_proven``: that
    makes exactly the board's outputs. ``how`` is empty where it is not known."""

    what: str
    how: str
    is_proven: bool


def _each(tensors: Sequence[Tensor], run: Sequence[Arrays], change: Change) -> list[Arrays] | None:
    """A run's arrays with the change in all tensors that it applies to; None if that is none of
    them, or if it changes nothing."""
    made, touched = [], False
    for sample in run:
        arrays = []
        for tensor, array in zip(tensors, sample, strict=True):
            changed = change(tensor, array)
            touched |= changed is not None and changed.tobytes() != array.tobytes()
            arrays.append(array if changed is None else changed)
        made.append(tuple(arrays))
    return made if touched else None


@experiment
def changed(evidence: Evidence) -> Changed | None:
    """Which known change of inputs or outputs makes exactly the board's outputs; else what the
    copying model shows."""
    model = evidence.model
    oracle, key = evidence.oracle
    got, want = evidence.outputs["board"], evidence.outputs[key]
    if (order := _exchanged(evidence)) is not None:
        return Changed("inputs", f"they are exchanged: input i gets input {order}[i]", True)
    copy = copied(evidence)
    if copy is not None and copy.is_exact:
        return None  # nothing is done around Invoke
    if copy is not None and copy.stale is not None:
        return _stale_part(evidence, *copy.stale)
    for words, change in _known():
        if copy is not None and not copy.fits(change, model.inputs[0]):
            continue
        outputs = _each(model.outputs, want, change)
        if outputs is not None and evidence.alike(outputs, got):
            return Changed("outputs", words, True)
        inputs = _each(model.inputs, evidence.samples, change)
        if inputs is None:
            continue
        # The first sample tells most changes from the truth.
        try:
            made = oracle.attempt(model, inputs[:2]).outputs()
            if evidence.alike(made, got[:2]):
                made = oracle.attempt(model, inputs).outputs()
                if evidence.alike(made, got):
                    return Changed("inputs", words, True)
        except InterpreterError:
            continue
    if copy is None or copy.is_constant or copy.limits or copy.ignores:
        return None
    if (found := _by_map(evidence, copy) or _by_offsets(evidence, copy)) is not None:
        return found
    words = copy.map or copy.offset_words or copy.order_words or copy.place_words
    return Changed("inputs or outputs", words, False)


def _by_map(evidence: Evidence, copy: Copied) -> Changed | None:
    """The map of codes that the copying model shows, done to the outputs, or to the inputs."""
    known = copy.codes
    model, (_, key) = evidence.model, evidence.oracle
    if not known or len({tensor.dtype for tensor in (*model.inputs, *model.outputs)}) > 1:
        return None

    def mapped(run: Sequence[Arrays]) -> list[Arrays]:
        return [
            tuple(
                np.array([known.get(c, c) for c in array.ravel().tolist()], array.dtype).reshape(
                    array.shape
                )
                for array in sample
            )
            for sample in run
        ]

    if evidence.alike(mapped(evidence.outputs[key]), evidence.outputs["board"]):
        return Changed("outputs", copy.map, True)
    return _with_inputs(evidence, mapped(evidence.samples), copy.map)


def _by_offsets(evidence: Evidence, copy: Copied) -> Changed | None:
    """What is added to each element of the copying model's input, added to the first input."""
    offsets = copy.offsets
    if offsets is None or evidence.samples[0][0].shape != offsets.shape:
        return None
    low, high = evidence.model.inputs[0].code_range
    given = [
        (np.clip(first.astype(np.int64) + offsets, low, high).astype(first.dtype), *others)
        for first, *others in evidence.samples
    ]
    return _with_inputs(evidence, given, copy.offset_words)


def _with_inputs(evidence: Evidence, given: Sequence[Arrays], words: str) -> Changed | None:
    """A correct board, given these inputs, computes the board's outputs."""
    try:
        made = evidence.oracle[0].attempt(evidence.model, given).outputs()
    except InterpreterError:
        return None
    if evidence.alike(made, evidence.outputs["board"]):
        return Changed("inputs", words, True)
    return None


def _exchanged(evidence: Evidence) -> list[int] | None:
    """An order of the inputs that makes exactly the board's outputs."""
    tensors = evidence.model.inputs
    kinds = [(tensor.dtype, tensor.shape) for tensor in tensors]
    if not 2 <= len(tensors) <= 4 or len(set(kinds)) == len(kinds):
        return None
    for order in itertools.permutations(range(len(tensors))):
        if list(order) == sorted(order) or any(kinds[i] != kinds[k] for i, k in enumerate(order)):
            continue
        given = [tuple(sample[k] for k in order) for sample in evidence.samples]
        try:
            made = evidence.oracle[0].attempt(evidence.model, given).outputs()
        except InterpreterError:
            return None
        if evidence.alike(made, evidence.outputs["board"]):
            return list(order)
    return None


def _stale_part(evidence: Evidence, start: int, stop: int) -> Changed | None:
    """Whether a part of the first input, from element ``start`` to ``stop``, is that of the run
    before."""
    mixed = []
    for before, sample in pairwise(evidence.samples):
        flat = sample[0].ravel().copy()
        flat[start:stop] = before[0].ravel()[start:stop]
        mixed.append((flat.reshape(sample[0].shape), *sample[1:]))
    size = evidence.samples[0][0].size
    if stop - start == size or not mixed or evidence.model.is_stream:
        return None
    try:
        made = evidence.oracle[0].attempt(evidence.model, mixed).outputs()
    except InterpreterError:
        return None
    if not evidence.alike(made, evidence.outputs["board"][1:]):
        return None
    which = f"elements {start} to {stop - 1} of {size}"
    if stop == size:
        which = f"the last {size - start} of {size} elements"
    return Changed("inputs", f"{which} are those of the run before", True)


@dataclass(frozen=True, eq=False)
class Copied:
    """What was ``sent`` through a model that only copies, and what was ``got``, run by run."""

    sent: tuple[NDArray[Any], ...]
    got: tuple[NDArray[Any], ...]

    @property
    def is_exact(self) -> bool:
        """Nothing is changed around Invoke."""
        return same(self.sent, self.got)

    def fits(self, change: Change, tensor: Tensor) -> bool:
        """The change makes what came back."""
        made = [change(tensor, each) for each in self.sent]
        return all(m is not None and same((m,), (g,)) for m, g in zip(made, self.got, strict=True))

    @property
    def is_constant(self) -> bool:
        """What comes back does not depend on what is sent."""
        if all(same((each,), self.sent[:1]) for each in self.sent):
            return False  # nobody knows
        return all(same((each,), self.got[:1]) for each in self.got)

    @property
    def stale(self) -> tuple[int, int] | None:
        """The elements, from the first on and up to the second, that are those of the run before
        in what comes back; None if there are none, or others are wrong as well."""
        if len(self.sent) < 2:
            return None
        sent, got = (np.stack([each.ravel() for each in row]) for row in (self.sent, self.got))
        wrong = np.flatnonzero((sent[1:] != got[1:]).any(axis=0))
        if not len(wrong):
            return None
        start, stop = int(wrong[0]), int(wrong[-1]) + 1
        is_old = np.array_equal(got[1:, start:stop], sent[:-1, start:stop])
        return (start, stop) if is_old else None

    @property
    def is_old(self) -> bool:
        """All that comes back is what was sent before."""
        return self.stale == (0, self.sent[0].size)

    @property
    def offsets(self) -> NDArray[np.int64] | None:
        """What is added to each element, of the input's shape; None if that is not the same in all
        runs, or nothing."""
        if self.sent[0].dtype.kind not in "iu":
            return None
        info = np.iinfo(str(self.sent[0].dtype))
        sent, got = (np.stack(row).astype(np.int64) for row in (self.sent, self.got))
        inside = (got > info.min) & (got < info.max)
        by = np.where(inside, got - sent, 0)
        added: NDArray[np.int64] = np.where(
            np.abs(by.max(axis=0)) > np.abs(by.min(axis=0)), by.max(axis=0), by.min(axis=0)
        )
        is_exact = np.array_equal(np.clip(sent + added, info.min, info.max), got)
        return added if is_exact and added.any() else None

    @property
    def offset_words(self) -> str:
        """The same in words; empty if there are none."""
        offsets = self.offsets
        if offsets is None:
            return ""
        flat = offsets.ravel()
        places = np.flatnonzero(flat)
        values = np.unique(flat[places])
        by = f"{values[0]:+d}" if len(values) == 1 else f"{values[0]:+d} to {values[-1]:+d}"
        steps = np.unique(np.diff(places))
        if len(places) == flat.size:
            return f"{by} is added to each element"
        if len(steps) == 1 and steps[0] > 1:
            each = {2: "second", 3: "third", 4: "fourth"}.get(int(steps[0]), f"{steps[0]}th")
            return f"{by} is added to each {each} element, from element {places[0]} on"
        shown = ", ".join(map(str, places[:4].tolist()))
        return f"{by} is added to {len(places)} of {flat.size} elements (element {shown} …)"

    @property
    def order(self) -> NDArray[np.int64] | None:
        """For each element the one that it was before, where all are only in another order."""
        rows = (self.sent, self.got)
        sent, got = (np.stack([each.ravel() for each in row], axis=1) for row in rows)
        places = {each.tobytes(): k for k, each in enumerate(sent)}
        found = [places.get(each.tobytes(), -1) for each in got]
        if len(places) < len(sent) or sorted(found) != list(range(len(sent))):
            return None
        return np.array(found)

    @property
    def order_words(self) -> str:
        """The same in words; empty if they are not."""
        order = self.order
        if order is None:
            return ""
        shown = ", ".join(map(str, order[:6].tolist()))
        return f"elements are in another order: what comes first are elements {shown} …"

    @property
    def place_words(self) -> str:
        """Which elements come back changed; empty if (nearly) all do."""
        sent, got = (np.stack([each.ravel() for each in row]) for row in (self.sent, self.got))
        wrong = np.flatnonzero((sent != got).any(axis=0))
        if 2 * len(wrong) > sent.shape[1]:
            return ""
        which = f"element {wrong[0]}" if len(wrong) == 1 else f"elements {wrong[0]} to {wrong[-1]}"
        held = np.unique(got[:, wrong])
        what = f" and hold{'s' * (len(wrong) == 1)} {held[0]:g}" if len(held) == 1 else ""
        return f"only {which} of {sent.shape[1]} differ{'s' * (len(wrong) == 1)}{what}"

    @property
    def limits(self) -> tuple[int, int] | None:
        """The codes that it is clipped to."""
        return clipped([(g,) for g in self.got], [(s,) for s in self.sent])

    @property
    def ignores(self) -> int:
        """How many elements at the end are the same in all that came back, while others differ."""
        flat = np.stack([each.ravel() for each in self.got])
        varying = np.flatnonzero((flat != flat[0]).any(axis=0))
        last = int(varying[-1]) + 1 if len(varying) else 0
        return flat.shape[1] - last if last else 0

    @property
    def codes(self) -> dict[float, float]:
        """What became of each code; empty if not the same everywhere."""
        found: dict[float, float] = {}
        for s, g in zip(self.sent, self.got, strict=True):
            for code, became in zip(s.ravel().tolist(), g.ravel().tolist(), strict=True):
                if found.setdefault(code, became) != became:
                    return {}
        return found

    @property
    def map(self) -> str:
        """The same in words; empty if there is none."""
        found = self.codes
        if not found:
            return ""
        changed = [(a, b) for a, b in sorted(found.items()) if a != b]
        shown = ", ".join(f"{a} becomes {b}" for a, b in changed[:: max(1, len(changed) // 4)][:4])
        return f"the same map of codes everywhere: {shown}"


@experiment
def copied(evidence: Evidence) -> Copied | None:
    """What becomes of the first input in a model that only copies it; None where the board runs no
    such model."""
    from pytest_tflm.model import model_from_bytes
    from pytest_tflm.model.graph import TYPES

    tensor = evidence.model.inputs[0]
    if not evidence.board.takes_models or tensor.nbytes == 0 or tensor.dtype not in TYPES:
        return None
    step = evidence.step("board")
    worst = chosen(evidence, step)[:2] if step is not None else [0, 1]
    sent = [np.asarray(evidence.samples[i][0]) for i in worst if i < len(evidence.samples)]
    sent += _patterns(tensor)
    found = None
    for operator in _COPIES:
        try:
            copy = model_from_bytes(_copying(tensor, operator), "a copy of the input")
            made = evidence.board.attempt(copy, [(each,) for each in sent]).outputs()
            right = evidence.oracle[0].attempt(copy, [(each,) for each in sent]).outputs()
        except (BoardError, ModelError, InterpreterError):
            continue
        one = Copied(tuple(a[0] for a in right), tuple(a[0] for a in made))
        if one.is_exact:
            return one  # whatever else is wrong: a kernel that copies, perhaps
        found = found or one
    return found


def _patterns(tensor: Tensor) -> list[NDArray[Any]]:
    """Inputs in which each code occurs, and no two elements are alike in all of them (as far as
    65 536 elements can be told apart); of floats, random ones."""
    if tensor.dtype == "float32":
        rng = np.random.default_rng(0)
        return [rng.normal(0, 1, tensor.shape).astype(np.float32) for _ in range(3)]
    if tensor.dtype not in ("int8", "uint8", "int16", "int32"):
        return []
    place = np.arange(tensor.size, dtype=np.int64)
    rows = [place, (place >> 8) + 3 * place, np.random.default_rng(0).permutation(place) * 7]
    return [row.reshape(tensor.shape).astype(tensor.dtype) for row in rows]


def _copying(tensor: Tensor, operator: str) -> bytes:
    """A RESHAPE to the same shape, or a CONCATENATION of one."""
    from pytest_tflm.model.graph import Graph

    graph = Graph()
    quantisation = (tensor.scale, tensor.zero_point or 0) if tensor.scale else (None, 0)
    source = graph.tensor("x", tensor.shape, tensor.dtype, *quantisation)
    shape = graph.tensor(
        "shape", (len(tensor.shape),), "int32", data=np.array(tensor.shape, np.int32)
    )
    output = graph.tensor("y", tensor.shape, tensor.dtype, *quantisation)
    if operator == "RESHAPE":
        graph.operator("RESHAPE", (source, shape), (output,), "ReshapeOptions")
    else:
        graph.operator("CONCATENATION", (source,), (output,), "ConcatenationOptions", version=2)
    return graph.finish((source,), (output,))
