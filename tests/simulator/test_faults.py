"""The fault model: what a seed damages, and the profiles that a user can name."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_tflm import errors
from pytest_tflm.errors import SettingsError
from pytest_tflm.simulator.board.spec import SimulatorSpec
from pytest_tflm.simulator.line.bad_line import BadLine
from pytest_tflm.simulator.line.faults import PROFILES, Faults
from pytest_tflm.simulator.line.faulty import PRINTED, Damage, Line, Mishaps, Peer

USAGE = Path(__file__).parents[2] / "docs" / "usage.md"
STREAM = random.Random(1).randbytes(60_000)


def passed(faults: Faults, cuts: random.Random | None, data: bytes = STREAM) -> bytes:
    damage = Damage(7, faults, from_board=True)
    if cuts is None:
        return damage(data)
    out = b""
    at = 0
    while at < len(data):
        size = cuts.randrange(1, 300)
        out += damage(data[at : at + size])
        at += size
    return out


@pytest.mark.parametrize("name", PROFILES)
def test_a_seed_damages_the_same_places_however_the_stream_is_cut(name: str) -> None:
    faults = PROFILES[name].faults
    whole = passed(faults, None)
    assert whole == passed(faults, random.Random(2)) == passed(faults, random.Random(3))
    untouched = replace(faults, peer="", peer_after=0, vanish=0.0).clean
    assert (whole == STREAM) == untouched


def test_another_seed_damages_other_places() -> None:
    faults = PROFILES["mixed"].faults
    one, two = (Damage(seed, faults, from_board=True)(STREAM) for seed in (1, 2))
    assert one != two


@pytest.mark.parametrize(
    ("faults", "length"),
    [
        (Faults(lose=0.01), 0.99),
        (Faults(repeat=0.01), 1.01),
        (Faults(lose_run=0.1), 0.9),
        (Faults(repeat_run=0.1), 1.1),
    ],
)
def test_as_much_is_lost_or_comes_twice_as_was_said(faults: Faults, length: float) -> None:
    share = len(passed(faults, random.Random(4))) / len(STREAM)
    assert share == pytest.approx(length, abs=0.02)


def test_bits_are_flipped_as_often_as_was_said() -> None:
    bad = passed(Faults(flip=0.001), None)
    flipped = sum((a ^ b).bit_count() for a, b in zip(STREAM, bad, strict=True))
    assert flipped / len(STREAM) / 8 == pytest.approx(0.001, rel=0.2)


def test_prints_stand_beside_zeros() -> None:
    bad = passed(Faults(prints=0.5), None, b"\0frame\0" * 100)
    assert bad.replace(PRINTED, b"") == b"\0frame\0" * 100
    assert set(re.findall(rb"(.)sensor", bad, re.DOTALL)) == {b"\0"}


def test_bytes_stay_in_order_whatever_the_jitter() -> None:
    line = Line(1, Faults(jitter=0.5, stall=0.1, stall_seconds=3), from_board=False)
    arrivals = [line.send(b"x" * 64, now / 100)[0] for now in range(300)]
    assert arrivals == sorted(arrivals)
    assert arrivals[-1] > 30


def test_a_paced_line_takes_its_time() -> None:
    line = Line(1, Faults(), from_board=False, baud=1000, delay=0.5)
    assert [line.send(b"x" * 100, 0.0)[0] for _ in range(2)] == [1.5, 2.5]


def test_mishaps_lose_no_byte() -> None:
    pieces = list(Mishaps(3, Faults(reset=0.1, vanish=0.1)).among(STREAM))
    assert b"".join(piece for piece, _ in pieces) == STREAM
    assert {what for _, what in pieces} == {"reset", "vanish", ""}


@pytest.mark.parametrize("kind", ["mute", "echo", "foreign", "zeros", "noise"])
def test_peers(kind: str) -> None:
    peer = Peer(kind, 1)  # type: ignore[arg-type]
    assert bool(peer.says()) == peer.is_endless == (kind in ("foreign", "zeros", "noise"))
    assert peer.hears(b"hello") == (b"hello" if kind == "echo" else b"")


class FakePort:
    def __init__(self) -> None:
        self.taken = b""
        self.room = 1 << 20
        self.gone = False

        self.rate = 0

    def baud(self) -> int:
        return self.rate

    def connected(self) -> bool:
        return True

    def write(self, data: bytes) -> int:
        taken = data[: self.room]
        self.room -= len(taken)
        self.taken += taken
        return len(taken)

    def vanish(self) -> None:
        self.gone = True


def bad_line(port: FakePort, faults: Faults, now: list[float], resets: list[int]) -> BadLine:
    return BadLine(port, faults, 1, lambda: resets.append(1), lambda: now[0])  # type: ignore


def test_a_line_in_time() -> None:
    port, now, resets = FakePort(), [0.0], []
    line = bad_line(port, Faults(delay=2.0), now, resets)
    assert line.wait() is None
    line.heard(b"question")
    assert line.for_board() == b""
    assert line.wait() == 2.0
    now[0] = 2.0
    assert line.for_board() == b"question"
    line.said(b"answer")
    line.push()
    assert port.taken == b""
    now[0] = 4.0
    port.room = 3
    line.push()
    assert port.taken == b"ans"
    assert line.is_blocked
    assert line.wait() is None  # the port says when it has room
    port.room = 100
    line.push()
    assert port.taken == b"answer"


def test_a_line_with_a_rate() -> None:
    """Ten bits a byte; and who listens at another rate understands nothing."""
    port, now = FakePort(), [0.0]
    baud = [9600]
    line = BadLine(
        port,  # type: ignore[arg-type]
        Faults(),
        1,
        lambda: None,
        lambda: now[0],
        lambda: baud[0],
    )
    port.rate = 9600
    line.heard(b"x" * 96)
    assert line.wait() == pytest.approx(64 / 960)
    now[0] = 0.07
    assert line.for_board() == b"x" * 64
    now[0] = 0.1
    assert line.for_board() == b"x" * 32
    line.said(b"reply", 9600)
    baud[0] = 115200  # once that has left
    now[0] = 0.2
    line.push()
    assert port.taken == b"reply"
    line.heard(b"too slow")
    now[0] = 0.3
    assert line.for_board() not in (b"", b"too slow")
    line.said(b"too fast", 115200)
    now[0] = 0.4
    line.push()
    assert b"too fast" not in port.taken
    port.rate = 115200
    line.heard(b"again")
    now[0] = 0.5
    assert line.for_board() == b"again"


def test_what_was_unread_is_lost_in_a_reset() -> None:
    port, now, resets = FakePort(), [0.0], []
    line = bad_line(port, Faults(reset=1.0), now, resets)
    line.heard(b"x" * 64 + b"y" * 36)
    assert line.for_board() == b"y" * 36 or len(resets) == 2
    line.push()
    assert b"rst:" in port.taken


def test_a_port_that_vanishes() -> None:
    port, now, resets = FakePort(), [0.0], []
    line = bad_line(port, Faults(vanish=1.0), now, resets)
    line.heard(b"x")
    assert line.for_board() == b""
    assert port.gone


def test_an_unknown_profile_names_those_there_are() -> None:
    with pytest.raises(SettingsError) as caught:
        SimulatorSpec.parse("sim?faults=mixd")
    assert "'mixd'" in str(caught.value)
    for name, each in PROFILES.items():
        assert f"{name} ({each.says})" in str(caught.value)


def test_a_seed_is_a_number() -> None:
    assert SimulatorSpec.parse("sim?faults=mixed&seed=7").seed == 7
    with pytest.raises(SettingsError, match="seed='x' is not a number"):
        SimulatorSpec.parse("sim?seed=x")


def test_errors_of_profiles_exist() -> None:
    for each in PROFILES.values():
        for name in each.errors:
            assert issubclass(getattr(errors, name), errors.TflmError)


def test_the_manual_lists_the_profiles() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| (.+?) \| (.+?) \|$", USAGE.read_text(), re.MULTILINE)
    documented = {name: (says, ends) for name, says, ends in rows if name in PROFILES}
    assert documented == {
        name: (each.says, ", ".join(each.errors) or "passes") for name, each in PROFILES.items()
    }
