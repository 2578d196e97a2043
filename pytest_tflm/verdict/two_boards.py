"""Two boards against each other: where they part, operator by operator."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_tflm.errors import TflmError
from pytest_tflm.verdict.ladder import compared
from pytest_tflm.verdict.localise import between

if TYPE_CHECKING:
    from pytest_tflm.verdict.causes import Accusation
    from pytest_tflm.verdict.evidence import Evidence
    from pytest_tflm.verdict.row import Row

AGAINST = "against"
"""The step that compares the two boards."""
_OF_A_BOARD = ("link", "identity", "determinism", "board")


def are_two_boards(row: Row) -> bool:
    """Whether one board is compared with another one."""
    return row.board is not None and row.reference.spec.is_board and row.reference is not row.board


def each_alone(row: Row) -> tuple[Row, Row]:
    """The row of the board and that of its reference: each is held against this machine."""
    here = row.tflm or row.builtin_ref
    return replace(row, reference=here), replace(row, board=row.reference, reference=here)


def part(mine: Evidence, theirs: Evidence) -> None:
    """Compare the two boards and leave the step in ``mine``, with the operators in which they part;
    then what was found out about the reference board."""
    if {"board"} <= mine.outputs.keys() and {"board"} <= theirs.outputs.keys():
        _compared(mine, theirs)
    name = theirs.names.get("board", "the reference board")
    mine.names["reference"] = name
    for step in theirs.steps:
        if step.key in _OF_A_BOARD:
            told = step.title if step.key == "board" else f"{name}: {step.title}"
            mine.steps.append(replace(step, key=f"reference-{step.key}", title=told))
    mine.versions.update(theirs.versions)


def _compared(mine: Evidence, theirs: Evidence) -> None:
    mine.outputs["reference"] = theirs.outputs["board"]
    title = f"{mine.names['board']} against {theirs.names['board']}"
    step = compared(mine, AGAINST, title, "board", "reference")
    if step.outcome == "equal":
        return
    boards = (mine.board, theirs.board)
    fixed = [host.name for host in boards if not host.takes_models]
    if fixed:
        step.text += f"; operators cannot be compared: {fixed[0]} takes no models"
        return
    try:
        between(mine, step, *boards)
    except TflmError as error:
        mine.broke(AGAINST, title, "board", error)
        return
    differing = step.localisation.differing if step.localisation is not None else ()
    if differing:
        step.text += f"; the first operator in which they part is {differing[0].title}"


def of_the_reference(accusation: Accusation, name: str) -> Accusation:
    """An accusation of the reference board, which says so."""
    match = accusation.match
    sentence = match.sentence if name in match.sentence else f"{name}: {match.sentence}"
    told = replace(match, sentence=sentence, step=f"reference-{match.step}")
    return replace(accusation, match=told)
