"""Samples that are in memory, and how files of samples are read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_tflm.errors import SampleError
from pytest_tflm.printable import printable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Sample = NDArray[np.generic] | tuple[NDArray[np.generic], ...]
    Label = str | int | float


class Reading(NamedTuple):
    """How files of samples are read: the column of a table that holds labels; the real values of
    the darkest and the lightest pixel, or of the largest negative and positive sound (None: 0 and
    1, or -1 and 1); how an image of another shape than the input's is made to fit, ``squash``,
    ``crop`` or ``pad``."""

    label_column: str = "label"
    value_range: tuple[float, float] | None = None
    resize: str = "squash"


class SampleSequence:
    """Iteration over what has a length and items, and no labels unless it says so."""

    @property
    def labels(self) -> Sequence[Label] | None:
        return None

    def __len__(self) -> int:
        raise NotImplementedError

    def __getitem__(self, index: int) -> Sample:
        raise NotImplementedError

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))


class GivenSamples(SampleSequence):
    """Samples that are in memory, with labels or without."""

    def __init__(
        self, source: str, samples: Sequence[Sample], labels: Sequence[Any] | None
    ) -> None:
        self._source = source
        self._samples = samples
        self._labels = None if labels is None else plain_labels(labels, source)

    @property
    def source(self) -> str:
        return f"{len(self)} samples of {self._source}"

    @property
    def labels(self) -> Sequence[Label] | None:
        return self._labels

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self._samples[index]


def plain_labels(labels: Iterable[Any], where: str) -> list[Label]:
    """Labels as texts, whole numbers and numbers, whatever array they come from. Raises SampleError
    for what is none of these, one-hot rows for example; ``where`` names them."""
    import numpy as np

    found: list[Label] = []
    for label in labels:
        value = (
            label.item()
            if isinstance(label, np.generic | np.ndarray) and not label.shape
            else label
        )
        if isinstance(value, bool):
            value = int(value)
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        if not isinstance(value, str | int | float):
            raise SampleError(
                f"{where}: a label is one text or number a sample, not {type(label).__name__}."
            )
        found.append(printable(value) if isinstance(value, str) else value)
    return found
