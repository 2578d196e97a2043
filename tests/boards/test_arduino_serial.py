"""The sketch for any board with ``Serial``, on the emulated Cortex-M4: as Arduino compiles it, with
a ``Serial`` over the emulated UART and the scripted engine in the place of TFLM."""

from __future__ import annotations

from pathlib import Path

import pytest
from boards.conftest import ROOT, make
from boards.test_mps2 import SAMPLE, result

from pytest_tflm.errors import ModelTooLarge
from pytest_tflm.link import Connection

SKETCH = ROOT / "firmware" / "arduino_serial" / "arduino_serial.ino"
ARDUINO = Path(__file__).with_name("arduino")


@pytest.fixture(scope="module")
def image():
    includes = f"-I{ARDUINO / 'scripted'} -I{ARDUINO} -I{SKETCH.parent}"
    program = f"PROGRAM={ARDUINO / 'main.cpp'}"
    make("firmware/mps2_an386", "program", program, f"PROGRAM_FLAGS={includes}")
    return ROOT / "build" / "firmware-mps2_an386" / "program.elf"


def test_it_is_one_file_that_can_be_read():
    assert len(SKETCH.read_text("utf-8").splitlines()) <= 60
    assert [path.suffix for path in SKETCH.parent.iterdir() if path.suffix != ".md"] == [".ino"]


def test_models_and_samples(image, emulate):
    connection = Connection.open(emulate(image).port, timeout=60)
    assert connection.identity.board == "arduino"
    for model in (b"m" * 4000, b"T" * 5):
        connection.load(model)
        samples = [((i % 126, i & 255, 3, 4), (i, -2 * i)) for i in range(200)]
        wire = [SAMPLE.pack(*a, *b) for a, b in samples]
        for state, (found, (a, b)) in enumerate(
            zip(connection.run_many(wire), samples, strict=True)
        ):
            assert found.outputs == result(a, b, state + 1)
    with pytest.raises(ModelTooLarge):
        connection.load(b"m" * 4097)
    connection.load(b"m")
    assert connection.counters.gaps == 0
    connection.close()
