"""The interpreters of this machine as runtimes: LiteRT, TensorFlow and TFLM on the host."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from pytest_tflm.errors import InterpreterCrashed, SettingsError
from pytest_tflm.runtime import packages
from pytest_tflm.runtime.base import Outputs
from pytest_tflm.runtime.packages import KINDS, RESOLVERS
from pytest_tflm.runtime.worker import DEFAULT_TIMEOUT, START_TIMEOUT, Ticket, Worker

if TYPE_CHECKING:
    from pytest_tflm.model import Model
    from pytest_tflm.runtime.base import Arrays

__all__ = ["KINDS", "RESOLVERS", "InterpreterRuntime", "arena_needed"]

# A message carries at most so many samples and bytes, and no more than the worker computes in so
# many microseconds: what is under way must be waited for also when nobody wants it any more.
MAX_CHUNK = 64
MAX_CHUNK_BYTES = 256 * 1024
MAX_CHUNK_MICROSECONDS = 20_000
# The one that is computed and the one that is sent meanwhile.
CHUNKS_UNDER_WAY = 2

LEAST_ARENA = 1024
ARENA_STEP = 16

_numbers = itertools.count(1)


class InterpreterRuntime:
    """A :class:`~pytest_tflm.runtime.base.Runtime` on an interpreter in a process of its own.

    ``kind`` is one of :data:`KINDS`; ``resolver`` one of :data:`RESOLVERS`, None for
    ``builtin_ref``. TFLM has one set of kernels: there it is checked and not used. ``timeout`` is
    in seconds, for each sample. ``arena`` is the size of TFLM's arena in bytes; None tries from
    16 to 256 MiB. ``worker`` lets several runtimes share a process: who made it
    closes it, and a crash of one model takes the variables of the others with it.

    Making one starts the process and does not wait for it, so that several start at a time; an
    error of loading is raised by the first use. After a crash the next call starts a new process
    and loads the model again, so variables begin anew. Not for several threads at once.

    Raises :class:`~pytest_tflm.errors.SettingsError` for an unknown kind or resolver and
    :class:`~pytest_tflm.errors.InterpreterMissing` if the package is not installed. Use raises
    :class:`~pytest_tflm.errors.InterpreterRefused`,
    :class:`~pytest_tflm.errors.InterpreterCrashed`, InterpreterMissing if the package is there and
    cannot be imported, and :class:`~pytest_tflm.errors.SampleError`.
    """

    _keeps_tensors = False

    def __init__(
        self,
        kind: str,
        model: Model,
        *,
        resolver: str | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        arena: int | None = None,
        worker: Worker | None = None,
    ) -> None:
        self._name = packages.runtime_name(kind, resolver)
        if timeout <= 0:
            raise SettingsError(f"A timeout of {timeout:g} s makes no sense: it must be above 0.")
        packages.check_installed(kind)
        self._kind = kind
        self._model = model
        self._resolver = resolver or packages.DEFAULT_RESOLVER
        self._timeout = timeout
        self._arena = arena
        self._number = next(_numbers)
        self._is_own = worker is None
        self._worker = worker or Worker(self._name, timeout=timeout)
        self._start = 0
        self._loading: Ticket | None = None
        self._load()

    @property
    def name(self) -> str:
        """For example ``litert builtin_ref``, or ``tflm``."""
        return self._name

    @property
    def model(self) -> Model:
        """The model it runs."""
        return self._model

    @property
    def pid(self) -> int | None:
        """Its process; None after a crash and after :meth:`close`."""
        return self._worker.pid

    def versions(self) -> dict[str, str]:
        """The interpreter's package and version, for example ``{"ai-edge-litert": "2.3.0"}``."""
        return packages.versions(self._kind)

    def run(self, sample: object) -> Outputs:
        """Run one sample."""
        arrays = self._model.quantize(sample)
        self._ready()
        return self._outputs(self._worker.next(self._submit("run", arrays, doing="in Invoke on")))

    def run_many(self, samples: Iterable[object]) -> Iterator[Outputs]:
        """Run samples in order.

        It reads samples ahead of the outputs it has given: one at first, 128 at most, and not more
        than are computed in some 40 ms. An error comes after the outputs of the samples before it;
        but a crash can take with it what a small model computed in its last millisecond. What was
        read ahead is computed even if nobody asks for it: with a model that has variables, take all
        outputs before another call.
        """
        self._ready()
        source = _Source(self._model.quantize, samples)
        largest = self._largest_chunk()
        size = 1
        under_way: deque[tuple[Ticket, int]] = deque()
        try:
            while True:
                while len(under_way) < CHUNKS_UNDER_WAY and (chunk := source.take(size)):
                    ticket = self._submit("run_many", chunk, doing="in Invoke on")
                    under_way.append((ticket, len(chunk)))
                if not under_way:
                    break
                ticket, count = under_way[0]
                busy = 0
                for _ in range(count):
                    outputs = self._outputs(self._worker.next(ticket))
                    busy += outputs.invoke_microseconds or 0
                    yield outputs
                under_way.popleft()
                if count == size and 2 * busy <= MAX_CHUNK_MICROSECONDS:
                    size = min(2 * size, largest)
        finally:
            for ticket, _ in under_way:
                self._worker.drop(ticket)
        if source.failure is not None:
            raise source.failure

    def reset_state(self) -> None:
        """Put the model's variables back to their initial values."""
        self._ready()
        self._worker.next(self._submit("reset_state", doing="while resetting the state of"))

    def close(self) -> None:
        """End the process, or take the model out of one that is shared. May be called twice."""
        loading, self._loading = self._loading, None
        if self._is_own:
            self._worker.close()
        elif loading is not None and self._is_current():
            self._worker.drop(loading)
            self._worker.drop(self._submit("unload", doing="while unloading"))

    def __enter__(self) -> InterpreterRuntime:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _is_current(self) -> bool:
        """The process that the model was sent to is the one that is there."""
        return self._worker.pid is not None and self._worker.starts == self._start

    def _load(self) -> Ticket:
        """Send the model, and do not wait until it is loaded."""
        self._loading = self._submit(
            "load",
            self._kind,
            self._model.data,
            tuple(tensor.index for tensor in self._model.inputs),
            tuple(tensor.index for tensor in self._model.outputs),
            self._resolver,
            self._model.has_hidden_variables,
            self._arena,
            self._keeps_tensors,
            doing="while loading",
            timeout=max(self._timeout, START_TIMEOUT),
        )
        self._start = self._worker.starts
        return self._loading

    def _ready(self) -> None:
        """The model is loaded in the process that is there now."""
        loading = self._loading
        if loading is None or not self._is_current():
            loading = self._load()
        if not loading.finished or loading.error is not None:
            self._worker.next(loading)

    def _submit(
        self, method: str, *arguments: Any, doing: str, timeout: float | None = None
    ) -> Ticket:
        if self._kind != "tflm":
            advice = "try another resolver (--tflm-resolver) or interpreter (--tflm-runtime=tflm)"
        elif self._arena is not None:
            advice = f"try a larger arena than {self._arena} bytes"
        else:
            advice = "try another interpreter (--tflm-runtime=litert)"
        return self._worker.submit(
            method,
            self._number,
            *arguments,
            who=self._name,
            doing=f"{doing} {self._model.name}",
            advice=advice,
            timeout=timeout or self._timeout,
        )

    def _outputs(self, reply: tuple[Arrays, int]) -> Outputs:
        arrays, microseconds = reply
        return Outputs(arrays, self._model.outputs, self._name, microseconds)

    def _largest_chunk(self) -> int:
        tensors = (*self._model.inputs, *self._model.outputs)
        size = max(1, sum(tensor.nbytes for tensor in tensors))
        return max(1, min(MAX_CHUNK, MAX_CHUNK_BYTES // size))


class _Source:
    """Samples, quantised as they are taken. What is wrong with one is kept in ``failure``, so that
    the outputs of those before it can be given first."""

    def __init__(self, quantize: Callable[[Any], Arrays], samples: Iterable[object]) -> None:
        self._quantize = quantize
        self._samples = iter(samples)
        self.failure: Exception | None = None
        self._ended = False

    def take(self, count: int) -> list[Arrays]:
        """The next samples; fewer only at the end."""
        taken: list[Arrays] = []
        try:
            while len(taken) < count and not self._ended:
                # Copied: a generator may fill one array again and again.
                taken.append(tuple(a.copy() for a in self._quantize(next(self._samples))))
        except StopIteration:
            self._ended = True
        except Exception as error:
            self._ended = True
            self.failure = error
        return taken


def arena_needed(model: Model, *, timeout: float = DEFAULT_TIMEOUT) -> int:
    """The smallest arena, in bytes, in which host TFLM allocates ``model``'s tensors.

    A multiple of 16, at least 1 KiB. Found by trying: what TFLM itself reports can be too low
    (tensorflow/tflite-micro#890, #2738) and only says where to begin. Host TFLM has pointers of 64
    bits and records its allocations, so a board's TFLM needs less.

    Raises :class:`~pytest_tflm.errors.InterpreterRefused` if TFLM does not take the model at all,
    :class:`~pytest_tflm.errors.InterpreterMissing` and
    :class:`~pytest_tflm.errors.InterpreterCrashed`.
    """
    packages.check_installed("tflm")
    doing = f"while measuring the arena of {model.name}"
    with Worker("tflm", timeout=max(timeout, START_TIMEOUT)) as worker:

        def fits(arena: int) -> bool:
            try:
                return bool(worker.call("fits_arena", model.data, arena, doing=doing))
            except InterpreterCrashed:
                return False  # some arenas that are too small do that to TFLM

        return _smallest(fits, worker.call("recorded_arena", model.data, doing=doing))


def _smallest(fits: Callable[[int], bool], guess: int) -> int:
    """The smallest multiple of 16, from 1 KiB, that fits: in steps that grow away from ``guess``,
    then by bisection."""
    least, step = LEAST_ARENA // ARENA_STEP, 4
    high = max(least, -(-guess // ARENA_STEP))
    low = least - 1  # taken not to fit; all in units of ARENA_STEP
    if fits(high * ARENA_STEP):
        while high - step > low:
            if not fits((high - step) * ARENA_STEP):
                low = high - step
                break
            high -= step
            step *= 4
    else:
        low, high = high, high + step
        while not fits(high * ARENA_STEP):
            step *= 4
            low, high = high, high + step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(middle * ARENA_STEP) else (middle, high)
    return high * ARENA_STEP
