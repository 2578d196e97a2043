"""What a cause is, and the catalogue of all of them.

A cause stands in the catalogue by its declaration: :func:`cause`, or :func:`kernel_cause` for what
is wrong in a kernel. Its test reads the evidence, asks for the experiments that it needs, and gives
each place that fits. A new one is a function in one of this package's modules, and a page in
``docs/causes/``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from pytest_tflm.verdict.evidence import (
    MOST,
    Evidence,
    OperatorResult,
    experiment,
    listed,
    worst_of,
)
from pytest_tflm.verdict.kernel_faults import computed
from pytest_tflm.verdict.localise import on_board
from pytest_tflm.verdict.memory import planned_otherwise

if TYPE_CHECKING:
    from pytest_tflm.verdict.evidence import Localisation


class Stage(IntEnum):
    """When a cause is looked for. From OUTPUTS to MEMORY the next stage is entered only if nothing
    has explained the board's outputs: the experiments of each cost more than those before."""

    FILE = 0  # the model file
    LINK = 1  # the link, and whether the board takes part
    REPEATS = 2  # whether equal inputs give equal outputs
    OUTPUTS = 3  # the board's outputs as a whole: no further run
    AROUND = 4  # what is done to inputs and outputs: a model that only copies
    INPUTS = 5  # what the board does with its input: runs of the whole model
    OPERATORS = 6  # each operator alone
    MEMORY = 7  # the model's memory, and parts of the model
    HOSTS = 8  # the interpreters of this machine
    NOTE = 9  # explains no failure, and is worth knowing


BOARD_STAGES = (Stage.OUTPUTS, Stage.AROUND, Stage.INPUTS, Stage.OPERATORS, Stage.MEMORY)


@dataclass(frozen=True)
class Match:
    """A place where a cause fits: the ``sentence`` that says so, the ``operators`` accused
    (indices) and the ``step`` of the ladder that it explains. ``is_symptom``: it may be the work of
    one kernel, or of the memory, and the search goes on. ``remedy`` replaces the cause's."""

    sentence: str
    operators: tuple[int, ...] = ()
    step: str = "board"
    is_symptom: bool = False
    remedy: str = ""


Test = Callable[[Evidence], Iterable[Match]]
KernelTest = Callable[[Evidence, OperatorResult], "str | None"]


@dataclass(frozen=True)
class Cause:
    """A known reason for other outputs.

    ``name`` is that of its page, ``docs/causes/NAME.md``. ``remedy`` may mention ``{model}``,
    ``{path}``, ``{repaired}`` and ``{board}``. ``citation`` names who saw it before.
    """

    name: str
    title: str
    stage: Stage
    test: Test
    remedy: str
    citation: str = ""

    @property
    def is_note(self) -> bool:
        """It does not explain a failure, it says what is worth knowing."""
        return self.stage == Stage.NOTE


CATALOGUE: dict[str, Cause] = {}
"""All causes by their names, in the order in which they are looked for within a stage."""

_KERNEL_TESTS: dict[str, KernelTest] = {}


def cause(
    name: str, title: str, stage: Stage, *, remedy: str, citation: str = ""
) -> Callable[[Test], Test]:
    """Declare the cause whose test this is."""

    def declare(test: Test) -> Test:
        CATALOGUE[name] = Cause(name, title, stage, test, remedy, citation)
        return test

    return declare


def kernel_cause(
    name: str, title: str, *, remedy: str, citation: str = ""
) -> Callable[[KernelTest], KernelTest]:
    """Declare a cause in a kernel. Its test says of one operator that differs alone how it differs,
    None if it does not do so in this way. Each operator type that differs gets one cause: the first
    of the catalogue that fits nearly all operators of the type."""

    def declare(test: KernelTest) -> KernelTest:
        _KERNEL_TESTS[name] = test
        CATALOGUE[name] = Cause(name, title, Stage.OPERATORS, lambda evidence: (), remedy, citation)
        return test

    return declare


def seen_in_a_kernel(name: str) -> Callable[[KernelTest], KernelTest]:
    """Declare that a cause of the board as a whole is also one of a single kernel."""

    def declare(test: KernelTest) -> KernelTest:
        _KERNEL_TESTS[name] = test
        return test

    return declare


@experiment
def accused_kernels(evidence: Evidence) -> list[tuple[str, Match]]:
    """For each operator type that differs alone on the board: the cause's name and its match."""
    where = on_board(evidence)
    if where is None or is_everywhere(where):
        return []
    found = []
    for name, results in where.by_type.items():
        if name == "SPACE_TO_BATCH_ND":
            continue  # host TFLM's is not defined: it has a cause of its own
        for each, test in _KERNEL_TESTS.items():
            fits = [(r, words) for r in results if (words := test(evidence, r)) is not None]
            if fits and len(fits) >= MOST * len(results):
                if each == "kernel-differs" and _is_planning(evidence, name, results):
                    break
                found.append((each, _accused(evidence, name, results, dict(_by_index(fits)))))
                break
    return found


def _is_planning(evidence: Evidence, name: str, results: list[OperatorResult]) -> bool:
    """No known fault of a kernel, and where its memory lies makes a difference."""
    indices = {result.operator.index for result in results}
    if any(each.operator in indices for each in computed(evidence)):
        return False
    return name in planned_otherwise(evidence)


def _by_index(fits: Iterable[tuple[OperatorResult, str]]) -> Iterator[tuple[int, str]]:
    return ((result.operator.index, words) for result, words in fits)


def _accused(
    evidence: Evidence, name: str, results: list[OperatorResult], fits: dict[int, str]
) -> Match:
    worst = worst_of(results)
    words = fits.get(worst.operator.index) or next(iter(fits.values()))
    gap = worst.gap.describe() if worst.gap else ""
    board = evidence.names.get("board", "the board")
    oracle = evidence.names.get(evidence.oracle[1], "the reference")
    than = "host TFLM" if oracle == "tflm" else oracle
    return Match(
        f"{name} ({listed(results)}) on {board} differs from {than} with equal inputs, {gap} in "
        f"operator {worst.operator.index}{': ' + words if words else ''}.",
        tuple(result.operator.index for result in results),
    )


_MOVERS = {
    "BATCH_TO_SPACE_ND", "CONCATENATION", "DEPTH_TO_SPACE", "EXPAND_DIMS", "GATHER", "PACK",
    "RESHAPE", "REVERSE_V2", "SLICE", "SPACE_TO_DEPTH", "SPLIT", "SPLIT_V", "SQUEEZE",
    "STRIDED_SLICE", "TRANSPOSE", "UNPACK",
}  # fmt: skip
"""Operators that compute nothing: what differs in them is done to inputs or outputs."""


def is_everywhere(where: Localisation) -> bool:
    """(Nearly) all operators differ alone, of more than one type, and movers of data among them if
    there are any: no kernel is to blame."""
    known = [result for result in where.operators if result.gap is not None]
    movers = [result for result in known if result.operator.name in _MOVERS]
    return (
        len(where.by_type) > 1
        and len(where.differing) >= 0.7 * len(known)
        and (not movers or any(result.differs for result in movers))
    )


def computes_rightly(where: Localisation) -> bool:
    """An operator that does more than move data is right when it runs alone."""
    return any(
        result.gap is not None and result.gap.is_none and result.operator.name not in _MOVERS
        for result in where.operators
    )
