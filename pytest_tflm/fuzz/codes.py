"""Strategies for the contents of a quantised tensor: codes that kernels get wrong.

A tensor is drawn as a pattern with a few parameters and not element by element: Hypothesis then has
little to shrink, and a tensor of a thousand elements costs as much to draw as one of four. Every
pattern shrinks toward the zero point everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn
    from numpy.typing import NDArray

    from pytest_tflm.model import Tensor

    Codes = NDArray[Any]
    Sample = tuple[NDArray[Any], ...]

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

_SEEDS = st.integers(0, 2**16 - 1)
_SWEEP_SAMPLES = 16


@st.composite
def codes(
    draw: DrawFn,
    dtype: str,
    shape: Sequence[int],
    zero_point: int = 0,
    limits: tuple[int, int] | None = None,
    patterns: Sequence[str] = PATTERNS,
) -> Codes:
    """An array of ``shape`` and the integer type ``dtype``, codes within ``limits`` (both included;
    None for all that the type has)."""
    low, high = limits or _range(dtype)
    zero_point = min(max(zero_point, low), high)
    size = math.prod(shape)
    offsets = st.integers(low - zero_point, high - zero_point)
    places = st.integers(0, max(0, size - 1))
    values = np.full(size, zero_point, np.int64)
    pattern = draw(st.sampled_from(list(patterns)))
    if pattern == "constant":
        values += draw(offsets)
    elif pattern == "one hot":
        place = draw(places)
        values[place : place + 1] += draw(offsets)
    elif pattern == "sparse":
        for place in draw(st.lists(places, max_size=4)):
            values[place : place + 1] = zero_point + draw(offsets)
    elif pattern == "zero point neighbours":
        values += np.random.default_rng(draw(_SEEDS)).integers(-1, 2, size)
    elif pattern == "extremes":
        values = np.random.default_rng(draw(_SEEDS)).choice(np.array([low, high]), size)
    elif pattern == "uniform":
        values = np.random.default_rng(draw(_SEEDS)).integers(low, high + 1, size)
    else:
        step = 1 if pattern == "sweep" else draw(st.integers(-17, 17))
        values = (zero_point + draw(offsets) - low + step * np.arange(size)) % (high - low + 1)
        values += low
    return np.clip(values, low, high).astype(dtype).reshape(tuple(shape))


@st.composite
def reals(draw: DrawFn, shape: Sequence[int], scale: float, zero_point: int, dtype: str) -> Codes:
    """float32 values that ``dtype`` codes of ``scale`` and ``zero_point`` stand for: on a code,
    between two, just beside the middle, and beyond the range."""
    whole = draw(codes(dtype, shape, zero_point)).astype(np.float64) - zero_point
    fraction = draw(st.sampled_from((0.0, 0.5, -0.5, 0.25, 0.4999999, 0.5000001)))
    stretch = draw(st.sampled_from((1.0, 1.0, 1.0, 1.5, 1e6)))
    values = (whole + np.where(whole == 0, 0.0, fraction)) * stretch * scale
    return values.astype(np.float32)


def contents(tensor: Tensor) -> st.SearchStrategy[Codes]:
    """What one input tensor may hold. A float tensor that is fed to QUANTIZE carries the scale and
    the zero point of what it becomes."""
    if tensor.dtype == "float32":
        dtype = "int8" if tensor.zero_point else "int16"
        return reals(tensor.shape, tensor.scale or 1.0, tensor.zero_point or 0, dtype)
    return codes(tensor.dtype, tensor.shape, tensor.zero_point or 0)


@st.composite
def sample_lists(draw: DrawFn, tensors: Sequence[Tensor], most: int = 4) -> list[Sample]:
    """Samples for a model with these inputs, in the order in which they shall run: a few drawn
    independently, or several that together sweep all codes of a type of 8 bits."""
    if not draw(st.integers(0, 3).map(lambda n: n == 3)):
        one = st.tuples(*[contents(tensor) for tensor in tensors])
        return draw(st.lists(one, min_size=1, max_size=most))
    start, step = draw(st.integers(0, 255)), 2 * draw(st.integers(0, 8)) + 1
    size = max((tensor.size for tensor in tensors), default=1)
    count = min(_SWEEP_SAMPLES, -(-256 // max(1, size)))
    return [
        tuple(
            _swept(tensor, start, step**position, number) for position, tensor in enumerate(tensors)
        )
        for number in range(count)
    ]


def _swept(tensor: Tensor, start: int, step: int, number: int) -> Codes:
    """The ``number``-th piece of a walk through all codes of ``tensor``'s type."""
    at = number * tensor.size + np.arange(tensor.size)
    if tensor.dtype == "float32":
        steps = (start + step * at) % 1024 - 512  # quarters of a code
        return (steps * 0.25 * (tensor.scale or 1.0)).astype(np.float32).reshape(tensor.shape)
    low, high = tensor.code_range
    if high - low > 255:
        step *= 257
    values = low + (start + step * at) % (high - low + 1)
    return values.astype(tensor.dtype).reshape(tensor.shape)


def _range(dtype: str) -> tuple[int, int]:
    limits = np.iinfo(dtype)
    return int(limits.min), int(limits.max)
