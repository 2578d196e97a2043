"""The window in use: smaller where a board drops bytes, whole again where it does not."""

from __future__ import annotations

import pytest
from test_connection import SizedEngine, connect, expected, samples

ANNOUNCED = 4096


def run(connection, count, rooms):
    sent = samples(count, 200)
    for result, sample in zip(connection.run_many(sent), sent, strict=True):
        assert result.outputs == expected(sample, 8)
        rooms.append(connection.channel.session._outbox.room)


@pytest.mark.parametrize("ring", [700, 1500, 3000])
def test_a_board_that_holds_less_than_it_announced(ring):
    connection = connect(
        SizedEngine(200, 8), window=ANNOUNCED, model=b"m", compute=0.005, baud=921600
    )
    world = connection.world
    before: list[int] = []
    run(connection, 100, before)
    assert set(before) == {ANNOUNCED}  # nothing lost, nothing given up

    world.ring = ring
    small: list[int] = []
    run(connection, 400, small)
    assert world.overflowed > 0
    assert min(small) <= ring + 256  # a frame that is being computed for is out of the ring
    assert len(connection.engine.invoked) == 500  # each once

    world.ring = 1 << 20
    lost = world.overflowed
    after: list[int] = []
    run(connection, 400, after)
    assert after[-1] == ANNOUNCED
    assert world.overflowed == lost


def test_chance_does_not_shrink_it():
    """One frame lost now and then says nothing about the board's buffer."""
    connection = connect(SizedEngine(200, 8), window=ANNOUNCED, model=b"m", baud=921600)
    world = connection.world
    honest, zeros = world.up.send, 0

    def one_in_a_hundred(data, now):
        nonlocal zeros
        zeros += data.count(0)  # two for each frame
        hit, zeros = zeros >= 200, zeros % 200
        return honest(bytes([data[0] ^ 0x40]) + data[1:] if hit else data, now)

    world.up.send = one_in_a_hundred
    rooms: list[int] = []
    run(connection, 4000, rooms)
    assert connection.counters.gaps >= 5
    assert set(rooms) == {ANNOUNCED}
    assert len(connection.engine.invoked) == 4000
