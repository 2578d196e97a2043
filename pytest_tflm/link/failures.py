"""A board's refusals as errors (SPEC §5)."""

from __future__ import annotations

import re

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


_OPERATOR = re.compile(r"'([A-Za-z0-9_]+)'(?: version '([0-9]{1,9})')?")


def error_for(failure: Failure, doing: str, text: str = "") -> TflmError:
    """The error for a failure. ``doing`` says what was asked, ``text`` is region ERROR's."""
    said = f' The board says: "{text}"' if text else ""
    needed, available = failure.needed, failure.available
    if failure.status == Status.MODEL_TOO_LARGE:
        return ModelTooLarge(
            f"the model does not fit: it has {needed} bytes, the board's memory for model and arena"
            f" {available}. Use a smaller model or a board with more memory"
        )
    if failure.status == Status.ARENA_TOO_SMALL:
        bytes_needed = f"at least {needed} bytes are needed" if needed else "more is needed"
        return ArenaTooSmall(
            f"the arena does not fit: {bytes_needed}, the board has {available} bytes for it. Use a"
            " model with smaller tensors, or firmware or a board with a larger arena"
        )
    if failure.status == Status.OPERATOR_MISSING:
        named = _OPERATOR.search(text)
        if named is None:
            return OperatorMissing(f"the board's firmware lacks an operator of the model.{said}")
        if named[2] and int(named[2]) > 1:
            return OperatorMissing(
                f"the board's firmware lacks version {named[2]} of the operator {named[1]}: its"
                " TFLM is older than the model. Flash firmware with a newer TFLM"
            )
        return OperatorMissing(
            f"the board's firmware lacks the operator {named[1]}. Add it to the firmware's op"
            " resolver and flash it again"
        )
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
