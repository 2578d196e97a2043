"""The one idea: a runtime runs a model. A board, host TFLM and each TFLite interpreter is one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pytest_tflm.model import Model, Tensor

    Arrays = tuple[NDArray[np.generic], ...]


@dataclass(frozen=True, eq=False)
class Outputs:
    """What a runtime computed for one sample.

    ``arrays`` holds one array for each output tensor of the model, in the model's order, in the
    tensor's own dtype (codes, not real values) and shape. ``tensors`` describes them.
    ``invoke_microseconds`` is the time of Invoke alone, by the runtime's own clock, where it has
    one.
    """

    arrays: Arrays
    tensors: tuple[Tensor, ...]
    runtime: str
    invoke_microseconds: int | None = field(default=None, compare=False)

    def __len__(self) -> int:
        return len(self.arrays)

    def __getitem__(self, index: int) -> NDArray[Any]:
        return self.arrays[index]


@dataclass(frozen=True)
class OperatorTime:
    """How long the operator at ``index`` of the model's main subgraph took; ``name`` is its kind,
    such as ``CONV_2D``."""

    index: int
    name: str
    microseconds: int


class Runtime(Protocol):
    """Runs one model.

    A *sample* is what ``Model.quantize`` takes: one array for a model with one input, or a
    sequence or a mapping (by tensor name) of arrays for several.
    """

    @property
    def name(self) -> str:
        """How reports call it, for example ``litert builtin_ref`` or ``board nano33``."""

    @property
    def model(self) -> Model:
        """The model it runs."""

    def run(self, sample: object) -> Outputs:
        """Run one sample. Raises a :class:`~pytest_tflm.errors.TflmError` if it cannot."""

    def run_many(self, samples: Iterable[object]) -> Iterator[Outputs]:
        """Run samples in order, as fast as the runtime can, holding only a few at a time."""

    def reset_state(self) -> None:
        """Put the model's variables (LSTM, SVDF, …) back to their initial values."""

    def close(self) -> None:
        """Release what it holds. May be called twice."""
