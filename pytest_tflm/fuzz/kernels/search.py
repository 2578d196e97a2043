"""Look for models of one operator, and inputs, for which two runtimes part; shrink what is found.

The search is Hypothesis' (``find``), twice from one seed: first all examples, to count, then for
each kind of finding until the first, which is shrunk. What has been run is remembered, so the
second time costs the drawing alone, and a runtime that is not deterministic does not confuse it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import itertools
import random
import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import hypothesis
import numpy as np
from hypothesis import strategies as st

from pytest_tflm.fuzz.kernels.finding import Finding
from pytest_tflm.fuzz.kernels.operators import cases
from pytest_tflm.fuzz.kernels.pair import (
    CRASHED,
    DIFFERS,
    EQUAL,
    NEITHER,
    REFERENCE,
    Failed,
    Outcome,
    Pair,
)
from pytest_tflm.fuzz.kernels.samples import sample_lists
from pytest_tflm.fuzz.reduce import Questions, reduced
from pytest_tflm.record.words import rest_of
from pytest_tflm.replay.format import Party

if TYPE_CHECKING:
    from pytest_tflm.fuzz.kernels.operators.case import OperatorCase
    from pytest_tflm.fuzz.kernels.pair import Result
    from pytest_tflm.runtime.base import Arrays

    Example = tuple[OperatorCase, list[Arrays]]

SHRINK_RUNS = 300
SHRINK_CRASHES = 15
"""As many of what crashes: it costs a new process each time."""
_ROUNDS = 4
_LEAST_ROUND = 20
_MOST_CODES = 4
_LARGE = 4
"""A difference so many times as large as what shrinking led to is shrunk again as such: what shows
1 LSB seldom is what shows 100."""


@dataclass
class Tally:
    """Examples of one type of activations: how many, how many of them differed, by how much."""

    examples: int = 0
    different: int = 0
    largest: float = 0.0


@dataclass
class Survey:
    """What became of one operator's examples on the two of ``names``. ``refused`` and ``crashed``
    count by those what the other one ran; ``neither``: what neither did. ``by_type`` has those that
    both ran."""

    operator: str
    names: tuple[str, str]
    examples: int = 0
    by_type: dict[str, Tally] = field(default_factory=dict)
    shapes: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    crashed: Counter[str] = field(default_factory=Counter)
    neither: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def largest(self) -> float:
        """The largest difference of any type."""
        return max((tally.largest for tally in self.by_type.values()), default=0.0)

    @property
    def bit_exact(self) -> bool:
        """Whatever both ran is equal."""
        return not self.shapes and self.largest == 0

    def count(self, case: OperatorCase, outcome: Outcome) -> None:
        self.examples += 1
        if outcome.kind in (EQUAL, DIFFERS):
            tally = self.by_type.setdefault(case.activations, Tally())
            tally.examples += 1
            tally.different += outcome.kind == DIFFERS
            tally.largest = max(tally.largest, outcome.size)
        elif outcome.kind == NEITHER:
            self.neither += 1
        elif outcome.who:
            name = self.names[outcome.who == REFERENCE]
            (self.crashed if outcome.kind == CRASHED else self.refused)[name] += 1
        else:
            self.shapes += 1


@dataclass(frozen=True)
class Wanted:
    """What to shrink: an outcome of this kind, by this runtime, for this type of activations (any
    if empty), of at least this size."""

    kind: str
    who: str
    activations: str
    least: float = 0.0

    def is_met(self, case: OperatorCase, outcome: Outcome) -> bool:
        return (
            outcome.kind == self.kind
            and outcome.who == self.who
            and self.activations in ("", case.activations)
            and outcome.size >= self.least
        )


class _EnoughError(BaseException):
    """Ends a search. Not an Exception, which Hypothesis would take for a failure and shrink."""


class Search:
    """The search for one operator and one pair of runtimes.

    ``tolerance`` is in LSBs: what differs by no more is counted and is no finding.
    ``shrink_runs``: how often a model may be run to shrink one finding, and again as often to
    reduce its inputs. ``stop_at_first``: no further examples once one of them is a finding.

    ``tried(number)`` is called after each example, ``shrinking(text)`` before each finding is
    shrunk, ``before_run()`` before each run of a model: a KeyboardInterrupt is raised best there,
    as one in the middle of Hypothesis may come out as another error.
    """

    def __init__(
        self,
        operator: str,
        pair: Pair,
        *,
        examples: int = 500,
        seed: int = 0,
        tolerance: int = 0,
        shrink_runs: int = SHRINK_RUNS,
        stop_at_first: bool = False,
        tried: Callable[[int], None] = lambda number: None,
        shrinking: Callable[[str], None] = lambda what: None,
        before_run: Callable[[], None] = lambda: None,
    ) -> None:
        self._pair = pair
        self._examples, self._seed, self._tolerance = examples, seed, tolerance
        self._tried, self._shrinking = tried, shrinking
        self._shrink_runs = shrink_runs
        self._before_run = before_run
        self._stop_at_first = stop_at_first
        self._known: dict[bytes, Outcome] = {}
        self._runs = 0
        self._steps = itertools.count()
        self.survey = Survey(operator, pair.names)
        self._strategy = _examples(operator)

    def run(self) -> Survey:
        """Try all examples, shrink what is found. After Ctrl-C ``survey`` has what there is."""
        seen: dict[Wanted, tuple[int, Example, Outcome]] = {}
        for number in range(_ROUNDS):
            left = self._examples - self.survey.examples
            if left > 0 and not (self._stop_at_first and seen):
                self._look(self._seed + number * 7919, max(left, _LEAST_ROUND), seen)
        for wanted, (seed, example, outcome) in seen.items():
            self._shrink(wanted, seed, example, outcome)
            smallest = self.survey.findings[-1]
            # Of one that did not show itself again nothing is known.
            if wanted.kind == DIFFERS and 0 < smallest.size * _LARGE < outcome.size:
                large = dataclasses.replace(wanted, least=outcome.size / 2)
                self._shrink(large, seed, example, outcome)
        return self.survey

    def _look(
        self, seed: int, examples: int, seen: dict[Wanted, tuple[int, Example, Outcome]]
    ) -> None:
        def look(example: Example) -> bool:
            case, samples = example
            new = self._key(case, samples) not in self._known
            outcome = self._judge(case, samples)
            if new and self.survey.examples < self._examples:
                self.survey.count(case, outcome)
                self._tried(self.survey.examples)
                if self._is_finding(outcome):
                    differs = outcome.kind == DIFFERS
                    activations = case.activations if differs else ""
                    wanted = Wanted(outcome.kind, outcome.who, activations)
                    best = seen.get(wanted)
                    if best is None or outcome.size > best[2].size:
                        # The first of a kind is what shrinks; the largest says how far it goes.
                        seen[wanted] = (seed, example, outcome)
                    if self._stop_at_first:
                        raise _EnoughError
            return False

        with contextlib.suppress(_EnoughError):
            self._find(self._strategy, look, seed, examples)

    def _is_finding(self, outcome: Outcome) -> bool:
        if outcome.kind == DIFFERS:
            return outcome.size > self._tolerance
        return outcome.kind not in (EQUAL, NEITHER)

    def _shrink(self, wanted: Wanted, seed: int, example: Example, first: Outcome) -> None:
        """Add the smallest example of what is wanted to the findings."""
        self._shrinking(f"{self.survey.operator}: shrinking what {wanted.kind}")
        if wanted.kind == DIFFERS:
            wanted = dataclasses.replace(wanted, least=max(wanted.least, self._tolerance + 1))
        allowed = min(SHRINK_CRASHES, self._shrink_runs)
        if wanted.kind != CRASHED:
            allowed = self._shrink_runs
        self._runs = allowed

        def shows(example: Example) -> bool:
            case, samples = example
            outcome = self._judge(case, samples, counted=True)
            return outcome is not None and wanted.is_met(case, outcome)

        smallest = self._find(self._strategy, shows, seed, self._examples) or example
        case, samples = self._reduced(wanted, smallest, allowed)
        if wanted.kind == DIFFERS:
            # A smaller model may show it for the codes that are now known to do.
            self._runs = allowed
            constants = _with_constants(self.survey.operator, case, samples)
            found = self._find(constants, shows, seed, min(self._examples, allowed))
            if found is not None and _size(found) < _size((case, samples)):
                case, samples = self._reduced(wanted, found, allowed)
        finding = self._finding(wanted, case, samples, first)
        if not finding.again:
            # A kernel that gives what the memory held: the smallest example holds what is there
            # anyhow. The first one may show it every time.
            unshrunk = self._finding(wanted, *example, first)
            finding = unshrunk if unshrunk.again else finding
        self.survey.findings.append(finding)

    def _reduced(self, wanted: Wanted, example: Example, runs: int) -> Example:
        """The example with the fewest and simplest samples."""
        case, samples = example

        def shows(candidates: list[list[Arrays]]) -> list[bool]:
            return [wanted.is_met(case, self._run(case, each)) for each in candidates]

        return case, reduced(case.model.inputs, samples, Questions(shows, runs))

    def _finding(
        self, wanted: Wanted, case: OperatorCase, samples: Sequence[Arrays], first: Outcome
    ) -> Finding:
        """Run once more in new processes, for outputs that nothing before has touched."""
        self._pair.renew()
        got, expected = self._pair.run(case, samples)
        outcome = self._pair.outcome(got, expected)
        return Finding(
            case=case,
            kind=wanted.kind,
            who=wanted.who,
            inputs=tuple(tuple(sample) for sample in samples),
            subject=Party.of(self._pair.subject, self.survey.names[0]),
            reference=Party.of(self._pair.reference, self.survey.names[1]),
            got=_outputs(got),
            expected=_outputs(expected),
            size=outcome.size if outcome.kind == DIFFERS else 0.0,
            largest=first.size if wanted.kind == DIFFERS else 0.0,
            error=outcome.text or first.text,
            command=self._command(),
            again=wanted.is_met(case, outcome),
        )

    def _command(self) -> str:
        """What searches this again."""
        subject, reference = (str(h.spec) for h in (self._pair.subject, self._pair.reference))
        told = {
            "runtime": subject,
            "against": reference,
            "ops": self.survey.operator,
            "examples": self._examples,
            "seed": self._seed,
        }
        words = [word for name, value in told.items() for word in (f"--{name}", str(value))]
        return shlex.join(["pytest-tflm", "conformance", *words])

    def _find(
        self,
        strategy: st.SearchStrategy[Example],
        condition: Callable[[Example], bool],
        seed: int,
        examples: int,
    ) -> Example | None:
        def aimed(example: Example) -> bool:
            found = condition(example)
            outcome = self._known.get(self._key(*example))
            # Only where there is something to climb: Hypothesis would spend half of the examples
            # on the neighbourhood of nothing. And each place a little higher than those before: on
            # a plateau whose every place it knows, Hypothesis (6.170) walks to and fro without end.
            if outcome is not None and outcome.kind == DIFFERS:
                hypothesis.target(min(outcome.size, 1e6) + next(self._steps) * 1e-7)
            return found

        try:
            found: Example = hypothesis.find(
                strategy, aimed, settings=_settings(examples), random=random.Random(seed)
            )
            return found
        except hypothesis.errors.NoSuchExample:
            return None

    def _judge(self, case: OperatorCase, samples: Sequence[Arrays], counted: bool = False) -> Any:
        """The outcome. ``counted``: one that is new may be refused, with None."""
        key = self._key(case, samples)
        if key not in self._known:
            if counted:
                if self._runs <= 0:
                    return None
                self._runs -= 1
            self._known[key] = self._run(case, samples)
        return self._known[key]

    def _run(self, case: OperatorCase, samples: Sequence[Arrays]) -> Outcome:
        self._before_run()
        return self._pair.judge(case, samples)

    @staticmethod
    def _key(case: OperatorCase, samples: Sequence[Arrays]) -> bytes:
        digest = hashlib.blake2b(case.model.data, digest_size=16)
        for sample in samples:
            for array in sample:
                digest.update(array.tobytes())
        return digest.digest()


def _examples(operator: str) -> st.SearchStrategy[Example]:
    @st.composite
    def example(draw: st.DrawFn) -> Example:
        case = draw(cases(operator))
        return case, draw(sample_lists(case.model))

    return example()


def _with_constants(
    operator: str, case: OperatorCase, samples: Sequence[Arrays]
) -> st.SearchStrategy[Any]:
    """Models with a sample for each of the codes that are not at rest in ``samples``, which holds
    that code everywhere; if all are at rest, one at rest."""
    codes = {
        array.reshape(-1)[index].item()
        for sample in samples
        for tensor, array in zip(case.model.inputs, sample, strict=True)
        for index in np.flatnonzero(array != rest_of(tensor))
    }
    chosen = sorted(codes, key=abs)[:_MOST_CODES]

    def filled(case: OperatorCase) -> Example:
        inputs = case.model.inputs
        if not chosen:
            return case, [tuple(np.full(t.shape, rest_of(t), t.dtype) for t in inputs)]
        return case, [
            tuple(np.full(t.shape, code, np.float64).astype(t.dtype) for t in inputs)
            for code in chosen
        ]

    return cases(operator).map(filled)


def _size(example: Example) -> tuple[int, int]:
    case, samples = example
    return case.model.size, sum(array.size for sample in samples for array in sample)


def _settings(examples: int) -> hypothesis.settings:
    phases = (hypothesis.Phase.generate, hypothesis.Phase.target, hypothesis.Phase.shrink)
    return hypothesis.settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=phases,
        verbosity=hypothesis.Verbosity.quiet,
        suppress_health_check=list(hypothesis.HealthCheck),
    )


def _outputs(result: Result) -> tuple[tuple[Any, ...], ...] | None:
    return None if isinstance(result, Failed) else tuple(result)
