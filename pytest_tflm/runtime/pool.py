"""Samples over equal boards: each takes the next as it has room, and what one leaves, another does.

A thread drives each board, since a link waits for its own port alone. The caller's thread makes the
samples and gets the outputs in order, one for each, whichever boards break on the way.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from pytest_tflm.errors import TflmError

if TYPE_CHECKING:
    from pytest_tflm.runtime.base import Arrays, Outputs

_AHEAD = 32
"""Samples for each board that are made before their outputs are asked for."""
_HELD = 16
"""Samples that one board has at most: the window of a link may hold many small ones."""
_FEWEST = 2
"""Samples that a board may have when others wait for the last ones, too."""


class Member(Protocol):
    """The model on one of the boards."""

    def run_given(self, samples: Iterator[Arrays]) -> Iterator[Outputs]:
        """Run samples in order; they are taken as the board has room."""

    @property
    def is_usable(self) -> bool:
        """Whether its link still works."""


class _Job:
    def __init__(self, arrays: Arrays) -> None:
        self.arrays = arrays
        self.outputs: Outputs | None = None
        self.error: TflmError | None = None
        self.by: Member | None = None

    @property
    def is_done(self) -> bool:
        return self.outputs is not None or self.error is not None


class _Work:
    """What is to be run. All that is shared by threads is in here, under one lock."""

    def __init__(self, boards: int) -> None:
        self.changed = threading.Condition()
        self.waiting: deque[_Job] = deque()
        self.left = boards
        """Boards that work."""
        self.last: TflmError | None = None
        """The error of the board that broke last."""
        self.failure: Exception | None = None
        """What no board can be blamed for."""
        self.is_over = False

    def first(self) -> _Job | None:
        """The next sample for a board that has none; None when all is over."""
        with self.changed:
            while not self.waiting and not self.is_over:
                self.changed.wait()
            return None if self.is_over else self.waiting.popleft()

    def another(self, held: int) -> _Job | None:
        """The next sample for a board that has ``held``; None if there is none, or none for it."""
        with self.changed:
            share = max(_FEWEST, len(self.waiting) // max(1, self.left))
            if self.is_over or not self.waiting or held >= min(_HELD, share):
                return None
            return self.waiting.popleft()

    def add(self, job: _Job) -> None:
        with self.changed:
            self.waiting.append(job)
            self.changed.notify()

    def done(
        self, job: _Job, by: Member, outputs: Outputs | None, error: TflmError | None = None
    ) -> None:
        with self.changed:
            job.outputs, job.error, job.by = outputs, error, by
            self.changed.notify_all()

    def give_back(self, jobs: Sequence[_Job]) -> None:
        """Samples that a board took and has not run: they are next."""
        with self.changed:
            self.waiting.extendleft(reversed(jobs))
            self.changed.notify_all()

    def board_broke(self, error: TflmError) -> None:
        with self.changed:
            self.left -= 1
            self.last = error
            self.changed.notify_all()

    def failed(self, error: Exception) -> None:
        with self.changed:
            self.failure = error
            self.changed.notify_all()

    def until_done(self, job: _Job) -> None:
        """Wait for a sample. Raises the last board's error when none is left."""
        with self.changed:
            while not job.is_done:
                if self.failure is not None:
                    raise self.failure
                if not self.left:
                    assert self.last is not None
                    raise self.last
                self.changed.wait()

    def end(self) -> None:
        with self.changed:
            self.is_over = True
            self.waiting.clear()
            self.changed.notify_all()


def spread(
    members: Sequence[Member],
    samples: Iterator[Arrays],
    left_out: Callable[[Member, TflmError], None],
) -> Generator[tuple[Outputs, Member], None, None]:
    """Run ``samples`` on all of ``members``. Gives the outputs of each and who ran it, in their
    order.

    A board whose link breaks is left out, which ``left_out`` is told, and the samples that it had
    not finished are run on the others. An error that is a sample's own is raised in its place; if
    no board is left, the last one's error is.
    """
    work = _Work(len(members))
    broken: deque[tuple[Member, TflmError]] = deque()
    threads = [
        threading.Thread(target=_drive, args=(each, work, broken), daemon=True) for each in members
    ]
    for thread in threads:
        thread.start()
    under_way: deque[_Job] = deque()
    has_more = True
    try:
        while True:
            while has_more and len(under_way) < _AHEAD * len(members):
                arrays = next(samples, None)
                if arrays is None:
                    has_more = False
                    break
                under_way.append(_Job(arrays))
                work.add(under_way[-1])
            if not under_way:
                return
            job = under_way[0]
            work.until_done(job)
            under_way.popleft()
            while broken:
                left_out(*broken.popleft())
            if job.error is not None:
                raise job.error
            assert job.outputs is not None
            assert job.by is not None
            yield job.outputs, job.by
    finally:
        work.end()
        for thread in threads:
            thread.join()
        while broken:
            left_out(*broken.popleft())


def _drive(member: Member, work: _Work, broken: deque[tuple[Member, TflmError]]) -> None:
    """One board, until nothing is left or its link breaks."""
    while (first := work.first()) is not None:
        taken = deque([first])

        def given(taken: deque[_Job] = taken) -> Iterator[Arrays]:
            yield taken[0].arrays
            while (job := work.another(len(taken))) is not None:
                taken.append(job)
                yield job.arrays

        try:
            for outputs in member.run_given(given()):
                work.done(taken.popleft(), member, outputs)
        except TflmError as error:
            if member.is_usable:  # it was the sample's; those behind it were not run
                work.done(taken.popleft(), member, None, error)
                work.give_back(taken)
                continue
            broken.append((member, error))
            work.give_back(taken)
            work.board_broke(error)
            return
        except Exception as error:  # else the caller would wait for ever
            work.failed(error)
            return
