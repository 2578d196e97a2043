"""Real ports: pseudo-terminals, sockets, files that are none; who has them and where they went."""

from __future__ import annotations

import errno
import os
import socket
import stat
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from pytest_tflm.errors import (
    ForeignPeer,
    NoAnswer,
    PortBusy,
    PortFailed,
    PortNotFound,
    PortVanished,
    SettingsError,
)
from pytest_tflm.link import port, portlock
from pytest_tflm.link.connection import Connection
from pytest_tflm.link.port import open_port

HERE = Path(__file__).parent
posix = pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals are POSIX")


@contextmanager
def process(*args: str):
    with subprocess.Popen(
        [sys.executable, *args], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    ) as child:
        try:
            yield child, child.stdout.readline().strip()
        finally:
            child.kill()


def board(kind: str, mode: str = "board"):
    return process(str(HERE / "board_process.py"), kind, mode)


@pytest.fixture
def pty():
    master, slave = os.openpty()
    yield os.ttyname(slave), master
    for fd in (master, slave):
        try:
            os.close(fd)
        except OSError:
            continue


@posix
@pytest.mark.parametrize("kind", ["pty", "tcp"])
def test_a_board_behind_a_real_port(kind):
    with board(kind) as (_, name):
        began = time.monotonic()
        connection = Connection.open(name, timeout=60)
        try:
            assert connection.identity.board == "scripted"
            samples = [bytes([index % 100, *range(7)]) for index in range(2000)]
            results = list(connection.run_many(samples))
            assert [each.outputs[0] for each in results] == [s[0] + 1 for s in samples]
            assert connection.load(b"another model" * 200).size == 2600
            assert connection.counters.damaged == 0
            assert 0 < connection.counters.round_trip < time.monotonic() - began
        finally:
            connection.close()
        assert connection.broken is not None


@posix
@pytest.mark.parametrize("kind", ["pty", "tcp"])
def test_a_board_that_dies_in_the_middle(kind):
    with board(kind, "dies") as (_, name):
        connection = Connection.open(name, timeout=60)
        with pytest.raises(PortVanished, match="gone") as raised:
            list(connection.run_many([bytes(8)] * 50_000))
        assert name in str(raised.value)
        assert "link: sent" in raised.value.details
        assert "Guru Meditation" in raised.value.details
        with pytest.raises(PortVanished):
            connection.reset_state()
        connection.close()


@posix
@pytest.mark.parametrize(
    ("mode", "error", "words"),
    [
        ("mute", NoAnswer, "not a single byte"),
        ("sketch", ForeignPeer, "temperature 21.5"),
        ("echo", ForeignPeer, "echo"),
    ],
)
def test_no_board_behind_a_real_port(mode, error, words):
    with board("pty", mode) as (_, name):
        with pytest.raises(error, match=words) as raised:
            Connection.open(name, timeout=2)
        assert name in str(raised.value)
        again = open_port(name)  # it was released
        again.close()


@posix
def test_a_port_that_is_not_there():
    with pytest.raises(PortNotFound, match="there is no port /dev/ttyACM99") as raised:
        open_port("/dev/ttyACM99")
    assert "sim" in str(raised.value)


def test_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.getsockname()[1]
    with pytest.raises(PortNotFound, match="no program listens"):
        open_port(f"socket://127.0.0.1:{number}")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("socket://nowhere", "HOST:PORT"),
        ("socket://", "HOST:PORT"),
        ("socket://h:99999", "from 1 to 65535"),
        ("socket://h:0", "from 1 to 65535"),
        ("rfc2217://h:99999", "from 1 to 65535"),
        ("gopher://x", "unknown scheme gopher://"),
        ("alt:///dev/ttyS0?class=os", "unknown scheme alt://"),
        ("spy:///dev/ttyS0?file=/tmp/spied", "unknown scheme spy://"),
        ("hwgrep://.*", "unknown scheme hwgrep://"),
        ("x" * 5000, "a name of 5000 characters"),
        ("/dev/tty\x1b[2J", "control characters"),
        ("/dev/tty\0", "control characters"),
    ],
)
def test_names_that_make_no_sense(name, words):
    with pytest.raises(SettingsError) as raised:
        open_port(name)
    assert words in str(raised.value)
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 300


@pytest.mark.skipif(not Path("/sys/dev/char").exists(), reason="needs Linux's sysfs")
@pytest.mark.parametrize("name", ["/dev/null", "/dev/zero"])
def test_a_device_of_another_kind_is_named_and_not_called_busy(name):
    with pytest.raises(PortFailed, match="not a serial port but a device of kind 'mem'"):
        open_port(name)


@pytest.mark.parametrize("baud", [1200, 0, -5])
def test_baud_rates_that_are_refused(baud):
    with pytest.raises(SettingsError, match=r"bootloader|positive"):
        open_port("/dev/null", baud=baud)


@posix
def test_files_that_are_no_port(tmp_path):
    file = tmp_path / "model.tflite"
    file.write_bytes(b"TFL3")
    for path in (file, tmp_path):
        with pytest.raises(PortFailed, match="not a serial port"):
            open_port(str(path))


@posix
def test_busy_with_another_run_of_ours(pty):
    name, _ = pty
    code = (
        "import sys; from pytest_tflm.link.port import open_port;"
        f"p = open_port({name!r}); print('open', flush=True); sys.stdin.read()"
    )
    with process("-c", code) as (child, said):
        assert said == "open"
        with pytest.raises(PortBusy, match=rf"in use by process {child.pid} \(") as raised:
            open_port(name)
        assert name in str(raised.value)
        child.kill()
        child.wait()
    open_port(name).close()  # the lock ended with the process


@posix
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_busy_with_somebody_else(pty):
    name, _ = pty
    code = (
        "import fcntl, os, sys;"
        f"fd = os.open({name!r}, os.O_RDWR | os.O_NOCTTY); fcntl.flock(fd, fcntl.LOCK_EX);"
        "print('open', flush=True); sys.stdin.read()"
    )
    with process("-c", code) as (child, said):
        assert said == "open"
        with pytest.raises(PortBusy, match=rf"process {child.pid} \("):
            open_port(name)


@posix
def test_a_reader_of_a_real_device_is_seen_before_it_steals_bytes(monkeypatch, tmp_path):
    """A serial monitor that takes no lock would get half of what the board says."""
    monkeypatch.setattr(portlock, "holder_of", lambda name, **_: "process 7 (cat)")
    with pytest.raises(PortBusy, match="cat"):
        portlock.PortLock.take("/dev/null")
    assert portlock._foreign_holder("/dev/pts/0") is None
    assert portlock._foreign_holder("socket://h:1") is None


@posix
def test_our_own_children_are_not_somebody_else(pty):
    name, _ = pty
    code = f"import os; os.open({name!r}, os.O_RDWR); print('open', flush=True); input()"
    with process("-c", code) as (_, said):
        assert said == "open"
        assert portlock.holder_of(name, but_children=True) == ""


@posix
def test_two_names_of_one_port(pty, tmp_path):
    name, _ = pty
    link = tmp_path / "by-id"
    link.symlink_to(name)
    first = open_port(name)
    with pytest.raises(PortBusy):
        open_port(str(link))
    first.close()
    first.close()
    open_port(str(link)).close()


@pytest.fixture
def temporary(monkeypatch, tmp_path) -> Path:
    """The system's folder of temporary files; gives the one of this user in it."""
    monkeypatch.setattr(portlock.tempfile, "gettempdir", lambda: str(tmp_path))
    return tmp_path / f"pytest-tflm-{os.getuid()}"


@posix
def test_locks_lie_in_a_folder_of_the_users_own(pty, temporary):
    name, _ = pty
    opened = open_port(name)
    assert stat.S_IMODE(temporary.stat().st_mode) == 0o700
    (owner,) = temporary.glob("*.owner")
    assert str(os.getpid()) in owner.read_text()
    opened.close()
    assert not list(temporary.glob("*.owner"))


@posix
@pytest.mark.parametrize("kind", ["file", "link", "writable by all"])
def test_a_folder_that_is_not_ours_is_not_used(pty, temporary, tmp_path, kind):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    if kind == "file":
        temporary.write_text("")
    elif kind == "link":
        temporary.symlink_to(elsewhere)
    else:
        temporary.mkdir()
        temporary.chmod(0o777)
    open_port(pty[0]).close()
    assert list(elsewhere.iterdir()) == []
    assert temporary.is_file() or list(temporary.iterdir()) == []


@posix
def test_no_link_is_followed_where_the_owner_is_written(pty, temporary, tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("keep me")
    name, _ = pty
    temporary.mkdir(0o700)
    owner = (temporary / portlock._lock_name(name)).with_suffix(".owner")
    owner.symlink_to(precious)
    opened = open_port(name)
    assert precious.read_text() == "keep me"
    assert not owner.is_symlink()
    opened.close()
    assert precious.read_text() == "keep me"


@posix
def test_pseudo_terminals_of_two_namespaces_are_two_ports(pty, monkeypatch):
    name, _ = pty
    ours, real = portlock._identity(name), os.stat
    fields = list(real(name))
    other = os.stat_result(
        (*fields[:2], fields[2] + 1, *fields[3:]), {"st_rdev": real(name).st_rdev}
    )
    monkeypatch.setattr(portlock.os, "stat", lambda path: other)
    assert portlock._identity(name) != ours


@posix
@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (PermissionError(errno.EACCES, "denied"), PortFailed, "dialout"),
        (OSError(errno.EBUSY, "busy"), PortBusy, "in use"),
        (OSError(errno.EIO, "io"), PortFailed, "cannot be opened"),
        (OSError(errno.ENXIO, "no such device"), PortNotFound, "no port"),
    ],
)
def test_what_opening_may_say(pty, monkeypatch, error, kind, words):
    import serial

    name, _ = pty

    def fails(self):
        raise serial.SerialException(error.errno, str(error)) from error

    monkeypatch.setattr(serial.Serial, "open", fails)
    monkeypatch.setattr(port, "_group_of", lambda name: "dialout")
    with pytest.raises(kind, match=words):
        open_port(name)
    monkeypatch.undo()
    open_port(name).close()  # the lock was given back


def _use(opened) -> None:
    for _ in range(20):
        opened.exchange(b"x", 0.1)
        time.sleep(0.02)


@posix
def test_unplugged(pty):
    name, master = pty
    opened = open_port(name)
    assert opened.exchange(b"hello", 1.0)[0] == 5
    assert os.read(master, 10) == b"hello"
    os.write(master, b"there")
    assert opened.exchange(b"", 1.0) == (0, b"there")
    os.close(master)
    with pytest.raises(PortVanished, match=name):
        _use(opened)
    opened.close()


@posix
def test_closed_under_its_reader(pty):
    opened = open_port(pty[0])
    threading.Timer(0.1, opened.close).start()
    with pytest.raises((PortVanished, PortFailed)):
        _use(opened)


@posix
def test_close_does_not_wait_for_what_nobody_reads(pty):
    opened = open_port(pty[0])
    for _ in range(100):
        if opened.exchange(bytes(4096), 0.01)[0] == 0:
            break
    closing = threading.Thread(target=opened.close, daemon=True)
    closing.start()
    closing.join(20)  # the kernel would wait 30 s for somebody to read
    assert not closing.is_alive()


def test_loop_without_a_file_descriptor():
    opened = open_port("loop://")
    written, data = opened.exchange(b"abc", 0.1)
    assert written == 3
    assert data + opened.exchange(b"", 0.5)[1] == b"abc"
    assert opened.exchange(b"", 0.01) == (0, b"")
    opened.close()


def test_lines_are_set_before_opening(monkeypatch, pty):
    import serial

    seen = []
    original = serial.Serial.open

    def spy(self):
        seen.append((self.dtr, self.rts, self.exclusive, self.baudrate))
        return original(self)

    monkeypatch.setattr(serial.Serial, "open", spy)
    open_port(pty[0]).close()
    open_port(pty[0], dtr=False, rts=False, baud=9600).close()
    assert seen == [(True, True, True, 115200), (False, False, True, 9600)]


@pytest.mark.parametrize(
    ("name", "baud"),
    [
        ("/dev/ttyUSB0", 9600),
        ("COM3", 9600),
        ("rfc2217://h:1", 9600),
        ("/dev/ttyACM0", None),
        ("/dev/pts/3", None),
        ("/dev/cu.usbmodem1101", None),
        ("socket://h:1", None),
    ],
)
def test_where_the_baud_rate_says_how_fast_the_line_is(name, baud):
    assert port.Port(name, None, 9600, None).line_baud == baud


def test_a_lock_is_called_after_its_port():
    name = portlock._lock_name("/dev/ttyACM0")
    assert name.startswith("pytest-tflm-dev-ttyACM0-")
    assert name != portlock._lock_name("/dev/ttyACM1")


def test_bytes_written_while_nobody_reads_do_not_block(pty):
    """Both ends full: neither a deadlock nor a loss."""
    name, master = pty
    opened = open_port(name)
    os.set_blocking(master, False)
    total_out, total_in, out = 0, 0, bytes(200_000)
    sent = 0
    while total_out < len(out):
        written, data = opened.exchange(out[total_out:], 0.05)
        total_out += written
        total_in += len(data)
        with suppress(BlockingIOError):
            sent += os.write(master, b"y" * 1000)
        with suppress(BlockingIOError):
            while os.read(master, 3000):
                pass
    while total_in < sent:
        total_in += len(opened.exchange(b"", 0.5)[1])
    assert total_in == sent
    opened.close()
