"""What is heard of bytes that were sent at another rate."""

from __future__ import annotations

import random

import pytest

from pytest_tflm.link import frame
from pytest_tflm.simulator.line.uart import heard

RATES = [9600, 115200, 230400, 460800, 921600, 3_000_000]


def test_equal_and_nearly_equal_rates_and_no_rates() -> None:
    data = bytes(range(256))
    for sent, at in ((115200, 115200), (115200, 117000), (115200, 113000), (None, 9600), (9600, 0)):
        assert heard(data, sent, at) == data


def test_the_textbook_cases() -> None:
    # U is 0101010101 on the wire, with its start and stop bit; at twice the rate each bit is two.
    # The first byte ends in the middle of it, without a stop bit; the line is high behind the last.
    assert heard(b"U", 9600, 19200) == b"\x66\xe6"
    # A zero sent slowly is a break: one zero, however long it lasts.
    assert heard(b"\0", 9600, 115200) == b"\0"
    assert heard(b"", 9600, 115200) == b""


@pytest.mark.parametrize("sent", RATES)
@pytest.mark.parametrize("at", RATES)
def test_no_frame_is_ever_heard_at_another_rate(sent: int, at: int) -> None:
    rng = random.Random(sent * at)
    for _ in range(20):
        wire = frame.encode(0x14, 0x4A17, 3, 3, rng.randbytes(rng.randrange(60)))
        found = heard(wire, sent, at)
        if sent == at:
            assert found == wire
            continue
        assert found, "it is heard as something"
        assert all(frame.decode(piece) is None for piece in found.split(b"\0") if piece)
