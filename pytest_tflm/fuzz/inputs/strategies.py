"""Strategies for the inputs of a model: what its tensors may hold, and what real samples look like.

::

    from hypothesis import given
    from pytest_tflm.fuzz import inputs

    @given(inputs.samples(model, real=samples))
    def test_it(sample): ...

A tensor is one of :data:`PATTERNS`, filled by numpy from a seed that is drawn: one of a
thousand elements costs as much to draw as one of four. What Hypothesis can shrink lies around that:
a window outside of which all is at the zero point, and how far codes may be from the zero point.
Both shrink to nothing, the pattern to a constant: toward the zero point, then toward fewer distinct
elements. :mod:`pytest_tflm.fuzz.shrink` goes on with single elements.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from hypothesis import strategies as st

from pytest_tflm.errors import SampleError
from pytest_tflm.model import Tensor
from pytest_tflm.model.quantise import quantize_array

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn
    from numpy.random import Generator
    from numpy.typing import NDArray

    from pytest_tflm.model import Model

    Array = NDArray[Any]
    Sample = tuple[NDArray[Any], ...]


class RealSamples(Protocol):
    """Samples as ``Model.quantize`` takes them: a list, or :mod:`pytest_tflm.record.samples`."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> object: ...


_SEEDS = st.integers(0, 2**24 - 1)
_WHOLE = 4
"""A window is drawn from so many times the tensor's size and cut off there: most are whole."""
_LARGEST_INDEX = 9
"""Integers of 32 or 64 bits without a scale are mostly indices, which kernels do not check."""


@dataclass(frozen=True)
class Range:
    """What an input tensor may hold: ``low`` to ``high`` (codes; values of a float tensor), and
    where it is at rest, the zero point."""

    low: float
    high: float
    rest: float
    dtype: np.dtype[Any]

    @property
    def is_float(self) -> bool:
        return self.dtype.kind == "f"

    def array(self, values: Array) -> Array:
        """``values`` (any numbers) as codes or values of this range: rounded down, clipped."""
        if not self.is_float:
            values = np.floor(values)
        clipped: Array = np.clip(values, self.low, self.high).astype(self.dtype)
        return clipped


def range_of(tensor: Tensor, real: Sequence[Array] = ()) -> Range:
    """The range of an input tensor. ``real`` has its arrays in real samples, which say how large a
    float and what an index is. Raises SampleError for a type that numpy has no numbers for."""
    try:
        dtype = np.dtype(tensor.dtype)
    except TypeError:
        dtype = np.dtype(object)
    if dtype.kind == "b":
        return Range(0, 1, 0, dtype)
    if dtype.kind == "f":
        largest = max((float(np.abs(a[np.isfinite(a)]).max(initial=0.0)) for a in real), default=0)
        reach = 2 * largest or 4.0
        return Range(-reach, reach, 0.0, dtype)
    if dtype.kind not in "iu":
        raise SampleError(
            f"input {tensor.name!r} is {tensor.dtype}: examples of that cannot be made."
        )
    if tensor.scale is None and dtype.itemsize > 2:
        low = min((int(a.min(initial=0)) for a in real), default=0)
        high = max((int(a.max(initial=0)) for a in real), default=0) or _LARGEST_INDEX
        return Range(low, high, min(max(0, low), high), dtype)
    limits = np.iinfo(dtype)
    zero_point = min(max(tensor.zero_point or 0, int(limits.min)), int(limits.max))
    return Range(int(limits.min), int(limits.max), zero_point, dtype)


# Each takes the range, the number of elements, a seeded generator, and the tensor; it gives values
# of any type, which are rounded down and clipped.


def _constant(r: Range, size: int, random: Generator, tensor: Tensor) -> Array:
    return np.full(size, _some(r, random, 1)[0])


def _sparse(r: Range, size: int, random: Generator, tensor: Tensor) -> Array:
    values = np.full(size, r.rest, np.float64)
    places = random.integers(0, max(1, size), int(2 ** random.uniform(0, np.log2(size / 8 + 2))))
    values[places] = _some(r, random, len(places))
    return values


def _neighbours(r: Range, size: int, random: Generator, tensor: Tensor) -> Array:
    step = _step(r)
    near: Array = r.rest + step * random.integers(-1, 2, size)
    return near


def _extremes(r: Range, size: int, random: Generator, tensor: Tensor) -> Array:
    step = _step(r)
    ends = np.array([r.low, r.high, r.low, r.high, r.rest, r.rest - step, r.rest + step])
    chosen: Array = random.choice(ends[: int(random.choice([2, 5, 7]))], size)
    return chosen


def _steps(r: Range, size: int, random: Generator, tensor: Tensor) -> Array:
    places = np.sort(random.integers(0, size + 1, random.integers(1, 4)))
    return _some(r, random, len(places) + 1)[np.searchsorted(places, np.arange(size), "right")]


def _ramp(r: Range, size: int, random: Generator, tensor: Tensor) -> Array:
    span = r.high - r.low + _step(r)
    slope = random.choice([-1, 1]) * 2 ** random.uniform(-3, 4) * _step(r)
    start = random.uniform(0, span)
    ramp: Array = r.low + (start + slope * np.arange(size)) % span
    return ramp


def _sine(r: Range, size: int, random: Generator, tensor: Tensor) -> Array:
    """A sine with noise, in real units and quantised as TFLite does it where there is a scale."""
    amplitude = (r.high - r.low) / 2 * random.uniform(0.05, 1.2)
    angle = 2 * np.pi * (random.uniform(0.2, size / 4 + 1) * np.arange(size) / max(1, size))
    values = amplitude * np.sin(angle + random.uniform(0, 7))
    values += random.normal(0, amplitude * random.choice([0, 0.05, 0.3]), size)
    return _quantised(r, values + random.choice([0, (r.low + r.high) / 2 - r.rest]), tensor)


def _noise(r: Range, size: int, random: Generator, tensor: Tensor) -> Array:
    width = (r.high - r.low) * 2 ** random.uniform(-7, -0.5)
    return _quantised(r, random.normal(0, width, size), tensor)


def _uniform(r: Range, size: int, random: Generator, tensor: Tensor) -> Array:
    return _some(r, random, size)


def _some(r: Range, random: Generator, count: int) -> Array:
    if r.is_float:
        return random.uniform(r.low, r.high, count)
    return random.integers(int(r.low), int(r.high), count, endpoint=True)


def _step(r: Range) -> float:
    return r.high / 256 if r.is_float else 1


def _quantised(r: Range, values: Array, tensor: Tensor) -> Array:
    """``values`` are counted in codes from the zero point."""
    if r.is_float or not tensor.scale:
        return r.rest + values
    return quantize_array(tensor, (values * tensor.scale).astype(np.float32))


_MADE: dict[str, Callable[[Range, int, Generator, Tensor], Array]] = {
    "constant": _constant,
    "sparse": _sparse,
    "neighbours": _neighbours,
    "steps": _steps,
    "extremes": _extremes,
    "ramp": _ramp,
    "sine": _sine,
    "noise": _noise,
    "uniform": _uniform,
}
PATTERNS = (*_MADE, "real", "mutated")
"""Simplest first, which is where Hypothesis shrinks to.

``constant``: one code. ``sparse``: the zero point but for some elements, one of them or an eighth.
``neighbours``: the zero point and the codes beside it. ``steps``: two to four codes, one after the
other. ``extremes``: the lowest and highest codes, the zero point and its neighbours. ``ramp``: in
equal steps, wrapping around. ``sine`` with noise and ``noise``: real values, quantised as TFLite
does. ``uniform``: independent codes. ``real``: a real sample. ``mutated``: a real sample, changed.
"""


def samples(
    model: Model, real: RealSamples = (), patterns: Sequence[str] = PATTERNS
) -> st.SearchStrategy[Sample]:
    """Samples for ``model``: a tuple with one array for each input, in its dtype and shape.

    ``real`` are samples as ``Model.quantize`` takes them, which are also given as they are and
    changed. Raises SampleError for inputs that cannot be made, and for ``real`` that do not fit.
    """
    return Maker(model, real).strategy(patterns)


@st.composite
def tensors(draw: DrawFn) -> Tensor:
    """Descriptions of a quantised input tensor of at most 64 elements: int8, uint8 or int16, a
    scale, a zero point (0 for int16, as TFLite wants it)."""
    dtype = draw(st.sampled_from(("int8", "uint8", "int16")))
    limits = np.iinfo(dtype)
    zero_points = st.just(0) if dtype == "int16" else st.integers(limits.min, limits.max)
    shape = (1, *draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)))
    scale = float(np.float32(2.0 ** draw(st.integers(-12, 4))))
    zero_point = draw(zero_points)
    return Tensor(0, "x", shape, None, dtype, scale, zero_point, (scale,), (zero_point,))


class Maker:
    """Makes samples of one model: drawn by Hypothesis (:meth:`strategy`), which can shrink them, or
    from one number (:meth:`sample`), which costs a tenth.

    ``real``: see :func:`samples`, also for what is raised.
    """

    def __init__(self, model: Model, real: RealSamples = ()) -> None:
        self._tensors = model.inputs
        self._real = real
        self._quantize = model.quantize
        shown = [model.quantize(real[i]) for i in range(min(len(real), 64))]
        self._ranges = [
            range_of(tensor, [sample[i] for sample in shown])
            for i, tensor in enumerate(model.inputs)
        ]

    def sample(self, number: int) -> Sample:
        """The sample of a number (0 or more): always the same for the same real samples."""
        random = np.random.default_rng(number)
        names = PATTERNS if len(self._real) else tuple(_MADE)
        base = int(random.integers(2**24))
        arrays = []
        for position, (tensor, r) in enumerate(zip(self._tensors, self._ranges, strict=True)):
            flat = self._filled(names[random.integers(len(names))], position, base, random)
            size, bound = tensor.size, random.random()
            if bound < 0.1 and size > 1:
                start, end = sorted(random.integers(0, size + 1, 2).tolist())
                flat = _within_window(r, flat, start, end)
            elif bound < 0.2:
                flat = _within_reach(r, flat, _span(r) * 2 ** random.uniform(-8, 0))
            arrays.append(flat.reshape(tensor.shape))
        return tuple(arrays)

    def mutant(self, sample: Sample, number: int) -> Sample:
        """``sample``, one of its inputs changed as real samples are; another one for each
        ``number``."""
        random = np.random.default_rng((number, 1))
        arrays = list(sample)
        position = int(random.integers(len(arrays)))
        flat = arrays[position].reshape(-1)
        other = self.sample(number)[position].reshape(-1)
        changed = mutated(flat, other, self._ranges[position], random)
        arrays[position] = changed.reshape(arrays[position].shape)
        return tuple(arrays)

    def strategy(self, patterns: Sequence[str] = PATTERNS) -> st.SearchStrategy[Sample]:
        """See :func:`samples`."""
        unknown = [name for name in patterns if name not in PATTERNS]
        if unknown:
            raise ValueError(f"no such patterns: {unknown}; there are {', '.join(PATTERNS)}")
        usable = [name for name in patterns if name in _MADE or len(self._real)]
        if not usable:
            raise ValueError("patterns 'real' and 'mutated' need real samples")
        names = st.sampled_from(usable)
        bounds = [
            (
                st.integers(0, _WHOLE * tensor.size),
                st.integers(0, _WHOLE * tensor.size),
                st.floats(0, 8, width=16) if r.is_float else st.integers(0, 8 * int(_span(r))),
            )
            for tensor, r in zip(self._tensors, self._ranges, strict=True)
        ]

        @st.composite
        def sample(draw: DrawFn) -> Sample:
            base = draw(_SEEDS)
            arrays = []
            for position, (tensor, r) in enumerate(zip(self._tensors, self._ranges, strict=True)):
                random = np.random.default_rng((base, position))
                flat = self._filled(draw(names), position, base, random)
                size = tensor.size
                ends, starts, reaches = bounds[position]
                end, start = min(size, draw(ends)), size - min(size, draw(starts))
                reach = draw(reaches) * (r.high if r.is_float else 1)
                flat = _within_window(r, _within_reach(r, flat, reach), start, end)
                arrays.append(flat.reshape(tensor.shape))
            return tuple(arrays)

        return sample()

    def _filled(self, name: str, position: int, base: int, random: Generator) -> Array:
        """An input's array, flat, by its pattern. ``base`` chooses the real sample, which is one
        for all inputs."""
        tensor, r = self._tensors[position], self._ranges[position]
        if not tensor.size:
            return np.empty(0, r.dtype)
        if name in _MADE:
            return r.array(_MADE[name](r, tensor.size, random, tensor))
        flat = self._real_array(base, position)
        if name == "mutated":
            other = self._real_array(int(random.integers(2**24)), position)
            flat = mutated(flat, other, r, random)
        return flat

    def _real_array(self, number: int, position: int) -> Array:
        sample = self._quantize(self._real[number % len(self._real)])
        return sample[position].reshape(-1)


def _within_reach(r: Range, flat: Array, reach: float) -> Array:
    """All of it at most ``reach`` away from the zero point."""
    if reach >= _span(r):
        return flat
    bounded: Array = np.clip(flat, max(r.low, r.rest - reach), min(r.high, r.rest + reach))
    return bounded.astype(r.dtype)


def _within_window(r: Range, flat: Array, start: int, end: int) -> Array:
    """The zero point but for the elements from ``start`` to before ``end``."""
    if start <= 0 and end >= flat.size:
        return flat
    whole = np.full(flat.size, r.rest, r.dtype)
    whole[start:end] = flat[start:end]
    return whole


def mutated(flat: Array, other: Array, r: Range, random: Generator) -> Array:
    """A real sample's array (flat, codes of the range ``r``) changed in one to three ways.
    ``other`` is that of another sample."""
    size = flat.size
    if size == 0:
        return flat
    values = flat.astype(np.float64)
    for _ in range(random.integers(1, 4)):
        way = random.integers(9)
        first = int(random.integers(size))
        last = min(size, first + int(2 ** random.uniform(0, np.log2(size) + 1)))
        if way <= 2:  # some elements, from one to all
            count = int(2 ** random.uniform(0, np.log2(size) + 0.01))
            places = random.integers(0, size, count)
            ends = np.array([r.low, r.high, r.rest])
            values[places] = random.choice(ends, count) if way < 2 else _some(r, random, count)
        elif way == 3:
            values[first:last] = random.choice([r.low, r.high, r.rest])
        elif way == 4:
            values = np.roll(values, first)
        elif way == 5:
            values = r.rest + (values - r.rest) * random.choice([-1, 0.5, 2, 8])
        elif way == 6:
            values += _step(r) * random.integers(-2, 3, size)
        elif way == 7:
            values[first:last] = other[first:last]
        else:
            values = values[::-1].copy()
    return r.array(values)


def _span(r: Range) -> float:
    return max(r.high - r.rest, r.rest - r.low)
