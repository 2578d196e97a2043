"""What a link did, in numbers: in every link error and at the end of a run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Counters:
    """Since the connection was opened. "Sent" and "received" are the host's view."""

    baud: int | None = None
    """The line's rate in use, bits per second; None if the port is no UART."""
    frames_sent: int = 0
    frames_received: int = 0
    """Frames whose CRC is right, also those that were ignored."""
    bytes_sent: int = 0
    bytes_received: int = 0
    requests: int = 0
    """Requests sent for the first time."""
    requests_resent: int = 0
    replies_repeated: int = 0
    """Replies that came although they had come before."""
    replies_lost: int = 0
    """Replies that had to be asked for again."""
    ignored: int = 0
    """Frames of another session, for no request, or against the protocol."""
    damaged: int = 0
    """Pieces that were neither a frame nor text."""
    gaps: int = 0
    """GAPs received: each is something that the board lost."""
    pings: int = 0
    resets: int = 0
    """Restarts of the board; the first ends the session."""
    text_bytes: int = 0
    """Bytes that other code printed on the port."""
    logs_missed: int = 0
    longest_gap: float = 0.0
    """Seconds: the longest silence of the board while something was asked of it."""
    round_trip: float | None = None
    """Seconds: the shortest time from a question to its answer. None before the first."""

    @property
    def damaged_share(self) -> float:
        """The share of the pieces that came which were damaged, 0 to 1."""
        pieces = self.damaged + self.frames_received
        return self.damaged / pieces if pieces else 0.0

    def describe_damage(self) -> str:
        """How much was damaged, and the rate of bit errors that would explain it: of pieces of n
        bits, 1 - (1 - rate)^n are damaged. Empty where nothing is."""
        share = self.damaged_share
        if not share:
            return ""
        text = f"{share:.0%} of what arrived was damaged"
        if share == 1 or not self.bytes_received:
            return text
        bits = 8 * self.bytes_received / (self.damaged + self.frames_received)
        one_in = 1 / (1 - (1 - share) ** (1 / bits))
        return f"{text} (about 1 wrong bit in {float(f'{one_in:.2g}'):.0f})"

    def describe(self) -> str:
        """One line; what never happened is left out."""
        parts = [] if self.baud is None else [f"{self.baud} baud"]
        parts += [
            f"sent {self.frames_sent} frames, {self.bytes_sent} bytes",
            f"received {self.frames_received} frames, {self.bytes_received} bytes",
        ]
        for count, words in (
            (self.requests_resent, "requests sent again"),
            (self.replies_lost, "replies asked for again"),
            (self.replies_repeated, "replies repeated"),
            (self.ignored, "frames ignored"),
            (self.damaged, "pieces damaged"),
            (self.gaps, "GAPs"),
            (self.pings, "PINGs"),
            (self.resets, "restarts of the board"),
            (self.text_bytes, "bytes of text"),
            (self.logs_missed, "log lines missed"),
        ):
            if count:
                parts.append(f"{count} {words}")
        if self.round_trip is not None:
            parts.append(f"round trip {self.round_trip * 1000:.1f} ms")
        parts.append(f"longest gap {self.longest_gap * 1000:.0f} ms")
        return "; ".join(parts)
