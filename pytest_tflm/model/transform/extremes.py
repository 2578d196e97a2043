"""Inputs that show whether two models are the same function: random ones and extreme ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_tflm.errors import SampleError
from pytest_tflm.model.dtypes import BY_NAME

if TYPE_CHECKING:
    from pytest_tflm.model.model import Model
    from pytest_tflm.model.tensor import Tensor

    Arrays = tuple[np.ndarray[Any, Any], ...]

RANDOM = 16
# How far floats and codes without a scale (indices, sizes) reach: beyond, they mean nothing.
_FLOAT = 8.0
_INDEX = 3


def extreme_samples(model: Model, seed: int = 0) -> Iterator[tuple[str, Arrays]]:
    """Samples with a name for each: arrays in the inputs' stored shapes and dtypes.

    Uniform codes; all smallest, all largest, all zero point; halves and stripes of the two; single
    extremes at the ends, in the middle and at random places of an input that is zero point
    otherwise, which show paddings and the order of elements. Raises
    :class:`~pytest_tflm.errors.SampleError` for inputs that are no numbers.
    """
    for tensor in model.inputs:
        if not tensor.is_number:
            raise SampleError(
                f"{model.name}: input '{tensor.name}' is {tensor.dtype}, and inputs of this type"
                " cannot be generated"
            )
    rng = np.random.default_rng(seed)

    def each(make: Callable[[Tensor], Any]) -> Arrays:
        return tuple(
            np.ascontiguousarray(np.broadcast_to(make(t), t.shape), np.dtype(t.dtype))
            for t in model.inputs
        )

    for number in range(RANDOM):
        yield f"random codes {number}", each(lambda t: _random(t, rng))
    yield "all smallest", each(lambda t: _limits(t)[0])
    yield "all largest", each(lambda t: _limits(t)[1])
    yield "all zero point", each(_rest)
    yield "smallest, then largest", each(lambda t: _pattern(t, np.arange(t.size) >= t.size // 2))
    yield "largest, then smallest", each(lambda t: _pattern(t, np.arange(t.size) < t.size // 2))
    yield "stripes", each(lambda t: _pattern(t, np.arange(t.size) % 2 == 0))
    yield "extremes at random", each(lambda t: _pattern(t, rng.random(t.size) < 0.5))
    for which, word in enumerate(("smallest", "largest")):
        for place, share in (("first", 0.0), ("middle", 0.5), ("last", 1.0)):
            yield f"one {word}, the {place}", each(partial(_single, which, share))
        for number in range(4):
            yield f"one {word}, {number}", each(partial(_single, which, rng.random()))


def _limits(tensor: Tensor) -> tuple[float, float]:
    """The smallest and the largest value that a sample has."""
    dtype = BY_NAME[tensor.dtype]
    limits = dtype.code_range
    if limits is None:
        return (0, 1) if dtype.name == "bool" else (-_FLOAT, _FLOAT)
    # 32 bits and more, or no scale: indices and sizes.
    return limits if tensor.is_quantized and dtype.bits <= 16 else (0, _INDEX)


def _rest(tensor: Tensor) -> float:
    """The code of 0."""
    return tensor.zero_point or 0


def _random(tensor: Tensor, rng: np.random.Generator) -> Any:
    low, high = _limits(tensor)
    if np.dtype(tensor.dtype).kind == "f":
        return rng.normal(0, 2, tensor.shape).clip(low, high)
    return rng.integers(int(low), int(high) + 1, tensor.shape)


def _pattern(tensor: Tensor, is_large: Any) -> Any:
    return np.where(is_large, _limits(tensor)[1], _limits(tensor)[0]).reshape(tensor.shape)


def _single(which: int, share: float, tensor: Tensor) -> Any:
    values = np.full(tensor.size, _rest(tensor), np.float64)
    if tensor.size:
        values[round(share * (tensor.size - 1))] = _limits(tensor)[which]
    return values.reshape(tensor.shape)
