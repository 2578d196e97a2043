"""The one idea: a runtime runs a model. A board, host TFLM and each TFLite interpreter is one.

A :class:`Host` is what runs models (a board, an interpreter), a :class:`Runtime` one model on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from pytest_tflm.errors import InputAltered

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pytest_tflm.errors import TflmError
    from pytest_tflm.model import Model, Tensor
    from pytest_tflm.runtime.spec import RuntimeSpec

    Arrays = tuple[NDArray[np.generic], ...]


@dataclass(frozen=True, eq=False)
class Outputs:
    """What a runtime computed for one sample.

    ``arrays`` holds one array for each output tensor of the model, in the model's order, in the
    tensor's own dtype (codes, not real values) and shape. ``tensors`` describes them.
    ``invoke_microseconds`` is the time of Invoke only, by the runtime's own clock, if it has one.
    """

    arrays: Arrays
    tensors: tuple[Tensor, ...]
    runtime: str
    invoke_microseconds: int | None = field(default=None, compare=False)

    def __len__(self) -> int:
        return len(self.arrays)

    def __getitem__(self, index: int) -> NDArray[Any]:
        return self.arrays[index]

    def __eq__(self, other: object) -> bool:
        """Bit for bit: the same dtypes, shapes and bytes, regardless of the runtime."""
        if not isinstance(other, Outputs):
            return NotImplemented
        return [(a.dtype, a.shape, a.tobytes()) for a in self.arrays] == [
            (a.dtype, a.shape, a.tobytes()) for a in other.arrays
        ]

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        arrays = ", ".join(f"{a.dtype}{list(a.shape)}" for a in self.arrays)
        return f"<outputs of {self.runtime}: {arrays}>"


@dataclass(frozen=True)
class OperatorTime:
    """How long the operator at ``index`` of the model's main subgraph took; ``name`` is its kind,
    such as ``CONV_2D``."""

    index: int
    name: str
    microseconds: int


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


class Progress(Protocol):
    """Told how far something long is."""

    def __call__(self, what: str, done: int, total: int, unit: str = "") -> None:
        """``done`` of ``total`` are done (0: not known); as many as ``total`` at its end."""


class Begun(Protocol):
    """What was begun ahead: :class:`~pytest_tflm.runtime.ahead.Ahead`."""

    asked: int
    missed: int
    last: bytes

    @property
    def is_under_way(self) -> bool:
        """Whether more samples are expected."""


class Runtime(Protocol):
    """One model on a host.

    A *sample* is an argument of ``Model.quantize``: one array for a model with one input, or a
    sequence or a mapping (by tensor name) of arrays for several.
    """

    @property
    def name(self) -> str:
        """Its name in reports, for example ``litert builtin_ref`` or ``board nano33``."""

    @property
    def model(self) -> Model:
        """The model it runs."""

    @property
    def host(self) -> Host:
        """What runs it."""

    @property
    def activity(self) -> object:
        """Another value whenever something was done that the model's state may depend on."""

    @property
    def calls(self) -> int:
        """How many calls it has had; on a board, its host."""

    @property
    def ahead(self) -> Begun:
        """What it has begun of the samples that are expected."""

    def expect(self, samples: Iterable[object], redo: Callable[[], None] | None = None) -> None:
        """Announce the next samples of :meth:`run`, in this order, so that it can start early. Any
        other call ends the expectation and changes no result. A model with state needs ``redo``,
        which resets it and runs the samples requested so far."""

    def run(self, sample: object) -> Outputs:
        """Run one sample. Raises a :class:`~pytest_tflm.errors.TflmError` if it cannot."""

    def run_many(self, samples: Iterable[object]) -> Iterator[Outputs]:
        """Run samples in order, as fast as the runtime can, holding only a few at a time."""

    def reset_state(self) -> None:
        """Reset the model's variables (LSTM, SVDF, …) to their initial values."""

    def reload(self) -> None:
        """Load the model again, so that its memory is initialised again. WrongModel on a board that
        takes no models."""

    def check_identity(self) -> None:
        """Ask the host again which model it has prepared. WrongModel if it is another one."""

    def read_back(self, sample: object) -> Arrays:
        """Write a sample into the input tensors, without running it, and read them back: one array
        per input tensor, in its dtype and shape. NotSupported by interpreters."""

    def read_inputs(self) -> Arrays:
        """The present content of the input tensors; after a run, what Invoke left there.
        NotSupported by interpreters."""

    def operator_times(self) -> list[OperatorTime]:
        """The time of each operator in the last run, by the host's clock; empty before the first.
        An operator that runs others (IF, WHILE, CALL_ONCE) includes them. Operators for which the
        board had no memory are missing at the end. NotSupported by the simulator and the
        interpreters."""

    def close(self) -> None:
        """Release the model. The host stays open. May be called twice."""


class Attempt(Protocol):
    """One model that is loaded, run over samples and forgotten."""

    def outputs(self) -> list[Arrays]:
        """What it computed, in the order of the samples; waits for it. Raises the TflmError that
        stopped it."""


class Host(Protocol):
    """Runs models: a board, or an interpreter of this machine. Opened by
    :class:`~pytest_tflm.runtime.hosts.Hosts`."""

    @property
    def spec(self) -> RuntimeSpec:
        """What was asked for."""

    @property
    def name(self) -> str:
        """How reports call it, ``board simulator`` or ``litert builtin_ref`` for example. Greets a
        board: raises LinkError or BoardError."""

    @property
    def takes_models(self) -> bool:
        """Whether it runs any model that fits; a board may have one compiled in instead."""

    @property
    def operators(self) -> tuple[str, ...]:
        """The operators that it says it has; none if it does not say."""

    @property
    def is_observable(self) -> bool:
        """Whether :meth:`observe` shows what the operators of an ordinary run compute."""

    def load(self, model: Model) -> Runtime:
        """``model``, ready to run; the same runtime each time. On a board it takes the place of the
        model before it, which is sent again when its runtime is used. Raises TflmError."""

    def attempt(
        self,
        model: Model,
        samples: Sequence[object],
        *,
        reset_between: bool = False,
        expected: Sequence[Arrays | None] | None = None,
    ) -> Attempt:
        """Load ``model``, run ``samples`` in order from its initial state (each of them from it
        with ``reset_between``), and forget it. Runtimes of an interpreter's host keep their state;
        a board has one model at a time. What goes wrong is raised by the attempt's ``outputs``.

        ``expected`` says what should come of each sample (None where nobody knows), and that these
        tensors will be wanted again: a board may keep them in its memory, and not send them."""

    def observe(
        self, model: Model, samples: Sequence[object], *, reset_between: bool = True
    ) -> list[Observation]:
        """The same as :meth:`attempt`, with all tensors kept and read after each sample.
        NotSupported by a board. With a delegate, what is seen is not what an ordinary run computes
        (tensorflow#79355): look only at its outputs."""

    def versions(self) -> dict[str, str]:
        """Of the package, or of firmware, kernels and TFLM as far as the board says."""

    def describe(self) -> str:
        """One line for people: package and version, or a board's firmware, kernels and TFLM."""

    def renew(self) -> None:
        """Begin anew, so that what models before have done to the memory is gone: a new process; a
        simulated board is started again, a real one is greeted again. Raises TflmError."""

    def reopen(self) -> None:
        """Drop the line to a board and open it again. What it has loaded stays."""

    def note(self, error: TflmError) -> TflmError:
        """Take notice of an error that a call raised: those of its link end a board's use. Gives
        the error to show, which for a simulator that died says so."""

    def close(self) -> None:
        """Release what it holds. May be called twice."""


def check_read_back(runtime: Runtime, sample: Arrays) -> None:
    """Write ``sample`` into the input tensors and read them. Raises InputAltered if they hold other
    bytes; NotSupported by interpreters."""
    for tensor, sent, found in zip(
        runtime.model.inputs, sample, runtime.read_back(sample), strict=True
    ):
        pairs = zip(sent.tobytes(), found.tobytes(), strict=True)
        wrong = [at for at, (one, other) in enumerate(pairs) if one != other]
        if wrong:
            raise InputAltered(
                f"input {tensor.name!r} of {runtime.model.name} reads back with {len(wrong)} of "
                f"{sent.nbytes} bytes changed, the first at byte {wrong[0]}"
            )


def outputs_of(host: Host, model: Model, samples: Sequence[object]) -> list[Arrays]:
    """The outputs of ``model`` on ``host`` for each sample, each from the initial state."""
    return host.attempt(model, samples, reset_between=model.is_stream).outputs()
