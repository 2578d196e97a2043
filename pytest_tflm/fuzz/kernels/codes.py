"""Strategies for the contents of a quantised tensor: codes that kernels get wrong.

A tensor is drawn as a pattern with a few parameters and not element by element: Hypothesis then has
little to shrink, and a tensor of a thousand elements costs as much to draw as one of four. Every
pattern shrinks toward the zero point everywhere.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn

    from pytest_tflm.model import Model, Tensor

Codes = NDArray[Any]
Sample = tuple[NDArray[Any], ...]
"""One array for each input of a model."""

_T = TypeVar("_T")

PATTERNS = (
    "constant",
    "one hot",
    "zero point neighbours",
    "sparse",
    "extremes",
    "ramp",
    "uniform",
    "sweep",
)
"""Simplest first, which is where Hypothesis shrinks to.

``constant``: one code everywhere. ``one hot``: the zero point but for one element. ``zero point
neighbours``: the zero point and the codes beside it. ``sparse``: the zero point but for up to four
elements. ``extremes``: the lowest and highest codes. ``ramp``: from one code on in equal steps,
wrapping around. ``uniform``: independent codes. ``sweep``: as many different codes as there are
elements, in order, from any code on.
"""

_SWEEP_SAMPLES = 16
_LONGER = {"zero point neighbours": 2, "extremes": 3, "ramp": 3, "uniform": 5, "sweep": 5}

# Making a strategy costs more than drawing from it: these are kept.


@functools.lru_cache(maxsize=4096)
def whole(low: int, high: int) -> st.SearchStrategy[int]:
    """Integers from ``low`` to ``high``, both included."""
    return st.integers(low, high)


@functools.lru_cache(maxsize=1024)
def _one_of(options: tuple[Any, ...], types: tuple[type, ...]) -> st.SearchStrategy[Any]:
    return st.sampled_from(options)


def one_of(options: tuple[_T, ...]) -> st.SearchStrategy[_T]:
    """One of ``options``, the simplest first."""
    return _one_of(options, tuple(map(type, options)))  # 1 and 1.0 are one key, and not one option


_SEEDS = whole(0, 2**16 - 1)


def longer(draw: DrawFn, choices: int) -> None:
    """Draw for nothing. To Hypothesis the simpler of two examples is the one of fewer choices; so
    what is less simple and needs fewer is made to need more."""
    for _ in range(choices):
        draw(whole(0, 1))


def codes(
    dtype: str,
    shape: Sequence[int],
    zero_point: int = 0,
    limits: tuple[int, int] | None = None,
) -> st.SearchStrategy[Codes]:
    """Arrays of ``shape`` and the integer type ``dtype``, codes within ``limits`` (both included;
    None for all that the type has)."""
    return st.composite(draw_codes)(dtype, tuple(shape), zero_point, limits)


def draw_codes(
    draw: DrawFn,
    dtype: str,
    shape: Sequence[int],
    zero_point: int = 0,
    limits: tuple[int, int] | None = None,
) -> Codes:
    """One of :func:`codes`."""
    low, high = limits or _range(dtype)
    zero_point = min(max(zero_point, low), high)
    size = math.prod(shape)
    offsets = whole(low - zero_point, high - zero_point)
    places = whole(0, 1023)  # whatever the size: it stays valid while the shape shrinks
    values = np.full(size, zero_point, np.int64)
    pattern = draw(one_of(PATTERNS))
    longer(draw, _LONGER.get(pattern, 0))
    if pattern == "constant":
        values += draw(offsets)
    elif pattern == "one hot":
        place = draw(places) % max(size, 1)
        values[place : place + 1] += draw(offsets)
    elif pattern == "sparse":
        for _ in range(draw(whole(0, 4))):
            place = draw(places) % max(size, 1)
            values[place : place + 1] = zero_point + draw(offsets)
    elif pattern == "zero point neighbours":
        values += np.random.default_rng(draw(_SEEDS)).integers(-1, 2, size)
    elif pattern == "extremes":
        values = np.random.default_rng(draw(_SEEDS)).choice(np.array([low, high]), size)
    elif pattern == "uniform":
        values = np.random.default_rng(draw(_SEEDS)).integers(low, high + 1, size)
    else:
        step = 1 if pattern == "sweep" else draw(whole(-17, 17))
        values = (zero_point + draw(offsets) - low + step * np.arange(size)) % (high - low + 1)
        values += low
    found: Codes = np.clip(values, low, high).astype(dtype).reshape(tuple(shape))
    return found


def draw_reals(
    draw: DrawFn, shape: Sequence[int], scale: float, zero_point: int, dtype: str
) -> Codes:
    """float32 values that ``dtype`` codes of ``scale`` and ``zero_point`` stand for: on a code,
    between two, just beside the middle, and beyond the range."""
    whole = draw_codes(draw, dtype, shape, zero_point).astype(np.float64) - zero_point
    fraction = draw(one_of((0.0, 0.5, -0.5, 0.25, 0.4999999, 0.5000001)))
    stretch = draw(one_of((1.0, 1.0, 1.0, 1.5, 1e6)))
    values = (whole + np.where(whole == 0, 0.0, fraction)) * stretch * scale
    return values.astype(np.float32)


def draw_contents(draw: DrawFn, tensor: Tensor, becomes: Tensor) -> Codes:
    """What one input tensor may hold; a float tensor, what QUANTIZE makes codes of ``becomes``
    of."""
    if tensor.dtype == "float32":
        scale, zero_point = becomes.scale or 1.0, becomes.zero_point or 0
        return draw_reals(draw, tensor.shape, scale, zero_point, becomes.dtype)
    return draw_codes(draw, tensor.dtype, tensor.shape, tensor.zero_point or 0)


@st.composite
def sample_lists(draw: DrawFn, model: Model, most: int = 4) -> list[Sample]:
    """Samples for a model, in the order in which they shall run: a few drawn independently, or
    several that together sweep all codes of a type of 8 bits."""
    tensors, becomes = model.inputs, model.outputs[0]
    if draw(one_of((False, True))):
        longer(draw, 4 + 3 * len(tensors))
        return _sweep(tensors, becomes, draw(whole(0, 255)), 2 * draw(whole(0, 8)) + 1)
    count = draw(whole(1, most))
    return [tuple(draw_contents(draw, tensor, becomes) for tensor in tensors) for _ in range(count)]


def _sweep(tensors: Sequence[Tensor], becomes: Tensor, start: int, step: int) -> list[Sample]:
    """Samples that together hold every code of 8 bits in each input, or as many as are allowed."""
    size = max((tensor.size for tensor in tensors), default=1)
    count = min(_SWEEP_SAMPLES, -(-256 // max(1, size)))
    return [
        tuple(
            _swept(tensor, becomes, start, step**position, number)
            for position, tensor in enumerate(tensors)
        )
        for number in range(count)
    ]


def _swept(tensor: Tensor, becomes: Tensor, start: int, step: int, number: int) -> Codes:
    """The ``number``-th piece of a walk through all codes of ``tensor``'s type."""
    at = number * tensor.size + np.arange(tensor.size)
    if tensor.dtype == "float32":
        steps = (start + step * at) % 1024 - 512  # quarters of a code
        return (steps * 0.25 * (becomes.scale or 1.0)).astype(np.float32).reshape(tensor.shape)
    low, high = tensor.code_range
    if high - low > 255:
        step *= 257
    values = low + (start + step * at) % (high - low + 1)
    return values.astype(tensor.dtype).reshape(tensor.shape)


def _range(dtype: str) -> tuple[int, int]:
    limits = np.iinfo(dtype)
    return int(limits.min), int(limits.max)
