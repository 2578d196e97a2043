"""QEMU as a port: what it takes to start it, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from boards.conftest import EMULATOR, need

from pytest_tflm.errors import InterpreterMissing, PortFailed, PortNotFound
from pytest_tflm.simulator.board import qemu
from pytest_tflm.simulator.board.qemu import start

ARM_HEAD = b"\x7fELF\x01\x01\x01" + bytes(9) + b"\x02\x00\x28\x00"


@pytest.mark.parametrize("name", ["", "nowhere.elf", "."])
def test_an_image_that_is_not_there(tmp_path, name):
    with pytest.raises(PortNotFound, match=r"firmware/README\.md"):
        start(f"qemu:{tmp_path / name}")


@pytest.mark.parametrize(
    "content", [b"", b"#!/bin/sh\n", ARM_HEAD[:18], b"\x7fELF\x02" + ARM_HEAD[5:]]
)
def test_a_file_that_is_no_image(tmp_path, content):
    (tmp_path / "image.elf").write_bytes(content)
    with pytest.raises(PortFailed, match="not a 32-bit ELF image for Arm"):
        start(f"qemu:{tmp_path / 'image.elf'}")


def test_without_qemu_the_error_names_the_package(tmp_path, monkeypatch):
    (tmp_path / "image.elf").write_bytes(ARM_HEAD)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InterpreterMissing, match="apt install qemu-system-arm"):
        start(f"qemu:{tmp_path / 'image.elf'}")


def test_an_image_that_does_not_start(tmp_path, monkeypatch):
    need(EMULATOR)
    monkeypatch.setattr(qemu, "_START_SECONDS", 0.5)
    (tmp_path / "image.elf").write_bytes(ARM_HEAD)
    with pytest.raises(PortFailed, match=r"its UART sent nothing for 0\.5 s"):
        start(f"qemu:{tmp_path / 'image.elf'}")


def test_a_qemu_that_does_not_start(tmp_path, monkeypatch):
    (tmp_path / "image.elf").write_bytes(ARM_HEAD)
    program = tmp_path / "qemu-system-arm"
    program.write_text("#!/bin/sh\necho 'unsupported machine type' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PortFailed, match="QEMU exited with status 1: unsupported machine type"):
        start(f"qemu:{tmp_path / 'image.elf'}")


def test_a_qemu_that_is_killed(scripted_image, emulate):
    board = emulate(scripted_image)
    assert board.exit_description() is None
    os.kill(board.pid, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while board.exit_description() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert board.exit_description() == "killed by SIGKILL"
    board.close()


def test_close_ends_it_and_may_be_called_twice(scripted_image, emulate):
    board = emulate(scripted_image)
    board.close()
    board.close()
    with pytest.raises(ProcessLookupError):
        os.kill(board.pid, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux' prctl()")
def test_it_ends_with_a_parent_that_is_killed(scripted_image):
    need(EMULATOR)
    code = (
        "import sys, time; from pytest_tflm.simulator.board.qemu import start;"
        "print(start(sys.argv[1]).pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, f"qemu:{scripted_image}"], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        emulator = Path(f"/proc/{int(parent.stdout.readline())}")
        assert emulator.exists()
        parent.kill()
    deadline = time.monotonic() + 60
    while emulator.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not emulator.exists()
