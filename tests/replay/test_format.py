"""A replay file holds what was found, and a damaged one is an error and nothing else."""

from __future__ import annotations

import io
import json
import random
import zipfile
from dataclasses import replace

import model_builders
import numpy as np
import pytest

from pytest_tflm.errors import ReplayError
from pytest_tflm.model import model_from_bytes
from pytest_tflm.replay import format as replay_module
from pytest_tflm.replay.format import (
    Party,
    Replay,
    ReplayModel,
    Step,
    read_replay,
    replay_from_bytes,
)
from pytest_tflm.runtime.spec import RuntimeSpec

MODEL = model_from_bytes(model_builders.conv_2d(), "folder/conv.tflite")


def example() -> Replay:
    inputs = np.arange(108, dtype=np.int8).reshape(1, 6, 6, 3)
    outputs = np.arange(8, dtype=np.int8).reshape(1, 8)
    return Replay(
        kind="differs",
        subject=Party("board simulator", RuntimeSpec.of_board("sim?x"), {"firmware": "1"}),
        reference=Party(
            "litert builtin_ref", RuntimeSpec("litert", "builtin_ref"), {"litert": "2.3"}
        ),
        models=(ReplayModel.of(MODEL),),
        samples=((inputs,), (inputs + np.int8(1),)),
        steps=(
            Step("load", 0),
            Step("run", 0, (outputs,), (outputs,)),
            Step("reset"),
            Step("write", 1),
            Step("reopen"),
            Step("run", 1, (outputs,), None),
        ),
        lsb=1,
        title="1 LSB apart",
        text="lines\nof text",
        command="pytest-tflm …",
    )


def test_what_is_written_is_read(tmp_path):
    saved = example()
    path = saved.save(tmp_path / "new" / "folder")
    assert path.name.startswith("conv-")
    assert path.suffix == ".tflm-replay"
    read = read_replay(path)
    assert (read.kind, read.subject, read.reference) == ("differs", saved.subject, saved.reference)
    assert read.models == saved.models
    assert read.models[0].name == "conv.tflite"
    assert [(s.do, s.index) for s in read.steps] == [(s.do, s.index) for s in saved.steps]
    for ours, theirs in zip(read.samples, saved.samples, strict=True):
        np.testing.assert_array_equal(ours[0], theirs[0])
        assert ours[0].dtype == theirs[0].dtype
    assert read.steps[5].got is None
    np.testing.assert_array_equal(read.steps[1].got[0], saved.steps[1].got[0])
    assert (read.lsb, read.float_tolerance, read.title) == (1, 1e-4, "1 LSB apart")
    assert read.text == saved.text
    assert read.created_by.startswith("pytest-tflm")


def test_the_same_finding_is_the_same_file_and_another_is_another(tmp_path):
    assert example().to_bytes() == example().to_bytes()
    other = replace(example(), samples=(example().samples[1], example().samples[0]))
    assert other.name != example().name


@pytest.mark.parametrize("dtype", replay_module.DTYPES)
def test_every_type_and_empty_and_scalar_arrays(dtype):
    arrays = (np.ones((1, 3), dtype), np.ones((), dtype), np.ones((0, 2), dtype))
    read = replay_from_bytes(replace(example(), samples=(arrays, arrays)).to_bytes())
    for ours, theirs in zip(read.samples[0], arrays, strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


def test_a_large_model_is_there_by_its_hash_alone(monkeypatch):
    monkeypatch.setattr(replay_module, "LARGEST_MODEL", 100)
    read = replay_from_bytes(replace(example(), models=(ReplayModel.of(MODEL),)).to_bytes())
    assert read.models[0].data is None
    assert read.models[0].sha256 == MODEL.sha256


def test_text_from_a_stranger_cannot_command_a_terminal():
    read = replay_from_bytes(replace(example(), title="\x1b[2Jgone", text="a\rb\nc").to_bytes())
    assert read.title == "\\x1b[2Jgone"
    assert read.text == "a\\rb\nc"


def changed(change) -> bytes:
    """The example's file with its JSON changed."""
    with zipfile.ZipFile(io.BytesIO(example().to_bytes())) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    data = json.loads(members["replay.json"])
    members["replay.json"] = json.dumps(change(data) or data).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def setting(*path, value):
    def change(data):
        at = data
        for key in path[:-1]:
            at = at[key]
        at[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: [1], "not an object"),
        (setting("format", value="other"), "not a replay of pytest-tflm"),
        (setting("version", value=2), "newer pytest-tflm"),
        (setting("version", value=True), "whole number"),
        (setting("kind", value="odd"), "one of"),
        (setting("arrays", 0, "shape", value=[2**40, 2**40]), "whole numbers"),
        (setting("arrays", 0, "shape", value=[1] * 9), "at most 8"),
        (setting("arrays", 0, "shape", value=[-1]), "whole numbers"),
        (setting("arrays", 0, "shape", value=[15, 15]), "beyond the end"),
        (setting("arrays", 0, "shape", value=[1]), "bytes, but its arrays need"),
        (setting("arrays", 0, "dtype", value="object"), "one of"),
        (setting("samples", 0, value=[99]), "a missing array"),
        (setting("samples", 0, value=[-1]), "a missing array"),
        (setting("steps", 0, "model", value=1), "whole number from 0 to 0"),
        (setting("steps", 1, "sample", value=2), "whole number from 0 to 1"),
        (setting("steps", value=[]), "do not start by loading"),
        (setting("models", 0, "size", value=5), "SHA-256 differs"),
        (setting("models", 0, "sha256", value="../../x"), "invalid SHA-256"),
        (setting("tolerance", "float", value=float("nan")), "a number"),
        (setting("subject", "kind", value="rm"), "one of"),
        (setting("subject", "versions", value=7), "no versions"),
        (setting("reference", "resolver", value="fast"), "one of"),
    ],
)
def test_what_does_not_fit_together_is_said(change, message):
    with pytest.raises(ReplayError, match=message):
        replay_from_bytes(changed(change))


def test_files_that_are_none(tmp_path):
    with pytest.raises(ReplayError, match="cannot be read"):
        read_replay(tmp_path / "nowhere.tflm-replay")
    (tmp_path / "text.tflm-replay").write_text("hello")
    with pytest.raises(ReplayError, match=r"text\.tflm-replay: it is not a "):
        read_replay(tmp_path / "text.tflm-replay")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.txt", "a")
    with pytest.raises(ReplayError, match=r"no arrays\.bin and no replay\.json"):
        replay_from_bytes(buffer.getvalue())


def test_a_bomb_is_not_unpacked(monkeypatch):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("arrays.bin", bytes(replay_module.LARGEST_FILE + 1))
    assert len(buffer.getvalue()) < 1 << 20
    with pytest.raises(ReplayError, match="too large"):
        replay_from_bytes(buffer.getvalue())


def test_truncations_and_flipped_bits_are_errors_or_the_same_file():
    """3000 damaged files: whatever is read has passed every check; nothing else is raised."""
    whole = example().to_bytes()
    chance = random.Random(1)
    read = 0
    for number in range(3000):
        data = bytearray(whole)
        if number % 3 == 0:
            del data[chance.randrange(len(data)) :]
        else:
            for _ in range(chance.randrange(1, 4)):
                data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        try:
            replay_from_bytes(bytes(data))
            read += 1
        except ReplayError:
            continue
    assert read < 600


def test_damage_inside_the_json_is_an_error_or_a_replay():
    """As above, past the zip's CRC-32: each value of the JSON in turn becomes another one."""
    odd = (None, -1, 2**70, 1.5, "x", [], {}, [[]], True)
    data = json.loads(json.dumps(_json()))
    paths = list(_paths(data))
    assert len(paths) > 50
    for path in paths:
        for value in odd:
            try:
                replay_from_bytes(changed(setting(*path, value=value)))
            except ReplayError:
                continue


def _json():
    with zipfile.ZipFile(io.BytesIO(example().to_bytes())) as archive:
        return json.loads(archive.read("replay.json"))


def _paths(data, path=()):
    items = data.items() if isinstance(data, dict) else enumerate(data)
    for key, value in items:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from _paths(value, (*path, key))
