"""Every error of a link that was open carries what the link did."""

from __future__ import annotations

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
