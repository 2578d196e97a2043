"""What models can be put on: a board, or an interpreter of this machine.

A :class:`~pytest_tflm.runtime.base.Runtime` runs one model. The verdict runs many small ones, so it
needs what makes runtimes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pytest_tflm.link.entries import BoardIdentity
    from pytest_tflm.model import Model
    from pytest_tflm.runtime.base import Arrays, Runtime
    from pytest_tflm.runtime.pool import Pool
    from pytest_tflm.runtime.worker import Worker


class Target(Protocol):
    """Somewhere to run any model that fits."""

    @property
    def name(self) -> str:
        """How reports call it, ``board simulator`` or ``litert builtin_ref`` for example."""

    def put(self, model: Model) -> Runtime:
        """``model``, ready to run. What was put before may be gone. Raises TflmError."""

    def close(self) -> None:
        """Release what it holds. May be called twice."""


class HostTarget:
    """An interpreter of this machine; all models share one process.

    ``kind`` and ``resolver`` as :class:`~pytest_tflm.runtime.interpreter.InterpreterRuntime` takes
    them. Raises SettingsError and InterpreterMissing as that does, when a model is put on it.
    """

    def __init__(self, kind: str, resolver: str | None = None) -> None:
        from pytest_tflm.runtime import packages

        self.kind = kind
        self.resolver = resolver
        self.name = packages.runtime_name(kind, resolver)
        self._worker: Worker | None = None
        self._kept: tuple[str, Runtime] | None = None

    @property
    def worker(self) -> Worker:
        """The process that runs the models."""
        from pytest_tflm.runtime.worker import Worker

        if self._worker is None:
            self._worker = Worker(self.name)
        return self._worker

    def put(self, model: Model) -> Runtime:
        from pytest_tflm.runtime.interpreter import InterpreterRuntime

        if self._kept is not None:
            if self._kept[0] == model.sha256:
                return self._kept[1]
            self._kept[1].close()
            self._kept = None
        runtime = InterpreterRuntime(self.kind, model, resolver=self.resolver, worker=self.worker)
        self._kept = (model.sha256, runtime)
        return runtime

    def close(self) -> None:
        self._kept = None
        if self._worker is not None:
            self._worker.close()
            self._worker = None


class BoardTarget:
    """A board: ``load(model)`` gives its runtime, as ``Pool.board`` does. ``operators`` are those
    that it says it has, none if it does not say; ``description`` is its firmware, kernels and TFLM
    in a line."""

    def __init__(
        self,
        load: Callable[[Model], Runtime],
        name: str,
        *,
        takes_models: bool = True,
        operators: tuple[str, ...] = (),
        description: str = "",
    ) -> None:
        self._load = load
        self.name = name
        self.takes_models = takes_models
        self.operators = operators
        self.description = description

    def put(self, model: Model) -> Runtime:
        return self._load(model)

    def check_identity(self, model: Model) -> None:
        """Ask the board what it has prepared. Raises WrongModel if that is not ``model``."""
        from pytest_tflm.runtime.board import BoardRuntime

        runtime = self._load(model)
        if isinstance(runtime, BoardRuntime):
            runtime.check_identity()

    def left_in_inputs(self, model: Model, sample: Arrays) -> Arrays | None:
        """What the input tensors hold after a run of ``sample``; None if nobody can tell."""
        from pytest_tflm.runtime.board import BoardRuntime

        runtime = self._load(model)
        runtime.run(sample)
        return runtime.read_inputs() if isinstance(runtime, BoardRuntime) else None

    def reload(self, model: Model) -> Runtime:
        """Send ``model`` once more, whatever the board has."""
        from pytest_tflm.runtime.board import BoardRuntime

        runtime = self._load(model)
        if isinstance(runtime, BoardRuntime):
            runtime.reload()
        return runtime

    def close(self) -> None:
        """The board is whoever's it was before."""


def board_of(pool: Pool) -> BoardTarget:
    """The board of a pool of runtimes. Raises LinkError or BoardError if there is none."""
    identity = pool.connection().identity
    return BoardTarget(
        pool.board,
        f"board {identity.board}",
        takes_models=identity.takes_models,
        operators=identity.operators,
        description=_description(identity),
    )


def _description(identity: BoardIdentity) -> str:
    parts = [identity.describe()]
    parts += [f"TFLM {identity.tflm}"] if identity.tflm else []
    parts += [identity.compiler] if identity.compiler else []
    return ", ".join(parts)


def outputs_of(target: Target, model: Model, samples: Sequence[object]) -> list[Arrays]:
    """The outputs of ``model`` on ``target`` for each sample, each from the initial state."""
    runtime = target.put(model)
    if not model.is_stream:
        return [outputs.arrays for outputs in runtime.run_many(samples)]
    found = []
    for sample in samples:
        runtime.reset_state()
        found.append(runtime.run(sample).arrays)
    return found
