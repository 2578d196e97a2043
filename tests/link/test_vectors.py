"""protocol/vectors.json against the host's frames and messages, and against the double."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import pytest
from cobs import cobs
from scripted_board import Board, VectorEngine

from pytest_tflm.link import frame, message
from pytest_tflm.link.entries import parse_loaded
from pytest_tflm.link.frame import Damage, Frame, Said

VECTORS = json.loads((Path(__file__).parents[2] / "protocol" / "vectors.json").read_text("utf-8"))


def _named(key: str) -> list:
    return [pytest.param(each, id=each["name"]) for each in VECTORS[key]]


@pytest.mark.parametrize("vector", _named("crc32"))
def test_crc32(vector):
    assert zlib.crc32(bytes.fromhex(vector["data"])) == vector["crc"]


@pytest.mark.parametrize("vector", _named("cobs"))
def test_cobs_both_ways(vector):
    decoded, encoded = bytes.fromhex(vector["decoded"]), bytes.fromhex(vector["encoded"])
    assert cobs.encode(decoded) == encoded
    assert cobs.decode(encoded) == decoded


@pytest.mark.parametrize("vector", _named("cobs_only_decoded"))
def test_cobs_decoded(vector):
    assert cobs.decode(bytes.fromhex(vector["encoded"])) == bytes.fromhex(vector["decoded"])


@pytest.mark.parametrize("vector", _named("cobs_invalid"))
def test_cobs_invalid(vector):
    assert frame.decode(bytes.fromhex(vector["encoded"])) is None
    with pytest.raises(cobs.DecodeError):
        cobs.decode(bytes.fromhex(vector["encoded"]))


@pytest.mark.parametrize("vector", VECTORS["wire_lengths"])
def test_wire_lengths(vector):
    assert frame.wire_length(vector["body"]) == vector["wire"]
    assert frame.body_length(vector["wire"]) == vector["body"]


@pytest.mark.parametrize("vector", _named("frames"))
def test_frames(vector):
    wire, payload = bytes.fromhex(vector["wire"]), bytes.fromhex(vector["payload"])
    fields = [vector[name] for name in ("type", "session", "number", "ack")]
    assert frame.encode(*fields, payload) == wire
    assert frame.decode(wire[1:-1]) == Frame(*fields, payload)


REQUESTS = {
    "READ": lambda f: message.Read(f["region"], f["index"], f["offset"], f["length"]),
    "WRITE": lambda f: message.Write(
        f["region"], f["index"], f["offset"], bytes.fromhex(f["data"])
    ),
    "MODEL_OPEN": lambda f: message.ModelOpen(f["size"]),
    "MODEL_OPEN, kept": lambda f: message.ModelOpen(f["size"], f["kept"]),
    "COPY": lambda f: message.Copy(
        *(f[name] for name in ("region", "index", "offset")),
        *(f["from_" + name] for name in ("region", "index", "offset")),
        f["length"],
    ),
    "MODEL_PREPARE": lambda f: message.ModelPrepare(f["size"], f["crc"]),
}


@pytest.mark.parametrize("vector", [f for f in VECTORS["frames"] if f["name"] in REQUESTS])
def test_requests_pack(vector):
    request = REQUESTS[vector["name"]](vector["fields"])
    assert request.kind == vector["type"]
    assert request.pack().hex() == vector["payload"]


@pytest.mark.parametrize("vector", [f for f in VECTORS["frames"] if f["type"] == 0x14])
def test_run_packs(vector):
    payload = bytes.fromhex(vector["payload"])
    fields = vector["fields"]
    run = message.Run(fields["flags"], fields["count"], payload[2:], 8)
    assert run.pack() == payload


@pytest.mark.parametrize("vector", [f for f in VECTORS["frames"] if f["type"] == 0x81])
def test_welcome(vector):
    payload, fields = bytes.fromhex(vector["payload"]), vector["fields"]
    welcome = message.Welcome.parse(payload)
    assert welcome is not None
    for name, value in fields.items():
        assert getattr(welcome, name) == value
    assert welcome.pack() == payload[:18]


@pytest.mark.parametrize("vector", [f for f in VECTORS["frames"] if f["type"] in (0x03, 0x87)])
def test_parts(vector):
    payload, fields = bytes.fromhex(vector["payload"]), vector["fields"]
    if vector["type"] == 0x03:
        assert message.pack_repeat(fields["count"], fields.get("offset")) == payload
    else:
        assert message.parse_part(payload) == (fields["offset"], bytes.fromhex(fields["bytes"]))


@pytest.mark.parametrize("vector", _named("loaded"))
def test_loaded(vector):
    loaded = parse_loaded(bytes.fromhex(vector["data"]))
    names = {2: "int32", 7: "int16", 9: "int8", 17: "TensorType 17"}
    for found, expected in ((loaded.inputs, "inputs"), (loaded.outputs, "outputs")):
        assert [(tensor.dtype, list(tensor.shape), tensor.nbytes) for tensor in found] == [
            (names[each["type"]], each["shape"], each["bytes"]) for each in vector[expected]
        ]


def test_replies():
    byname = {vector["name"]: vector for vector in VECTORS["frames"]}
    failure = byname["failure"]
    request = message.ModelPrepare(1, 1)
    reply = message.parse_reply(request, bytes.fromhex(failure["payload"]))
    assert isinstance(reply, message.Failure)
    assert (reply.status, reply.needed, reply.available) == (
        failure["fields"]["status"],
        failure["fields"]["needed"],
        failure["fields"]["available"],
    )
    with_outputs = byname["result with outputs"]
    run = message.Run(3, 1, b"", 8)
    payload = bytes.fromhex(with_outputs["payload"])
    assert message.is_reply_to(run, 0x94, payload)
    (result,) = run.results(message.parse_reply(run, payload))
    fields = with_outputs["fields"]
    assert result.input_crc32 == fields["input_crc"]
    assert result.microseconds == fields["microseconds"]
    assert result.outputs.hex() == fields["outputs"]
    without = byname["result without outputs"]
    run = message.Run(0, 1, b"", 8)
    (result,) = run.results(message.parse_reply(run, bytes.fromhex(without["payload"])))
    assert int.from_bytes(result.outputs, "little") == without["fields"]["output_crc"]


@pytest.mark.parametrize("vector", _named("damaged"))
def test_damaged(vector):
    wire = bytes.fromhex(vector["wire"])
    pieces = frame.Splitter().feed(wire)
    assert [
        piece for piece, whole in pieces if whole and frame.decode(piece, vector["largest_frame"])
    ] == []


@pytest.mark.parametrize("vector", _named("pieces"))
def test_pieces(vector):
    kinds = {"frame": Frame, "text": Said, "damage": Damage}
    assert type(frame.classify(bytes.fromhex(vector["piece"]))) is kinds[vector["is"]]


@pytest.mark.parametrize("vector", _named("streams"))
@pytest.mark.parametrize("step", [1, 3, 1 << 20])
def test_streams(vector, step):
    byname = {each["name"]: each for each in VECTORS["frames"]}
    wire = bytes.fromhex(vector["wire"])
    splitter = frame.Splitter()
    found = []
    for at in range(0, len(wire), step):
        for piece, whole in splitter.feed(wire[at : at + step]):
            assert whole
            found.append(frame.classify(piece))
    expected = []
    for item in vector["items"]:
        if "frame" in item:
            expected.append(frame.decode(bytes.fromhex(byname[item["frame"]]["wire"])[1:-1]))
        elif "text" in item:
            expected.append(Said(bytes.fromhex(item["text"]).decode(), printed=True))
        else:
            expected.append(Damage(item["damage"]))
    assert found == expected


@pytest.mark.parametrize("talk", _named("conversations"))
def test_the_double_is_a_board(talk):
    """What the soak runs against does what the firmware must do, byte for byte."""
    keys = {"firmware": 1, "board": 2, "kernels": 3, "tflm": 4, "reset_reason": 5}
    keys |= {"operators": 7, "compiler": 8}
    says = talk["board"]
    sizes = ("largest_frame", "window", "reply_store", "boot_id", "takes_models")
    board = Board(
        VectorEngine(says["memory"]),
        **{name: says[name] for name in sizes},
        texts=tuple((key, says[name]) for name, key in keys.items() if says[name]),
        largest_baud=says.get("largest_baud", 0),
    )
    for step in talk["steps"]:
        board.receive(bytes.fromhex(step["host"]))
        board.poll()
        assert board.transmit().hex() == step["board"], step["note"]
        assert board.baud == step.get("baud", board.baud), step["note"]
