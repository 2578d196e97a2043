"""Replies that do not fit what was asked: the board's error, and no noisy line."""

from __future__ import annotations

import pytest
from scripted_board import TensorSpec
from test_connection import SizedEngine, connect

from pytest_tflm.errors import ProtocolMismatch


def lying(change, kinds=(0x94,), engine=None, **settings):
    """A connection with a board that sends ``change(kind, payload)`` (or nothing, for None) in
    place of replies of ``kinds``."""
    connection = connect(engine or SizedEngine(60, 8), model=b"m", **settings)
    connection.current()
    send = connection.board._send

    def changed(kind, number, payload=b"", session=None, ack=None):
        if kind in kinds:
            found = change(kind, payload)
            if found is None:
                return 0
            kind, payload = found
        return send(kind, number, payload, session, ack)

    connection.board._send = changed
    return connection


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda kind, payload: (kind, payload[:-1]), "type 0x94 with 16 bytes"),
        (lambda kind, payload: (kind, b""), "type 0x94 with 0 bytes"),
        (lambda kind, payload: (kind, b"\x07\x01"), "type 0x94 with 2 bytes"),
        (lambda kind, payload: (0x91, payload), "type 0x91 with 17 bytes"),
    ],
)
def test_a_reply_of_a_wrong_type_or_length(change, words):
    connection = lying(change)
    with pytest.raises(
        ProtocolMismatch, match=rf"RUN \d+ with a reply that does not fit .*{words}"
    ):
        connection.run(bytes(60))


def test_no_reply_at_all_on_a_line_without_damage():
    connection = lying(lambda kind, payload: None)
    with pytest.raises(ProtocolMismatch, match=r"took RUN \d+ .* though nothing arrives damaged"):
        connection.run(bytes(60))


@pytest.mark.parametrize(
    "change",
    [
        lambda kind, payload: (kind, payload[:-1]),
        lambda kind, payload: (kind, payload[:-1] + bytes([payload[-1] ^ 1])),
        lambda kind, payload: (kind, payload[:1]),
    ],
)
@pytest.mark.parametrize("of", ["inputs", "outputs"])
def test_what_is_read_is_short_or_changed(change, of):
    engine = SizedEngine(60, 700)
    connection = lying(change, (0x90,), engine)
    if of == "outputs":
        with pytest.raises(ProtocolMismatch, match="not those that Invoke left"):
            connection.run(bytes(60))
    else:
        connection.write_inputs(bytes(60))
        try:
            assert connection.read_inputs() != bytes(60)  # a caller compares: InputAltered
        except ProtocolMismatch as error:
            assert "of the 60 bytes of region INPUT" in str(error)


def test_a_tensor_of_another_shape_and_equal_size_is_told_by_its_shape():
    engine = SizedEngine(60, 8)
    engine.inputs = (TensorSpec(9, (6, 10), 60, 0.5, -3),)
    assert connect(engine, model=b"m").current().inputs[0].shape == (6, 10)
