"""An interpreter whose inner tensors can be read: what each operator was given and made of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_tflm.errors import SettingsError
from pytest_tflm.runtime.base import Outputs
from pytest_tflm.runtime.interpreter import InterpreterRuntime
from pytest_tflm.runtime.worker import DEFAULT_TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from pytest_tflm.model import Model
    from pytest_tflm.runtime.worker import Worker

# With a delegate the graph is another one when its tensors are kept (tensorflow#79355): what would
# be read is not what the user's run computed.
OBSERVABLE = ("builtin_ref", "builtin_without_default_delegates")


@dataclass(frozen=True, eq=False)
class Observation:
    """One run as seen from inside.

    ``tensors`` holds, by its index in subgraph 0, each tensor that is not a constant, in the shape
    that it had in this run, which need not be the stored one. A tensor that nobody computes is
    missing, and so is a handle (:attr:`~pytest_tflm.model.Tensor.is_handle`); in TFLM, a tensor has
    its stored shape.
    """

    outputs: Outputs
    tensors: Mapping[int, NDArray[np.generic]]

    @property
    def shapes(self) -> dict[int, tuple[int, ...]]:
        """The shape that each tensor had."""
        return {index: tuple(array.shape) for index, array in self.tensors.items()}


class Observer(InterpreterRuntime):
    """An :class:`InterpreterRuntime` that gives each tensor memory of its own.

    ``kind`` is ``litert``, ``tensorflow`` or ``tflm``; ``resolver`` one of :data:`OBSERVABLE`.
    Raises what InterpreterRuntime raises, and SettingsError for a resolver with delegates.
    """

    _keeps_tensors = True

    def __init__(
        self,
        kind: str,
        model: Model,
        *,
        resolver: str | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        worker: Worker | None = None,
    ) -> None:
        if resolver is not None and resolver not in OBSERVABLE:
            raise SettingsError(
                f"the tensors of a run with {resolver} cannot be observed: a delegate computes "
                f"other tensors when it is watched. Use one of {', '.join(OBSERVABLE)}."
            )
        super().__init__(kind, model, resolver=resolver, timeout=timeout, worker=worker)

    def observe(self, sample: object) -> Observation:
        """Run one sample and read all tensors."""
        arrays = self._model.quantize(sample)
        self._ready()
        wanted = [t.index for t in self._model.tensors if not (t.is_constant or t.is_handle)]
        ticket = self._submit("observe", arrays, wanted, doing="in Invoke on")
        outputs, tensors = self._worker.next(ticket)
        return Observation(Outputs(outputs, self._model.outputs, self._name), tensors)
