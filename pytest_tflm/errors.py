"""Everything that can go wrong, as one tree.

::

    TflmError                     something broke; never a difference of outputs
    ├── SettingsError             an option, an environment variable or an ini value makes no sense
    ├── ModelError                the .tflite file
    │   ├── ModelNotFound         there is no such file, or it cannot be read
    │   ├── NotAModel             not a TFLite flatbuffer: text, empty, another format
    │   ├── DamagedModel          a TFLite flatbuffer that is cut short or contradicts itself
    │   ├── ModelTooNew           written for a schema version that this package does not read
    │   ├── CannotCut             an operator that is no model by itself
    │   └── CannotRepair          a repaired model would not compute what the original does
    ├── SampleError               samples whose file, shape, dtype or range does not fit the model
    ├── ReplayError               a .tflm-replay file that is damaged, or that cannot be run here
    ├── RecordError               a run's record or a baseline that is damaged or cannot be written
    ├── InterpreterError          an interpreter on this machine
    │   ├── InterpreterMissing    its package is not installed, or has no build for this system
    │   ├── InterpreterRefused    it does not accept the model, or failed in Invoke
    │   └── InterpreterCrashed    its process died (signal) or stopped answering
    ├── LinkError                 bytes between this machine and the board
    │   ├── PortNotFound          the port does not exist
    │   ├── PortBusy              somebody else has it open
    │   ├── PortFailed            it cannot be opened, read or written
    │   ├── PortVanished          it was there and is gone: unplugged, or the simulator died
    │   ├── NoAnswer              nobody answers, or not any more
    │   ├── LineTooNoisy          so much is damaged or lost that nothing gets through
    │   ├── ForeignPeer           something answers that does not speak this protocol
    │   └── ProtocolMismatch      no version in common, or the peer broke a promise of SPEC.md
    └── BoardError                the board answered, and said no
        ├── BoardReset            it restarted in the middle of a session
        ├── BoardCrashed          it reported a fault of its own
        ├── ModelTooLarge         its memory does not hold the model
        ├── ArenaTooSmall         its memory does not hold the model's arena
        ├── OperatorMissing       its firmware lacks an operator of the model
        ├── ModelRejected         it could not prepare the model for another reason
        ├── WrongModel            what it has loaded is not the file
        ├── InputAltered          Invoke saw other bytes than were sent
        ├── InvokeFailed          TFLM's Invoke returned an error
        └── NotSupported          its firmware does not do that, or not yet

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
    """An option, an environment variable or an ini value makes no sense."""


class ModelError(TflmError):
    """The .tflite file cannot be used."""


class ModelNotFound(ModelError):
    """There is no such file, or it cannot be read."""


class NotAModel(ModelError):
    """The file is not a TFLite flatbuffer."""


class DamagedModel(ModelError):
    """The file is a TFLite flatbuffer that is cut short or contradicts itself."""


class ModelTooNew(ModelError):
    """The file was written for a schema version that this package does not read."""


class CannotCut(ModelError):
    """The operator cannot be made a model of its own."""


class CannotRepair(ModelError):
    """A repaired model would not compute what the original does, so there is none."""


class SampleError(TflmError):
    """Samples whose file, count, shape, dtype or range does not fit the model."""


class ReplayError(TflmError):
    """A .tflm-replay file that is damaged, or that cannot be run here."""


class RecordError(TflmError):
    """A run's record or a baseline that is damaged, or that cannot be written."""


class InterpreterError(TflmError):
    """An interpreter on this machine did not do its work."""


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
    """Somebody else has the port open."""


class PortFailed(LinkError):
    """The port cannot be opened, read or written."""


class PortVanished(LinkError):
    """The port was there and is gone."""


class NoAnswer(LinkError):
    """Nobody answers, or not any more."""


class LineTooNoisy(LinkError):
    """So much is damaged or lost that nothing gets through."""


class ForeignPeer(LinkError):
    """Something answers that does not speak this protocol."""


class ProtocolMismatch(LinkError):
    """No version in common, or the peer broke a promise of SPEC.md."""


class BoardError(TflmError):
    """The board answered, and said no."""


class BoardReset(BoardError):
    """The board restarted in the middle of a session."""


class BoardCrashed(BoardError):
    """The board reported a fault of its own."""


class ModelTooLarge(BoardError):
    """The board's memory does not hold the model."""


class ArenaTooSmall(BoardError):
    """The board's memory does not hold the model's arena."""


class OperatorMissing(BoardError):
    """The board's firmware lacks an operator of the model."""


class ModelRejected(BoardError):
    """The board could not prepare the model."""


class WrongModel(BoardError):
    """What the board has loaded is not the file."""


class InputAltered(BoardError):
    """Invoke saw other bytes than were sent."""


class InvokeFailed(BoardError):
    """TFLM's Invoke returned an error."""


class NotSupported(BoardError):
    """The board's firmware does not do that."""


class OutputMismatch(AssertionError):
    """Outputs differ by more than the tolerance.

    ``sample`` is the input that they differ for, if it is not one of the model's samples: a search
    has found it. ``comparison`` is the :class:`~pytest_tflm.compare.comparison.Comparison` that it
    was raised for, if it was for one. ``more`` is what the message says behind the comparison.
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
    """A model on a board is not what its baseline says, in a way that was asked to fail."""
