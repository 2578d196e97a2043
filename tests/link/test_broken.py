"""Whose error it was: a LinkError that an open connection raises is always its ``broken``."""

from __future__ import annotations

import pytest
from scripted_board import Refused
from test_connection import SizedEngine, connect, samples

from pytest_tflm.errors import (
    BoardCrashed,
    BoardError,
    BoardReset,
    LinkError,
    ModelRejected,
    ProtocolMismatch,
)
from pytest_tflm.link import channel
from pytest_tflm.link.message import Status

CALLS = {
    "loaded": lambda connection: connection.loaded(),
    "load": lambda connection: connection.load(b"another model"),
    "run": lambda connection: connection.run(bytes(60)),
    "run_many": lambda connection: list(connection.run_many(samples(40, 60))),
    "run with reset": lambda connection: connection.run(bytes(60), reset=True),
    "write_inputs": lambda connection: connection.write_inputs(bytes(60)),
    "read_inputs": lambda connection: connection.read_inputs(),
    "reset_state": lambda connection: connection.reset_state(),
    "operator_times": lambda connection: connection.operator_times(),
    "read_error": lambda connection: connection.read_error(),
}
WRONG = {
    "nothing": b"",
    "one byte": b"\x01",
    "nonsense": b"\xff" * 7,
    "half an entry": b"\x01\x10\x00abc",
    "no end": b"\x00" * 3000,
}


def _is_told_whose_it_was(connection, call):
    """The call answers or raises, and then says whether the connection goes on."""
    try:
        call(connection)
    except (LinkError, BoardReset, BoardCrashed) as error:
        assert connection.broken is error
        assert str(error).startswith("virtual: ")
        assert "link: sent" in error.details
        with pytest.raises(type(error)) as again:
            connection.reset_state()
        assert again.value is error
        return error
    except BoardError as error:
        assert connection.broken is None
        return error
    assert connection.broken is None
    return None


@pytest.mark.parametrize("outputs", [(4,), (600,)])
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("status", [*range(1, 14), 255])
def test_a_board_that_refuses_everything(status, call, outputs):
    """Also the question why, for which the host must not ask again and again."""
    connection = connect(SizedEngine(60, *outputs), model=b"m")

    def refuse(kind, payload):
        raise Refused(status, 5, 6, text="no")

    connection.board._perform = refuse
    error = _is_told_whose_it_was(connection, CALLS[call])
    if status in (Status.MALFORMED, Status.TOO_LARGE) and call != "read_error":
        assert isinstance(error, ProtocolMismatch)
    elif error is not None and status != Status.OUT_OF_RANGE:
        assert isinstance(error, BoardError)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("answer", WRONG)
def test_a_board_that_answers_nonsense(answer, call, monkeypatch):
    monkeypatch.setattr(channel, "_LARGEST_REGION", 1 << 14)
    connection = connect(SizedEngine(60, 600), model=b"m")
    perform = connection.board._perform

    def nonsense(kind, payload):
        if kind != 0x10:
            return perform(kind, payload)
        length = int.from_bytes(payload[6:8], "little")
        return WRONG[answer][:length]

    connection.board._perform = nonsense
    _is_told_whose_it_was(connection, CALLS[call])


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("happens", ["dies", "resets"])
def test_a_board_that_is_lost(happens, call):
    connection = connect(SizedEngine(60, 4), model=b"m")
    connection.current()
    if happens == "dies":
        connection.world.dead = True
    else:
        connection.world.reset()
    error = _is_told_whose_it_was(connection, CALLS[call])
    assert isinstance(error, LinkError if happens == "dies" else BoardReset)


def test_the_error_of_one_board_is_not_that_of_another():
    one, other = connect(SizedEngine(60, 4), model=b"m"), connect(SizedEngine(60, 4), model=b"m")
    one.world.dead = True
    with pytest.raises(LinkError) as raised:
        one.run(bytes(60))
    assert (one.broken, other.broken) == (raised.value, None)
    other.run(bytes(60))


def test_a_refusal_whose_text_is_refused_too():
    """Status MODEL_REJECTED has its text in region ERROR: a board that refuses that as well."""
    connection = connect(SizedEngine(60, 4), model=b"m")

    def refuse(kind, payload):
        raise Refused(Status.MODEL_REJECTED)

    connection.board._perform = refuse
    with pytest.raises(ModelRejected, match="could not prepare the model"):
        connection.load(b"another")
    assert connection.read_error() == ""
    assert connection.broken is None
