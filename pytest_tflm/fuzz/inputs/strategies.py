"""The inputs of a model: what its tensors may hold, and what real samples look like.

::

    from hypothesis import given
    from pytest_tflm.fuzz import inputs

    @given(inputs.samples(model, real=samples))
    def test_it(sample): ...

A tensor is one of :data:`PATTERNS`: those of :mod:`~pytest_tflm.fuzz.patterns`, which says how they
shrink, a real sample, or one that was changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from hypothesis import strategies as st

from pytest_tflm.errors import SampleError
from pytest_tflm.fuzz.patterns import PATTERNS as _MADE
from pytest_tflm.fuzz.patterns import (
    SEEDS,
    Range,
    drawn,
    filled,
    whole,
    within_reach,
    within_window,
)
from pytest_tflm.record.words import rest_of

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn
    from numpy.random import Generator
    from numpy.typing import NDArray

    from pytest_tflm.model import Model, Tensor
    from pytest_tflm.runtime.base import Arrays

    Array = NDArray[Any]


class RealSamples(Protocol):
    """Samples as ``Model.quantize`` takes them: a list, or :mod:`pytest_tflm.record.samples`."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> object: ...


PATTERNS = (*_MADE, "real", "mutated")
"""Those of :data:`pytest_tflm.fuzz.patterns.PATTERNS`; ``real``: a real sample; ``mutated``: a real
sample, changed."""

_LARGEST_INDEX = 9
"""Integers of 32 or 64 bits without a scale are mostly indices, which kernels do not check."""


def range_of(tensor: Tensor, real: Sequence[Array] = ()) -> Range:
    """The range of an input tensor. ``real`` has its arrays in real samples, which say how large a
    float and what an index is. Raises SampleError for a type that numpy has no numbers for."""
    if not tensor.is_number:
        raise SampleError(
            f"input {tensor.name!r} is {tensor.dtype}: cannot generate examples of this type."
        )
    dtype = np.dtype(tensor.dtype)
    if dtype.kind == "b":
        return Range(0, 1, 0, dtype)
    if dtype.kind == "f":
        largest = max((float(np.abs(a[np.isfinite(a)]).max(initial=0.0)) for a in real), default=0)
        reach = 2 * largest or 4.0
        return Range(-reach, reach, 0.0, dtype, tensor)
    if tensor.scale is None and dtype.itemsize > 2:
        low = min((int(a.min(initial=0)) for a in real), default=0)
        high = max((int(a.max(initial=0)) for a in real), default=0) or _LARGEST_INDEX
        return Range.of(dtype.name, 0, (low, high))
    limits = np.iinfo(dtype)
    low, high = int(limits.min), int(limits.max)
    return Range(low, high, min(max(rest_of(tensor), low), high), dtype, tensor)


def samples(
    model: Model, real: RealSamples = (), patterns: Sequence[str] = PATTERNS
) -> st.SearchStrategy[Arrays]:
    """Samples for ``model``: a tuple with one array for each input, in its dtype and shape.

    ``real`` are samples as ``Model.quantize`` takes them, which are also given as they are and
    changed. Raises SampleError for inputs that cannot be made, and for ``real`` that do not fit.
    """
    return Maker(model, real).strategy(patterns)


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

    def sample(self, number: int) -> Arrays:
        """The sample of a number (0 or more): always the same for the same real samples."""
        random = np.random.default_rng(number)
        names = PATTERNS if len(self._real) else _MADE
        base = int(random.integers(SEEDS))
        arrays = []
        for position, (tensor, r) in enumerate(zip(self._tensors, self._ranges, strict=True)):
            flat = self._filled(names[random.integers(len(names))], position, base, random)
            size, bound = tensor.size, random.random()
            if bound < 0.1 and size > 1:
                start, end = sorted(random.integers(0, size + 1, 2).tolist())
                flat = within_window(r, flat, start, end)
            elif bound < 0.2:
                flat = within_reach(r, flat, r.span * 2 ** random.uniform(-8, 0))
            arrays.append(flat.reshape(tensor.shape))
        return tuple(arrays)

    def mutant(self, sample: Arrays, number: int) -> Arrays:
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

    def strategy(self, patterns: Sequence[str] = PATTERNS) -> st.SearchStrategy[Arrays]:
        """See :func:`samples`."""
        unknown = [name for name in patterns if name not in PATTERNS]
        if unknown:
            raise ValueError(f"unknown patterns: {unknown}; known: {', '.join(PATTERNS)}")
        usable = [name for name in patterns if name in _MADE or len(self._real)]
        if not usable:
            raise ValueError("patterns 'real' and 'mutated' need real samples")

        @st.composite
        def sample(draw: DrawFn) -> Arrays:
            base = draw(whole(0, SEEDS - 1))
            arrays = []
            for position, (tensor, r) in enumerate(zip(self._tensors, self._ranges, strict=True)):

                def fill(
                    name: str, r: Range, size: int, random: Generator, position: int = position
                ) -> Array:
                    return self._filled(name, position, base, random)

                arrays.append(drawn(draw, r, tensor.size, usable, fill).reshape(tensor.shape))
            return tuple(arrays)

        return sample()

    def _filled(self, name: str, position: int, base: int, random: Generator) -> Array:
        """An input's array, flat, by its pattern. ``base`` chooses the real sample, which is one
        for all inputs."""
        tensor, r = self._tensors[position], self._ranges[position]
        if name in _MADE:
            return filled(name, r, tensor.size, random)
        flat = self._real_array(base, position)
        if name == "mutated":
            other = self._real_array(int(random.integers(SEEDS)), position)
            flat = mutated(flat, other, r, random)
        return flat

    def _real_array(self, number: int, position: int) -> Array:
        sample = self._quantize(self._real[number % len(self._real)])
        return sample[position].reshape(-1)


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
            values[places] = random.choice(ends, count) if way < 2 else r.some(random, count)
        elif way == 3:
            values[first:last] = random.choice([r.low, r.high, r.rest])
        elif way == 4:
            values = np.roll(values, first)
        elif way == 5:
            values = r.rest + (values - r.rest) * random.choice([-1, 0.5, 2, 8])
        elif way == 6:
            values += r.step * random.integers(-2, 3, size)
        elif way == 7:
            values[first:last] = other[first:last]
        else:
            values = values[::-1].copy()
    return r.array(values)
