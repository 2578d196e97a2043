"""How a difference travels through a model: whether it is seen at the end, what magnifies it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_tflm.verdict.evidence import Localisation, OperatorResult

MAGNIFIED = 3
"""How many times larger a difference must become in one operator to be worth a word."""


def is_hidden(where: Localisation, result: OperatorResult) -> bool:
    """The operator's difference never reaches an output of the model: on each way from it, all
    tensors of the chain are equal again before the end (cropped, masked or saturated away)."""
    differing = {
        r.operator.index for r in where.operators if r.chained is None or not r.chained.is_none
    }
    consumers: dict[int, list[OperatorResult]] = {}
    for each in where.operators:
        for tensor in each.operator.inputs:
            consumers.setdefault(tensor, []).append(each)
    reached, todo = {result.operator.index}, [result]
    while todo:
        current = todo.pop()
        made = current.operator.outputs
        if current.operator.index in differing and where.outputs.intersection(made):
            return False
        behind = [r for tensor in made for r in consumers.get(tensor, [])]
        for each in behind:
            if each.operator.index in differing and each.operator.index not in reached:
                reached.add(each.operator.index)
                todo.append(each)
    return True


def magnifiers(where: Localisation) -> Iterator[tuple[OperatorResult, float, float]]:
    """Operators that are equal of themselves and make an inherited difference several times
    larger, with the largest difference before and after it, in LSBs."""
    made = {tensor: r for r in where.operators for tensor in r.operator.outputs}
    for result in where.operators:
        after = result.chained
        if after is None or after.shapes or result.differs:
            continue
        before = [
            made[t].chained.largest  # type: ignore[union-attr]
            for t in result.operator.inputs
            if t in made and made[t].chained is not None
        ]
        largest = max(before, default=0.0)
        if largest > 0 and after.largest >= MAGNIFIED * largest and after.largest >= MAGNIFIED:
            yield result, largest, after.largest
