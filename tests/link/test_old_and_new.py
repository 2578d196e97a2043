"""A board of a later version, and what of it a host of version 1 must not mind (SPEC §1 to §6).

The other direction, a later host before this board, is in vectors.json: "versions", "what a board
ignores", "what a board refuses", which the core and the double both have to pass.
"""

from __future__ import annotations

import itertools
import re
import struct

import pytest
import scripted_board
import test_connection
from test_connection import CLEAN, MIXED, SizedEngine, expected, samples

from pytest_tflm.errors import BoardError, NotSupported, ProtocolMismatch
from pytest_tflm.link.session import Opened, Session

WELCOME, REPLY_TO_READ = 0x81, 0x90
STRANGE = [0x00, 0x01, 0x02, 0x03, 0x14, 0x16, 0x1F, 0x20, 0x7F, 0x80, 0x88, 0x8F, 0x96, 0x9F, 0xA0]
STRANGE += [0xFF]
MORE = b"\x5a\x00\xa5" * 3


class LaterBoard(scripted_board.Board):
    """Speaks versions 1 to 3. Every payload that has an end is longer, flags and entries that
    version 1 does not know are set, and frames of types that it does not know, or that travel the
    wrong way, lie between those that it does."""

    def __post_init__(self):
        self.strange = itertools.cycle(STRANGE)
        super().__post_init__()

    def _send(self, kind, number, payload=b"", session=None, ack=None):
        if kind == WELCOME:
            payload = b"\x01\x03" + payload[2:3] + bytes([payload[3] | 0xFE]) + payload[4:]
        if kind != REPLY_TO_READ:
            payload += MORE
        for strange in itertools.islice(self.strange, 3):
            for length in (0, 2, 30):
                super()._send(strange, number, bytes(length), session, ack)
        return super()._send(kind, number, payload, session, ack)

    def _region(self, region, index):
        data = super()._region(region, index)
        if region not in (0, 1):
            return data
        unknown = struct.pack("<BH", 0xC8, 5) + b"later"
        return unknown + data + struct.pack("<BH", 0xC9, 0)


@pytest.fixture
def later(monkeypatch):
    monkeypatch.setattr(test_connection, "Board", LaterBoard)


@pytest.mark.parametrize("faults", [CLEAN, MIXED])
@pytest.mark.usefixtures("later")
def test_a_later_board_is_a_board(faults):
    connection = test_connection.connect(SizedEngine(60, 8), faults=faults)
    welcome = connection.channel.welcome
    assert (welcome.version, welcome.highest) == (1, 3)
    assert connection.identity.describe() == "scripted, vectors 1, kernels none"
    assert connection.identity.takes_models
    connection.load(b"model" * 100)
    sent = samples(300, 60)
    for result, sample in zip(connection.run_many(sent), sent, strict=True):
        assert result.outputs == expected(sample, 8)
        assert result.microseconds == 1500
    assert len(connection.engine.invoked) == 300
    assert connection.counters.ignored > 300


@pytest.mark.parametrize("status", [13, 77, 255])
def test_a_failure_that_this_version_has_no_name_for(status):
    connection = test_connection.connect(model=b"m")

    def refuse():
        raise scripted_board.Refused(status, 5, 6)

    connection.engine.reset = refuse
    with pytest.raises(BoardError, match=f"status {status}, which this version does not know"):
        connection.reset_state()
    assert connection.broken is None
    connection.run(bytes(8))  # the link goes on


def test_an_older_board_that_lacks_a_request():
    connection = test_connection.connect(model=b"m")
    perform = connection.board._perform

    def older(kind, payload):
        if kind == 0x15:
            raise scripted_board.Refused(1)
        return perform(kind, payload)

    connection.board._perform = older
    with pytest.raises(NotSupported, match="does not know this request: reset the model's state"):
        connection.reset_state()
    assert connection.broken is None
    connection.run(bytes(8))


@pytest.mark.parametrize(
    ("lowest", "highest", "version", "opens", "words"),
    [
        (1, 1, 1, True, ""),
        (1, 200, 1, True, ""),
        (0, 1, 1, True, ""),
        (2, 3, 0, False, "versions 2 to 3.*update pytest-tflm"),
        (0, 0, 0, False, "versions 0 to 0.*update the firmware"),
        (1, 3, 3, False, "versions 1 to 3"),
    ],
)
def test_ranges_of_versions(lowest, highest, version, opens, words):
    """The last board chose a version that was not offered to it."""
    from pytest_tflm.link import frame

    session = Session(nonce=lambda: 5)
    session.open(0.0)
    session.transmit(0.0)
    welcome = struct.pack("<BBBBIHII", lowest, highest, version, 0xFF, 9, 128, 512, 262)
    session.receive(frame.encode(WELCOME, 5, 0, 0, welcome + MORE), 0.01)
    if opens:
        (event,) = session.events()
        assert isinstance(event, Opened)
    else:
        assert isinstance(session.error, ProtocolMismatch)
        assert re.search(words, str(session.error))
