"""``qemu-esp32c3:IMAGE.bin`` as a port. A real QEMU of Espressif is used where there is one; what
can go wrong before it runs is tested everywhere, with programs that stand in for it."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_tflm.errors import InterpreterMissing, NoAnswer, PortFailed, PortNotFound
from pytest_tflm.runtime.board import BoardHost
from pytest_tflm.runtime.spec import Line, RuntimeSpec
from pytest_tflm.simulator.board import qemu_esp32c3
from pytest_tflm.simulator.board.qemu_esp32c3 import start

PROGRAM = "qemu-system-riscv32"
IMAGE_VARIABLE = "PYTEST_TFLM_ESP32C3_IMAGE"
EXAMPLES = Path(__file__).parents[2] / "examples"
MEGABYTE = 1 << 20
BOOTLOADER = bytes([0xE9, 1, 2, 0x20]) + bytes(8) + b"\x05\x00" + bytes(10)
"""The header of an ESP32-C3's bootloader, as far as it says what it is."""

WITH_THE_CHIP = "if [ \"$2\" = help ]; then echo 'esp32c3  Espressif ESP32C3 machine'; exit; fi\n"
A_ROM_THAT_SPEAKS = """\
import re, socket, sys
if sys.argv[2] == "help":
    print("esp32c3              Espressif ESP32C3 machine")
    sys.exit()
number = int(re.search(r"fd=(\\d+)", " ".join(sys.argv)).group(1))
open(sys.argv[0] + ".arguments", "w").write("\\n".join(sys.argv))
server = socket.socket(fileno=number)
while True:
    client, _ = server.accept()
    client.send(b"ESP-ROM:esp32c3-api1-20210207")
"""


@pytest.fixture
def flash(tmp_path) -> Path:
    """A flash of the right size with nothing to run."""
    return write_flash(tmp_path / "flash.bin", BOOTLOADER)


def write_flash(path: Path, head: bytes, size: int = 4 * MEGABYTE) -> Path:
    path.write_bytes(head)
    os.truncate(path, size)
    return path


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Puts a script into PATH as QEMU."""

    def put(script: str, interpreter: str = "/bin/sh") -> Path:
        program = tmp_path / "bin" / PROGRAM
        program.parent.mkdir()
        program.write_text(f"#!{interpreter}\n{script}")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
        return program

    return put


def need_the_emulator() -> None:
    program = shutil.which(PROGRAM)
    if program is None:
        pytest.skip(f"{PROGRAM} is not installed (ESP-IDF: idf_tools.py install qemu-riscv32)")
    told = subprocess.run([program, "-machine", "help"], capture_output=True, text=True).stdout
    if "esp32c3" not in told:
        pytest.skip(f"{program} has no machine esp32c3: it is not Espressif's")


@pytest.mark.parametrize("port", ["qemu-esp32c3:build/flash.bin", "qemu:image.elf"])
def test_it_is_a_port(port):
    spec = RuntimeSpec.parse(port)
    assert (spec.kind, spec.port) == ("board", port)
    assert RuntimeSpec.parse(f"board:{port}") == spec


@pytest.mark.parametrize("name", ["", "nowhere.bin", "."])
def test_an_image_that_is_missing(tmp_path, name):
    with pytest.raises(PortNotFound, match="merge_bin --fill-flash-size 4MB"):
        start(f"qemu-esp32c3:{tmp_path / name}")


def test_a_board_of_a_run_is_started_by_it(tmp_path):
    host = BoardHost(RuntimeSpec.of_board(f"qemu-esp32c3:{tmp_path}/nowhere.bin"))
    with pytest.raises(PortNotFound, match=r"nowhere\.bin: the image does not exist"):
        host.connection()


@pytest.mark.parametrize("head", [b"", b"\x7fELF\x01", bytes(24), BOOTLOADER[:13]])
def test_a_file_that_is_no_flash(tmp_path, head):
    (tmp_path / "flash.bin").write_bytes(head)
    with pytest.raises(PortFailed, match="not a flash image"):
        start(f"qemu-esp32c3:{tmp_path / 'flash.bin'}")


@pytest.mark.parametrize(
    ("chip", "name"), [(9, "ESP32-S3"), (0, "ESP32"), (999, "chip with the id 999")]
)
def test_an_image_for_another_chip(tmp_path, chip, name):
    head = BOOTLOADER[:12] + chip.to_bytes(2, "little") + BOOTLOADER[14:]
    flash = write_flash(tmp_path / "flash.bin", head)
    with pytest.raises(PortFailed, match=f"is for the {name}, not for the ESP32-C3"):
        start(f"qemu-esp32c3:{flash}")


def test_an_application_that_was_not_merged(tmp_path):
    flash = write_flash(tmp_path / "app.bin", BOOTLOADER, 810048)
    with pytest.raises(PortFailed, match=r"has 810048 bytes.*merge_bin"):
        start(f"qemu-esp32c3:{flash}")


def test_without_a_qemu(flash, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InterpreterMissing, match=r"idf_tools\.py install qemu-riscv32"):
        start(f"qemu-esp32c3:{flash}")


def test_a_qemu_that_lacks_the_chip(flash, stand_in):
    program = stand_in("echo 'virt  RISC-V VirtIO board'\n")
    with pytest.raises(InterpreterMissing, match=f"machine esp32c3, which {program} does not have"):
        start(f"qemu-esp32c3:{flash}")


def test_a_qemu_that_ends(flash, stand_in):
    stand_in(WITH_THE_CHIP + "echo 'qemu: no bios' >&2; exit 1\n")
    with pytest.raises(PortFailed, match="did not start: QEMU exited with status 1: qemu: no bios"):
        start(f"qemu-esp32c3:{flash}")


def test_a_chip_that_says_nothing(flash, stand_in, monkeypatch):
    monkeypatch.setattr(qemu_esp32c3, "_START_SECONDS", 0.2)
    stand_in(WITH_THE_CHIP + "exec sleep 60\n")
    with pytest.raises(PortFailed, match=r"the chip's ROM said nothing in 0\.2 s"):
        start(f"qemu-esp32c3:{flash}")


def test_the_port_and_what_qemu_is_told(tmp_path, stand_in):
    program = stand_in(A_ROM_THAT_SPEAKS, sys.executable)
    flash = write_flash(tmp_path / "a,b.bin", BOOTLOADER)
    before = flash.read_bytes()
    with start(f"qemu-esp32c3:{flash}") as board:
        assert board.port.startswith("socket://127.0.0.1:")
        assert board.baud == 0
        assert board.exit_description() is None
        arguments = Path(f"{program}.arguments").read_text().split("\n")
    assert f"file={tmp_path}/a,,b.bin,if=mtd,format=raw,snapshot=on" in arguments
    efuses = next(each for each in arguments if "id=efuse" in each)
    assert not Path(efuses.removeprefix("file=").split(",")[0]).exists()
    assert flash.read_bytes() == before
    with pytest.raises(ProcessLookupError):
        os.kill(board.pid, 0)


def test_the_rom_of_a_real_one_runs(flash):
    need_the_emulator()
    host = BoardHost(RuntimeSpec.of_board(f"qemu-esp32c3:{flash}"), Line(timeout=1.0))
    with pytest.raises(NoAnswer):  # there is no program
        host.connection()
    host.close()


def test_a_model_on_a_real_image(pytester):
    need_the_emulator()
    image = os.environ.get(IMAGE_VARIABLE)
    if not image:
        pytest.skip(f"{IMAGE_VARIABLE} names no flash image (docs/boards.md says how to make one)")
    result = pytester.runpytest_inprocess(
        f"--tflm-port=qemu-esp32c3:{image}",
        f"--tflm-model={EXAMPLES / 'tcn.tflite'}",
        *("--tflm-runtime=tflm", "--tflm-tolerance=0", "--tflm-samples=2"),
    )
    outcomes = result.parseoutcomes()
    assert outcomes["passed"] > 2
    assert not {"failed", "errors", "skipped"} & set(outcomes), outcomes
