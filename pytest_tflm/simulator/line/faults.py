"""What can go wrong on a serial line, in numbers, and the profiles that ``sim?faults=NAME`` knows.

Probabilities are per place where the fault can happen (a bit, a byte, a run of 64 bytes), so that a
seed damages the same places of a stream however it is cut into pieces.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from pytest_tflm.errors import SettingsError

RUN = 64
"""Bytes of a run: one packet of USB full speed, which some drivers lose as a whole."""

PeerKind = Literal["", "mute", "echo", "foreign", "zeros", "noise"]


@dataclass(frozen=True)
class Faults:
    """How bad a line is. All zero: it is clean. Bytes are never reordered: no serial line does."""

    flip: float = 0.0
    """A bit is inverted; per bit."""
    lose: float = 0.0
    """A byte is lost; per byte."""
    repeat: float = 0.0
    """A byte comes twice; per byte."""
    lose_run: float = 0.0
    """64 bytes are lost; per 64 bytes."""
    repeat_run: float = 0.0
    """64 bytes come twice; per 64 bytes."""
    burst: float = 0.0
    """1 to 29 bytes become noise; per byte."""
    prints: float = 0.0
    """Other code prints a line beside a zero byte, before or behind a frame; per zero byte from
    the board."""
    boot_text: float = 0.0
    """Text lands anywhere, mostly in the middle of a frame; per byte from the board."""
    reset: float = 0.0
    """The board restarts, in whatever it is doing; per 64 bytes that reach it."""
    vanish: float = 0.0
    """The port is gone; per 64 bytes that reach the board."""
    delay: float = 0.0
    """Seconds that everything takes longer, each way."""
    jitter: float = 0.0
    """Seconds, from none to this, that a piece takes longer."""
    stall: float = 0.0
    """Nothing passes for ``stall_seconds``; per 64 bytes."""
    stall_seconds: float = 0.0
    peer: PeerKind = ""
    """What is on the line instead of a board."""
    peer_after: int = 0
    """Bytes that the board says before the peer takes its place."""

    @property
    def clean(self) -> bool:
        """Nothing is damaged or lost; it may be slow."""
        return replace(self, delay=0, jitter=0, stall=0, stall_seconds=0) == Faults()


class Profile(NamedTuple):
    """A line with a name. ``errors`` names what a run over it may end in; empty: it passes."""

    says: str
    faults: Faults
    errors: tuple[str, ...] = ()


_MIXED = Faults(
    flip=1e-4,
    lose=1e-4,
    repeat=1e-4,
    lose_run=3e-3,
    repeat_run=3e-3,
    burst=5e-5,
    prints=0.05,
    boot_text=1e-4,
    jitter=0.003,
)
_NOT_A_BOARD = ("ForeignPeer", "NoAnswer")
_GONE_BAD = ("NoAnswer", "LineTooNoisy")

PROFILES = {
    "clean": Profile("nothing wrong", Faults()),
    "flips": Profile("1 of 10 000 bits inverted", Faults(flip=1e-4)),
    "more-flips": Profile("1 of 2000 bits inverted", Faults(flip=5e-4)),
    "lost-bytes": Profile("1 of 2000 bytes lost", Faults(lose=5e-4)),
    "repeated-bytes": Profile("1 of 2000 bytes repeated", Faults(repeat=5e-4)),
    "lost-runs": Profile("1 of 100 runs of 64 bytes lost", Faults(lose_run=0.01)),
    "repeated-runs": Profile("1 of 50 runs of 64 bytes repeated", Faults(repeat_run=0.02)),
    "bursts": Profile("up to 29 bytes of noise every 3300 bytes", Faults(burst=3e-4)),
    "prints": Profile("other code prints between and inside frames", Faults(prints=0.1)),
    "boot-text": Profile("text in the middle of frames", Faults(boot_text=5e-4)),
    "jitter": Profile("a delay of 5 ms, and up to 20 ms more", Faults(delay=0.005, jitter=0.02)),
    "stalls": Profile(
        "occasionally no data for 1.5 s", Faults(stall=0.002, stall_seconds=1.5, jitter=0.003)
    ),
    "damaged": Profile(
        "about 0.1% of frames of 500 bytes damaged", Faults(flip=1.7e-7, lose=4e-7, burst=2.5e-7)
    ),
    "mixed": Profile(
        "flips, lost and repeated bytes and runs, bursts, text, jitter, all at once", _MIXED
    ),
    "resets": Profile(
        "the board restarts occasionally, on a line with some damage",
        Faults(flip=5e-5, lose_run=1e-3, prints=0.02, reset=0.002),
        ("BoardReset",),
    ),
    "vanish": Profile(
        "the port disappears; over TCP it comes back for the next client",
        Faults(vanish=0.002),
        ("PortVanished",),
    ),
    "late": Profile(
        "some replies come 30 s late, after the host has given up",
        Faults(stall=0.001, stall_seconds=30.0),
        ("NoAnswer",),
    ),
    "dies": Profile(
        "the board falls silent after 4 KB", Faults(peer="mute", peer_after=4096), _GONE_BAD
    ),
    "babbles": Profile(
        "the board sends endless noise after 4 KB",
        Faults(peer="noise", peer_after=4096),
        _GONE_BAD,
    ),
    "mute": Profile("no board is connected", Faults(peer="mute"), ("NoAnswer",)),
    "echo": Profile("the line echoes what is sent", Faults(peer="echo"), _NOT_A_BOARD),
    "foreign": Profile("another program prints text", Faults(peer="foreign"), _NOT_A_BOARD),
    "zeros": Profile("endless zeros", Faults(peer="zeros"), _NOT_A_BOARD),
    "noise": Profile("endless noise", Faults(peer="noise"), _NOT_A_BOARD),
}


def profile(name: str) -> Profile:
    """The profile of that name. SettingsError, with the names there are, for any other."""
    found = PROFILES.get(name)
    if found is None:
        raise SettingsError(
            f"sim: unknown faults={name!r}. Known faults: "
            + "; ".join(f"{each} ({PROFILES[each].says})" for each in PROFILES)
        )
    return found
