"""The catalogue, and the search in it: why outputs differ.

Each cause predicts what the next experiment must show. What is told by the outputs alone is looked
for first, then what a model that only copies shows, then each operator alone, and last the board's
memory. A cause that fits ends the search; those that were looked for and do not fit are excluded,
and a verdict of ``unknown`` names them.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_tflm.errors import TflmError
from pytest_tflm.verdict.causes import (
    board,
    hosts,
    kernels,
    link,
    memory,
    model,
    outputs,
    repeats,
)
from pytest_tflm.verdict.causes.cause import (
    BOARD_STAGES,
    CATALOGUE,
    Cause,
    Match,
    Stage,
    accused_kernels,
    cause,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_tflm.verdict.evidence import Evidence, Step

__all__ = ["CATALOGUE", "Accusation", "accusations", "page_of"]
_MODULES = (board, hosts, kernels, link, memory, model, outputs, repeats)


@dataclass(frozen=True)
class Accusation:
    """A cause that fits, as the report shows it."""

    cause: Cause
    match: Match
    remedy: str

    @property
    def name(self) -> str:
        return self.cause.name

    @property
    def sentence(self) -> str:
        return self.match.sentence

    @property
    def operators(self) -> tuple[int, ...]:
        return self.match.operators


@cause(
    "not-seen-again",
    "the mismatch no longer occurs",
    Stage.HOSTS,
    remedy="Run the test again, by itself and after the others (-p no:randomly). Look for what"
    " happens only at the board's start or in the first run: uninitialised memory, a cache, a table"
    " that is set up once.",
)
def _not_seen_again(evidence: Evidence) -> Iterator[Match]:
    if evidence.history and all(step.outcome == "equal" for step in evidence.steps):
        first = "" if len(evidence.history) > 1 else " It was the first run of the model."
        yield Match(
            f"A test saw outputs that differ.{first} The same inputs in the same order, run again, "
            "give the same outputs on all runtimes. Either the board's outputs vary, or the test"
            " compares with something other than the reference."
        )


@cause(
    "unknown",
    "cause unknown",
    Stage.HOSTS,
    remedy="pytest-tflm diagnose --save DIR writes the evidence and the operator that shows it, "
    "ready for a bug report.",
)
def _unknown(evidence: Evidence) -> Iterator[Match]:
    return iter(())  # what is left, see accusations()


_OF_WEIGHTS = ("sparse-weights", "hybrid-model")
for _each in sorted(CATALOGUE.values(), key=lambda each: each.stage):
    CATALOGUE[_each.name] = CATALOGUE.pop(_each.name)  # in the order in which they are looked for

_UNKNOWN_OF = ("determinism", "board", "tflm", "resolver", "samples")


def accusations(evidence: Evidence) -> list[Accusation]:
    """The causes that fit, those that explain a failure first, then notes. A step of the ladder
    that differs and that none explains is accused of being ``unknown``."""
    search = _Search(evidence)
    for stage in (Stage.FILE, Stage.LINK, Stage.REPEATS):
        search.look(stage)
    search.board()
    search.look(Stage.HOSTS)
    search.unexplained()
    search.look(Stage.NOTE)
    return [_accusation(each, match, evidence) for each, match in search.found]


class _Search:
    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.found: list[tuple[Cause, Match]] = []

    def look(self, stage: Stage) -> list[tuple[Cause, Match]]:
        """What fits of one stage; it is added to what was found."""
        evidence, found = self.evidence, []
        if stage == Stage.OPERATORS:
            with _breaking(evidence):
                found += [(CATALOGUE[name], match) for name, match in accused_kernels(evidence)]
        is_known = evidence.outcome("determinism") != "differs" or self.found
        if stage == Stage.REPEATS and is_known:
            return found  # it repeats itself, or the file says why not
        for each in CATALOGUE.values():
            if each.stage != stage:
                continue
            with _breaking(evidence):
                matches = [m for m in each.test(evidence) if not self._is_the_files(stage, m)]
                found += [(each, match) for match in matches]
                if not matches and stage in BOARD_STAGES:
                    evidence.excluded.append(each.name)
        self.found += found
        return found

    def _is_the_files(self, stage: Stage, match: Match) -> bool:
        """The operators accused work on weights that the file stores as TFLM does not read them: no
        kernel is to blame."""
        if stage != Stage.HOSTS or not match.operators:
            return False
        named = {k for each, m in self.found if each.name in _OF_WEIGHTS for k in m.operators}
        return named.issuperset(match.operators)

    def board(self) -> None:
        """Why the board's outputs are not those of host TFLM."""
        evidence = self.evidence
        if not evidence.differs("board") or self.explains("determinism"):
            return
        symptoms: list[tuple[Cause, Match]] = []
        for stage in BOARD_STAGES:
            found = self.look(stage)
            symptoms += [each for each in found if each[1].is_symptom]
            certain = [each for each in found if not each[1].is_symptom]
            if stage == Stage.OPERATORS and certain and board.contradicts_kernels(evidence):
                continue
            if certain:
                break
        self._settle(symptoms)

    def _settle(self, symptoms: list[tuple[Cause, Match]]) -> None:
        """A symptom is dropped where a kernel or the memory is to blame for it; a kernel where a
        constant that it uses is another one; and what is no more than a guess where a symptom is
        known."""
        board_stage = [each for each in self.found if each[0].stage in BOARD_STAGES]
        certain = [each for each in board_stage if not each[1].is_symptom]
        changed = [each for each in certain if each[0].name == "constant-changed"]
        if changed:
            dropped = [each for each in board_stage if each not in changed]
        elif symptoms and certain:
            guesses = [
                e for e in certain if e[0].name in ("memory-altered", "all-operators-differ")
            ]
            dropped = guesses if len(guesses) == len(certain) else symptoms
        else:
            dropped = symptoms[1:]
        self.found = [each for each in self.found if each not in dropped]

    def explains(self, key: str) -> bool:
        """Something that was found explains this step."""
        return any(m.step == key and not each.is_note for each, m in self.found)

    def unexplained(self) -> None:
        """Accuse each step that differs, and that nothing explains, of being unknown."""
        for step in self.evidence.steps:
            if step.outcome != "differs" or step.key not in _UNKNOWN_OF or self.explains(step.key):
                continue
            if self._is_explained_elsewhere(step):
                continue
            words = f"{step.title}: {step.text}."
            if step.key == "board" and self.evidence.excluded:
                excluded = [name for name in self.evidence.excluded if not CATALOGUE[name].is_note]
                words += f" Excluded: {', '.join(excluded)}, and each known fault of a kernel."
            self.found.append((CATALOGUE["unknown"], Match(words, (), step.key)))

    def _is_explained_elsewhere(self, step: Step) -> bool:
        if step.key == "board":  # the model's file, the link or an unsteady board explain it
            return any(map(self.explains, ("link", "identity", "determinism", "tflm")))
        if step.key == "determinism":
            return any(map(self.explains, ("board", "tflm")))
        return False


@contextlib.contextmanager
def _breaking(evidence: Evidence) -> Iterator[None]:
    """What breaks while a cause is looked for is noted, and the search goes on."""
    try:
        yield
    except TflmError as error:
        evidence.broke("board", "the board", "board", error)


def page_of(error: Exception) -> str | None:
    """The name of the cause whose page is about this error; None if there is none."""
    return next((name for kind, name in link.OF_ERRORS.items() if isinstance(error, kind)), None)


def _accusation(found: Cause, match: Match, evidence: Evidence) -> Accusation:
    path = _shown_path(str(evidence.model.path or evidence.model.name))
    remedy = (match.remedy or found.remedy).format(
        model=evidence.model.name,
        path=path,
        repaired=path.removesuffix(".tflite") + "_repaired.tflite",
        board=_kind(evidence.names.get("board", "BOARD")),
    )
    return Accusation(found, match, remedy)


def _kind(name: str) -> str:
    """What a board says it is: ``esp32`` of ``board esp32`` and of ``board left (esp32)``."""
    return name.removeprefix("board ").rpartition("(")[2].removesuffix(")")


def _shown_path(path: str) -> str:
    """As short as a user may type it where they are."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return path
