"""Who uses a port: a lock file of our own, and a look at other processes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import stat
import sys
import tempfile
from pathlib import Path
from typing import Any

from pytest_tflm.errors import PortBusy
from pytest_tflm.printable import printable

_SHOWN_COMMAND = 80
_PSEUDO_TERMINALS = range(136, 144)
"""Major numbers of Linux (Documentation/admin-guide/devices.txt)."""
_WINDOWS_NAME = re.compile(r"(?:\\\\[.?]\\)?(com\d+)", re.IGNORECASE)


class PortLock:
    """Held by one process at a time for one port, whatever name the port is called by.

    The lock is the operating system's, so it ends with the process. Beside the lock file lies
    another that says who holds it: process id and command line.

    The lock file of a device stays: if it were removed while another process is about to lock it,
    two could hold the lock of one name. A device has few names. A socket can have any number, and
    the one who serves it takes one client at a time; there the file goes with the lock.
    """

    def __init__(self, lock: Any, path: Path, is_socket: bool) -> None:
        self._lock = lock
        self._path = path
        self._owner = path.with_suffix(".owner")
        self._is_socket = is_socket

    @classmethod
    def take(cls, name: str) -> PortLock | None:
        """Take the lock of a port. PortBusy, with its owner, if it is taken or if another process
        has the device open. None where no lock file can be made."""
        import filelock

        try:
            path = _own_folder() / _lock_name(name)
            owner = path.with_suffix(".owner")
            lock = filelock.FileLock(path, timeout=0, mode=0o600, thread_local=False)
            lock.acquire()
        except filelock.Timeout:
            raise PortBusy(f"{name} is in use by {_read_owner(owner)}") from None
        except OSError:
            return None  # no folder of our own: the device's own lock is left
        held = cls(lock, path, "://" in name)
        try:
            if (holder := _foreign_holder(name)) is not None:
                raise PortBusy(f"{name} is in use by {holder}")
            held._say_who()
        except BaseException:
            held.release()
            raise
        return held

    def _say_who(self) -> None:
        me = {"pid": os.getpid(), "command": _own_command()}
        with contextlib.suppress(OSError):  # it is only for the message
            self._owner.unlink(missing_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
            with os.fdopen(os.open(self._owner, flags, 0o600), "w", encoding="utf-8") as file:
                json.dump(me, file)

    def release(self) -> None:
        """Give the lock back. May be called twice."""
        if not self._lock.is_locked:
            return  # somebody else may hold it by now
        with contextlib.suppress(OSError):
            self._owner.unlink(missing_ok=True)
        if self._is_socket:
            with contextlib.suppress(OSError):  # Windows: while it is open
                self._path.unlink(missing_ok=True)
        self._lock.release()


def holder_of(name: str, *, but_children: bool = False) -> str:
    """Which other process has the device open, as far as this system and user can see; or "".

    With ``but_children`` our own children do not count: they may have inherited a port of ours.
    """
    device = _identity(name)
    for entry in _processes(but_children):
        try:
            files = list((entry / "fd").iterdir())
        except OSError:
            continue
        for file in files:
            try:
                if "/dev/" in str(file.readlink()) and _identity(str(file)) == device:
                    return _describe(entry)
            except OSError:
                continue
    return ""


def canonical(name: str) -> str:
    """One name for all that a port can be called: links are followed, ``com3`` and
    ``\\\\.\\COM3`` are ``COM3``, and of the two names that macOS gives a line (``/dev/tty.…``,
    ``/dev/cu.…``) it is the second."""
    if "://" in name:
        return name
    if match := _WINDOWS_NAME.fullmatch(name):
        return match[1].upper()
    return _outgoing(os.path.realpath(name))


def _outgoing(name: str) -> str:
    """Of the two devices that macOS has for a line, the one that does not wait for a carrier."""
    return re.sub(r"^/dev/tty\.", "/dev/cu.", name)


def _identity(name: str) -> str:
    """What a port is, whatever it is called: the number of its device. Pseudo-terminals have the
    same numbers in each container that has its own, and are told apart by their file system."""
    if "://" in name:
        return name
    try:
        found = os.stat(_outgoing(name))  # noqa: PTH116 - it may be a descriptor in /proc
    except (OSError, ValueError):
        return canonical(name)
    if not stat.S_ISCHR(found.st_mode):
        return canonical(name)
    major, minor = os.major(found.st_rdev), os.minor(found.st_rdev)
    where = f" of {found.st_dev}" if major in _PSEUDO_TERMINALS else ""
    return f"character device {major}:{minor}{where}"


def _foreign_holder(name: str) -> str | None:
    """Another process that reads a real serial device would take half of its bytes. The other end
    of a pseudo-terminal is no such case: whoever made it may keep both ends open."""
    device = os.path.realpath(name)
    if "://" in name or not re.match(r"/dev/(?!pts/)", device) or not Path(device).exists():
        return None
    return holder_of(name, but_children=True) or None


def _processes(but_children: bool) -> list[Path]:
    me = os.getpid()
    try:
        found = [entry for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    except OSError:
        return []
    if but_children:
        return [entry for entry in found if not _descends_from(entry, me)]
    return [entry for entry in found if int(entry.name) != me]


def _descends_from(entry: Path, ancestor: int) -> bool:
    for _ in range(64):
        if int(entry.name) == ancestor:
            return True
        try:
            stat = (entry / "stat").read_text("utf-8", "replace")
            parent = int(stat.rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            return False
        if parent <= 1:
            return False
        entry = entry.parent / str(parent)
    return False


def _describe(entry: Path) -> str:
    try:
        command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        command = ""
    command = printable(command.strip())
    return f"process {entry.name}" + (f" ({_clip(command)})" if command else "")


def _own_command() -> str:
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker:  # its command is `python -c`, which tells nobody anything
        return _clip(f"worker {worker} of pytest-xdist")
    return _clip(" ".join([sys.executable, *sys.argv]))


def _own_folder() -> Path:
    """A folder that only this user can write to. OSError if the one of that name is another's:
    in a shared folder anybody can put a link where a lock is expected."""
    if not hasattr(os, "getuid"):
        return Path(tempfile.gettempdir())  # of Windows, which is each user's own
    folder = Path(tempfile.gettempdir()) / f"pytest-tflm-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise PermissionError(f"{folder} is accessible to other users")
    return folder


def _lock_name(name: str) -> str:
    readable = re.sub(r"[^A-Za-z0-9]+", "-", canonical(name)).strip("-")[-40:]
    digest = hashlib.sha256(_identity(name).encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return f"pytest-tflm-{readable}-{digest}.lock"


def _read_owner(owner: Path) -> str:
    try:
        found = json.loads(owner.read_text("utf-8"))
        return f"process {int(found['pid'])} ({_clip(printable(str(found['command'])))})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another run of pytest-tflm"


def _clip(command: str) -> str:
    return command if len(command) <= _SHOWN_COMMAND else command[: _SHOWN_COMMAND - 2] + " …"
