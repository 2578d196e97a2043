"""Samples that a runtime begins before they are asked for.

A test asks for one sample, waits and compares; the next test asks for the next sample. Whoever
knows what will be asked for says so with :meth:`Ahead.expect`. The first :meth:`Ahead.take` then
sends the expected samples as ``run_many`` does, and each later one finds its sample under way.

Outputs are handed out by the bytes of the inputs alone: a sample gets the outputs of exactly these
bytes, or it is run by itself. A wrong expectation costs time and nothing else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import TYPE_CHECKING

from pytest_tflm.errors import InterpreterCrashed, InvokeFailed, TflmError

if TYPE_CHECKING:
    from pytest_tflm.runtime.base import Arrays, Outputs

_MAY_BE_ANOTHERS = (InvokeFailed, InterpreterCrashed)
"""Errors of a sample that can take the outputs of samples before it along."""


class Ahead:
    """What one runtime has begun. ``quantize`` makes codes of a sample; ``run_many`` is the
    runtime's own way to run such codes in order, without any look at this object."""

    def __init__(
        self,
        quantize: Callable[[object], Arrays],
        run_many: Callable[[Iterator[Arrays]], Generator[Outputs, None, None]],
    ) -> None:
        self.asked = 0
        """How often a sample was asked for."""
        self.missed = 0
        """How often that was a sample that nobody had expected."""
        self.last = b""
        """The inputs of the sample that was asked for last, as :func:`packed` gives them."""
        self._quantize = quantize
        self._run_many = run_many
        self._plan: Iterator[object] | None = None
        self._results: Generator[Outputs, None, None] | None = None
        self._redo: Callable[[], None] | None = None
        self._waiting: deque[tuple[bytes, Arrays]] = deque()
        """Taken from the plan, not yet from ``run_many``: one sample at most."""
        self._begun: deque[bytes] = deque()
        """Handed to ``run_many``; their outputs have not been handed out."""
        self.overran = False
        """Samples may have been run that nobody asked for, and none since."""
        self._undo: Callable[[], None] | None = None

    @property
    def is_under_way(self) -> bool:
        """Whether there is an expectation."""
        return self._plan is not None

    def expect(self, samples: Iterable[object], redo: Callable[[], None] | None = None) -> None:
        """``samples`` will be asked for, in this order. They are taken as the runtime has room for
        them; a sample that cannot be made ends the expectation.

        A model with state needs ``redo``: it resets the model and runs what was handed out so far.
        It is called where samples were run that nobody asked for."""
        self.forget()
        self._plan, self._redo = iter(samples), redo
        self._results = self._run_many(self._feed())

    def take(self, arrays: Arrays) -> Outputs | None:
        """The outputs for these inputs, if they are what was expected; None if they have to be run.

        Raises what running them alone would raise."""
        key = packed(arrays)
        self.asked += 1
        self.last = key
        if self._results is None:
            return None
        if not self._is_expected(key):
            self.missed += 1
            self.forget()
            return None
        try:
            while True:
                outputs = next(self._results)
                found = self._begun.popleft() == key
                if found:
                    break
        except StopIteration:
            self.forget()
            return None
        except TflmError as error:
            head = self._begun[0] if self._begun else None
            others = len(self._begun) > 1
            self.forget()
            if head != key or (others and isinstance(error, _MAY_BE_ANOTHERS)):
                return None  # by itself it raises its own error, or none
            raise
        except BaseException:
            self.forget()
            raise
        if not self._begun and not self._pull():
            self.forget()
        return outputs

    def forget(self) -> None:
        """Nothing is expected any more. What was begun is computed and given to nobody."""
        results, self._results = self._results, None
        if self._begun:
            self.overran, self._undo = True, self._redo
        self._plan = self._redo = None
        self._waiting.clear()
        self._begun.clear()
        if results is not None:
            results.close()

    def restore(self) -> bool:
        """Before a run: undo what was done to the model's state beyond what was asked for. Returns
        whether that took running anything."""
        undo = self._undo
        self.was_reset()
        if undo is not None:
            undo()
        return undo is not None

    def was_reset(self) -> None:
        """The model is in its initial state: there is nothing to undo."""
        self.overran, self._undo = False, None

    def _is_expected(self, key: bytes) -> bool:
        if not self._begun:
            return self._pull() and self._waiting[0][0] == key
        # Of a model without state, the samples of tests that were skipped are passed by.
        return key == self._begun[0] or (self._redo is None and key in self._begun)

    def _pull(self) -> bool:
        """Take the next sample from the plan, unless one waits; False if there is none."""
        if self._waiting:
            return True
        if self._plan is None:
            return False
        try:
            arrays = self._quantize(next(self._plan))
        except StopIteration:
            return False
        except Exception:  # the test that asks for it gets it
            self._plan = iter(())
            return False
        self._waiting.append((packed(arrays), arrays))
        return True

    def _feed(self) -> Iterator[Arrays]:
        while self._pull():
            key, arrays = self._waiting.popleft()
            self._begun.append(key)
            yield arrays


class Turns:
    """Whose turn it is on a host that does one thing at a time. At most one runtime looks ahead;
    any call but the expected one ends that."""

    def __init__(self, settle: Callable[[], None] | None = None) -> None:
        self.calls = 0
        """How many calls the models of this host have had."""
        self._settle = settle
        self._ahead: Ahead | None = None

    def begin(self, ahead: Ahead) -> None:
        """``ahead`` may use the host between calls."""
        self.interrupt()
        self._ahead = ahead

    def count(self) -> None:
        """The expected call was made."""
        self.calls += 1

    def touch(self) -> None:
        """Any other call is made."""
        self.calls += 1
        self.interrupt()

    def interrupt(self) -> None:
        """Nothing is begun ahead any more."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            ahead.forget()
            if self._settle is not None:
                self._settle()


def packed(arrays: Arrays) -> bytes:
    """The bytes of all arrays in order."""
    if len(arrays) == 1:
        return arrays[0].tobytes()
    return b"".join([array.tobytes() for array in arrays])
