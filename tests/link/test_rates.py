"""A connection changes its line's rate, says why where it could not, and leaves it as it was."""

from __future__ import annotations

import pytest
from test_connection import MIXED, SizedEngine, connect, expected, samples

SLOW, FAST = 115200, 921600
UART = {"baud": SLOW, "largest_baud": 3_000_000}


def run(connection, count=20):
    connection.load(b"model" * 100)
    sent = samples(count, 60)
    for result, sample in zip(connection.run_many(sent), sent, strict=True):
        assert result.outputs == expected(sample, 8)


@pytest.mark.parametrize("faults", [{}, {"faults": MIXED}])
def test_the_line_is_faster_from_then_on(faults):
    seconds = {}
    for line_baud in (0, FAST):
        connection = connect(SizedEngine(60, 8), line_baud=line_baud, **UART, **faults)
        assert connection.counters.baud == (line_baud or SLOW)
        assert connection.rate_note == ""
        begin = connection.world.now
        run(connection, 300)
        seconds[line_baud] = connection.world.now - begin
    assert faults or seconds[FAST] < seconds[0] / 3


def test_the_counters_say_so():
    connection = connect(SizedEngine(60, 8), line_baud=FAST, **UART)
    assert connection.counters.describe().startswith("921600 baud; sent ")


@pytest.mark.parametrize("bad_above", [{"board": SLOW}, {"host": SLOW}])
def test_a_rate_that_does_not_carry(monkeypatch, bad_above):
    import test_connection

    class BadWorld(test_connection.World):
        def __init__(self, *arguments, **settings):
            super().__init__(*arguments, **settings)
            self.bad_above = bad_above

    monkeypatch.setattr(test_connection, "World", BadWorld)
    connection = connect(SizedEngine(60, 8), line_baud=FAST, **UART)
    assert connection.counters.baud == SLOW
    assert connection.rate_note == "921600 does not work on this line, or the board rejected it"
    assert connection.world.now < 5
    run(connection)


def test_why_a_rate_is_not_changed():
    for note, settings in {
        "921600 does not work on this line, or the board rejected it": {"largest_baud": 230400},
        "the board cannot change its rate": {"largest_baud": 0},
        "this machine's port cannot do 921600": {"largest_baud": 3_000_000, "refuses": 460800},
    }.items():
        connection = connect(SizedEngine(60, 8), baud=SLOW, line_baud=FAST, **settings)
        assert connection.rate_note == note
        assert connection.counters.baud == connection.board.baud == SLOW
        assert connection.world.host_baud == SLOW
        run(connection)
    connection = connect(SizedEngine(60, 8), line_baud=FAST)
    assert connection.rate_note == "this port has no baud rate"
    connection = connect(SizedEngine(60, 8), line_baud=9600, **UART)
    assert connection.rate_note == "9600 is too slow for the board's frames of 512 bytes"


def test_closing_leaves_the_board_at_the_opening_rate():
    connection = connect(SizedEngine(60, 8), line_baud=FAST, **UART)
    run(connection)
    assert connection.board.baud == FAST
    begin = connection.world.now
    connection.close()
    assert connection.board.baud == SLOW
    assert connection.world.now - begin < 0.1
    connection.close()


def test_closing_in_the_middle_of_a_run():
    connection = connect(SizedEngine(60, 8), line_baud=FAST, **UART)
    connection.load(b"model")
    next(connection.run_many(samples(100, 60)))
    connection.close()
    assert connection.board.baud == SLOW


def test_closing_before_a_board_that_does_not_answer():
    connection = connect(SizedEngine(60, 8), line_baud=FAST, **UART)
    connection.world.dead = True
    begin = connection.world.now
    connection.close()
    assert connection.world.now - begin < 0.31
