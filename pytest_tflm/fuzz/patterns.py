"""What a tensor may hold: patterns of codes (or of values, in a float tensor) that kernels get
wrong.

An array is one of :data:`PATTERNS`. Of a constant Hypothesis draws the code. The others are filled
by numpy from a seed that is drawn: one of a thousand elements costs as much to draw as one of four.
What can shrink lies around that: a window outside of which all is at rest, and how far elements may
be from there. All shrinks toward the rest value everywhere, :mod:`~.reduce` goes on with single
elements.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from hypothesis import strategies as st

from pytest_tflm.model.quantise import quantize_array

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn
    from numpy.random import Generator
    from numpy.typing import NDArray

    from pytest_tflm.model import Tensor

    Array = NDArray[Any]

_T = TypeVar("_T")

SEEDS = 2**24
_WHOLE = 8
"""A window is drawn from so many times the tensor's size and cut off there: most are whole. The
same of how far codes may be from the rest value."""

# Making a strategy costs more than drawing from it: these are kept.


@functools.lru_cache(maxsize=4096)
def whole(low: int, high: int) -> st.SearchStrategy[int]:
    """Integers from ``low`` to ``high``, both included."""
    return st.integers(low, high)


@functools.lru_cache(maxsize=1024)
def _one_of(options: tuple[Any, ...], types: tuple[type, ...]) -> st.SearchStrategy[Any]:
    return st.sampled_from(options)


def one_of(options: Sequence[_T]) -> st.SearchStrategy[_T]:
    """One of ``options``, the simplest first."""
    # 1 and 1.0 are one key, and not one option
    return _one_of(tuple(options), tuple(map(type, options)))


@dataclass(frozen=True)
class Range:
    """What a tensor may hold: ``low`` to ``high`` (codes; values of a float tensor), and where it
    is at rest. ``tensor`` says how real values become codes."""

    low: float
    high: float
    rest: float
    dtype: np.dtype[Any]
    tensor: Tensor | None = None

    @classmethod
    def of(cls, dtype: str, rest: int = 0, limits: tuple[int, int] | None = None) -> Range:
        """Of an integer type; ``limits`` are both included, None for all that the type has."""
        kind = np.dtype(dtype)
        low, high = limits or (int(np.iinfo(kind).min), int(np.iinfo(kind).max))
        return cls(low, high, min(max(rest, low), high), kind)

    @property
    def is_float(self) -> bool:
        return self.dtype.kind == "f"

    @property
    def span(self) -> float:
        """How far an element may be from the rest value."""
        return max(self.high - self.rest, self.rest - self.low)

    @property
    def step(self) -> float:
        """One code; of floats, which have none, a fine part of the range."""
        return self.high / 256 if self.is_float else 1

    def array(self, values: Array) -> Array:
        """``values`` (any numbers) as codes or values of this range: rounded down, clipped."""
        if not self.is_float and values.dtype.kind == "f":
            values = np.floor(values)
        clipped: Array = np.clip(values, self.low, self.high).astype(self.dtype)
        return clipped

    def some(self, random: Generator, count: int) -> Array:
        """Independent codes or values."""
        if self.is_float:
            return random.uniform(self.low, self.high, count)
        return random.integers(int(self.low), int(self.high), count, endpoint=True)

    def quantised(self, values: Array) -> Array:
        """``values`` counted in codes from the rest value, as real values that are quantised."""
        if self.is_float or self.tensor is None or not self.tensor.scale:
            return self.rest + values
        return quantize_array(self.tensor, (values * self.tensor.scale).astype(np.float32))


# Each takes the range, the number of elements and a seeded generator; it gives values of any type,
# which are rounded down and clipped.


def _constant(r: Range, size: int, random: Generator) -> Array:
    return np.full(size, r.some(random, 1)[0])


def _sparse(r: Range, size: int, random: Generator) -> Array:
    values = np.full(size, r.rest, np.float64)
    places = random.integers(0, size, int(2 ** random.uniform(0, np.log2(size / 8 + 2))))
    values[places] = r.some(random, len(places))
    return values


def _neighbours(r: Range, size: int, random: Generator) -> Array:
    near: Array = r.rest + r.step * random.integers(-1, 2, size)
    return near


def _extremes(r: Range, size: int, random: Generator) -> Array:
    ends = np.array([r.low, r.high, r.low, r.high, r.rest, r.rest - r.step, r.rest + r.step])
    chosen: Array = random.choice(ends[: int(random.choice([2, 5, 7]))], size)
    return chosen


def _steps(r: Range, size: int, random: Generator) -> Array:
    places = np.sort(random.integers(0, size + 1, random.integers(1, 4)))
    return r.some(random, len(places) + 1)[np.searchsorted(places, np.arange(size), "right")]


def _ramp(r: Range, size: int, random: Generator) -> Array:
    slope = random.choice([-1, 1]) * 2 ** random.uniform(-3, 4) * r.step
    return _walk(r, size, random, slope)


def _sweep(r: Range, size: int, random: Generator) -> Array:
    return _walk(r, size, random, r.step)


def _walk(r: Range, size: int, random: Generator, slope: float) -> Array:
    span = r.high - r.low + r.step
    start = random.uniform(0, span) if r.is_float else int(random.integers(int(span)))
    walk: Array = r.low + (start + slope * np.arange(size)) % span
    return walk


def _sine(r: Range, size: int, random: Generator) -> Array:
    amplitude = (r.high - r.low) / 2 * random.uniform(0.05, 1.2)
    angle = 2 * np.pi * (random.uniform(0.2, size / 4 + 1) * np.arange(size) / max(1, size))
    values = amplitude * np.sin(angle + random.uniform(0, 7))
    values += random.normal(0, amplitude * random.choice([0, 0.05, 0.3]), size)
    return r.quantised(values + random.choice([0, (r.low + r.high) / 2 - r.rest]))


def _noise(r: Range, size: int, random: Generator) -> Array:
    width = (r.high - r.low) * 2 ** random.uniform(-7, -0.5)
    return r.quantised(random.normal(0, width, size))


def _uniform(r: Range, size: int, random: Generator) -> Array:
    return r.some(random, size)


_FILLS: dict[str, Callable[[Range, int, Generator], Array]] = {
    "constant": _constant,
    "sparse": _sparse,
    "neighbours": _neighbours,
    "steps": _steps,
    "extremes": _extremes,
    "ramp": _ramp,
    "sweep": _sweep,
    "sine": _sine,
    "noise": _noise,
    "uniform": _uniform,
}
PATTERNS = tuple(_FILLS)
"""Simplest first, which is where Hypothesis shrinks to.

``constant``: one code. ``sparse``: the rest value but for some elements, one of them or an eighth.
``neighbours``: the rest value and the codes beside it. ``steps``: two to four codes, one after the
other. ``extremes``: the lowest and highest codes, the rest value and its neighbours. ``ramp``: in
equal steps, wrapping around. ``sweep``: as many different codes as there are elements, in order.
``sine`` with noise and ``noise``: real values, quantised as TFLite does. ``uniform``: independent
codes.
"""


def filled(pattern: str, r: Range, size: int, random: Generator) -> Array:
    """An array of ``size`` elements, flat, in the range's dtype."""
    return r.array(_FILLS[pattern](r, size, random)) if size else np.empty(0, r.dtype)


def drawn(
    draw: DrawFn,
    r: Range,
    size: int,
    names: Sequence[str] = PATTERNS,
    fill: Callable[[str, Range, int, Generator], Array] = filled,
) -> Array:
    """An array of one of the patterns ``names``, flat, in the range's dtype. ``fill`` makes them,
    as :func:`filled` does."""
    pattern = draw(one_of(names))
    span = int(r.span / r.step)
    if pattern == PATTERNS[0]:
        offset = draw(whole(int((r.low - r.rest) / r.step), int((r.high - r.rest) / r.step)))
        flat = r.array(np.full(size, r.rest + r.step * offset))
    else:
        flat = fill(pattern, r, size, np.random.default_rng(draw(whole(0, SEEDS - 1))))
        flat = within_reach(r, flat, r.step * draw(whole(0, _WHOLE * span)))
    end = draw(whole(0, _WHOLE * size))
    return within_window(r, flat, size - draw(whole(0, _WHOLE * size)), end)


def within_reach(r: Range, flat: Array, reach: float) -> Array:
    """All of it at most ``reach`` away from the rest value."""
    if reach >= r.span:
        return flat
    clipped: Array = np.clip(flat, max(r.low, r.rest - reach), min(r.high, r.rest + reach))
    return clipped.astype(r.dtype)


def within_window(r: Range, flat: Array, start: int, end: int) -> Array:
    """The rest value but for the elements from ``start`` to before ``end``."""
    if start <= 0 and end >= flat.size:
        return flat
    found = np.full(flat.size, r.rest, r.dtype)
    start = max(start, 0)
    found[start:end] = flat[start:end]
    return found


def codes(
    draw: DrawFn,
    dtype: str,
    shape: Sequence[int],
    zero_point: int = 0,
    limits: tuple[int, int] | None = None,
) -> Array:
    """An array of ``shape`` and the integer type ``dtype``, codes within ``limits`` (both included;
    None for all that the type has)."""
    return drawn(draw, Range.of(dtype, zero_point, limits), math.prod(shape)).reshape(tuple(shape))
