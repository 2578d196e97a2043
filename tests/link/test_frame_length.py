"""A line that damages long frames is used with short ones, as long as those of 64 bytes pass."""

from __future__ import annotations

import os

import pytest
import scripted_board
import test_connection
from test_connection import SizedEngine, connect, expected, samples

from pytest_tflm.errors import InvokeFailed, LineTooNoisy, ProtocolMismatch
from pytest_tflm.link import frame
from pytest_tflm.simulator.line.faults import PROFILES, Faults

PASSES = frame.wire_length(64)


class OnlyShort:
    """Damages every frame of more than 64 bytes of body, in the directions that are ``on``."""

    def __init__(self, board, to_board=True, to_host=True):
        self.to_board, self.to_host = to_board, to_host
        self.longest = 0
        """Bytes on the line of the longest frame that the board was sent since it was cleared."""
        self._receive, self._transmit = board.receive, board.transmit
        board.receive, board.transmit = self.receive, self.transmit
        self._held = b""

    def receive(self, data):
        # Whole frames alone: a damaged beginning would be a short piece.
        *whole, self._held = (self._held + data).split(b"\0")
        self.longest = max([self.longest, *(len(piece) + 2 for piece in whole)])
        self._receive(b"".join(self.damaged(piece, self.to_board) + b"\0" for piece in whole))

    def transmit(self):
        *whole, rest = self._transmit().split(b"\0")
        assert not rest
        return b"".join(self.damaged(piece, self.to_host) + b"\0" for piece in whole)

    @staticmethod
    def damaged(piece, on):
        if not on or len(piece) + 2 <= PASSES:
            return piece
        return bytes([piece[0] ^ 0x55 or 1]) + piece[1:]


def run_all(connection, sent, size):
    for result, sample in zip(connection.run_many(sent), sent, strict=True):
        assert result.outputs == expected(sample, size)
    assert len(connection.engine.invoked) == len(set(connection.engine.invoked))


SIZES = [(1000, 4), (60, 4), (12, 700), (400, 400), (0, 40)]


@pytest.mark.parametrize(("inputs", "outputs"), SIZES)
@pytest.mark.parametrize("to", ["board", "host", "both"])
def test_frames_of_64_bytes_are_enough(monkeypatch, inputs, outputs, to):
    monkeypatch.setattr(test_connection, "Board", OnlyShortBoard[to])
    connection = connect(SizedEngine(inputs, outputs), largest_frame=1100, window=4096)
    connection.load(b"a model" * 300)
    sent = samples(6, inputs) if inputs else [b""] * 6
    run_all(connection, sent, outputs) if inputs else list(connection.run_many(sent))
    assert len(connection.engine.invoked) == 6
    assert connection.read_inputs() == b"\xee" * inputs
    assert connection.identity.describe() == "scripted, vectors 1, kernels none"


class OnlyShortBoth(scripted_board.Board):
    directions = (True, True)

    def __post_init__(self):
        super().__post_init__()
        self.line = OnlyShort(self, *self.directions)


class OnlyShortUp(OnlyShortBoth):
    directions = (True, False)


class OnlyShortDown(OnlyShortBoth):
    directions = (False, True)


class Clears(OnlyShortBoth):
    directions = (False, False)


OnlyShortBoard = {"board": OnlyShortUp, "host": OnlyShortDown, "both": OnlyShortBoth}


def test_a_line_that_turns_bad_and_good_again(monkeypatch):
    """What is under way when it turns bad is sent in pieces, each sample is run once, and frames
    grow again."""
    monkeypatch.setattr(test_connection, "Board", Clears)
    connection = connect(SizedEngine(300, 300), largest_frame=1100, window=4096, model=b"m")
    line = connection.board.line
    run_all(connection, samples(5, 300), 300)
    assert line.longest > 300
    sent = samples(30, 300)
    results = connection.run_many(iter(sent))
    for number, (result, sample) in enumerate(zip(results, sent, strict=True)):
        assert result.outputs == expected(sample, 300)
        line.to_board = line.to_host = number < 20
        if number == 18:
            line.longest = 0
        if number == 19:
            assert 0 < line.longest <= 2 * PASSES
    assert len(connection.engine.invoked) == 35
    line.longest = 0
    more = [bytes([n]) * 300 for n in range(200)]
    list(connection.run_many(more))
    assert line.longest > 300


def test_a_clean_line_has_long_frames_alone():
    connection = connect(SizedEngine(300, 300), largest_frame=1100, window=4096, model=b"m")
    sent = []
    perform = connection.board._perform
    connection.board._perform = lambda kind, payload: (
        sent.append((kind, len(payload))) or perform(kind, payload)
    )
    run_all(connection, samples(9, 300), 300)
    assert {kind for kind, _ in sent} == {0x10, 0x14}  # READ of LOADED, RUN
    assert all(length > 300 for kind, length in sent if kind == 0x14)


@pytest.mark.parametrize("one_bit_in", [2000, 800])
def test_bit_errors(one_bit_in):
    """Seeds drawn anew: none is special."""
    seed = int.from_bytes(os.urandom(4), "little")
    connection = connect(
        SizedEngine(1000, 40),
        faults=Faults(flip=1 / one_bit_in),
        largest_frame=2048,
        window=4096,
        reply_store=4096,
        seed=seed,
    )
    connection.load(b"a model" * 500)
    run_all(connection, samples(20, 1000), 40)
    assert connection.broken is None, seed


class Older(OnlyShortDown):
    """Knows no offset in REPEAT."""

    def _repeat(self, number, payload):
        super()._repeat(number, payload[:2])


@pytest.mark.parametrize("profile", ["mixed", "flips", "bursts"])
def test_a_board_that_knows_no_parts(monkeypatch, profile):
    """It sends the whole reply instead, which gets through in the end."""

    class OlderOnAnyLine(Older):
        directions = (False, False)

    monkeypatch.setattr(test_connection, "Board", OlderOnAnyLine)
    faults = PROFILES[profile].faults
    connection = connect(SizedEngine(300, 300), faults=faults, largest_frame=1100, window=4096)
    connection.load(b"a model" * 300)
    run_all(connection, samples(20, 300), 300)


def test_a_board_that_knows_no_parts_on_a_line_without_long_frames(monkeypatch):
    monkeypatch.setattr(test_connection, "Board", Older)
    with pytest.raises(LineTooNoisy):
        connect(SizedEngine(300, 300), largest_frame=1100, window=4096, reply_store=1500)


def test_a_sample_that_fails_in_a_batch_that_was_cut(monkeypatch):
    """The number in the error is that of the sample, however its frame was cut."""
    monkeypatch.setattr(test_connection, "Board", Clears)
    engine = SizedEngine(20, 8)
    connection = connect(engine, largest_frame=1100, window=4096, model=b"m")
    sent = samples(90, 20)
    invoke = engine.invoke

    def fails(inputs):
        if bytes(inputs[0]) == sent[70]:
            raise scripted_board.Refused(10, text="no")
        return invoke(inputs)

    engine.invoke = fails
    connection.board.line.to_board = True
    with pytest.raises(InvokeFailed, match=r"\(sample 70\)"):
        list(connection.run_many(iter(sent)))


def test_parts_that_make_no_frame(monkeypatch):
    """A board that sends parts of something else is told so, and not asked for ever."""

    class Liar(OnlyShortDown):
        def _part(self, number, offset):
            self._send(0x87, number, offset.to_bytes(2, "little") + b"\x22" * min(51, 140 - offset))

    monkeypatch.setattr(test_connection, "Board", Liar)
    with pytest.raises(ProtocolMismatch, match="the parts of a reply do not make a frame"):
        connect(SizedEngine(300, 300), largest_frame=1100, window=4096, reply_store=1500)


def test_parts_without_an_end(monkeypatch):
    class Liar(OnlyShortDown):
        def _part(self, number, offset):
            self._send(0x87, number, offset.to_bytes(2, "little") + b"\x22" * 51)

    monkeypatch.setattr(test_connection, "Board", Liar)
    with pytest.raises(LineTooNoisy):
        connect(SizedEngine(300, 300), largest_frame=1100, window=4096, reply_store=1500)
