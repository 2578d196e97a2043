"""Every error of a link that was open carries what the link did."""

from __future__ import annotations

import os
import random
import re
from typing import NamedTuple

import pytest
from test_connection import SizedEngine, connect, samples

from pytest_tflm.errors import (
    BoardReset,
    LineTooNoisy,
    LinkError,
    NoAnswer,
    PortBusy,
    PortVanished,
    ProtocolMismatch,
)
from pytest_tflm.link import frame
from pytest_tflm.link.counters import Counters
from pytest_tflm.simulator.line.faults import Faults


def _nothing_comes(connection):
    connection.world.dead = True


def _resets(connection):
    connection.world.reset()


def _taken(connection):
    connection.board.receive(frame.encode(1, 77, 0, 0, b"\x01\x01"))
    connection.board.poll()
    connection.board.transmit()


def _noise(connection):
    honest = connection.world.up.send

    def damage(data, now):  # PINGs come through, inputs do not
        return honest(data if len(data) < 60 else data[:50] + b"noise" + data[55:], now)

    connection.world.up.send = damage


def _vanishes(connection):
    def gone(out, timeout):
        raise PortVanished("gone")

    connection.channel._port.exchange = gone


def _lies(connection):
    board, honest = connection.board, connection.board._send
    board._send = lambda kind, number, *more, **named: honest(
        kind, number, *more, **(named | {"ack": 3000} if kind == 0x82 else named)
    )
    connection.channel.session._recovery.want_ping()


@pytest.mark.parametrize(
    ("happens", "error"),
    [
        (_nothing_comes, NoAnswer),
        (_resets, BoardReset),
        (_taken, PortBusy),
        (_noise, LineTooNoisy),
        (_vanishes, PortVanished),
        (_lies, ProtocolMismatch),
    ],
)
def test_every_error_has_the_counters(happens, error):
    connection = connect(SizedEngine(60, 4), model=b"m")
    connection.run(bytes(60))
    sent = connection.counters.frames_sent
    assert sent >= 5
    happens(connection)
    with pytest.raises(error) as raised:
        list(connection.run_many(samples(200, 60)))
    assert isinstance(raised.value, LinkError | BoardReset)
    assert "link: sent" in raised.value.details
    assert connection.counters.resets == (error is BoardReset)
    assert ("1 restarts of the board" in raised.value.details) == (error is BoardReset)


@pytest.mark.parametrize("one_in", [1000, 300, 100])
def test_the_rate_of_bit_errors_is_measured(one_in):
    """Over lines of any such rate, drawn anew; within a third of the true one."""
    seed = int.from_bytes(os.urandom(4), "little")
    noise = Noise(random.Random(seed), one_in)
    counters = Counters()
    for _ in range(3000):
        counters.bytes_received += 20
        if noise.damages(20):
            counters.damaged += 1
        else:
            counters.frames_received += 1
    found = re.fullmatch(r"(\d+)% of what arrived was damaged \(about 1 wrong bit in (\d+)\)",
                         counters.describe_damage())  # fmt: skip
    assert found is not None, seed
    assert abs(int(found[1]) / 100 - counters.damaged_share) <= 0.005
    assert one_in * 2 / 3 < int(found[2]) < one_in * 4 / 3, seed


class Noise(NamedTuple):
    random: random.Random
    one_in: int

    def damages(self, size: int) -> bool:
        return any(self.random.randrange(self.one_in) == 0 for _ in range(8 * size))


def test_a_line_without_damage_says_nothing_of_it():
    assert Counters(frames_received=9, bytes_received=90).describe_damage() == ""
    assert Counters(damaged=3, bytes_received=90).describe_damage() == (
        "100% of what arrived was damaged"
    )


def test_a_line_that_is_too_noisy_is_not_called_a_silent_board():
    """1 wrong bit in 200: what ends the session is the line, and the error says how bad it is."""
    with pytest.raises(LineTooNoisy) as raised:
        list(
            connect(
                SizedEngine(1000, 40), model=b"m", faults=Faults(flip=1 / 200), seed=1
            ).run_many(samples(50, 1000))
        )
    text = str(raised.value)
    found = re.search(r"\(about 1 wrong bit in (\d+)\)", text)
    assert found is not None, text
    assert 130 < int(found[1]) < 300
    for words in ("the line is too noisy", "Try a lower baud rate", "ground"):
        assert words in text
    assert "hangs" not in text
