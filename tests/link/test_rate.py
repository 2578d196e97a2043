"""SPEC §9 step by step: the rate that the port must have, and what is sent at which."""

from __future__ import annotations

import itertools

import pytest
from soak import Soak
from test_session import READ, WELCOME, Talk

from pytest_tflm.errors import NoAnswer
from pytest_tflm.link.message import Type, Welcome
from pytest_tflm.link.session import Resettled, State

SLOW, FAST = 115200, 921600
UART = Welcome(1, 1, 1, 3, 0x1BADB002, 128, 512, 262)
SET_BAUD = 0x16


class RateTalk(Talk):
    def __init__(self, **settings):
        super().__init__(welcome=UART, baud=SLOW, timeout=20.0, **settings)

    def ask(self, baud=FAST):
        self.session.change_baud(baud)
        (asked,) = self.out()
        assert (asked.type, asked.payload) == (SET_BAUD, baud.to_bytes(4, "little"))
        self.number = asked.number

    def ok(self, payload=b"\0"):
        self.reply(self.number, payload=payload, kind=0x96)

    def ping(self):
        """The next PING, and the rate that it is sent at."""
        for _ in range(100):
            self.now = max(self.now, self.session.deadline())
            for each in self.out():
                if each.type == Type.PING:
                    self.token = each.number
                    return self.session.baud
        raise AssertionError("no PING")

    def pong(self, ack=1):
        self.hear(Type.PONG, self.token, ack=ack)

    def settled(self):
        return [each.baud for each in self.events() if isinstance(each, Resettled)]


def test_the_reply_and_a_pong_at_the_new_rate_settle_it():
    talk = RateTalk()
    talk.ask()
    assert talk.session.baud == SLOW
    asked_at = talk.now
    talk.ok()
    assert talk.session.baud == FAST
    assert talk.settled() == []
    assert talk.out() == []  # the board changes its rate meanwhile
    assert talk.ping() == FAST
    assert talk.now - asked_at == pytest.approx(0.01)
    talk.session.submit(READ)
    assert talk.out() == []
    talk.pong()
    assert talk.settled() == [FAST]
    assert talk.session.counters.baud == FAST
    assert talk.kinds() == [("READ", 1)]


@pytest.mark.parametrize("status", [1, 11])
def test_a_board_that_refuses(status):
    talk = RateTalk()
    talk.ask()
    talk.ok(bytes([status]) + bytes(8))
    assert talk.settled() == [SLOW]
    assert talk.session.deadline() is None
    talk.session.submit(READ)
    assert talk.kinds() == [("READ", 1)]


def test_a_rate_that_does_not_carry():
    """Two PINGs there, and then mostly at the opening rate; never less than 0.4 s apart."""
    talk = RateTalk()
    talk.ask()
    talk.ok()
    rates, times = [], []
    for _ in range(20):
        rates.append(talk.ping())
        times.append(talk.now)
    assert rates == ([FAST] * 2 + ([SLOW] * 5 + [FAST]) * 3)
    assert min(b - a for a, b in itertools.pairwise(times)) >= 0.4 - 1e-9
    while talk.ping() != SLOW:
        pass
    talk.pong()
    assert talk.settled() == [SLOW]
    assert talk.session.counters.baud == SLOW


def test_a_board_that_is_nowhere_any_more():
    talk = RateTalk()
    talk.ask()
    talk.ok()
    assert isinstance(talk.until_broken(), NoAnswer)
    assert talk.now < 100 + 25


def test_a_pong_of_an_older_ping_settles_nothing():
    talk = RateTalk()
    talk.ask()
    talk.ok()
    talk.ping()
    old = talk.token
    talk.ping()
    talk.hear(Type.PONG, old, ack=1)
    assert talk.settled() == []
    talk.pong()
    assert talk.settled() == [FAST]


def test_a_request_that_was_lost_is_sent_again():
    talk = RateTalk()
    talk.ask()
    assert talk.ping() == SLOW
    talk.pong(ack=0)
    assert ("SET_BAUD", 0) in talk.kinds()
    talk.ok()
    assert talk.session.baud == FAST


def test_a_reply_that_was_lost_is_old_when_it_comes():
    """The PONG came at the old rate: by now the board has gone back."""
    talk = RateTalk()
    talk.ask()
    assert talk.ping() == SLOW
    talk.pong(ack=1)
    assert ("REPEAT", 0) in talk.kinds()
    talk.ok()
    assert talk.session.baud == SLOW
    assert talk.settled() == [SLOW]


def test_a_reply_that_is_lost_while_the_board_has_changed():
    talk = RateTalk()
    talk.ask()
    while talk.ping() != FAST:
        pass
    talk.pong(ack=1)
    assert talk.settled() == [FAST]
    assert ("REPEAT", 0) in talk.kinds()
    talk.ok()
    assert talk.settled() == []
    assert talk.session.baud == FAST
    assert talk.session.outstanding == 0


def test_found_without_having_heard_of_it():
    """SET_BAUD and many PINGs were lost; the search finds the board where it always was."""
    talk = RateTalk()
    talk.ask()
    while not talk.session._rate.searching:
        talk.ping()
    while talk.ping() != SLOW:
        pass
    talk.pong(ack=0)
    assert talk.settled() == []
    assert ("SET_BAUD", 0) in talk.kinds()
    talk.ok()
    assert talk.session.baud == FAST


def agreed(**settings):
    talk = RateTalk(**settings)
    talk.ask()
    talk.ok()
    talk.ping()
    talk.pong()
    assert talk.settled() == [FAST]
    return talk


def test_a_board_that_falls_silent_is_looked_for_at_both_rates():
    talk = agreed()
    talk.session.submit(READ)
    talk.out()
    began = talk.now
    rates = [talk.ping()]
    while talk.session.baud == FAST:
        rates.append(talk.ping())
    assert talk.now - began >= 1
    assert rates.count(FAST) >= 2
    assert [talk.ping() for _ in range(3)] == [FAST, SLOW, FAST]
    talk.pong()
    assert talk.settled() == [FAST]
    assert ("READ", 1) in talk.kinds()


def test_a_board_that_was_reset_is_found_at_the_opening_rate():
    talk = agreed()
    talk.session.submit(READ)
    talk.out()
    while talk.session.baud == FAST:
        talk.ping()
    talk.hear(Type.NO_SESSION, talk.token)
    assert talk.session.state is State.ASKING
    (hello,) = talk.out()
    assert (hello.type, talk.session.baud) == (Type.HELLO, SLOW)


def test_back_to_the_opening_rate():
    talk = agreed()
    assert talk.session.away_from_opening
    talk.ask(0)
    talk.ok()
    assert not talk.session.away_from_opening
    assert talk.ping() == SLOW
    talk.pong(ack=2)
    assert talk.settled() == [SLOW]
    talk.ask()  # and there again
    talk.ok()
    assert talk.session.baud == FAST


def test_when_it_cannot_be_asked_for():
    talk = RateTalk()
    talk.session.submit(READ)
    with pytest.raises(ValueError, match="no request under way"):
        talk.session.change_baud(FAST)
    talk = RateTalk()
    with pytest.raises(ValueError, match="cannot change the line from 115200 to 4800 baud"):
        talk.session.change_baud(4800)  # 128 bytes take 0.27 s
    for plain in (Talk(baud=SLOW), Talk(welcome=UART), Talk(baud=SLOW, welcome=WELCOME)):
        assert not plain.session.can_change_baud
        with pytest.raises(ValueError, match="only change on a UART"):
            plain.session.change_baud(FAST)
    talk = agreed()
    with pytest.raises(ValueError, match="from 921600 to 3000000 baud"):
        talk.session.change_baud(3_000_000)


def _soak(seed, bad_above=None, **settings):
    return Soak(seed, 200, baud=SLOW, line_baud=FAST, bad_above=bad_above or {}, **settings).run()


@pytest.mark.parametrize("bad_above", [{"board": SLOW}, {"host": SLOW}, {"board": 1, "host": 1}])
def test_a_line_that_cannot_carry_it_in_either_direction(bad_above):
    """Also where the board hears every PING at the new rate and is never heard."""
    if 1 in bad_above.values():
        bad_above = dict.fromkeys(bad_above, SLOW)
    soak = _soak(1, bad_above)
    assert set(soak.settled) == {SLOW}
    assert soak.results == soak.submitted
    assert soak.world.board.baud == SLOW


def test_a_good_line_changes_at_once_and_wastes_nothing():
    soak = _soak(2)
    assert set(soak.settled) == {SLOW, FAST}
    assert soak.host.counters.gaps == soak.host.counters.damaged == 0


def test_a_killed_host_leaves_a_board_that_the_next_one_finds():
    for seed in range(6):
        soak = _soak(seed, give_up=0.05)
        assert soak.errors == []
