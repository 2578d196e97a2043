"""A board's refusals as errors (SPEC §5)."""

from __future__ import annotations

from pytest_tflm.errors import (
    ArenaTooSmall,
    InvokeFailed,
    ModelRejected,
    ModelTooLarge,
    OperatorMissing,
    ProtocolMismatch,
    TflmError,
)
from pytest_tflm.link.message import Failure, Status

SAYS_MORE = {
    Status.ARENA_TOO_SMALL,
    Status.OPERATOR_MISSING,
    Status.MODEL_REJECTED,
    Status.INVOKE_FAILED,
    Status.MODEL_TOO_LARGE,
}
"""Failures whose text is in region ERROR."""


def _sizes(failure: Failure) -> str:
    needed = f"{failure.needed} bytes are needed" if failure.needed else "it is not known how many"
    return f"{needed}, {failure.available} are there"


def error_for(failure: Failure, doing: str, text: str = "") -> TflmError:
    """The error for a failure. ``doing`` says what was asked, ``text`` is region ERROR's."""
    said = f' The board says: "{text}"' if text else ""
    if failure.status == Status.MODEL_TOO_LARGE:
        return ModelTooLarge(
            f"the model does not fit into the board's memory: {_sizes(failure)}.{said}"
        )
    if failure.status == Status.ARENA_TOO_SMALL:
        return ArenaTooSmall(
            f"the arena does not fit into the board's memory: {_sizes(failure)}.{said}"
        )
    if failure.status == Status.OPERATOR_MISSING:
        return OperatorMissing(f"the board's firmware lacks an operator of the model.{said}")
    if failure.status == Status.MODEL_DAMAGED:
        return ModelRejected(
            "the model arrived whole but is damaged in the board's memory (wrong CRC-32)"
        )
    if failure.status == Status.MODEL_REJECTED:
        return ModelRejected(f"the board could not prepare the model.{said}")
    if failure.status == Status.INVOKE_FAILED:
        return InvokeFailed(f"Invoke failed on the board ({doing}).{said}")
    if failure.status == Status.NO_MODEL:
        return ModelRejected(f"the board has no model prepared ({doing})")
    if failure.status == Status.NOT_SUPPORTED:
        return ModelRejected(f"the board's firmware does not support this: {doing}.{said}")
    return ProtocolMismatch(f"the board answers {failure.name} to {doing}.{said}")
