"""What is said of the board as a whole: all its operators, and notes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pytest_tflm.verdict import behaviour
from pytest_tflm.verdict.causes.cause import (
    Match,
    Stage,
    accused_kernels,
    cause,
    is_everywhere,
)
from pytest_tflm.verdict.localise import on_board

if TYPE_CHECKING:
    from pytest_tflm.verdict.evidence import Evidence


@cause(
    "all-operators-differ",
    "all operators differ in isolation",
    Stage.OPERATORS,
    remedy="Look at what the firmware does with inputs before Invoke and with outputs after it: "
    "each model that is sent shows it, also one that only copies. A kernel library that was built "
    "for another processor looks the same.",
)
def _everywhere(evidence: Evidence) -> Iterator[Match]:
    where = on_board(evidence)
    if where is not None and is_everywhere(where):
        yield Match(
            f"{len(where.differing)} of {len(where.operators)} operators differ when run in"
            f" isolation on identical inputs ({', '.join(where.by_type)}), of {len(where.by_type)}"
            " types: "
            "inputs or outputs are changed around Invoke, in no known way."
        )


@cause(
    "input-reused",
    "Invoke uses the input's memory for other tensors",
    Stage.NOTE,
    remedy="Firmware of your own must do so as well: fill the whole input tensor before every "
    "Invoke, also where only a part of it is new.",
    citation="tensorflow/tflite-micro#2290",
)
def _input_reused(evidence: Evidence) -> Iterator[Match]:
    if "board" not in evidence.outputs or all(s.outcome == "equal" for s in evidence.steps):
        return  # as it should be, and nobody asks
    found = behaviour.input_reused(evidence)
    if found is not None:
        yield Match(
            "After Invoke the input tensor of the board does not hold the input any more "
            f"({found.changed} of {found.size} bytes are others). TFLM may do that: it plans "
            "memory for tensors that are not needed any more. pytest-tflm writes all inputs before "
            "each Invoke.",
            step="link",
        )


@cause(
    "outputs-alone",
    "the board takes no models, so only its outputs are known",
    Stage.NOTE,
    remedy="Flash firmware that takes models (pytest-tflm firmware {board} without --model) to "
    "have the operators compared.",
)
def _outputs_alone(evidence: Evidence) -> Iterator[Match]:
    if evidence.differs("board") and not evidence.board.takes_models:
        yield Match(
            "The firmware has its model compiled in and takes none over the link: operators cannot"
            " be run on it in isolation."
        )


def contradicts_kernels(evidence: Evidence) -> bool:
    """The kernels that differ alone do not make the board's outputs, and each of them has
    constants: the memory may be to blame for all of it."""
    where = on_board(evidence)
    if where is None or where.explains is not False or not accused_kernels(evidence):
        return False
    tensors = evidence.model.tensors
    return all(
        any(i >= 0 and tensors[i].is_constant for i in result.operator.inputs)
        for result in where.differing
    )
