"""Ports as Windows and macOS have them, stood in for at the seam: names, locks, and a device that
can only be read and written, with errors that are text. docs/how-to/install.md says that nobody has
run it there."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
import serial

from pytest_tflm.errors import NoAnswer, PortBusy, PortFailed, PortNotFound, PortVanished
from pytest_tflm.link import port, portlock
from pytest_tflm.link.connection import Connection
from pytest_tflm.link.port import open_port
from tests.link.scripted_board import Board, VectorEngine

MISSING = "FileNotFoundError(2, 'The system cannot find the file specified.', None, 2)"
TAKEN = "PermissionError(13, 'Access is denied.', None, 5)"
BROKEN = "OSError(22, 'A device attached to the system is not functioning.', None, 31)"


class ComPort:
    """What pyserial's serialwin32 does, with a scripted board behind it."""

    def __init__(self, name: str, refuses: str = "") -> None:
        self.name, self._refuses = name, refuses
        self.timeout = self.write_timeout = None
        self.dtr = self.rts = False
        self.baudrate = 0
        self.gone = self.full = False
        self.board = Board(VectorEngine(), largest_frame=512, window=2048, reply_store=1500)
        self._arrived = b""

    def open(self) -> None:
        if self._refuses:
            raise serial.SerialException(f"could not open port {self.name!r}: {self._refuses}")
        assert self.dtr
        assert self.rts
        assert self.write_timeout, "a board that takes nothing would hang the run"

    @property
    def in_waiting(self) -> int:
        if self.gone:
            raise serial.SerialException(f"ClearCommError failed ({BROKEN})")
        self._arrived += self.board.transmit()
        return len(self._arrived)

    def read(self, size: int) -> bytes:
        data, self._arrived = self._arrived[:size], self._arrived[size:]
        return data

    def write(self, data: bytes) -> int:
        if self.gone:
            raise serial.SerialException(f"WriteFile failed ({BROKEN})")
        if self.full:
            raise serial.SerialTimeoutException("Write timeout")
        self.board.receive(data)
        self.board.poll()
        return len(data)

    def reset_output_buffer(self) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture
def windows(monkeypatch, tmp_path):
    """This module's ports are those of Windows; gives what makes a COM port."""
    made = []

    def make(name: str, refuses: str = "") -> ComPort:
        made.append(ComPort(name, refuses))
        monkeypatch.setattr(serial, "serial_for_url", lambda *_, **__: made[-1])
        return made[-1]

    monkeypatch.setattr(port, "_POSIX", False)
    monkeypatch.setattr(portlock.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.delattr(os, "getuid")
    return make


def test_a_board_behind_a_com_port(windows, tmp_path):
    windows("COM3")
    connection = Connection.open("COM3", timeout=10)
    assert connection.load(b"a model").size == 7
    samples = [bytes([index, *range(7)]) for index in range(100)]
    assert [each.outputs[0] for each in connection.run_many(samples)] == [s[0] + 1 for s in samples]
    (lock,) = tmp_path.glob("*.lock")
    assert lock.name.startswith("pytest-tflm-COM3-")
    assert str(os.getpid()) in lock.with_suffix(".owner").read_text()
    connection.close()
    assert not list(tmp_path.glob("*.owner"))


@pytest.mark.parametrize(
    ("refuses", "kind", "words"),
    [
        (MISSING, PortNotFound, "there is no port COM3"),
        (TAKEN, PortBusy, "COM3 is in use by another program"),
        (BROKEN, PortFailed, "COM3 cannot be opened: .*not functioning"),
    ],
)
def test_why_a_com_port_does_not_open(windows, refuses, kind, words):
    windows("COM3", refuses)
    with pytest.raises(kind, match=words):
        open_port("COM3")
    windows("COM3")
    open_port("COM3").close()  # the lock was given back


def test_a_com_port_that_is_unplugged(windows):
    device = windows("COM3")
    connection = Connection.open("COM3", timeout=10)
    device.gone = True
    with pytest.raises(PortVanished, match="COM3 is gone"):
        connection.load(b"a model")
    connection.close()


def test_a_com_port_whose_board_takes_nothing(windows):
    windows("COM3").full = True
    with pytest.raises(NoAnswer, match="COM3"):
        Connection.open("COM3", timeout=0.5)


@pytest.mark.parametrize("second", ["com3", r"\\.\COM3"])
def test_names_of_one_com_port(windows, second):
    windows("COM3")
    first = open_port("COM3")
    with pytest.raises(PortBusy, match=rf"in use by process {os.getpid()} \("):
        open_port(second)
    first.close()
    open_port(second).close()
    assert portlock._lock_name("COM3") != portlock._lock_name("COM30")


def test_the_two_devices_that_macos_has_for_a_line():
    names = ("/dev/tty.usbmodem1101", "/dev/cu.usbmodem1101")
    assert len({portlock._lock_name(name) for name in names}) == 1
    assert len({portlock._identity(name) for name in names}) == 1
    assert all(port.Port(name, None, 9600, None).line_baud is None for name in names)


def test_without_proc_nobody_is_known_to_hold_a_port(monkeypatch):
    monkeypatch.setattr(portlock, "Path", lambda name: Path("/nowhere") / str(name).lstrip("/"))
    assert portlock.holder_of("/dev/cu.usbmodem1101") == ""


def test_every_module_can_be_imported_where_posix_modules_are_missing():
    code = """
import importlib, pkgutil, sys
for name in ("fcntl", "termios", "tty", "pty", "resource", "pwd", "grp"):
    sys.modules[name] = None
import pytest_tflm
for found in pkgutil.walk_packages(pytest_tflm.__path__, "pytest_tflm."):
    if not found.name.endswith(("__main__", "_firmware")):
        importlib.import_module(found.name)
print("imported")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "imported\n", done.stderr


@pytest.fixture
def many_files():
    """More open files than select() takes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 1200
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"this machine allows {hard} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    with ExitStack() as opened:
        while opened.enter_context(Path(os.devnull).open("rb")).fileno() < 1030:
            pass
        yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_process_with_more_than_a_thousand_open_files(many_files):
    master, slave = os.openpty()
    opened = open_port(os.ttyname(slave))
    assert opened.exchange(b"hello", 10)[0] == 5
    assert os.read(master, 10) == b"hello"
    began = time.monotonic()
    assert opened.exchange(b"", 0.05) == (0, b"")
    assert time.monotonic() - began >= 0.05
    os.write(master, b"there")
    assert opened.exchange(b"", 10) == (0, b"there")
    os.close(slave)
    os.close(master)
    with pytest.raises(PortVanished):
        opened.exchange(b"", 10)
    opened.close()
