"""Which repairs a model calls for, and what they make of it.

*freeze* where stored shapes are not those of a run; *fold-dilation* where SPACE_TO_BATCH_ND is the
reason, or pads; *densify* where weights are stored without their zeros. Nothing is run here:
whether the repaired model computes what the original did is for
:mod:`pytest_tflm.runtime.repaired` to find out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_tflm.model.model import model_from_bytes
from pytest_tflm.model.transform.densify import densify, sparse_tensors
from pytest_tflm.model.transform.fold_dilation import fold_dilation
from pytest_tflm.model.transform.freeze import dynamic_tensors, freeze, wrong_shapes

if TYPE_CHECKING:
    from pytest_tflm.model.model import Model
    from pytest_tflm.model.transform.dilation import Chain, NotFoldable
    from pytest_tflm.model.transform.freeze import WrongShape

    Shapes = Mapping[int, tuple[int, ...]]

FREEZE = "freeze"
FOLD_DILATION = "fold-dilation"
DENSIFY = "densify"
REPAIRS = (FREEZE, FOLD_DILATION, DENSIFY)


@dataclass(frozen=True)
class Step:
    """A repair (``name`` is one of :data:`REPAIRS`) and what it did, in sentences."""

    name: str
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """The repaired model (None if there is nothing to repair), what was done to it, in order, and
    what could not be repaired, in sentences."""

    model: Model | None
    steps: tuple[Step, ...]
    left: tuple[str, ...]


def plan_repairs(model: Model, shapes: Shapes, only: str | None = None) -> Plan:
    """Apply what ``model`` calls for, given the shapes of a run by tensor. ``only`` is one of
    :data:`REPAIRS`: that one is applied where it can be, called for or not, and no other."""
    assert only is None or only in REPAIRS, only
    wrong = wrong_shapes(model, shapes)
    steps: list[Step] = []
    repaired = model
    if only in (None, FREEZE) and (wrong or (only and dynamic_tensors(model))):
        repaired = model_from_bytes(freeze(model, shapes), model.name)
        steps.append(Step(FREEZE, (_frozen(model, shapes),)))
    left: tuple[str, ...] = ()
    if only in (None, FOLD_DILATION):
        folded = fold_dilation(repaired, shapes if repaired is model else None)
        pads = any(chain.sees_padding for chain in folded.chains)
        left = tuple(_left(model, each) for each in folded.left if each.pads)
        if folded.data is not None and (only or wrong or pads):
            steps.append(Step(FOLD_DILATION, tuple(_folded(repaired, c) for c in folded.chains)))
            repaired = model_from_bytes(folded.data, model.name)
    sparse = sparse_tensors(repaired) if only in (None, DENSIFY) else ()
    if sparse:
        names = ", ".join(f"'{repaired.tensors[index].name}'" for index in sparse)
        steps.append(Step(DENSIFY, (f"{names} stored as dense arrays",)))
        repaired = model_from_bytes(densify(repaired), model.name)
    return Plan(repaired if steps else None, tuple(steps), left)


def _frozen(model: Model, shapes: Shapes) -> str:
    wrong, dynamic = wrong_shapes(model, shapes), dynamic_tensors(model)
    words = []
    if wrong:
        words.append(
            f"{_count(len(wrong), 'tensor')} got the actual shape (the first is "
            f"{_describe_wrong(model, wrong[0])})"
        )
    if dynamic:
        words.append(f"{_count(len(dynamic), 'shape signature')} dropped")
    return ", ".join(words)


def _describe_wrong(model: Model, wrong: WrongShape) -> str:
    """Where a stored shape is not the run's, in words."""
    if wrong.operator is None:
        place = f"input '{model.tensors[wrong.tensor].name}'"
    else:
        place = f"operator {wrong.operator}, {model.operators[wrong.operator].name}"
    return f"{place}: stored {list(wrong.stored)}, actual {list(wrong.real)}"


def _folded(model: Model, chain: Chain) -> str:
    name = model.operators[chain.convolution].name
    height, width = chain.height, chain.width
    padding = chain.padding
    if padding == "explicit":
        tail = "and the input padded or cropped before it"
    else:
        tail = f"and padding {padding}"
    return (
        f"operators {chain.space_to_batch} to {chain.batch_to_space} (SPACE_TO_BATCH_ND, {name}, "
        f"BATCH_TO_SPACE_ND) became one {name} with dilation {height.dilation}x{width.dilation} "
        f"{tail}"
    )


def _left(model: Model, left: NotFoldable) -> str:
    return f"operator {left.operator}, SPACE_TO_BATCH_ND, is not changed: {left.reason}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
