"""Everything that can go wrong, as one tree.

::

    TflmError                     something broke; never a difference of outputs
    ├── SettingsError             an option, an environment variable or an ini value is invalid
    ├── ModelError                the .tflite file
    │   ├── ModelNotFound         the file is missing or cannot be read
    │   ├── NotAModel             not a TFLite flatbuffer: text, empty, another format
    │   ├── DamagedModel          a TFLite flatbuffer that is cut short or contradicts itself
    │   ├── ModelTooNew           written for a schema version that this package does not read
    │   ├── CannotCut             an operator that cannot be a model of its own
    │   └── CannotRepair          a repaired model would compute something else
    ├── SampleError               samples whose file, shape, dtype or range does not fit the model
    ├── ReplayError               a .tflm-replay file that is damaged, or that cannot be run here
    ├── RecordError               a run's record or a baseline that is damaged or cannot be written
    ├── InterpreterError          a host interpreter
    │   ├── InterpreterMissing    its package is not installed, or has no build for this system
    │   ├── InterpreterRefused    it does not accept the model, or failed in Invoke
    │   └── InterpreterCrashed    its process died (signal) or stopped answering
    ├── LinkError                 bytes between this machine and the board
    │   ├── PortNotFound          the port does not exist
    │   ├── PortBusy              another program has it open
    │   ├── PortFailed            it cannot be opened, read or written
    │   ├── PortVanished          it disappeared: unplugged, or the simulator died
    │   ├── NoAnswer              no board answers, or it stopped answering
    │   ├── LineTooNoisy          too much is damaged or lost to make progress
    │   ├── ForeignPeer           the peer does not speak this protocol
    │   └── ProtocolMismatch      no common version, or the peer violated SPEC.md
    └── BoardError                the board reported a failure
        ├── BoardReset            it restarted in the middle of a session
        ├── BoardCrashed          it reported a fault of its own
        ├── ModelTooLarge         its memory is too small for the model
        ├── ArenaTooSmall         its memory is too small for the model's arena
        ├── OperatorMissing       its firmware lacks an operator of the model
        ├── ModelRejected         it could not prepare the model for another reason
        ├── WrongModel            it has loaded another model
        ├── InputAltered          Invoke saw bytes that differ from those sent
        ├── InvokeFailed          TFLM's Invoke returned an error
        └── NotSupported          its firmware does not support that

    OutputMismatch(AssertionError)  outputs differ by more than the tolerance: a test's only failure

A message says what happened, to which port, board or model, and what to try. The plugin shows it
without a traceback.
"""

from __future__ import annotations

from typing import Any


class TflmError(Exception):
    """Something broke. ``str(error)`` is one or two lines for the user; ``details`` is what a
    failing test's report shows below them (the board's log, the link's counters)."""

    def __init__(self, message: str, *, details: str = "") -> None:
        super().__init__(message)
        self.details = details

    @property
    def headline(self) -> str:
        """Its name and the first line of its message."""
        return f"{type(self).__name__}: {self}".splitlines()[0]


class SettingsError(TflmError):
    """An option, an environment variable or an ini value is invalid."""


class ModelError(TflmError):
    """The .tflite file cannot be used."""


class ModelNotFound(ModelError):
    """The file is missing or cannot be read."""


class NotAModel(ModelError):
    """The file is not a TFLite flatbuffer."""


class DamagedModel(ModelError):
    """The file is a TFLite flatbuffer that is cut short or contradicts itself."""


class ModelTooNew(ModelError):
    """The file was written for a schema version that this package does not read."""


class CannotCut(ModelError):
    """The operator cannot be a model of its own."""


class CannotRepair(ModelError):
    """A repaired model would compute something else than the original, so none is written."""


class SampleError(TflmError):
    """Samples whose file, count, shape, dtype or range does not fit the model."""


class ReplayError(TflmError):
    """A .tflm-replay file that is damaged, or that cannot be run here."""


class RecordError(TflmError):
    """A run's record or a baseline that is damaged, or that cannot be written."""


class InterpreterError(TflmError):
    """A host interpreter failed."""


class InterpreterMissing(InterpreterError):
    """The interpreter's package is not installed, or has no build for this system."""


class InterpreterRefused(InterpreterError):
    """The interpreter does not accept the model, or failed in Invoke."""


class InterpreterCrashed(InterpreterError):
    """The interpreter's process died or stopped answering."""


class LinkError(TflmError):
    """The bytes between this machine and the board."""


class PortNotFound(LinkError):
    """The port does not exist."""


class PortBusy(LinkError):
    """Another program has the port open."""


class PortFailed(LinkError):
    """The port cannot be opened, read or written."""


class PortVanished(LinkError):
    """The port disappeared."""


class NoAnswer(LinkError):
    """No board answers, or it stopped answering."""


class LineTooNoisy(LinkError):
    """Too much is damaged or lost to make progress."""


class ForeignPeer(LinkError):
    """The peer does not speak this protocol."""


class ProtocolMismatch(LinkError):
    """No common version, or the peer violated SPEC.md."""


class BoardError(TflmError):
    """The board reported a failure."""


class BoardReset(BoardError):
    """The board restarted in the middle of a session."""


class BoardCrashed(BoardError):
    """The board reported a fault of its own."""


class ModelTooLarge(BoardError):
    """The board's memory is too small for the model."""


class ArenaTooSmall(BoardError):
    """The board's memory is too small for the model's arena."""


class OperatorMissing(BoardError):
    """The board's firmware lacks an operator of the model."""


class ModelRejected(BoardError):
    """The board could not prepare the model."""


class WrongModel(BoardError):
    """The board has loaded another model than the file."""


class InputAltered(BoardError):
    """Invoke saw bytes that differ from those sent."""


class InvokeFailed(BoardError):
    """TFLM's Invoke returned an error."""


class NotSupported(BoardError):
    """The board's firmware does not support that."""


class OutputMismatch(AssertionError):
    """Outputs differ by more than the tolerance.

    ``sample`` is the input for which they differ, if a search found it and it is not one of the
    model's samples. ``comparison`` is the
    :class:`~pytest_tflm.compare.comparison.Comparison` that failed, if any. ``more`` is the rest of
    the message after the comparison.
    """

    def __init__(
        self, message: str, *, sample: object = None, comparison: Any = None, more: str = ""
    ) -> None:
        super().__init__(message)
        self.more = more
        self.sample = sample
        self.comparison = comparison


class LimitMissed(AssertionError):
    """A model is less accurate, slower or larger than its test allows."""


class BaselineChanged(AssertionError):
    """A model on a board differs from its baseline in a way that ``--tflm-baseline-fail`` lists."""
