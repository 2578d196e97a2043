"""Inputs that a board may take for each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pytest_tflm.runtime.base import Arrays


def similar_inputs(samples: Sequence[Arrays]) -> list[Arrays]:
    """Made of two samples (arrays in their tensors' dtypes and shapes): the first; with another
    last element; with the second half of the other sample; with its first half; with two elements
    exchanged, so that sums are equal; and the first again."""
    first, other = samples[0], samples[-1]
    return [
        first,
        tuple(_last_changed(array) for array in first),
        tuple(_half(a, b, 1) for a, b in zip(first, other, strict=True)),
        tuple(_half(a, b, 0) for a, b in zip(first, other, strict=True)),
        tuple(_exchanged(array) for array in first),
        first,
    ]


def _last_changed(array: NDArray[Any]) -> NDArray[Any]:
    """The last element half of the type's range away; of types that are not 8 or 16 bits wide, 0 or
    1: large integers are mostly indices."""
    changed: NDArray[Any] = array.copy()
    if array.size and array.dtype.kind in "iu" and array.dtype.itemsize <= 2:
        changed.reshape(-1)[-1] ^= array.dtype.type(0x55)
    elif array.size:
        changed.reshape(-1)[-1] = 0 if array.reshape(-1)[-1] else 1
    return changed


def _half(array: NDArray[Any], other: NDArray[Any], half: int) -> NDArray[Any]:
    changed: NDArray[Any] = array.copy()
    middle = array.size // 2
    part = slice(middle, None) if half else slice(None, middle)
    changed.reshape(-1)[part] = other.reshape(-1)[part]
    return changed


def _exchanged(array: NDArray[Any]) -> NDArray[Any]:
    """The first and the middle element exchanged, or others where those are equal."""
    changed: NDArray[Any] = array.copy()
    flat = changed.reshape(-1)
    different = (flat != flat[:1]).nonzero()[0]
    if len(different):
        at = different[len(different) // 2]
        flat[0], flat[at] = flat[at], flat[0]
    return changed
