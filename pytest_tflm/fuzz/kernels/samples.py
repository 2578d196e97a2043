"""Samples for a generated model of one operator, in the order in which they shall run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

from pytest_tflm.fuzz.patterns import codes, one_of, whole
from pytest_tflm.record.words import rest_of

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn
    from numpy.typing import NDArray

    from pytest_tflm.model import Model, Tensor
    from pytest_tflm.runtime.base import Arrays

_SWEEP_SAMPLES = 16


def longer(draw: DrawFn, choices: int) -> None:
    """Draw for nothing. To Hypothesis the simpler of two examples is the one of fewer choices; so
    what is less simple and needs fewer is made to need more."""
    for _ in range(choices):
        draw(whole(0, 1))


@st.composite
def sample_lists(draw: DrawFn, model: Model, most: int = 4) -> list[Arrays]:
    """A few samples drawn independently, or several that together sweep all codes of a type of 8
    bits."""
    tensors, becomes = model.inputs, model.outputs[0]
    if draw(one_of((False, True))):
        longer(draw, 4 + 5 * len(tensors))
        return _sweep(tensors, becomes, draw(whole(0, 255)), 2 * draw(whole(0, 8)) + 1)
    count = draw(whole(1, most))
    return [tuple(_contents(draw, tensor, becomes) for tensor in tensors) for _ in range(count)]


def _contents(draw: DrawFn, tensor: Tensor, becomes: Tensor) -> NDArray[Any]:
    """What one input tensor may hold; a float tensor, what QUANTIZE makes codes of ``becomes``
    of: values on a code, between two, just beside the middle, and beyond the range."""
    if tensor.dtype != "float32":
        return codes(draw, tensor.dtype, tensor.shape, rest_of(tensor))
    scale, rest = becomes.scale or 1.0, rest_of(becomes)
    steps = codes(draw, becomes.dtype, tensor.shape, rest).astype(np.float64) - rest
    fraction = draw(one_of((0.0, 0.5, -0.5, 0.25, 0.4999999, 0.5000001)))
    stretch = draw(one_of((1.0, 1.0, 1.0, 1.5, 1e6)))
    values = (steps + np.where(steps == 0, 0.0, fraction)) * stretch * scale
    return values.astype(np.float32)


def _sweep(tensors: Sequence[Tensor], becomes: Tensor, start: int, step: int) -> list[Arrays]:
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


def _swept(tensor: Tensor, becomes: Tensor, start: int, step: int, number: int) -> NDArray[Any]:
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
