"""A sample in words: what a person sees of an input of a thousand elements."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_tflm.model import Tensor

    Sample = tuple[NDArray[Any], ...]

_MOST_NAMED = 8


def sample_lines(tensors: Sequence[Tensor], sample: Sequence[NDArray[Any]]) -> list[str]:
    """One line for each input: ``zero point (3) everywhere but x[417] = 127``. ``sample`` holds the
    arrays of ``tensors``, in their dtypes and shapes."""
    names = ["x"] if len(tensors) == 1 else [_plain(tensor.name, i) for i, tensor in _each(tensors)]
    return [
        ("" if len(tensors) == 1 else f"{name}: ") + tensor_words(tensor, array, name)
        for tensor, array, name in zip(tensors, sample, names, strict=True)
    ]


def tensor_words(tensor: Tensor, array: NDArray[Any], name: str = "x") -> str:
    """One input in words. At most eight elements are named, and runs of equal codes where they are
    few; else it says how many different codes there are."""
    flat = array.reshape(-1)
    if not flat.size:
        return "no elements"
    values, counts = np.unique(flat, return_counts=True)
    rest = rest_of(tensor)
    # What most elements have; of equally many, the zero point.
    base = max(zip(values.tolist(), counts.tolist(), strict=True), key=_most(rest))[0]
    told = f"zero point ({_shown(rest)})" if base == rest else _value(tensor, base)
    others = np.flatnonzero(flat != base)
    if not len(others):
        return f"{told} everywhere" if flat.size > 1 else f"{name} = {_value(tensor, flat[0])}"
    is_small = flat.size <= _MOST_NAMED and base != rest
    if len(others) <= _MOST_NAMED and not is_small:
        named = [f"{_place(array, name, int(at))} = {_value(tensor, flat[at])}" for at in others]
        return f"{told} everywhere but {', '.join(named)}"
    if flat.size <= _MOST_NAMED:
        return f"{name} = {' '.join(_shown(value) for value in flat.tolist())}"
    starts = [0, *(np.flatnonzero(flat[1:] != flat[:-1]) + 1).tolist()]
    if len(starts) <= _MOST_NAMED:
        ends = [*starts[1:], flat.size]
        runs = (
            f"{_value(tensor, flat[a])} in {name}[{a}:{b}]"
            for a, b in zip(starts, ends, strict=True)
        )
        return ", ".join(runs)
    low, high = _shown(values[0].item()), _shown(values[-1].item())
    return (
        f"{flat.size} elements, {len(values)} different values from {low} to {high}, "
        f"{len(others)} of them not {told}"
    )


def rest_of(tensor: Tensor) -> int:
    """Where an input is at rest: at its zero point; at 0 if it has none."""
    return 0 if tensor.dtype.startswith("float") else tensor.zero_point or 0


def _each(tensors: Sequence[Tensor]) -> list[tuple[int, Tensor]]:
    return list(enumerate(tensors))


def _most(rest: float) -> Any:
    return lambda pair: (pair[1], pair[0] == rest)


def _plain(name: str, position: int) -> str:
    """A tensor's name as the user knows it, without what TensorFlow's converter adds."""
    return re.sub(r":\d+$", "", name.removeprefix("serving_default_")) or f"input {position}"


def _place(array: NDArray[Any], name: str, at: int) -> str:
    """``x[417]``: without the dimensions that have one element."""
    where = np.unravel_index(at, array.shape)
    told = [str(int(i)) for i, size in zip(where, array.shape, strict=True) if size > 1]
    return f"{name}[{', '.join(told) or 0}]"


def _value(tensor: Tensor, value: Any) -> str:
    if tensor.scale is None or tensor.zero_point is None or isinstance(value, float):
        return _shown(value)
    return f"{_shown(value)} ({(int(value) - tensor.zero_point) * tensor.scale:.4g})"


def _shown(value: Any) -> str:
    return f"{float(value):.6g}" if isinstance(value, float | np.floating) else str(int(value))
