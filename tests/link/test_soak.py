"""The promises of the link, over every kind of damage; and broken sessions, each of which is found.

``make soak`` goes on for longer.
"""

from __future__ import annotations

import broken_boards
import broken_sessions
import pytest
from soak import Finding, Soak, scripted

from pytest_tflm.simulator.line.faults import PROFILES, Faults

pytestmark = pytest.mark.slow

MIXED = PROFILES["mixed"].faults
BAUDS = [None, 115200, 921600]


@pytest.mark.parametrize(
    "baud", [115200, *(pytest.param(b, marks=pytest.mark.slow) for b in BAUDS if b != 115200)]
)
@pytest.mark.parametrize("profile", list(PROFILES))
def test_the_promises_hold(profile, baud):
    for seed in range(3):
        soak = Soak(seed, 250, PROFILES[profile].faults, baud=baud).run()
        assert soak.results == soak.submitted or PROFILES[profile].errors
        names = {type(error).__name__ for error in soak.errors}
        assert names <= set(PROFILES[profile].errors)


@pytest.mark.parametrize("profile", list(PROFILES))
def test_the_promises_hold_with_the_firmware(profile):
    pytest.importorskip("pytest_tflm.simulator._firmware")
    from compiled_board import compiled

    faults = PROFILES[profile].faults
    for seed in range(4):
        Soak(seed, 400, faults, baud=BAUDS[seed % 3], rig=compiled).run()
        if not faults.peer:
            Soak(seed, 100, faults, give_up=0.05, rig=compiled).run()
            Soak(seed, 100, faults, give_up=0.05, nonce=lambda: 7, rig=compiled).run()


@pytest.mark.parametrize("profile", list(PROFILES))
def test_the_promises_hold_while_the_rate_changes(profile):
    pytest.importorskip("pytest_tflm.simulator._firmware")
    from compiled_board import compiled

    faults = PROFILES[profile].faults
    for seed, rig in enumerate((scripted, compiled)):
        settings = {"baud": 115200, "line_baud": 921600, "rig": rig}
        soak = Soak(seed, 200, faults, **settings).run()
        assert soak.settled or PROFILES[profile].errors
        if not faults.peer:
            Soak(seed, 100, faults, give_up=0.05, **settings).run()


@pytest.mark.parametrize("baud", [None, 115200])
def test_the_promises_hold_where_only_short_frames_pass(baud):
    """A quarter of the frames of 64 bytes gets through, one in a hundred of 300."""
    pytest.importorskip("pytest_tflm.simulator._firmware")
    from compiled_board import compiled

    soak = Soak(1, 120, Faults(flip=2.5e-3), baud=baud, rig=compiled).run()
    assert soak.results == soak.submitted


def test_a_board_that_computes_for_long_is_not_given_up():
    for seed in range(5):
        Soak(seed, 40, MIXED, compute=3.0, timeout=30).run()


def test_late_answers_to_a_host_that_gave_up():
    """The board is slow, the host drops its session again and again: nothing of an old one is
    taken for an answer, not even when the number of a session comes again."""
    for seed in range(10):
        Soak(seed, 150, give_up=0.1, delay=0.02, compute=0.01).run()
        Soak(seed, 150, give_up=0.1, nonce=lambda: 7).run()
        Soak(seed, 150, MIXED, give_up=0.05).run()


def test_tiny_window_and_store():
    for seed in range(5):
        sizes = {"largest_frame": 360, "window": 380, "reply_store": 364}
        Soak(seed, 100, MIXED, **sizes).run()


def test_the_same_seed_is_the_same_run():
    one, two = (Soak(5, 200, MIXED).run() for _ in range(2))
    assert one.world.now == two.world.now
    assert one.host.counters == two.host.counters


def _soak(broken, seeds):
    for seed in seeds:
        for profile in broken.profiles:
            Soak(seed, 300, session=broken, **profile).run()


BROKEN = {broken.__name__: broken for broken in broken_sessions.BROKEN}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_session_is_found(name):
    """A soak that finds no broken version proves nothing."""
    broken = BROKEN[name]
    with pytest.raises(Finding) as found:
        _soak(broken, range(30))
    assert found.value.kind in broken.found_as, found.value


@pytest.mark.parametrize("name", [each.__name__ for each in broken_boards.BROKEN])
def test_a_broken_board_is_found(name):
    broken = getattr(broken_boards, name)
    with pytest.raises(Finding):
        for seed in range(30):
            for profile in broken.profiles:
                Soak(seed, 300, rig=broken_boards.rig_of(broken), **profile).run()


def test_what_finds_them_finds_nothing_in_the_real_session():
    from pytest_tflm.link.session import Session

    for broken in broken_sessions.BROKEN:
        for profile in broken.profiles:
            Soak(1, 300, session=Session, **profile).run()
    Soak(2, 300, Faults(flip=1e-4), session=Session).run()
