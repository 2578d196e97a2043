"""The emulated board: its images, made with Debian's cross-compiler, and QEMU."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from pytest_tflm.simulator.board.qemu import EmulatedBoard, start

ROOT = Path(__file__).parents[2]
COMPILER, EMULATOR = "arm-none-eabi-g++", "qemu-system-arm"
PACKAGES = {
    COMPILER: "gcc-arm-none-eabi and libstdc++-arm-none-eabi-newlib",
    EMULATOR: "qemu-system-arm",
}


def need(program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed (Debian: {PACKAGES[program]})")


def make(directory: str, *arguments: str) -> str:
    """What make printed. Builds lie beside each other in build/, and are made by one at a time."""
    need(COMPILER)
    build = ROOT / "build" / directory.replace("/", "-")
    build.mkdir(parents=True, exist_ok=True)
    with FileLock(build.with_suffix(".lock")):
        done = subprocess.run(
            ["make", "-C", str(ROOT / directory), f"BUILD={build}", *arguments],
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def scripted_image() -> Path:
    """The board of vectors.json, for the emulated processor."""
    make("firmware/mps2_an386", "scripted")
    return ROOT / "build" / "firmware-mps2_an386" / "scripted.elf"


@pytest.fixture(scope="session")
def scripted_baud_image(scripted_image: Path) -> Path:
    """The same with a line whose rate can be changed."""
    return scripted_image.with_name("scripted_baud.elf")


@pytest.fixture
def emulate() -> Iterator[Callable[..., EmulatedBoard]]:
    """Starts QEMU with an image, perhaps with a defect, and ends it after the test."""
    need(EMULATOR)
    running: list[EmulatedBoard] = []

    def begin(image: Path, defect: str = "") -> EmulatedBoard:
        running.append(start(f"qemu:{image}?defect={defect}" if defect else f"qemu:{image}"))
        return running[-1]

    yield begin
    for board in running:
        board.close()
