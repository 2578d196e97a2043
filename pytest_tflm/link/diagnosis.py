"""What to tell people when a session ends: the evidence in words. The port's name is put in front
by the layer above."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_tflm.errors import BoardCrashed, ForeignPeer, LineTooNoisy, NoAnswer, ProtocolMismatch
from pytest_tflm.link import frame, message
from pytest_tflm.link.message import Crash, CrashKind, Type, Welcome

if TYPE_CHECKING:
    from pytest_tflm.link.counters import Counters
    from pytest_tflm.link.outbox import Entry, Outbox

_SHOWN = 60
_ONE_FRAME = 4096
"""Bytes that may be a piece of one frame, of the largest in use."""


def describe(entry: Entry | None, box: Outbox) -> str:
    """The oldest request without an answer: ``RUN 17 and 3 behind it``; empty if there is none."""
    if entry is None or not box.outstanding:
        return ""
    behind = box.outstanding - 1
    name = Type(entry.request.kind).name
    return f"{name} {entry.number}" + (f" and {behind} behind it" if behind else "")


def silent(box: Outbox, quiet: float, waited: float, heard_at: float) -> str:
    """Why nobody answers any more. ``quiet``: seconds since the last frame; ``waited``: seconds
    without progress; ``heard_at``: when that last frame came."""
    entry = box.oldest()
    what = describe(entry, box)
    if entry is None or not what:
        return f"no answer for {waited:.1f} s"
    name = f"{Type(entry.request.kind).name} {entry.number}"
    if entry.number < box.taken:
        return (
            f"no progress for {waited:.1f} s: the board took {name} but its reply does not arrive"
        )
    if heard_at > entry.left_at and quiet < waited / 2:
        return f"no progress for {waited:.1f} s: the board answers PINGs but does not take {what}"
    if entry.request.kind == Type.RUN:
        return (
            f"no answer for {waited:.1f} s: {what} was sent, all before it is answered. The board"
            " hangs or crashed in Invoke, or lost its power; if Invoke takes longer than that,"
            " raise the timeout"
        )
    if entry.request.kind == Type.MODEL_PREPARE:
        return (
            f"no answer for {waited:.1f} s: {what} was sent, all before it is answered. The board"
            " hangs or crashed while it prepared the model"
        )
    return (
        f"no answer for {waited:.1f} s: {what} was sent, all before it is answered. The board"
        " hangs, crashed, or lost its power"
    )


def no_welcome(head: bytes, counters: Counters, waited: float) -> NoAnswer | ForeignPeer:
    """Nobody said WELCOME. ``head``: the first bytes that came instead."""
    if not head:
        return NoAnswer(
            f"no answer within {waited:.1f} s, not a single byte: is the board powered, is the"
            " firmware of pytest-tflm flashed, is it this port?"
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
            f" frame: {show(head)}. A bad line, a board that hangs, or another baud rate?"
        )
    return ForeignPeer(
        f"{counters.bytes_received} bytes came within {waited:.1f} s, but none of this protocol:"
        f" {show(head)}. Is the firmware of pytest-tflm flashed, and is the baud rate the board's?"
    )


def show(data: bytes) -> str:
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
    return ProtocolMismatch(
        f"the board speaks versions {welcome.lowest} to {welcome.highest} of the protocol, this"
        f" host {message.LOWEST_VERSION} to {message.HIGHEST_VERSION}: update"
        f" {'the firmware' if welcome.highest < message.LOWEST_VERSION else 'pytest-tflm'}"
    )


def sizes(welcome: Welcome) -> str:
    """What is wrong with the sizes in WELCOME (SPEC §3); empty if nothing is."""
    if welcome.largest_frame < message.SMALLEST_FRAME:
        return f"the board announces a largest frame of {welcome.largest_frame} bytes, below 64"
    if welcome.reply_store < frame.wire_length(welcome.largest_frame):
        return (
            f"the board announces a reply store of {welcome.reply_store} bytes, which does not hold"
            f" one frame of {welcome.largest_frame}"
        )
    if welcome.window < frame.wire_length(message.SMALLEST_FRAME):
        return f"the board announces a window of {welcome.window} bytes, below one frame of 64"
    return ""


def restarted(before: int, boot_id: int | None, outstanding: str) -> str:
    """The board has another boot id than before; None if it could not be asked."""
    ids = f"boot id {before:08x}, now " + ("unknown" if boot_id is None else f"{boot_id:08x}")
    lost = f"; {outstanding} had no answer" if outstanding else ""
    return f"the board restarted in the middle of the session ({ids}){lost}"


_CRASHES = {
    CrashKind.OTHER: "for a reason that it does not name",
    CrashKind.HARD_FAULT: "with a hard fault",
    CrashKind.MEMORY_FAULT: "with a memory fault",
    CrashKind.BUS_FAULT: "with a bus fault",
    CrashKind.USAGE_FAULT: "with a usage fault",
    CrashKind.ABORTED: "by abort(), which is what a failed assertion does",
}


def crashed(crash: Crash, outstanding: str) -> BoardCrashed:
    """The board told of its own end."""
    where = f" at address 0x{crash.address:08x}" if crash.address else ""
    said = f": {crash.text}" if crash.text else ""
    lost = f" ({outstanding} had no answer)" if outstanding else ""
    return BoardCrashed(
        f"the board crashed {_CRASHES[crash.kind]}{where}{said}{lost}. It answers again after a"
        " reset"
    )


def taken_by_another(boot_id: int) -> str:
    """The board has forgotten the session but not restarted."""
    return (
        "another host has opened a session with the board, or it restarted with the boot id that"
        f" it had ({boot_id:08x})"
    )


def too_noisy(outstanding: str, rounds: int, counters: Counters) -> LineTooNoisy:
    """So many rounds of sending again, and nothing came through."""
    return LineTooNoisy(
        f"gave up {outstanding} after {rounds} rounds of sending again without progress: the line"
        f" loses or damages too much ({counters.describe()}). Try a lower baud rate or another"
        " cable"
    )
