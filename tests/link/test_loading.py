"""What is sent of a model that the board has already, or has most of."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_connection import CLEAN, MIXED, SizedEngine, connect, expected, samples

from pytest_tflm.errors import ArenaTooSmall, InvokeFailed, ModelTooLarge, OperatorMissing
from pytest_tflm.link import Sizes
from pytest_tflm.link.loading import keys, pieces

BASE = random.Random(0).randbytes(20_000)
CUT = b"a head of its own" + BASE[4000:9001] + b"between" + BASE[12_003:15_000] + b"an end"
"""Of the base, but for a few bytes."""
SIZES = Sizes((60,), (8,))


def board(**settings):
    return connect(SizedEngine(60, 8, memory=settings.pop("memory", 1 << 20)), **settings)


def sent_by(connection, do):
    before = connection.counters.bytes_sent
    do()
    return connection.counters.bytes_sent - before


def inputs(count=20):
    return samples(count, 60)


def outputs(connection, given=None):
    return [result.outputs for result in connection.run_many(given or inputs())]


RIGHT = [expected(sample, 8) for sample in inputs()]


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300), st.lists(st.tuples(st.binary(max_size=40), st.integers(0, 900))))
def test_pieces_make_the_model(base, parts):
    base = base * 3
    data = b"".join(own + base[at : at + 200] for own, at in parts)
    found = pieces(data, base, keys(base))
    made = b"".join(
        data[p.offset : p.offset + p.length]
        if p.source is None
        else base[p.source : p.source + p.length]
        for p in found
    )
    assert made == data
    assert [p.offset for p in found] == [
        sum(p.length for p in found[:i]) for i in range(len(found))
    ]


def test_a_large_model_has_no_more_keys_than_a_small_one():
    large = bytes(range(256)) * (1 << 14)
    assert len(range(0, len(large), 4)) > len(keys(large)) * 8
    assert pieces(large[5000:9000], large, keys(large))[0].source is not None


@pytest.mark.parametrize("faults", [CLEAN, MIXED])
def test_a_model_behind_the_one_that_stays(faults):
    connection = board(faults=faults)
    whole = sent_by(connection, lambda: connection.load(BASE))
    assert whole > len(BASE)
    cut = sent_by(connection, lambda: connection.load(CUT, passing=True))
    assert cut < whole / 10 or faults is MIXED
    loaded = connection.loaded()
    assert (loaded.size, loaded.arena_size) == (len(CUT), (1 << 20) - 20_000 - len(CUT))
    assert connection.read_model() == CUT
    assert outputs(connection) == RIGHT
    back = sent_by(connection, lambda: connection.load(BASE))
    assert back < 300 or faults is MIXED
    assert connection.read_model() == BASE
    assert outputs(connection) == RIGHT


def test_nothing_is_spared_of_a_model_that_is_to_be_sent_afresh():
    connection = board()
    connection.load(BASE)
    assert sent_by(connection, lambda: connection.load(BASE, afresh=True)) > len(BASE)


def test_progress_tells_the_whole_size_whatever_is_sent():
    connection, told = board(), []
    connection.load(BASE)
    connection.load(CUT, lambda *done: told.append(done), passing=True)
    assert told[-1] == (len(CUT), len(CUT))
    assert [done for done, _ in told] == sorted({done for done, _ in told})


def test_a_board_without_room_for_both_loads_as_ever():
    connection = board(memory=22_000)
    connection.load(BASE)
    connection.load(CUT, passing=True)
    assert connection.loaded().arena_size == 22_000 - len(CUT)
    assert outputs(connection) == RIGHT
    assert sent_by(connection, lambda: connection.load(BASE)) > len(BASE)


def test_a_model_that_fits_nowhere_is_refused_as_ever():
    connection = board(memory=22_000)
    connection.load(BASE)
    with pytest.raises(ModelTooLarge, match="22001"):
        connection.load(bytes(22_001), passing=True)
    assert sent_by(connection, lambda: connection.load(BASE)) > len(BASE)


def test_a_model_that_is_refused_for_another_reason_leaves_the_one_that_stays():
    connection = board()
    connection.load(BASE)
    with pytest.raises(OperatorMissing, match="SPACE_TO_BATCH_ND"):
        connection.load(b"O" + CUT, passing=True)
    assert sent_by(connection, lambda: connection.load(BASE)) < 300
    # Behind the base there is too little memory, it says; so it is tried without the base.
    with pytest.raises(ArenaTooSmall):
        connection.load(b"A" + CUT, passing=True)
    assert sent_by(connection, lambda: connection.load(BASE)) > len(BASE)


def test_memory_that_holds_something_else_costs_time_alone():
    connection = board()
    connection.load(BASE)
    connection.board._memory[5000] ^= 1  # a bit has flipped
    connection.load(CUT, passing=True)
    assert connection.read_model() == CUT
    connection.load(BASE)
    connection.board._memory[5000] ^= 1
    connection.load(CUT, passing=True)
    connection.load(BASE)
    assert connection.read_model() == BASE
    assert outputs(connection) == RIGHT


def test_an_older_board_gets_every_byte(monkeypatch):
    from pytest_tflm.link.message import Welcome

    monkeypatch.setattr(Welcome, "keeps_memory", False)
    connection = board()
    connection.load(BASE)
    assert sent_by(connection, lambda: connection.load(CUT, passing=True)) > len(CUT)
    assert sent_by(connection, lambda: connection.load(BASE)) > len(BASE)


def test_the_model_of_an_earlier_run_stays():
    connection = board(model=BASE)
    connection.keep(BASE)
    assert sent_by(connection, lambda: connection.load(CUT, passing=True)) < 1000
    assert sent_by(connection, lambda: connection.load(BASE)) < 300
    assert connection.read_model() == BASE


@pytest.mark.parametrize("faults", [CLEAN, MIXED])
def test_models_on_their_way_together(faults):
    connection = board(faults=faults, baud=115200, compute=0.01, largest_baud=115200)
    connection.load(BASE)
    models = [CUT + bytes([i]) for i in range(6)]
    began = connection.world.now
    begun = [connection.begin(model, SIZES, inputs(5)) for model in models]
    again = connection.begin(models[-1], SIZES, inputs(3), reset=True)
    results = [[result.outputs for result in each.results()] for each in begun]
    assert results == [RIGHT[:5]] * 6
    assert [result.outputs for result in again.results()] == RIGHT[:3]
    assert len(connection.engine.invoked) == 33
    assert connection.engine.state == 3
    if faults is CLEAN:  # no model waits for the answers to the one before
        line = connection.counters.bytes_sent * 10 / 115200
        assert connection.world.now - began < line + 0.5
    connection.load(BASE)
    assert outputs(connection) == RIGHT


@pytest.mark.parametrize("refused", [b"O" + CUT, b"A" + CUT, bytes(1 << 20)])
def test_a_refusal_on_the_way_is_told_and_takes_nothing_along(refused):
    connection = board()
    connection.load(BASE)
    before = connection.begin(CUT, SIZES, inputs(5))
    bad = connection.begin(refused, SIZES, inputs(5))
    behind = connection.begin(CUT + b"!", SIZES, inputs(5))
    assert [result.outputs for result in before.results()] == RIGHT[:5]
    assert bad.results() is None
    assert [result.outputs for result in behind.results()] == RIGHT[:5]


def test_an_invoke_that_fails_on_the_way():
    class Failing(SizedEngine):
        def invoke(self, given):
            from scripted_board import Refused

            if bytes(given[0])[:4] == (3).to_bytes(4, "little"):
                raise Refused(10, text="no")
            return super().invoke(given)

    connection = connect(Failing(60, 8))
    connection.load(BASE)
    begun = connection.begin(CUT, SIZES, inputs(5))
    assert begun.results() is None
    with pytest.raises(InvokeFailed):
        list(connection.run_many(inputs(5)))
