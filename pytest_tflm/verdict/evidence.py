"""What the ladder finds out, for the catalogue of causes to match and the report to show."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_tflm.compare.distance import Gap
    from pytest_tflm.model import Model, Operator
    from pytest_tflm.model.transform.cut import Cut
    from pytest_tflm.runtime.base import Arrays

Outcome = Literal["equal", "differs", "cannot"]


@dataclass(frozen=True, eq=False)
class OperatorResult:
    """One operator on two targets.

    ``inputs``, ``trusted`` and ``alone`` hold an entry for each sample: what the operator was given
    (from the trusted run), what the trusted target made of it and what the suspect made of the
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
        """The kernel differs of itself: other outputs for equal inputs."""
        return self.gap is not None and not self.gap.is_none

    @property
    def title(self) -> str:
        return f"operator {self.operator.index}, {self.operator.name}"

    def pairs(self, output: int = 0) -> list[tuple[NDArray[Any], NDArray[Any]]]:
        """Suspect's and trusted arrays of one output, sample by sample."""
        return [
            (s[output], t[output])
            for s, t in zip(self.alone, self.trusted, strict=True)
            if s[output].shape == t[output].shape
        ]


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
        """The operators whose kernels differ of themselves."""
        return tuple(result for result in self.operators if result.differs)

    @property
    def first_visible(self) -> OperatorResult | None:
        """Where the chain first departs."""
        return next((r for r in self.operators if r.chained and not r.chained.is_none), None)


@dataclass(frozen=True, eq=False)
class Rung:
    """One step of the ladder: two neighbours over the same inputs.

    ``key`` names it for causes: ``link``, ``identity``, ``determinism``, ``board`` (board against
    host TFLM), ``tflm`` (host TFLM against BUILTIN_REF), ``resolver`` (BUILTIN_REF against what the
    user evaluated with), ``samples`` (how float samples become codes), ``float`` (against a float
    model).
    """

    key: str
    title: str
    outcome: Outcome
    text: str
    suspect: tuple[Arrays, ...] = ()
    trusted: tuple[Arrays, ...] = ()
    gap: Gap | None = None
    localisation: Localisation | None = None


@dataclass(frozen=True)
class Fact:
    """Something that the ladder established by an experiment. ``key`` names it for causes;
    ``values`` is what sentences are filled with."""

    key: str
    values: dict[str, Any] = field(default_factory=dict)
    operator: int | None = None


@dataclass(eq=False)
class Evidence:
    """All that is known of one disagreement over one model."""

    model: Model
    samples: tuple[Arrays, ...]
    names: dict[str, str]
    """The names of ``board``, ``tflm``, ``builtin_ref`` and ``reference``, as far as they run."""
    versions: dict[str, str] = field(default_factory=dict)
    rungs: list[Rung] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)

    def rung(self, key: str) -> Rung | None:
        """The rung of that key, if it was climbed."""
        return next((rung for rung in self.rungs if rung.key == key), None)

    def facts_of(self, key: str) -> list[Fact]:
        """All facts of that key."""
        return [fact for fact in self.facts if fact.key == key]

    def fact(self, key: str) -> Fact | None:
        """The first fact of that key."""
        return next(iter(self.facts_of(key)), None)

    def differs(self, key: str) -> bool:
        """That rung was climbed, and its two sides differ."""
        rung = self.rung(key)
        return rung is not None and rung.outcome == "differs"


def counted(count: int, what: str) -> str:
    """``1 sample``, ``2 samples``."""
    return f"{count} {what}{'' if count == 1 else 's'}"
