"""Two hosts that run the same generated models, and what comes of it: outputs that are equal or
differ, refusals and crashes, which are results like any other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from pytest_tflm.compare import distance
from pytest_tflm.errors import (
    BoardCrashed,
    BoardError,
    BoardReset,
    InterpreterCrashed,
    InterpreterRefused,
    LinkError,
    NoAnswer,
    PortVanished,
    TflmError,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_tflm.fuzz.kernels.operators.case import OperatorCase
    from pytest_tflm.runtime.base import Arrays, Attempt, Host

    Result: TypeAlias = "list[Arrays] | Failed"

EQUAL, DIFFERS, SHAPES, REFUSED, CRASHED, NEITHER = (
    "equal",
    "differs",
    "shapes",
    "refused",
    "crashed",
    "neither",
)
SUBJECT, REFERENCE = "subject", "reference"

_CRASHES = (BoardCrashed, BoardReset, InterpreterCrashed, NoAnswer, PortVanished)


@dataclass(frozen=True)
class Failed:
    """No outputs: ``crashed``, or refused. ``text`` is the error."""

    text: str
    crashed: bool


@dataclass(frozen=True)
class Outcome:
    """``kind``: ``equal``; ``differs`` by ``size`` at most (LSBs, or for float outputs units in the
    last place); ``shapes`` of outputs differ; ``refused`` or ``crashed`` by ``who`` (``subject`` or
    ``reference``) while the other ran; ``neither`` ran. ``text`` has the error, or the shapes."""

    kind: str
    size: float = 0.0
    who: str = ""
    text: str = ""


class BoardBroke(BaseException):
    """The link or the board broke for good with a generated model: ``error``, which says so. Not
    an Exception, which Hypothesis would take for a failure and try again."""

    def __init__(self, error: TflmError, case: OperatorCase) -> None:
        super().__init__(str(error))
        details = (f"with a generated model: {case.describe()}", error.details)
        error.details = "\n".join(filter(None, details))
        self.error = error


class Pair:
    """What ``subject`` computes is compared with what ``reference`` computes.

    ``reference_first``: what the reference refuses or dies of is not sent to the subject.
    ``most_crashes``: a board that crashes more often than that counts as broken (None: never).
    Greets boards: raises LinkError or BoardError.
    """

    def __init__(
        self,
        subject: Host,
        reference: Host,
        *,
        reference_first: bool = False,
        most_crashes: int | None = None,
    ) -> None:
        self.subject, self.reference = subject, reference
        self._reference_first = reference_first
        self._crashes_left = math.inf if most_crashes is None else most_crashes
        one, other = subject.name, reference.name
        if one == other:  # two boards of a kind
            one, other = (f"{h.name} at {h.spec.port}" for h in (subject, reference))
        self.names = (one, other)
        """How reports call subject and reference."""

    def run(self, case: OperatorCase, samples: Sequence[Arrays]) -> tuple[Result, Result]:
        """Results of subject and reference. Raises BoardBroke."""
        # An interpreter computes while a board does; a board has run when its attempt is there.
        there = self.reference.attempt(case.model, samples)
        if self._reference_first:
            expected = self._finish(self.reference, there, case)
            if isinstance(expected, Failed):
                return Failed("not sent to the board", crashed=False), expected
            here = self.subject.attempt(case.model, samples)
            return self._finish(self.subject, here, case), expected
        here = self.subject.attempt(case.model, samples)
        got = self._finish(self.subject, here, case)
        return got, self._finish(self.reference, there, case)

    def judge(self, case: OperatorCase, samples: Sequence[Arrays]) -> Outcome:
        """Run and compare. Raises BoardBroke."""
        return self.outcome(*self.run(case, samples))

    def outcome(self, got: Result, expected: Result) -> Outcome:
        """Compare two results."""
        if isinstance(got, Failed) and isinstance(expected, Failed):
            return Outcome(NEITHER, text=f"{got.text}; {expected.text}")
        for result, who in ((got, SUBJECT), (expected, REFERENCE)):
            if isinstance(result, Failed):
                kind = CRASHED if result.crashed else REFUSED
                return Outcome(kind, math.inf, who, result.text)
        assert isinstance(got, list)
        assert isinstance(expected, list)
        largest = 0.0
        for ours, theirs in zip(got, expected, strict=True):
            for one, other in zip(ours, theirs, strict=True):
                if one.shape != other.shape or one.dtype != other.dtype:
                    text = f"{self.names[0]} gives {_described(one)}, "
                    text += f"{self.names[1]} {_described(other)}"
                    return Outcome(SHAPES, math.inf, text=text)
                if one.tobytes() != other.tobytes():
                    largest = max(largest, distance.steps(one, other))
        return Outcome(DIFFERS, largest) if largest else Outcome(EQUAL)

    def renew(self) -> None:
        """Both begin anew, so that memory that models before have written is gone."""
        self.subject.renew()
        self.reference.renew()

    def _finish(self, host: Host, attempt: Attempt, case: OperatorCase) -> Result:
        try:
            return attempt.outputs()
        except _CRASHES as error:
            if host.spec.is_board:
                return self._renewed(host, error, case)
            return Failed(str(error), crashed=True)
        except (BoardError, InterpreterRefused) as error:
            return Failed(str(error), crashed=False)
        except LinkError as error:
            raise BoardBroke(host.note(error), case) from error

    def _renewed(self, board: Host, error: TflmError, case: OperatorCase) -> Failed:
        """The board crashed, and goes on if it can."""
        told = board.note(error)  # of a simulator's process how it ended
        self._crashes_left -= 1
        if self._crashes_left < 0:
            raise BoardBroke(told, case) from error
        try:
            board.renew()
        except TflmError:
            raise BoardBroke(told, case) from error
        return Failed(str(told), crashed=True)


def _described(array: NDArray[Any]) -> str:
    return f"{array.dtype}[{','.join(map(str, array.shape))}]"
