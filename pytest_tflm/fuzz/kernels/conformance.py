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

from pytest_tflm.fuzz.kernels.judge import Pair
from pytest_tflm.fuzz.kernels.runners import Runner, runner
from pytest_tflm.fuzz.kernels.search import Search, Survey

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What to compare. ``pairs`` are names of runtimes as :func:`runner` takes them, subject and
    reference; ``tolerance`` is in LSBs; ``examples`` is for each operator and pair."""

    pairs: tuple[tuple[str, str], ...]
    operators: tuple[str, ...]
    examples: int = 500
    seed: int = 0
    tolerance: int = 0
    port: str | None = None
    baud: int = 115200

    @property
    def work(self) -> list[tuple[int, str]]:
        """Every (index of a pair, operator)."""
        return [(index, name) for name in self.operators for index in range(len(self.pairs))]

    @property
    def has_board(self) -> bool:
        return any("board" in pair for pair in self.pairs)


@dataclass(frozen=True)
class Surveyed:
    """One operator's survey of one pair. ``complete``: not cut short by Ctrl-C."""

    pair: int
    names: tuple[str, str]
    survey: Survey
    complete: bool = True


class Runners:
    """The runners of one process, each made when first asked for."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._made: dict[str, Runner] = {}
        self._exit = contextlib.ExitStack()

    def pair(self, index: int) -> Pair:
        """The pair of that index in the plan."""
        return Pair(*(self._runner(name) for name in self._plan.pairs[index]))

    def _runner(self, name: str) -> Runner:
        if name not in self._made:
            made = runner(name, port=self._plan.port, baud=self._plan.baud)
            self._exit.callback(made.close)
            self._made[name] = made
        return self._made[name]

    def versions(self) -> dict[str, str]:
        """Of all that has run."""
        found: dict[str, str] = {}
        for made in self._made.values():
            found |= made.versions()
        return found

    def close(self) -> None:
        self._exit.close()


def survey_all(plan: Plan, runners: Runners, progress: Progress) -> Iterator[Surveyed]:
    """Search operator after operator, in this process. At Ctrl-C the operator under way comes last,
    as far as it was, and then KeyboardInterrupt."""
    with interrupts_deferred() as check:
        for index, operator in plan.work:
            pair = runners.pair(index)
            names = (pair.subject.name, pair.reference.name)

            def tried(number: int, what: str = f"{operator}: {' against '.join(names)}") -> None:
                progress(f"{what}: {number} of {plan.examples}")

            search = _search(plan, operator, pair, tried, progress, check)
            try:
                survey = search.run()
            except KeyboardInterrupt:
                if search.survey.examples:
                    yield Surveyed(index, names, search.survey, complete=False)
                raise
            yield Surveyed(index, names, survey)
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
        under_way: set[Future[Surveyed]] = {pool.submit(_one, *item) for item in plan.work}
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

    plan: Plan
    runners: Runners


def _begin(plan: Plan) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent's to handle
    _Process.plan = plan
    _Process.runners = Runners(plan)


def _one(index: int, operator: str) -> Surveyed:
    pair = _Process.runners.pair(index)
    search = _search(_Process.plan, operator, pair, lambda number: None, lambda text: None)
    return Surveyed(index, (pair.subject.name, pair.reference.name), search.run())


def _search(
    plan: Plan,
    operator: str,
    pair: Pair,
    tried: Callable[[int], None],
    progress: Progress,
    before_run: Callable[[], None] = lambda: None,
) -> Search:
    return Search(
        operator,
        pair,
        examples=plan.examples,
        seed=plan.seed,
        tolerance=plan.tolerance,
        tried=tried,
        shrinking=progress,
        before_run=before_run,
    )


def checked_operators(names: Sequence[str]) -> tuple[str, ...]:
    """The operators called so, all if none is. Raises SettingsError for one that is not drawn."""
    from pytest_tflm.fuzz.kernels.operators import OPERATORS, cases

    chosen = tuple(dict.fromkeys(name.strip().upper() for name in names if name.strip()))
    for name in chosen:
        cases(name)
    return chosen or OPERATORS
