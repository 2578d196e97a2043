"""What a simulated board runs models with: the counterpart of the firmware's ``engine.h``."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Status(IntEnum):
    """Why an engine refuses: those of SPEC §5 that are its to say."""

    MODEL_TOO_LARGE = 5
    ARENA_TOO_SMALL = 7
    OPERATOR_MISSING = 8
    MODEL_REJECTED = 9
    INVOKE_FAILED = 10
    NOT_SUPPORTED = 11


class Refusal(Exception):
    """The engine cannot do what it was asked; the board goes on.

    ``str(refusal)`` is the text that the host reads from region ERROR. ``needed`` and ``available``
    are bytes where the status is about memory; 0 where they are not known.
    """

    def __init__(self, status: Status, text: str, *, needed: int = 0, available: int = 0) -> None:
        super().__init__(text)
        self.status = int(status)
        self.needed = needed
        self.available = available


@dataclass(frozen=True, eq=False)
class EngineTensor:
    """An input or an output of a loaded model.

    ``data`` is C-contiguous and writable, of the tensor's shape and dtype, and the same array until
    the model is unloaded: the board writes inputs into it and reads outputs out of it. ``type`` is
    TFLite's ``TensorType``. A ``scale`` of 0 means "not quantised".
    """

    data: NDArray[Any]
    type: int
    scale: float = 0.0
    zero_point: int = 0


@dataclass(frozen=True, eq=False)
class Loaded:
    """A model that was prepared. ``arena_used`` (None: not known) and ``arena_size`` are bytes.
    ``memory`` is what lies where the model was put, if that is not what was sent."""

    arena_used: int | None
    arena_size: int
    inputs: tuple[EngineTensor, ...]
    outputs: tuple[EngineTensor, ...]
    memory: bytes | None = None


class Engine(Protocol):
    """Runs one model at a time. Any method but ``unload`` may raise :class:`Refusal`.

    Any other exception is a bug of the engine, which ``Board.poll`` raises. An engine must not hold
    the board that runs it (nanobind would report the cycle as a leak).
    """

    @property
    def kernels(self) -> str:
        """The kernel library. Empty: not known. Read once for each board, as the next three."""

    @property
    def tflm(self) -> str:
        """TFLM's version, commit or date. Empty: not known."""

    @property
    def operators(self) -> str:
        """Names of the operators there are, one space between. Empty: not known."""

    @property
    def memory(self) -> int:
        """Bytes for model and arena together."""

    def open(self, size: int, kept: int) -> None:
        """Unload the present model; a model of ``size`` bytes will come. It lies behind the first
        ``kept`` bytes of the memory, at the next multiple of 16."""

    def prepare(self, model: bytes) -> Loaded:
        """Load a model. After a refusal none is loaded."""

    def invoke(self) -> int:
        """Run the inputs' arrays, fill the outputs'. Returns microseconds of Invoke alone."""

    def reset_state(self) -> None:
        """Put the model's variables back to their initial values."""

    def unload(self) -> None:
        """Forget the model, if there is one."""


class SimulatedEngine(Engine, Protocol):
    """An engine in the simulator's process, between the port and the firmware core as well."""

    def take_log(self) -> list[str]:
        """Lines printed since the last call."""

    def received(self, data: bytes) -> bytes:
        """What reaches the core of the bytes that the host sent."""

    def sent(self, data: bytes) -> bytes:
        """What reaches the host of the bytes that the core sent."""
