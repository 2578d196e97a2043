"""The three interpreters as they are, behind one small interface. Imported in the worker alone.

Nothing here is safe: a model can end the process. :mod:`pytest_tflm.runtime.interpreter` is what
others use.
"""

from __future__ import annotations

import ctypes
import functools
import os
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pytest_tflm.errors import InterpreterRefused
from pytest_tflm.runtime import worker_main
from pytest_tflm.runtime.packages import importing

Arrays = tuple[NDArray[np.generic], ...]

# An arena that is too small can crash host TFLM instead of being refused, so trying begins with
# more than nearly any model needs: memory that is not touched costs nothing.
FIRST_ARENA = 16 * 1024 * 1024
LARGEST_ARENA = 256 * 1024 * 1024
# Below some 600 bytes it always crashes.
LEAST_ARENA = 1024
_M_PERTURB = -6  # glibc's malloc.h: memory holds the complement of the byte that is given
_PATTERN = 0x5A
_NO_OPERATOR = ("Didn't find op for builtin opcode", "Failed to get registration from op code")


@dataclass(frozen=True)
class Job:
    """A model and how to run it.

    ``inputs`` and ``outputs`` are tensor indices in the model's order. ``rebuild_to_reset`` is for
    models with hidden variables: LiteRT's ``reset_all_variables`` leaves those as they are, and
    TFLM's ``reset`` sets resource variables to 0 instead of what the initialiser wrote. ``arena``
    is in bytes, None to try until it is enough. ``keep_tensors`` gives each tensor memory of its
    own, so that :meth:`Interpreters.observe` can read it after Invoke.
    """

    data: bytes
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    resolver: str = "builtin_ref"
    rebuild_to_reset: bool = False
    arena: int | None = None
    keep_tensors: bool = False


class Engine(Protocol):
    """One interpreter with one model."""

    def set_inputs(self, arrays: Arrays) -> None:
        """One array for each input tensor, in its dtype and shape."""

    def invoke(self) -> object:
        """Compute."""

    def outputs(self) -> Arrays:
        """Copies of the output tensors."""

    def tensor(self, index: int) -> NDArray[np.generic] | None:
        """A copy of a tensor of subgraph 0 as Invoke left it; None if it cannot be read. Only
        with ``keep_tensors`` does it hold what its operator wrote."""

    def reset_state(self) -> None:
        """Variables get their initial values."""


class Interpreters:
    """What the worker serves: models under the numbers that the parent gave them."""

    def __init__(self) -> None:
        self._engines: dict[int, Engine] = {}
        self._memory_is_filled = False

    def load(self, number: int, kind: str, *job: Any) -> None:
        """Make the model's interpreter and allocate its tensors. ``job``: see :class:`Job`."""
        self._engines[number] = _ENGINES[kind](Job(*job))

    def run(self, number: int, arrays: Arrays) -> tuple[Arrays, int]:
        """The outputs for one sample and the microseconds of Invoke."""
        engine = self._engines[number]
        # Always all inputs: interpreters reuse their memory for other tensors.
        engine.set_inputs(arrays)
        start = time.perf_counter_ns()
        engine.invoke()
        nanoseconds = time.perf_counter_ns() - start
        return engine.outputs(), round(nanoseconds / 1000)

    def run_many(self, number: int, samples: Sequence[Arrays]) -> Iterator[tuple[Arrays, int]]:
        """The same for several samples, one after the other."""
        for arrays in samples:
            yield self.run(number, arrays)

    def run_once(
        self, kind: str, samples: Sequence[Arrays], reset_between: bool, fill: bool, *job: Any
    ) -> Iterator[Arrays]:
        """Load a model, give its outputs for some samples in order, and forget it. Variables begin
        with their initial values, with each sample if ``reset_between``. ``job``: see :class:`Job`.

        With ``fill``, what a kernel reads without ever having written it is the same each time,
        and not zero.
        """
        if fill and not self._memory_is_filled:
            self._memory_is_filled = True
            _fill_memory()
        for engine in _run_each(_ENGINES[kind](Job(*job)), samples, reset_between):
            yield engine.outputs()

    def observe_once(
        self,
        kind: str,
        samples: Sequence[Arrays],
        reset_between: bool,
        wanted: Sequence[int],
        *job: Any,
    ) -> Iterator[tuple[Arrays, dict[int, NDArray[np.generic]]]]:
        """The same with the tensors of ``wanted`` (indices) that can be read after each sample."""
        for engine in _run_each(_ENGINES[kind](Job(*job)), samples, reset_between):
            found = {index: engine.tensor(index) for index in wanted}
            yield engine.outputs(), {i: a for i, a in found.items() if a is not None}

    def reset_state(self, number: int) -> None:
        """Put the variables of a model back to their initial values."""
        self._engines[number].reset_state()

    def unload(self, number: int) -> None:
        """Forget a model."""
        self._engines.pop(number, None)

    def recorded_arena(self, data: bytes) -> int:
        """What TFLM's recording allocator says a model needs, in bytes."""
        return Tflm(Job(data, (), ())).recorded_arena()

    def fits_arena(self, data: bytes, arena: int) -> bool:
        """Whether TFLM allocates a model in so many bytes. May crash if not."""
        try:
            Tflm(Job(data, (), (), arena=arena))
        except InterpreterRefused:
            return False
        return True


def _run_each(engine: Engine, samples: Sequence[Arrays], reset_between: bool) -> Iterator[Engine]:
    for number, arrays in enumerate(samples):
        if reset_between and number:
            engine.reset_state()
        engine.set_inputs(arrays)
        engine.invoke()
        yield engine


def _fill_memory() -> None:
    """From now on this process gets memory from malloc filled with a pattern, where glibc does it.

    On a board the arena holds whatever was there before. Here it would hold zeros in a new process
    and the remains of other models later, so that a kernel which reads what nobody wrote would do
    so differently each time.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_PERTURB, _PATTERN)


def _litert(job: Job) -> Engine:
    with importing("litert"):
        from ai_edge_litert import interpreter
    worker_main.started()
    return TfLite(job, interpreter.Interpreter, interpreter.OpResolverType)


def _tensorflow(job: Job) -> Engine:
    # Its start is loud, and a machine with a GPU would spend seconds on one that is not used.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    with importing("tensorflow"):
        import tensorflow as tf
    worker_main.started()
    return TfLite(job, tf.lite.Interpreter, tf.lite.experimental.OpResolverType)


class TfLite:
    """The TFLite interpreter, from LiteRT or from TensorFlow: they have the same interface."""

    def __init__(self, job: Job, interpreter: Callable[..., Any], resolvers: Any) -> None:
        self._job = job
        self._interpreter = interpreter
        self._resolver = getattr(resolvers, job.resolver.upper())
        self._build()

    def _build(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TensorFlow's says that it will be LiteRT one day
            self._running = self._interpreter(
                model_content=self._job.data,
                experimental_op_resolver_type=self._resolver,
                experimental_preserve_all_tensors=self._job.keep_tensors,
                num_threads=1,
            )
        self._running.allocate_tensors()
        self.invoke: Callable[[], object] = self._running.invoke

    def set_inputs(self, arrays: Arrays) -> None:
        for index, array in zip(self._job.inputs, arrays, strict=True):
            self._running.set_tensor(index, array)

    def outputs(self) -> Arrays:
        # get_tensor copies.
        return tuple(np.asarray(self._running.get_tensor(i)) for i in self._job.outputs)

    def tensor(self, index: int) -> NDArray[np.generic] | None:
        try:
            return np.asarray(self._running.get_tensor(index))
        except ValueError:  # it has no memory: nobody computes it
            return None

    def reset_state(self) -> None:
        if self._job.rebuild_to_reset:
            self._build()
        else:
            self._running.reset_all_variables()


class Tflm:
    """TFLM on the host."""

    def __init__(self, job: Job) -> None:
        with importing("tflm"):
            from tflite_micro.python.tflite_micro import runtime
        worker_main.started()

        self._job = job
        config = runtime.InterpreterConfig
        self._from_bytes = functools.partial(
            runtime.Interpreter.from_bytes,
            intrepreter_config=(
                config.kPreserveAllTensors if job.keep_tensors else config.kAllocationRecording
            ),
        )
        self.arena = job.arena if job.arena is not None else max(FIRST_ARENA, 10 * len(job.data))
        self._build()

    def _build(self) -> None:
        if self.arena < LEAST_ARENA:
            raise InterpreterRefused(
                f"TFLM cannot use an arena of {self.arena} bytes; the minimum is {LEAST_ARENA}"
            )
        while True:
            try:
                self._running = self._from_bytes(self._job.data, arena_size=self.arena)
            except RuntimeError as error:
                if any(text in worker_main.printed() for text in _NO_OPERATOR):
                    raise
                if self._job.arena is not None:
                    raise InterpreterRefused(
                        f"{error} in an arena of {self.arena} bytes"
                    ) from error
                if self.arena >= LARGEST_ARENA:
                    raise
                self.arena = min(4 * self.arena, LARGEST_ARENA)
            else:
                self.invoke: Callable[[], object] = self._running.invoke
                return

    def set_inputs(self, arrays: Arrays) -> None:
        for position, array in enumerate(arrays):
            self._running.set_input(array, position)

    def outputs(self) -> Arrays:
        positions = range(len(self._job.outputs))
        return tuple(np.array(self._running.get_output(i)) for i in positions)

    def tensor(self, index: int) -> NDArray[np.generic] | None:
        try:
            found = self._running.GetTensor(index, 0)
        except (RuntimeError, ValueError):
            return None
        return np.array(found["tensor_data"])

    def reset_state(self) -> None:
        if self._job.rebuild_to_reset:
            self._build()
        else:
            self._running.reset()

    def recorded_arena(self) -> int:
        """What TFLM's recording allocator says it used, in bytes; LEAST_ARENA if it does not."""
        before = len(worker_main.printed())
        self._running.print_allocations()
        found = re.search(r"Arena allocation total (\d+)", worker_main.printed()[before:])
        return int(found[1]) if found else LEAST_ARENA


_ENGINES: dict[str, Callable[[Job], Engine]] = {
    "litert": _litert,
    "tensorflow": _tensorflow,
    "tflm": Tflm,
}
