"""Every defect of the emulated board does what its name says, and nothing else."""

from __future__ import annotations

import re
import struct
from zlib import crc32

import pytest
from boards.conftest import ROOT
from boards.test_mps2 import SAMPLE, result

from pytest_tflm.errors import BoardCrashed, PortFailed, SettingsError
from pytest_tflm.link import Connection
from pytest_tflm.simulator.board import qemu
from pytest_tflm.simulator.board.qemu import DEFECTS, start

SAMPLES = [((10 * i, -100 + 256, i, 120), (i, 1000 * i)) for i in range(1, 5)]
RIGHT = [result(a, b, number + 1) for number, (a, b) in enumerate(SAMPLES)]
OUTPUT_C, OUTPUT_D = slice(0, 4), slice(4, 8)  # int8 with zero point 7; int32 with zero point 0


@pytest.fixture
def board(scripted_image, emulate):
    """Gives the scripted board with a defect, and a model loaded."""
    opened = []

    def connect(defect):
        connection = Connection.open(emulate(scripted_image, defect).port, timeout=60)
        opened.append(connection)
        assert connection.identity.board == f"scripted with defect: {defect}"
        connection.load(b"a model")
        return connection

    yield connect
    for connection in opened:
        connection.close()


def outputs(connection, samples=SAMPLES):
    return [connection.run(SAMPLE.pack(*a, *b)).outputs for a, b in samples]


def test_all_of_them_are_tested():
    assert {name.replace("-", "_") for name in DEFECTS} == {
        name.removeprefix("test_defect_") for name in globals() if name.startswith("test_defect_")
    }


def test_the_image_has_the_same_names():
    source = (ROOT / "firmware" / "mps2_an386" / "defects.cpp").read_text("utf-8")
    assert re.findall(r'\{Defect::k\w+, "([a-z-]+)"\}', source) == list(DEFECTS)


def test_an_unknown_defect():
    with pytest.raises(SettingsError, match=r"unknown defect 'typo'.* zeros, .*input-truncated"):
        start("qemu:image.elf?defect=typo")
    with pytest.raises(SettingsError, match=r"supports only \?defect=NAME"):
        start("qemu:image.elf?arena=64k")


def test_an_image_that_does_not_know_the_defect(scripted_image, emulate, monkeypatch):
    monkeypatch.setitem(qemu.DEFECTS, "newer", "what a later version has")
    with pytest.raises(
        PortFailed, match="does not support the defect newer: build the image again"
    ):
        emulate(scripted_image, "newer")


def test_defect_zeros(board):
    assert outputs(board("zeros")) == [bytes(8)] * 4


def test_defect_constant(board):
    assert outputs(board("constant")) == [b"\7\7\7\7" + bytes(4)] * 4


def test_defect_output_stale(board):
    connection = board("output-stale")
    assert outputs(connection) == [bytes(8), *RIGHT[:-1]]
    connection.load(b"another model")
    assert outputs(connection) == [bytes(8), *RIGHT[:-1]]


def test_defect_drift(board):
    connection = board("drift")
    for run, (found, right) in enumerate(zip(outputs(connection), RIGHT, strict=True)):
        # The last element is 121 without it; it saturates.
        expected = [min(each + run, 127) for each in struct.unpack("4b", right[OUTPUT_C])]
        assert list(struct.unpack("4b", found[OUTPUT_C])) == expected
        assert int.from_bytes(found[OUTPUT_D], "little") == run + int.from_bytes(
            right[OUTPUT_D], "little"
        )
    for _ in range(10):
        found = outputs(connection, SAMPLES[:1])[0]
    assert found[3] == 127


def test_defect_random(board):
    connection = board("random")
    places = []
    for _ in range(10):
        for found, (a, _b) in zip(outputs(connection), SAMPLES, strict=True):
            wrong = [x ^ ((y + 1) & 0xFF) for x, y in zip(found[OUTPUT_C], a, strict=True)]
            assert sorted(wrong) in ([0, 0, 0, 0], [0, 0, 0, 1])
            places += [place for place, bit in enumerate(wrong) if bit]
    assert set(places) == {0, 1, 2, 3}
    assert 10 < len(places) < 30  # of 40 runs


def test_defect_saturation(board):
    for found, right in zip(outputs(board("saturation")), RIGHT, strict=True):
        expected = [max(-64, min(63, each)) for each in struct.unpack("4b", right[OUTPUT_C])]
        assert list(struct.unpack("4b", found[OUTPUT_C])) == expected
        assert int.from_bytes(found[OUTPUT_D], "little") == 63


def test_defect_input_stale(board):
    connection = board("input-stale")
    nothing = ((0, 0, 0, 0), (0, 0))
    seen = [nothing, *SAMPLES[:-1]]
    expected = [result(a, b, number + 1) for number, (a, b) in enumerate(seen)]
    assert outputs(connection) == expected


def test_defect_input_truncated(board):
    # Half of input b, which has four bytes.
    expected = [result(a, (b[0], 0), run + 1) for run, (a, b) in enumerate(SAMPLES)]
    assert outputs(board("input-truncated")) == expected


def test_defect_state_kept(board):
    connection = board("state-kept")
    outputs(connection)
    connection.reset_state()
    a, b = SAMPLES[0]
    assert connection.run(SAMPLE.pack(*a, *b)).outputs == result(a, b, 5)
    assert connection.run(SAMPLE.pack(*a, *b), reset=True).outputs == result(a, b, 6)


def test_defect_weight_changed(board):
    connection = board("weight-changed")
    for model in (b"a model", b"another one"):
        # What is loaded is said to be what was sent, and is not.
        assert connection.load(model).crc32 == crc32(model)
        middle = connection.run(SAMPLE.pack(0x7E, *b"DOm", 0, 0)).outputs[0]
        assert middle == (model[len(model) // 2] ^ 0x80) + 1


def test_defect_fault(board):
    with pytest.raises(BoardCrashed, match=r"memory fault.*no access to 0x00000004"):
        outputs(board("fault"))
