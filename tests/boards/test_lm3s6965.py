"""A board that is new to the core, as CONTRIBUTING.md tells how to add one: a Cortex-M3 without an
FPU, in QEMU, with the scripted engine in the place of TFLM."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import pytest
from boards.conftest import COMPILER, EMULATOR, ROOT, need
from boards.test_mps2 import SAMPLE, result

from pytest_tflm.link import Connection

HERE = Path(__file__).with_name("lm3s6965")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def image(tmp_path_factory) -> Path:
    need(COMPILER)
    need(EMULATOR)
    elf = tmp_path_factory.mktemp("lm3s6965") / "image.elf"
    includes = (
        ROOT / "tests/boards/arduino/scripted",
        ROOT / "firmware/mps2_an386",
        ROOT / "firmware/core/src",
    )
    done = subprocess.run(
        [
            *(COMPILER, "-std=gnu++14", "-mcpu=cortex-m3", "-mthumb", "-Os", "-Wall", "-Wextra"),
            *("-Werror", "-fno-exceptions", "-fno-rtti", "-fno-threadsafe-statics"),
            *("-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections", "-nostartfiles"),
            *("-specs=nano.specs", "-specs=nosys.specs", f"-T{HERE / 'link.ld'}"),
            *(f"-I{path}" for path in includes),
            *(str(HERE / "main.cpp"), *map(str, (ROOT / "firmware/core/src").glob("*.cpp"))),
            *("-o", str(elf)),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return elf


def test_models_and_samples(image):
    with socket.create_server(("127.0.0.1", 0)) as server:
        chardev = f"socket,id=uart,fd={server.fileno()},server=on,wait=off"
        board = subprocess.Popen(
            [
                *(EMULATOR, "-M", "lm3s6965evb", "-kernel", image, "-display", "none"),
                *("-monitor", "none", "-chardev", chardev, "-serial", "chardev:uart"),
            ],
            pass_fds=[server.fileno()],
        )
        host, number = server.getsockname()
    try:
        connection = Connection.open(f"socket://{host}:{number}", timeout=60)
        assert connection.identity.board == "lm3s6965evb"
        connection.load(b"m" * 4000)
        samples = [((i % 126, i & 127, 3, 4), (i, -2 * i)) for i in range(200)]
        found = connection.run_many([SAMPLE.pack(*a, *b) for a, b in samples])
        for state, (got, (a, b)) in enumerate(zip(found, samples, strict=True)):
            assert got.outputs == result(a, b, state + 1)
        assert connection.counters.gaps == 0
        connection.close()
    finally:
        board.kill()
        board.wait()
