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


def each(count):
    return [(sample,) for sample in inputs(count)]


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


def right(count):
    return [(output,) for output in RIGHT[:count]]


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
    # Nothing was written: the base is still there, loaded or not.
    assert sent_by(connection, lambda: connection.load(BASE)) < 300


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


def test_what_an_earlier_run_left_in_memory_is_not_sent():
    connection = board()
    assert sent_by(connection, lambda: connection.load(BASE)) > len(BASE)
    later = board()
    later.board._memory[:] = connection.board._memory
    assert sent_by(later, lambda: later.load(BASE)) < 300
    assert later.read_model() == BASE
    assert outputs(later) == RIGHT


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
    begun = [connection.begin(model, SIZES, each(5)) for model in models]
    again = connection.begin(models[-1], SIZES, each(3), reset=True)
    assert [one.results() for one in begun] == [right(5)] * 6
    assert again.results() == right(3)
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
    before = connection.begin(CUT, SIZES, each(5))
    bad = connection.begin(refused, SIZES, each(5))
    behind = connection.begin(CUT + b"!", SIZES, each(5))
    assert before.results() == right(5)
    assert bad.results() is None
    assert behind.results() == right(5)


def test_an_invoke_that_fails_on_the_way():
    class Failing(SizedEngine):
        def invoke(self, given):
            from scripted_board import Refused

            if bytes(given[0])[:4] == (3).to_bytes(4, "little"):
                raise Refused(10, text="no")
            return super().invoke(given)

    connection = connect(Failing(60, 8))
    connection.load(BASE)
    begun = connection.begin(CUT, SIZES, each(5))
    assert begun.results() is None
    with pytest.raises(InvokeFailed):
        list(connection.run_many(inputs(5)))


class Chained(SizedEngine):
    """Makes 200 bytes of 200; wrong ones with a model that says so."""

    def prepare(self, model):
        self.is_bad = model.endswith(b"bad")
        return super().prepare(model)

    def invoke(self, given):
        (made,) = super().invoke(given)
        return [made[:-1] + b"!"] if self.is_bad else [made]


WIDE = Sizes((200,), (200,))


def chained(connection, count, bad=()):
    """Models in a row, each given what the one before should have made. The next is submitted
    before the results of one are taken. Returns what came and what should have."""
    given, found, should, under_way = [samples(4, 200)], [], [], None
    for number in range(count):
        made = [expected(sample, 200) for sample in given[-1]]
        data = CUT + bytes([number]) + (b"bad" if number in bad else b"")
        begun = connection.begin(
            data, WIDE, [(one,) for one in given[-1]], expected=[(one,) for one in made]
        )
        if under_way is not None:
            found.append(under_way.results())
        under_way = begun
        right = [(one[:-1] + b"!",) if number in bad else (one,) for one in made]
        should.append(right)
        given.append(made)
    found.append(under_way.results())
    return found, should


@pytest.mark.parametrize("faults", [CLEAN, MIXED])
@pytest.mark.parametrize("memory", [1 << 20, 50_000, 37_000, 30_000])
def test_tensors_stay_on_the_board(faults, memory):
    connection = connect(Chained(200, 200, memory=memory), faults=faults)
    connection.load(BASE)
    before = connection.counters.bytes_sent
    found, should = chained(connection, 12)
    assert found == should
    sent = connection.counters.bytes_sent - before
    if memory == 1 << 20 and faults is CLEAN:
        assert sent < 12 * 4 * 200 * 0.9  # the models and all requests together
        assert connection.counters.bytes_received < sent
    assert len(connection.engine.invoked) == 48
    connection.load(BASE)
    assert connection.read_model() == BASE


@pytest.mark.parametrize("bad", [(3,), (0, 1, 5), (11,), range(12)])
@pytest.mark.parametrize("memory", [1 << 20, 37_000])
def test_what_a_bad_operator_makes_is_told_and_not_handed_on(bad, memory):
    connection = connect(Chained(200, 200, memory=memory))
    connection.load(BASE)
    found, should = chained(connection, 12, bad)
    for number, (outputs, right) in enumerate(zip(found, should, strict=True)):
        # None: what Invoke saw was something else, or the outputs are gone.
        assert all(a in (b, None) for a, b in zip(outputs, right, strict=True)), number
    if memory == 1 << 20:  # behind the last, nothing is begun that would mend it
        assert found[:-1] == should[:-1]


def test_what_is_not_known_beforehand_is_sent_and_kept():
    connection = connect(Chained(200, 200))
    connection.load(BASE)
    unknown = [None] * 4
    given = [(one,) for one in samples(4, 200)]
    first = connection.begin(CUT + b"1", WIDE, given, expected=unknown).results()
    assert first == [(expected(one, 200),) for (one,) in given]
    before = connection.counters.bytes_sent
    second = connection.begin(CUT + b"2", WIDE, first, expected=unknown).results()
    assert second == [(expected(one, 200),) for (one,) in first]
    third = connection.begin(CUT + b"3", WIDE, given, expected=unknown).results()
    assert third == first
    assert connection.counters.bytes_sent - before < 2 * 4 * 200


def test_memory_that_changes_behind_the_hosts_back():
    connection = connect(Chained(200, 200))
    connection.load(BASE)
    given = [(one,) for one in samples(4, 200)]
    unknown = [None] * 4
    made = connection.begin(CUT + b"1", WIDE, given, expected=unknown).results()
    board = connection.board
    at = bytes(board._memory).index(made[2][0], 20_000)
    board._memory[at + 7] ^= 1
    again = connection.begin(CUT + b"2", WIDE, made, expected=unknown).results()
    assert again[2] is None
    assert [one for i, one in enumerate(again) if i != 2] == [
        (expected(one, 200),) for i, (one,) in enumerate(made) if i != 2
    ]
    once_more = connection.begin(CUT + b"2", WIDE, made[2:3], expected=[None]).results()
    assert once_more == [(expected(made[2][0], 200),)]


def test_tensors_of_a_model_with_state_are_sent():
    connection = connect(Chained(200, 200))
    connection.load(BASE)
    given = [(one,) for one in samples(4, 200)]
    for number in range(2):
        begun = connection.begin(
            CUT + bytes([number]), WIDE, given, reset=True, expected=[None] * 4
        )
        before = connection.counters.bytes_sent
        assert begun.results() == [(expected(one, 200),) for (one,) in given]
        assert connection.counters.bytes_sent - before >= 0
    assert connection._loader.shelf.is_empty
