"""The errors of a link, from the evidence: why a session ended, and what a board refused.

:class:`~pytest_tflm.link.channel.Channel` adds the port's name.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pytest_tflm.errors import (
    ArenaTooSmall,
    BoardCrashed,
    BoardError,
    BoardReset,
    ForeignPeer,
    InvokeFailed,
    LineTooNoisy,
    ModelRejected,
    ModelTooLarge,
    NoAnswer,
    NotSupported,
    OperatorMissing,
    PortBusy,
    ProtocolMismatch,
    TflmError,
)
from pytest_tflm.link import frame, message
from pytest_tflm.link.message import Crash, CrashKind, Failure, Status, Type, Welcome

if TYPE_CHECKING:
    from pytest_tflm.link.counters import Counters
    from pytest_tflm.link.outbox import Outbox

_SHOWN = 60
_NOISY, _FEW_DAMAGED = 0.1, 10
"""From this share and this number of damaged pieces on, it is the line that stops a session. The
pieces of a line with 1 wrong bit in 1000 are 12% damaged; up to there sessions go on."""
_QUIETER = "Try a lower baud rate, a shorter or shielded cable, and a common ground"
_ONE_FRAME = 4096
"""Bytes that may be a piece of one frame, of the largest in use."""


def _outstanding(box: Outbox) -> str:
    """The oldest request without a reply: ``RUN 17 and 3 behind it``; empty if there is none."""
    oldest = box.oldest()
    if oldest is None or not box.outstanding:
        return ""
    behind = box.outstanding - 1
    name = Type(oldest.request.kind).name
    return f"{name} {oldest.number}" + (f" and {behind} after it" if behind else "")


def misfit(box: Outbox) -> ProtocolMismatch | None:
    """The board answers the oldest request, and in a way that is no answer to it; None if not."""
    oldest = box.oldest()
    if oldest is None or not oldest.misfit:
        return None
    name = Type(oldest.request.kind).name
    return ProtocolMismatch(
        f"the board answers {name} {oldest.number} with a reply that does not fit it (SPEC §5):"
        f" {oldest.misfit}, where type 0x{oldest.request.kind + 0x80:02X} with at least"
        f" {oldest.request.smallest_reply()} bytes is due, or a failure of 9"
    )


def silent(
    box: Outbox, quiet: float, waited: float, heard_at: float, counters: Counters
) -> NoAnswer | LineTooNoisy | ProtocolMismatch:
    """The board does not answer any more. ``quiet``: seconds since the last frame; ``waited``:
    seconds without progress; ``heard_at``: when that last frame came."""
    if found := misfit(box):
        return found
    oldest, what = box.oldest(), _outstanding(box)
    if counters.damaged >= _FEW_DAMAGED and counters.damaged_share >= _NOISY:
        about = f" with {what}" if what else ""
        return LineTooNoisy(
            f"no progress{about} for {waited:.1f} s: {_noise(counters)}. {_QUIETER}"
        )
    if oldest is None or not what:
        return NoAnswer(f"no answer for {waited:.1f} s")
    name = f"{Type(oldest.request.kind).name} {oldest.number}"
    if oldest.number < box.taken:
        return NoAnswer(
            f"no progress for {waited:.1f} s: the board took {name} but its reply does not arrive"
        )
    if heard_at > oldest.left_at and quiet < waited / 2:
        return NoAnswer(
            f"no progress for {waited:.1f} s: the board answers PINGs but does not take {what}"
        )
    why = "The board hangs, crashed, or lost its power"
    if oldest.request.kind == Type.RUN:
        why = (
            "The board hangs or crashed in Invoke, or lost its power; if Invoke takes longer than"
            " that, raise the timeout"
        )
    elif oldest.request.kind == Type.MODEL_PREPARE:
        why = "The board hangs or crashed while it prepared the model"
    return NoAnswer(
        f"no answer for {waited:.1f} s: {what} was sent, all earlier requests were answered. {why}"
    )


def no_welcome(head: bytes, counters: Counters, waited: float) -> NoAnswer | ForeignPeer:
    """Nobody said WELCOME. ``head``: the first bytes that came instead."""
    if not head:
        return NoAnswer(
            f"no answer within {waited:.1f} s, not a single byte: check that the board has power,"
            " that the firmware of pytest-tflm is flashed, and that this is its port"
        )
    pieces = [frame.decode(piece) for piece in head.split(b"\0") if piece]
    if any(found is not None and found.type == Type.HELLO for found in pieces):
        return ForeignPeer(
            "the port sends back what it is sent (an echo, or TX wired to RX); no board answers"
        )
    if counters.frames_received:
        return NoAnswer(
            f"no WELCOME within {waited:.1f} s, though {counters.frames_received} frames of this"
            f" protocol came: a bad line? {counters.describe()}"
        )
    whole = [piece for piece in head.split(b"\0")[1:-1] if piece]
    few = head.count(0) <= 2 and counters.bytes_received <= 2 * _ONE_FRAME
    if not whole and few and not _is_text(head):
        # The end of a frame that began before the port was opened, and the beginning of one that
        # never ended: nothing that came whole was no frame.
        return NoAnswer(
            f"no WELCOME within {waited:.1f} s, and {counters.bytes_received} bytes that are no"
            f" frame: {_show(head)}. A bad line, a board that hangs, or another baud rate?"
        )
    return ForeignPeer(
        f"{counters.bytes_received} bytes came within {waited:.1f} s, but none of this protocol:"
        f" {_show(head)}. Is the firmware of pytest-tflm flashed, and is the baud rate the board's?"
    )


def _show(data: bytes) -> str:
    """The beginning of some bytes: as text if most of it is, else in hexadecimal."""
    clipped = data[:_SHOWN]
    more = " …" if len(data) > len(clipped) else ""
    if _is_text(clipped):
        return repr(clipped.decode("ascii", "replace")) + more
    return clipped[: _SHOWN // 2].hex(" ") + (" …" if len(data) > _SHOWN // 2 else "")


def _is_text(data: bytes) -> bool:
    printable = sum(byte in b"\t\r\n" or 0x20 <= byte < 0x7F for byte in data)
    return printable >= 0.9 * len(data)


def no_version(welcome: Welcome) -> ProtocolMismatch:
    """No version in common."""
    if (
        welcome.lowest <= message.HIGHEST_VERSION
        and welcome.highest >= message.LOWEST_VERSION
        and welcome.version
    ):
        return ProtocolMismatch(
            f"the board speaks versions {welcome.lowest} to {welcome.highest} of the protocol and"
            f" chose version {welcome.version}, which this host did not offer (SPEC §3)"
        )
    return ProtocolMismatch(
        f"the board speaks versions {welcome.lowest} to {welcome.highest} of the protocol, this"
        f" host {message.LOWEST_VERSION} to {message.HIGHEST_VERSION}: update"
        f" {'the firmware' if welcome.highest < message.LOWEST_VERSION else 'pytest-tflm'}"
    )


def wrong_sizes(welcome: Welcome) -> ProtocolMismatch | None:
    """What breaks SPEC §3 in the sizes that WELCOME announces; None if nothing does."""
    if welcome.largest_frame < message.SMALLEST_FRAME:
        return ProtocolMismatch(
            f"the board announces a largest frame of {welcome.largest_frame} bytes, below 64"
        )
    if welcome.reply_store < frame.wire_length(welcome.largest_frame):
        return ProtocolMismatch(
            f"the board announces a reply store of {welcome.reply_store} bytes, which does not hold"
            f" one frame of {welcome.largest_frame}"
        )
    if welcome.window < frame.wire_length(message.SMALLEST_FRAME):
        return ProtocolMismatch(
            f"the board announces a window of {welcome.window} bytes, below one frame of 64"
        )
    return None


def restarted(before: int, boot_id: int | None, box: Outbox) -> BoardReset:
    """The board has another boot id than ``before``; None if it could not be asked."""
    ids = f"boot id {before:08x}, now " + ("unknown" if boot_id is None else f"{boot_id:08x}")
    lost = f"; {what} had no answer" if (what := _outstanding(box)) else ""
    return BoardReset(f"the board restarted in the middle of the session ({ids}){lost}")


_CRASHES = {
    CrashKind.OTHER: "for a reason that it does not name",
    CrashKind.HARD_FAULT: "with a hard fault",
    CrashKind.MEMORY_FAULT: "with a memory fault",
    CrashKind.BUS_FAULT: "with a bus fault",
    CrashKind.USAGE_FAULT: "with a usage fault",
    CrashKind.ABORTED: "by abort(), which is what a failed assertion does",
}


def crashed(crash: Crash, box: Outbox) -> BoardCrashed:
    """The board reported its own end."""
    where = f" at address 0x{crash.address:08x}" if crash.address else ""
    said = f": {crash.text}" if crash.text else ""
    lost = f" ({what} had no answer)" if (what := _outstanding(box)) else ""
    return BoardCrashed(
        f"the board crashed {_CRASHES[crash.kind]}{where}{said}{lost}. It answers again after a"
        " reset"
    )


def taken_by_another(boot_id: int) -> PortBusy:
    """The board has forgotten the session but did not restart."""
    return PortBusy(
        "another host has opened a session with the board, or it restarted with the boot id that"
        f" it had ({boot_id:08x})"
    )


def too_noisy(box: Outbox, rounds: int, counters: Counters) -> LineTooNoisy | ProtocolMismatch:
    """So many rounds of sending again, and nothing got through."""
    if found := misfit(box):
        return found
    oldest = box.oldest()
    if oldest is not None and oldest.number < box.taken and not (counters.damaged or counters.gaps):
        return ProtocolMismatch(
            f"the board took {_outstanding(box)} and got {rounds} requests for the reply, but"
            f" sends none, though nothing arrives damaged ({counters.describe()})"
        )
    return LineTooNoisy(
        f"gave up {_outstanding(box)} after {rounds} retries without progress: {_noise(counters)}"
        f" ({counters.describe()}). {_QUIETER}"
    )


def _noise(counters: Counters) -> str:
    damage = counters.describe_damage()
    return f"the line is too noisy: {damage}" if damage else "the line loses too much"


SAYS_MORE = {
    Status.ARENA_TOO_SMALL,
    Status.OPERATOR_MISSING,
    Status.MODEL_REJECTED,
    Status.INVOKE_FAILED,
    Status.MODEL_TOO_LARGE,
}
"""Failures whose text is in region ERROR (SPEC §5)."""

_OPERATOR = re.compile(r"'([A-Za-z0-9_]+)'(?: version '([0-9]{1,9})')?")


def refused(failure: Failure, doing: str, text: str = "") -> TflmError:
    """The error for a failure: a LinkError for one that breaks SPEC §5, else a BoardError.
    ``doing`` says what was asked, ``text`` is the text of region ERROR."""
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
    if failure.status == Status.UNKNOWN_REQUEST:
        return NotSupported(f"the board's firmware does not know this request: {doing}.{said}")
    if failure.status not in set(Status):
        return BoardError(
            f"the board refuses with {failure.name}, which this version does not know: {doing}."
            f"{said} Update pytest-tflm"
        )
    return ProtocolMismatch(f"the board answers {failure.name} to {doing}.{said}")
