"""The interpreters of this machine: LiteRT, TensorFlow and TFLM on the host, each in a process
that may crash."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pytest_tflm.errors import NotSupported, SettingsError, TflmError
from pytest_tflm.runtime import packages
from pytest_tflm.runtime.ahead import Ahead, Turns
from pytest_tflm.runtime.base import Observation, OperatorTime, Outputs
from pytest_tflm.runtime.spec import RuntimeSpec
from pytest_tflm.runtime.worker import DEFAULT_TIMEOUT, Ticket, Worker

if TYPE_CHECKING:
    from pytest_tflm.model import Model
    from pytest_tflm.runtime.base import Arrays

# With a delegate the graph is another one when its tensors are kept (tensorflow#79355): what would
# be read is not what the user's run computed.
_OBSERVABLE = ("", "builtin_ref", "builtin_without_default_delegates")

# A message carries at most so many samples and bytes, and no more than the worker computes in so
# many microseconds: what is under way must be waited for also when nobody wants it any more.
MAX_CHUNK = 64
MAX_CHUNK_BYTES = 256 * 1024
MAX_CHUNK_MICROSECONDS = 20_000
# The one that is computed and the one that is sent meanwhile.
CHUNKS_UNDER_WAY = 2

_numbers = itertools.count(1)


class InterpreterHost:
    """A :class:`~pytest_tflm.runtime.base.Host` on an interpreter of this machine. All its models
    share one process, which is started by the first of them, and by the first after a crash; a
    crash of one model takes the variables of the others with it.

    ``timeout`` is in seconds, for each sample. ``arena`` is the size of TFLM's arena in bytes; None
    tries from 16 to 256 MiB. ``fills_memory``: in attempts, memory that nobody has written holds a
    pattern and not zeros.

    Raises :class:`~pytest_tflm.errors.InterpreterMissing` if the package is not installed.
    """

    def __init__(
        self,
        spec: RuntimeSpec,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        arena: int | None = None,
        fills_memory: bool = False,
        worker: Worker | None = None,
    ) -> None:
        if timeout <= 0:
            raise SettingsError(
                f"A timeout of {timeout:g} s is invalid: it must be greater than 0."
            )
        packages.check_installed(spec.kind)
        self.spec = spec
        self.name = spec.name
        self.takes_models = True
        self.operators: tuple[str, ...] = ()
        self.is_observable = spec.resolver in _OBSERVABLE
        self.timeout = timeout
        self.arena = arena
        self._fills_memory = fills_memory
        self.worker = worker or Worker(self.name, timeout=timeout)
        self.turns = Turns(self.worker.settle)
        self._loaded: dict[str, InterpreterRuntime] = {}
        self._versions: dict[str, str] = {}

    def load(self, model: Model) -> InterpreterRuntime:
        """``model``, ready to run; the same runtime each time.

        Does not wait for it: an error of loading is raised by the first use.
        """
        if model.sha256 not in self._loaded:
            self._loaded[model.sha256] = InterpreterRuntime(self, model)
        return self._loaded[model.sha256]

    def attempt(
        self,
        model: Model,
        samples: Sequence[object],
        *,
        reset_between: bool = False,
        expected: Sequence[Arrays | None] | None = None,
    ) -> _Once:
        arrays = [model.quantize(sample) for sample in samples]
        return _Once(self, model, "run_once", arrays, reset_between, self._fills_memory)

    def observe(
        self, model: Model, samples: Sequence[object], *, reset_between: bool = True
    ) -> list[Observation]:
        arrays = [model.quantize(sample) for sample in samples]
        wanted = [t.index for t in model.tensors if not (t.is_constant or t.is_handle)]
        seen = _Once(self, model, "observe_once", arrays, reset_between, wanted, keeps_tensors=True)
        return [
            Observation(Outputs(outputs, model.outputs, self.name), tensors)
            for outputs, tensors in seen.replies()
        ]

    def versions(self) -> dict[str, str]:
        """The package and its version, for example ``{"ai-edge-litert": "2.3.0"}``."""
        if not self._versions:  # each test's report asks, and the answer is read from files
            self._versions = packages.versions(self.spec.kind)
        return dict(self._versions)

    def describe(self) -> str:
        return ", ".join(f"{name} {version}" for name, version in self.versions().items())

    def renew(self) -> None:
        self.turns.interrupt()
        self.worker.close()

    def reopen(self) -> None:
        """There is no line to drop."""

    def note(self, error: TflmError) -> TflmError:
        return error

    def close(self) -> None:
        self._loaded = {}
        self.turns.interrupt()
        self.worker.close()

    def __enter__(self) -> InterpreterHost:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def job(self, model: Model, *, keeps_tensors: bool = False) -> tuple[Any, ...]:
        """How the worker is told of a model: see :class:`~.interpreters.Job`."""
        return (
            model.data,
            tuple(tensor.index for tensor in model.inputs),
            tuple(tensor.index for tensor in model.outputs),
            self.spec.resolver,
            model.has_hidden_variables,
            self.arena,
            keeps_tensors,
        )

    def submit(
        self,
        model: Model,
        method: str,
        *arguments: Any,
        doing: str,
    ) -> Ticket:
        """Ask the worker for something about ``model``; ``doing`` is said in errors."""
        if self._fills_memory:
            advice = ""  # in a search, what goes wrong is a result
        elif self.spec.kind != "tflm":
            advice = "try another resolver (--tflm-resolver) or interpreter (--tflm-runtime=tflm)"
        elif self.arena is not None:
            advice = f"try an arena larger than {self.arena} bytes"
        else:
            advice = "try another interpreter (--tflm-runtime=litert)"
        if advice:
            advice += f" ({self.describe()})"
        return self.worker.submit(
            method,
            *arguments,
            who=self.name,
            doing=f"{doing} {model.name}",
            advice=advice,
            timeout=self.timeout,
        )


class _Once:
    """A model that is loaded, run over samples, and forgotten: an
    :class:`~pytest_tflm.runtime.base.Attempt`."""

    def __init__(
        self,
        host: InterpreterHost,
        model: Model,
        method: str,
        samples: Sequence[Arrays],
        *arguments: Any,
        keeps_tensors: bool = False,
    ) -> None:
        self._worker, self._count = host.worker, len(samples)
        host.turns.interrupt()
        self._ticket = host.submit(
            model,
            method,
            host.spec.kind,
            samples,
            *arguments,
            *host.job(model, keeps_tensors=keeps_tensors),
            doing="with",
        )

    def replies(self) -> Iterator[Any]:
        for _ in range(self._count):
            yield self._worker.next(self._ticket)

    def outputs(self) -> list[Arrays]:
        return list(self.replies())


class InterpreterRuntime:
    """A :class:`~pytest_tflm.runtime.base.Runtime` on an interpreter of this machine.

    Made by :meth:`InterpreterHost.load`. Making one starts the process and does not wait for it, so
    that several start at a time; an error of loading is raised by the first use. After a crash the
    next call starts a new process and loads the model again, so variables begin anew. Not for
    several threads at once.

    Use raises :class:`~pytest_tflm.errors.InterpreterRefused`,
    :class:`~pytest_tflm.errors.InterpreterCrashed`,
    :class:`~pytest_tflm.errors.InterpreterMissing` if the package is there and cannot be imported,
    and :class:`~pytest_tflm.errors.SampleError`.
    """

    def __init__(self, host: InterpreterHost, model: Model) -> None:
        self.host = host
        self.model = model
        self.name = host.name
        self._number = next(_numbers)
        self._worker = host.worker
        self._start = 0
        self._loading: Ticket | None = None
        self.calls = 0
        self.ahead = Ahead(model.quantize, lambda samples: self._run_all(_Source(samples)))
        self._load()

    @property
    def pid(self) -> int | None:
        """Its process; None after a crash and after the host was closed."""
        return self._worker.pid

    @property
    def activity(self) -> object:
        return self.calls, self._worker.starts

    def run(self, sample: object) -> Outputs:
        """Run one sample."""
        arrays = self.model.quantize(sample)
        outputs = self.ahead.take(arrays)
        if outputs is not None:
            self.calls += 1
            return outputs
        self._ready()
        self.ahead.restore()
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
        self.ahead.restore()
        yield from self._run_all(_Source(map(self.model.quantize, samples)))

    def expect(self, samples: Iterable[object], redo: Callable[[], None] | None = None) -> None:
        self.host.turns.interrupt()
        self.ahead.restore()
        self.host.turns.begin(self.ahead)
        self.ahead.expect(samples, redo)

    def _run_all(self, source: _Source) -> Generator[Outputs, None, None]:
        self._prepared()
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
        self.ahead.was_reset()
        self._worker.next(self._submit("reset_state", doing="while resetting the state of"))

    def reload(self) -> None:
        """Load the model once more, with its variables at their initial values."""
        self.close()
        self.ahead.was_reset()
        self._load()

    def check_identity(self) -> None:
        """An interpreter has the model that it was given."""

    def read_back(self, sample: object) -> Arrays:
        raise self._cannot("read input tensors back")

    def read_inputs(self) -> Arrays:
        raise self._cannot("read input tensors")

    def operator_times(self) -> list[OperatorTime]:
        raise self._cannot("measure operators")

    def close(self) -> None:
        """Take the model out of the process. May be called twice."""
        self._touch()
        loading, self._loading = self._loading, None
        if loading is not None and self._is_current():
            self._worker.drop(loading)
            self._worker.drop(self._submit("unload", doing="while unloading"))

    def _cannot(self, what: str) -> NotSupported:
        return NotSupported(f"{self.name} is a host interpreter: it does not {what}")

    def _is_current(self) -> bool:
        """The process that the model was sent to is the one that is there."""
        return self._worker.pid is not None and self._worker.starts == self._start

    def _load(self) -> Ticket:
        """Send the model, and do not wait until it is loaded."""
        self._loading = self._submit(
            "load",
            self.host.spec.kind,
            *self.host.job(self.model),
            doing="while loading",
        )
        self._start = self._worker.starts
        return self._loading

    def _touch(self) -> None:
        """Something is asked of it that was not expected."""
        self.calls += 1
        self.host.turns.touch()

    def _ready(self) -> None:
        self._touch()
        self._prepared()

    def _prepared(self) -> None:
        """The model is loaded in the process that is there now."""
        loading = self._loading
        if loading is None or not self._is_current():
            loading = self._load()
        if not loading.finished or loading.error is not None:
            self._worker.next(loading)

    def _submit(self, method: str, *arguments: Any, doing: str) -> Ticket:
        return self.host.submit(self.model, method, self._number, *arguments, doing=doing)

    def _outputs(self, reply: tuple[Arrays, int]) -> Outputs:
        arrays, microseconds = reply
        return Outputs(arrays, self.model.outputs, self.name, microseconds)

    def _largest_chunk(self) -> int:
        tensors = (*self.model.inputs, *self.model.outputs)
        size = max(1, sum(tensor.nbytes for tensor in tensors))
        return max(1, min(MAX_CHUNK, MAX_CHUNK_BYTES // size))


class _Source:
    """Codes of samples, taken as they are needed. What is wrong with one is kept in ``failure``, so
    that the outputs of those before it can be given first."""

    def __init__(self, samples: Iterator[Arrays]) -> None:
        self._samples = samples
        self.failure: Exception | None = None
        self._ended = False

    def take(self, count: int) -> list[Arrays]:
        """The next samples; fewer only at the end."""
        taken: list[Arrays] = []
        try:
            while len(taken) < count and not self._ended:
                # Copied: a generator may fill one array again and again.
                taken.append(tuple(array.copy() for array in next(self._samples)))
        except StopIteration:
            self._ended = True
        except Exception as error:
            self._ended = True
            self.failure = error
        return taken


def interpreter(kind: str, resolver: str | None = None, **options: Any) -> InterpreterHost:
    """An interpreter by its kind, ``litert``, ``tensorflow`` or ``tflm``, and the name of its op
    resolver; ``options`` as :class:`InterpreterHost` takes them. Close it, or use it as a context
    manager. Raises SettingsError and InterpreterMissing."""
    return InterpreterHost(RuntimeSpec.of_interpreter(kind, resolver), **options)
