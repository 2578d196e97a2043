"""Compare two runtimes' outputs for one sample, in LSBs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_tflm.compare.distance import allowance, differences, in_steps
from pytest_tflm.errors import SampleError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_tflm.model import Tensor
    from pytest_tflm.runtime.base import Outputs


@dataclass(frozen=True)
class TensorComparison:
    """How one output tensor compares.

    ``differences`` as :func:`~pytest_tflm.compare.distance.differences` gives them: int64 LSBs, or
    float64 in the tensor's own unit. ``allowed`` is the largest magnitude that passes.
    """

    index: int
    tensor: Tensor | None
    got: NDArray[Any]
    expected: NDArray[Any]
    differences: NDArray[Any]
    allowed: float

    @property
    def is_float(self) -> bool:
        return self.differences.dtype.kind == "f"

    @property
    def magnitudes(self) -> NDArray[Any]:
        import numpy as np

        magnitudes: NDArray[Any] = np.abs(self.differences)
        return magnitudes

    @property
    def largest(self) -> float:
        """The largest magnitude of a difference: LSBs, or the unit of a float tensor."""
        return self.magnitudes.max().item() if self.differences.size else 0

    @property
    def beyond(self) -> int:
        """How many elements differ by more than is allowed."""
        return int((self.magnitudes > self.allowed).sum())

    @property
    def different(self) -> int:
        """How many elements differ at all."""
        return int((self.differences != 0).sum())

    @property
    def largest_at(self) -> tuple[int, ...]:
        """Index of the (first) element with the largest difference."""
        import numpy as np

        where = np.unravel_index(int(self.magnitudes.argmax()), self.differences.shape)
        return tuple(int(i) for i in where)

    @property
    def scale(self) -> float | None:
        """Real units in one LSB; None for a tensor that is not quantised."""
        return None if self.tensor is None else self.tensor.scale or self.tensor.step


@dataclass(frozen=True)
class Comparison:
    """All outputs of one sample, and what was allowed: see :func:`compare`."""

    tensors: tuple[TensorComparison, ...]
    got_name: str
    expected_name: str
    lsb: int
    float_tolerance: float

    @property
    def passed(self) -> bool:
        return all(t.beyond == 0 for t in self.tensors)

    @property
    def largest_lsb(self) -> int:
        """The largest difference of an integer output, in LSBs; 0 if there is none."""
        return max((int(t.largest) for t in self.tensors if not t.is_float), default=0)

    @property
    def largest_float(self) -> float | None:
        """The largest difference of a float output; None if there is none."""
        return max((float(t.largest) for t in self.tensors if t.is_float), default=None)


def compare(
    got: Outputs | Sequence[NDArray[Any]] | NDArray[Any],
    expected: Outputs | Sequence[NDArray[Any]] | NDArray[Any],
    *,
    lsb: int = 0,
    float_tolerance: float = 1e-4,
) -> Comparison:
    """Compare ``got`` with ``expected``, tensor by tensor.

    An integer or bool element passes if it differs by at most ``lsb`` codes (an unsigned LSB
    count, 0 for bit-exact). A float element passes if it differs by at most ``float_tolerance``
    times the largest finite magnitude in the expected tensor, or times 1 if that is smaller. The
    float output of a DEQUANTIZE is compared in LSBs of the codes before it.

    Raises SampleError if the two do not have the same number of tensors, shapes or dtypes: then
    they are not outputs of one model.
    """
    got_arrays, got_name, got_tensors = _parts(got, "got")
    expected_arrays, expected_name, expected_tensors = _parts(expected, "expected")
    if len(got_arrays) != len(expected_arrays):
        raise SampleError(
            f"{got_name} has {_count(got_arrays)} and {expected_name} {_count(expected_arrays)}: "
            "they cannot be outputs of the same model."
        )
    tensors = expected_tensors or got_tensors or (None,) * len(got_arrays)
    compared = []
    for index, (ours, theirs) in enumerate(zip(got_arrays, expected_arrays, strict=True)):
        if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
            raise SampleError(
                f"output {index} is {_describe(ours)} from {got_name} and {_describe(theirs)} from "
                f"{expected_name}: they cannot be outputs of the same model."
            )
        tensor = tensors[index]
        apart: NDArray[Any] = differences(ours, theirs)
        allowed: float = lsb
        if theirs.dtype.kind == "f" and tensor is not None and tensor.step:
            apart = in_steps(apart, tensor.step)
        elif theirs.dtype.kind == "f":
            allowed = allowance(theirs, float_tolerance)
        compared.append(TensorComparison(index, tensors[index], ours, theirs, apart, allowed))
    return Comparison(tuple(compared), got_name, expected_name, lsb, float_tolerance)


def _parts(
    outputs: Outputs | Sequence[NDArray[Any]] | NDArray[Any], role: str
) -> tuple[tuple[NDArray[Any], ...], str, tuple[Tensor, ...]]:
    import numpy as np

    from pytest_tflm.runtime.base import Outputs

    if isinstance(outputs, Outputs):
        return outputs.arrays, outputs.runtime, outputs.tensors
    if isinstance(outputs, list | tuple):
        return tuple(np.asarray(array) for array in outputs), role, ()
    return (np.asarray(outputs),), role, ()


def _describe(array: NDArray[Any]) -> str:
    return f"{array.dtype}{list(array.shape)}"


def _count(arrays: Sequence[object]) -> str:
    return f"{len(arrays)} output{'' if len(arrays) == 1 else 's'}"
