"""All operators, any number of pairs of runtimes: what ``pytest-tflm conformance`` does."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING

from pytest_tflm.fuzz.kernels.pair import BoardBroke, Pair
from pytest_tflm.fuzz.kernels.search import Search, Survey
from pytest_tflm.runtime.hosts import Hosts

if TYPE_CHECKING:
    from pytest_tflm.runtime.spec import Line, RuntimeSpec

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What to compare. ``pairs`` are subject and reference; ``tolerance`` is in LSBs; ``examples``
    is for each operator and pair; ``line`` is how boards are opened."""

    pairs: tuple[tuple[RuntimeSpec, RuntimeSpec], ...]
    operators: tuple[str, ...]
    examples: int = 500
    seed: int = 0
    tolerance: int = 0
    line: Line | None = None

    @property
    def searches(self) -> list[tuple[int, str]]:
        """Every (index of a pair, operator)."""
        return [(index, name) for name in self.operators for index in range(len(self.pairs))]

    @property
    def has_board(self) -> bool:
        return any(spec.is_board for pair in self.pairs for spec in pair)


@dataclass(frozen=True)
class Surveyed:
    """One operator's survey of one pair. ``complete``: not cut short by Ctrl-C."""

    pair: int
    survey: Survey
    complete: bool = True


class Work:
    """A plan and the hosts that it runs on, in one process."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.hosts = Hosts(plan.line)
        self._pairs: dict[int, Pair] = {}

    def pair(self, index: int) -> Pair:
        """The pair of that index in the plan. Raises InterpreterMissing, LinkError, BoardError."""
        if index not in self._pairs:
            self._pairs[index] = Pair(*map(self.hosts.for_search, self.plan.pairs[index]))
        return self._pairs[index]

    def search(
        self,
        index: int,
        operator: str,
        progress: Progress = lambda text: None,
        before_run: Callable[[], None] = lambda: None,
    ) -> Search:
        """The search for one operator on one pair."""
        plan, pair = self.plan, self.pair(index)
        what = f"{operator}: {' against '.join(pair.names)}"
        return Search(
            operator,
            pair,
            examples=plan.examples,
            seed=plan.seed,
            tolerance=plan.tolerance,
            tried=lambda number: progress(f"{what}: {number} of {plan.examples}"),
            shrinking=progress,
            before_run=before_run,
        )


def survey_all(work: Work, progress: Progress) -> Iterator[Surveyed]:
    """Search operator after operator, in this process. At Ctrl-C, and if a board breaks for good,
    the operator under way comes last, as far as it was, and then KeyboardInterrupt or the board's
    error."""
    with interrupts_deferred() as check:
        for index, operator in work.plan.searches:
            search = work.search(index, operator, progress, check)
            try:
                survey = search.run()
            except (KeyboardInterrupt, BoardBroke) as error:
                if search.survey.examples:
                    yield Surveyed(index, search.survey, complete=False)
                raise (error.error if isinstance(error, BoardBroke) else error) from None
            yield Surveyed(index, survey)
            check()


@contextlib.contextmanager
def interrupts_deferred() -> Iterator[Callable[[], None]]:
    """Ctrl-C is noticed where what this gives is called, and at once if it comes a second time."""
    asked = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    def check() -> None:
        if asked:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield check  # only the main thread may handle signals
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, before)


def survey_parallel(plan: Plan, jobs: int, progress: Progress) -> Iterator[Surveyed]:
    """The same in ``jobs`` processes, in the order in which they finish. Not for a board, of which
    there is one. Ctrl-C ends it with what is finished."""
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, context, initializer=_begin, initargs=(plan,))
    try:
        under_way: set[Future[Surveyed]] = {pool.submit(_one, *item) for item in plan.searches}
        total = len(under_way)
        while under_way:
            progress(f"{total - len(under_way)} of {total} searches done")
            finished, under_way = wait(under_way, return_when=FIRST_COMPLETED)
            for future in finished:
                yield future.result()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    pool.shutdown()


class _Process:
    """What a process of the pool keeps from one operator to the next."""

    work: Work


def _begin(plan: Plan) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent's to handle
    _Process.work = Work(plan)


def _one(index: int, operator: str) -> Surveyed:
    return Surveyed(index, _Process.work.search(index, operator).run())


def checked_operators(names: Sequence[str]) -> tuple[str, ...]:
    """The operators called so, all if none is. Raises SettingsError for one that is not drawn."""
    from pytest_tflm.fuzz.kernels.operators import OPERATORS, cases

    chosen = tuple(dict.fromkeys(name.strip().upper() for name in names if name.strip()))
    for name in chosen:
        cases(name)
    return chosen or OPERATORS
