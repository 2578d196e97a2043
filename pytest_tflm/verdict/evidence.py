"""What is known of one disagreement: who takes part, what each step showed, what experiments found.

An experiment is a function of the evidence that runs something. It is declared with
:func:`experiment` and runs when a cause first asks for it, once. What it finds is a :class:`Fact`
of its own type.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pytest_tflm.compare.distance import Gap, gap_of
from pytest_tflm.errors import TflmError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_tflm.model import Model, Operator
    from pytest_tflm.model.transform.cut import Cut
    from pytest_tflm.runtime.base import Arrays, Host
    from pytest_tflm.verdict.row import Row

    Pair = tuple[NDArray[Any], NDArray[Any]]

Outcome = Literal["equal", "differs", "cannot"]
Progress = Callable[[str, int, int], None]
FLOAT_TOLERANCE = 1e-4
"""Floats that differ by less than this part of the largest magnitude count as equal."""


@dataclass(frozen=True, eq=False)
class OperatorResult:
    """One operator on two hosts.

    ``inputs``, ``trusted`` and ``alone`` hold an entry for each sample: what the operator was given
    (from the trusted run), what the trusted host made of it and what the suspect made of the
    same. ``chained`` is how far the suspect is from the trusted run if each of its operators gets
    what its own operators before made. ``problem`` says why nothing is known.
    """

    operator: Operator
    cut: Cut | None = None
    inputs: tuple[Arrays, ...] = ()
    trusted: tuple[Arrays, ...] = ()
    alone: tuple[Arrays, ...] = ()
    gap: Gap | None = None
    chained: Gap | None = None
    problem: str = ""

    @property
    def differs(self) -> bool:
        """The kernel itself differs: other outputs for equal inputs."""
        return self.gap is not None and not self.gap.is_none

    @property
    def title(self) -> str:
        return f"operator {self.operator.index}, {self.operator.name}"

    def pairs(self, output: int = 0) -> list[Pair]:
        """Suspect's and trusted arrays of one output, sample by sample."""
        return [
            (s[output], t[output])
            for s, t in zip(self.alone, self.trusted, strict=True)
            if s[output].shape == t[output].shape
        ]


MOST = 0.75
"""Which part of the differing operators of a type a cause must fit: a rare position may not show
in each of them."""


@dataclass(frozen=True, eq=False)
class Localisation:
    """Every operator alone, and the chain of them.

    ``explains``: the chain of the suspect's operators ends in the suspect's outputs of the whole
    model. False: what differs is not in any operator alone. None: not known. ``outputs`` are the
    model's output tensors (indices).
    """

    suspect: str
    trusted: str
    operators: tuple[OperatorResult, ...]
    explains: bool | None
    outputs: frozenset[int] = frozenset()
    note: str = ""

    @cached_property
    def differing(self) -> tuple[OperatorResult, ...]:
        """The operators whose kernels differ."""
        return tuple(result for result in self.operators if result.differs)

    @cached_property
    def by_type(self) -> dict[str, list[OperatorResult]]:
        """The same by the operators' types, in the model's order."""
        found: dict[str, list[OperatorResult]] = {}
        for result in self.differing:
            found.setdefault(result.operator.name, []).append(result)
        return found

    @property
    def first_visible(self) -> OperatorResult | None:
        """Where the chain first departs."""
        return next((r for r in self.operators if r.chained and not r.chained.is_none), None)


@dataclass(eq=False)
class Step:
    """One step of the ladder: two neighbours over the same inputs.

    ``key`` names it for causes: ``link``, ``identity``, ``determinism``, ``board`` (board against
    host TFLM), ``tflm`` (host TFLM against BUILTIN_REF), ``resolver`` (BUILTIN_REF against what the
    user evaluated with), ``samples`` (how float samples become codes), ``codes`` (how another
    program made them), ``float`` (against a float model).
    """

    key: str
    title: str
    outcome: Outcome
    text: str
    suspect: tuple[Arrays, ...] = ()
    trusted: tuple[Arrays, ...] = ()
    gap: Gap | None = None
    localisation: Localisation | None = None


class Fact:
    """What an experiment found: a frozen dataclass of plain values."""


@dataclass(frozen=True)
class Broke(Fact):
    """``who`` raised ``error`` (of class ``kind``) in the step ``step``."""

    step: str
    who: str
    kind: str
    error: str


Found = TypeVar("Found")


@dataclass(eq=False)
class Evidence:
    """All that is known of one disagreement over one model.

    ``samples`` are the inputs that every step is run with, in order and from one initial state.
    ``history`` is what the run gave the board before, in order, with the one that failed at the
    end; empty where that is not known. ``outputs`` holds what each of ``board``, ``tflm``,
    ``builtin_ref`` and ``reference`` computed, as far as they ran; ``names`` how they are called.
    """

    model: Model
    samples: tuple[Arrays, ...]
    row: Row
    versions: dict[str, str] = field(default_factory=dict)
    history: tuple[Arrays, ...] = ()
    float_tolerance: float = FLOAT_TOLERANCE
    progress: Progress | None = None
    names: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, list[Arrays]] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    broken: list[Broke] = field(default_factory=list)
    excluded: list[str] = field(default_factory=list)
    """Names of the causes that were looked for in the board, and are not it."""
    asked: dict[str, Any] = field(default_factory=dict)

    def step(self, key: str) -> Step | None:
        """The step of that key, if it was climbed."""
        return next((step for step in self.steps if step.key == key), None)

    def outcome(self, key: str) -> Outcome | None:
        """How the step of that key ended; None if it was not climbed."""
        step = self.step(key)
        return None if step is None else step.outcome

    def differs(self, key: str) -> bool:
        """That step was climbed, and its two sides differ."""
        return self.outcome(key) == "differs"

    @property
    def board(self) -> Host:
        """The board. Only where there is one."""
        assert self.row.board is not None
        return self.row.board

    @property
    def oracle(self) -> tuple[Host, str]:
        """What the board is compared with, and its key in ``outputs``: host TFLM if it ran."""
        if self.row.tflm is not None and "tflm" in self.outputs:
            return self.row.tflm, "tflm"
        return self.row.builtin_ref, "builtin_ref"

    def gap(self, got: Sequence[Arrays], expected: Sequence[Arrays]) -> Gap:
        """The gap between two runs, floats within the tolerance being equal."""
        return gap_of(got, expected, float_tolerance=self.float_tolerance)

    def alike(self, got: Sequence[Arrays], expected: Sequence[Arrays]) -> bool:
        """Two runs are equal, floats within the tolerance."""
        return len(got) == len(expected) and self.gap(got, expected).is_none

    def add(self, key: str, title: str, outcome: Outcome, text: str, **more: Any) -> Step:
        """Add a step to the ladder."""
        step = Step(key, title, outcome, text, **more)
        self.steps.append(step)
        return step

    def broke(self, key: str, title: str, who: str, error: TflmError) -> None:
        """Something broke while a step was looked into: what is known stays."""
        told = Broke(key, who, type(error).__name__, error.headline)
        if told in self.broken:
            return
        self.broken.append(told)
        known = self.step(key)
        if known is None:
            self.add(key, title, "cannot", error.headline)
        else:
            known.text += f"; then: {error.headline}"

    def facts(self) -> Iterator[tuple[str, Fact]]:
        """What experiments have found, by their names."""
        yield from (("broke", each) for each in self.broken)
        for name, result in self.asked.items():
            for each in result if isinstance(result, list | tuple) else (result,):
                if isinstance(each, Fact):
                    yield name, each


def experiment(run: Callable[[Evidence], Found]) -> Callable[[Evidence], Found]:
    """Declare an experiment: it runs when it is first asked for; what it gave, or the TflmError
    that it raised, is kept."""

    @functools.wraps(run)
    def once(evidence: Evidence) -> Found:
        name = run.__name__
        if name not in evidence.asked:
            try:
                evidence.asked[name] = run(evidence)
            except TflmError as error:
                evidence.asked[name] = error
        found = evidence.asked[name]
        if isinstance(found, TflmError):
            raise found
        return found  # type: ignore[no-any-return]

    return once


def counted(count: int, what: str) -> str:
    """``1 sample``, ``2 samples``."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def listed(results: Sequence[OperatorResult]) -> str:
    """``operator 3``, or ``operators 3, 7, 9 and 12 more``."""
    shown = ", ".join(str(result.operator.index) for result in results[:16])
    more = f" and {len(results) - 16} more" if len(results) > 16 else ""
    return f"operator{'s' * (len(results) != 1)} {shown}{more}"


def worst_of(results: Sequence[OperatorResult]) -> OperatorResult:
    """The one that differs most."""
    return max(results, key=lambda r: (r.gap.largest, r.gap.elements) if r.gap else (0.0, 0))
