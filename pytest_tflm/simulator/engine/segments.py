"""A model run in parts by host TFLM, each in an interpreter of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from tflite_micro.python.tflite_micro import runtime

from pytest_tflm.errors import CannotCut
from pytest_tflm.model import model_from_bytes
from pytest_tflm.model.transform.cut import cut_operators
from pytest_tflm.simulator.engine.base import Refusal, Status
from pytest_tflm.simulator.engine.wrapper import EngineWrapper

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_tflm.model import Model
    from pytest_tflm.model.transform.cut import Cut
    from pytest_tflm.simulator.engine.base import EngineTensor, Loaded
    from pytest_tflm.simulator.engine.wrapper import SimulatedEngine

    Arrays = Sequence[NDArray[Any]]
    Run = Callable[[Arrays], list[NDArray[Any]]]

_ROOM = 1 << 16


class Tflm:
    """Runs ``model``; to call it takes its inputs and gives its outputs, in their order.

    ``arena`` is bytes. Raises :class:`~pytest_tflm.simulator.engine.base.Refusal`.
    """

    def __init__(self, model: bytes, outputs: int, arena: int) -> None:
        self._outputs = outputs
        try:
            self._interpreter = runtime.Interpreter.from_bytes(model, arena_size=arena)
        except (RuntimeError, ValueError) as error:
            raise Refusal(Status.MODEL_REJECTED, f"a part of the model: {error}") from error

    def __call__(self, arrays: Arrays) -> list[NDArray[Any]]:
        try:
            for index, array in enumerate(arrays):
                self._interpreter.set_input(array.copy(order="C"), index)
            status = self._interpreter.invoke()
        except RuntimeError as error:
            raise Refusal(Status.INVOKE_FAILED, f"Invoke failed: {error}") from error
        if status:
            raise Refusal(Status.INVOKE_FAILED, f"Invoke returned status {status}")
        return [np.array(self._interpreter.get_output(i)) for i in range(self._outputs)]

    def reset(self) -> None:
        """Put the variables back."""
        self._interpreter.reset()


def _arena(loaded: Loaded) -> int:
    """Bytes that suffice for a part of a model: it needs what the whole needs, and its inputs."""
    return 2 * (loaded.arena_used or loaded.arena_size) + _ROOM


@dataclass(frozen=True, eq=False)
class Segment:
    """A part of a model, ``run`` in one call. ``inputs`` and ``outputs`` are the tensors' indices
    in the whole model."""

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    run: Run


class Segments:
    """A model as a row of parts, which pass tensors on to each other.

    ``arena`` is that of each part, in bytes. All interpreters that were started are reset together.
    """

    def __init__(self, model: Model, arena: int) -> None:
        self.model = model
        self._arena = arena
        self._started: list[Tflm] = []
        self._segments: list[Segment] = []

    def start(self, model: bytes, outputs: int) -> Tflm:
        """An interpreter of another model, which is reset with the whole."""
        self._started.append(Tflm(model, outputs, self._arena))
        return self._started[-1]

    def add(self, cut: Cut, run: Run) -> None:
        """Have ``run`` compute the part ``cut``, behind those that were added before."""
        self._segments.append(Segment(cut.inputs, cut.outputs, run))

    def add_healthy(self, first: int, last: int) -> None:
        """Have TFLM compute operators ``first`` to ``last``, both included; there may be none.

        Raises CannotCut.
        """
        if first <= last:
            cut = cut_operators(self.model, first, last)
            self.add(cut, self.start(cut.model.data, len(cut.outputs)))

    def invoke(self, inputs: Sequence[EngineTensor], outputs: Sequence[EngineTensor]) -> None:
        """From the model's inputs to its outputs."""
        tensors = {
            tensor.index: held.data for tensor, held in zip(self.model.inputs, inputs, strict=True)
        }
        for segment in self._segments:
            computed = segment.run([tensors[index] for index in segment.inputs])
            tensors.update(zip(segment.outputs, computed, strict=True))
        for tensor, held in zip(self.model.outputs, outputs, strict=True):
            held.data[...] = tensors[tensor.index]

    def reset(self) -> None:
        """Put the variables of all parts back."""
        for each in self._started:
            each.reset()


class SegmentedEngine(EngineWrapper):
    """Runs a model in parts if there is a reason to; otherwise as the engine it is around does."""

    def __init__(self, engine: SimulatedEngine) -> None:
        super().__init__(engine)
        self._segments: Segments | None = None
        self._log: list[str] = []

    def cut(self, model: Model, arena: int) -> Segments | None:
        """The parts of a model; None to run it whole. May raise CannotCut: then it is, too."""
        raise NotImplementedError

    def prepare(self, model: bytes) -> Loaded:
        loaded = super().prepare(model)
        try:
            self._segments = self.cut(model_from_bytes(model), _arena(loaded))
        except CannotCut as error:
            self._log.append(f"simulator: this model runs without the board's defect: {error}")
        except BaseException:
            self.unload()
            raise
        return loaded

    def invoke(self) -> int:
        if self._segments is None:
            return super().invoke()
        start = time.perf_counter_ns()
        self._segments.invoke(self.inputs, self.outputs)
        return min((time.perf_counter_ns() - start) // 1000, 0xFFFFFFFF)

    def reset_state(self) -> None:
        super().reset_state()
        if self._segments is not None:
            self._segments.reset()

    def unload(self) -> None:
        super().unload()
        self._segments = None

    def open(self, size: int) -> None:
        super().open(size)
        self._segments = None

    def take_log(self) -> list[str]:
        lines, self._log = self._log, []
        return super().take_log() + lines
