"""A port: a serial device, or a socket that stands for one. pyserial opens it."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import socket
import stat
from pathlib import Path
from typing import Any

from pytest_tflm.errors import (
    PortBusy,
    PortFailed,
    PortNotFound,
    PortVanished,
    SettingsError,
    TflmError,
)
from pytest_tflm.link.portlock import PortLock, canonical, holder_of
from pytest_tflm.printable import printable
from pytest_tflm.ready import ready

_BOOTLOADER_BAUD = 1200
_LONGEST_NAME = 1024
_SCHEMES = ("socket", "rfc2217", "loop")
"""Of pyserial's, those that reach a board; ``loop`` is for tests."""
_SHOWN_PORTS = 6
_WRITE_AT_ONCE = 4096
_READ_AT_ONCE = 65536
_POSIX = os.name == "posix"
_SHORT_WAIT = 0.01
"""Seconds that one read waits where the operating system cannot wait for a port."""
_WRITE_WAIT = 1.0
"""Seconds that one write waits there: a USB board that hangs takes no byte, and Windows would wait
for ever."""
_NO_UART = re.compile(r"/pts/|ttyACM|usbmodem|^socket:|^loop:", re.IGNORECASE)
"""Ports on which the baud rate says nothing about their speed."""
_WINDOWS_ERROR = re.compile(r"Error\((\d+), ")
"""pyserial has the system's error only as text there: ``could not open port 'COM3':
FileNotFoundError(2, 'The system cannot find the file specified.', None, 2)``."""
_NOT_THERE = {errno.ENOENT, errno.ENXIO, errno.ENODEV, errno.ENOTDIR}
_NOBODY = {errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ETIMEDOUT}


class Port:
    """An open port. Use :func:`open_port`."""

    def __init__(
        self, name: str, device: Any, baud: int, lock: PortLock | None, is_uart: bool = False
    ) -> None:
        self.name = name
        self.line_baud = None if _NO_UART.search(canonical(name)) and not is_uart else baud
        """Bits per second of the line, None where it is not a UART."""
        self._device = device
        self._lock = lock
        self._fd = _descriptor(device)

    def exchange(self, out: bytes, timeout: float) -> tuple[int, bytes]:
        """Write what can be written of ``out`` and read what has come, waiting at most ``timeout``
        seconds until one of the two is possible.

        Returns how many bytes were written, and those read. Raises PortVanished when the port is
        gone, PortFailed for any other trouble.
        """
        try:
            if self._fd is not None:
                return self._exchange_ready(self._fd, out, timeout)
            return self._exchange_blocking(out, timeout)
        except TflmError:
            raise
        except (OSError, ValueError, TypeError, AttributeError) as error:
            # A device that was closed under its reader gives the last two in pyserial.
            raise self._gone(error) from error

    def _exchange_ready(self, fd: int, out: bytes, timeout: float) -> tuple[int, bytes]:
        readable, writable = ready([fd], [fd] if out else [], timeout)
        written, data = 0, b""
        with contextlib.suppress(BlockingIOError):
            if readable:
                data = os.read(fd, _READ_AT_ONCE)
                if not data:  # ready, and nothing there: the end of it
                    raise PortVanished(f"{self.name} is gone: it was closed at the other end")
        with contextlib.suppress(BlockingIOError):
            if writable:
                try:
                    written = os.write(fd, out[:_WRITE_AT_ONCE])
                except OSError:
                    # A port that vanished has its last words still to be read; the next call fails.
                    data = data or self._last_words(fd)
                    if not data:
                        raise
        return written, data

    @staticmethod
    def _last_words(fd: int) -> bytes:
        with contextlib.suppress(OSError):
            if ready([fd], [], 0)[0]:
                return os.read(fd, _READ_AT_ONCE)
        return b""

    def _exchange_blocking(self, out: bytes, timeout: float) -> tuple[int, bytes]:
        from serial import SerialTimeoutException

        written = 0
        if out:
            # What went out before the time was up is not told, and is sent again: a damaged frame.
            with contextlib.suppress(SerialTimeoutException):
                # Small, so that what comes meanwhile is read before the buffers behind are full.
                written = self._device.write(out[:512]) or 0
        waiting = self._device.in_waiting
        if waiting:
            return written, bytes(self._device.read(waiting))
        if timeout > 0 and not written:
            return written, bytes(self._device.read(1))
        return written, b""

    def _gone(self, error: Exception) -> TflmError:
        number = getattr(error, "errno", None)
        if number in (errno.EACCES, errno.EPERM, errno.EINVAL):
            return PortFailed(f"{self.name} cannot be read or written: {error}")
        return PortVanished(
            f"{self.name} is gone ({error}): the board was unplugged or restarted, or the process"
            " behind the port ended"
        )

    def set_baud(self, baud: int) -> None:
        """Send and listen at ``baud`` bits per second from now on. Raises PortFailed where the port
        cannot, and goes on as it was."""
        try:
            self._device.baudrate = baud
        except (OSError, ValueError, TypeError, AttributeError, NotImplementedError) as error:
            with contextlib.suppress(Exception):
                self._device.baudrate = self.line_baud
            raise PortFailed(f"{self.name} cannot be set to {baud} baud: {error}") from error
        self.line_baud = baud

    def close(self) -> None:
        """Release the port, at once: what was not sent yet is dropped. May be called twice."""
        device, self._device = self._device, None
        lock, self._lock = self._lock, None
        try:
            if device is not None:
                # A port that vanished can be neither flushed nor closed properly, nor need it be.
                with contextlib.suppress(Exception):
                    device.reset_output_buffer()  # or the kernel waits until all is sent
                with contextlib.suppress(Exception):
                    device.close()
        finally:
            if lock is not None:
                lock.release()


def open_port(
    name: str, *, baud: int = 115200, dtr: bool = True, rts: bool = True, is_uart: bool = False
) -> Port:
    """Open a port: a device's path, ``socket://host:port``, ``rfc2217://host:port``, ``loop://``.

    ``dtr`` and ``rts`` are set before the port is opened: native USB boards neither send nor
    receive without DTR, and an ESP32 is not reset when both are set. ``is_uart``: the rate says how
    fast it is, though its name does not look like that.

    Raises SettingsError (the name or baud rate makes no sense; 1200 starts the bootloader of many
    boards), PortNotFound, PortBusy (by whom, where the system tells) or PortFailed.
    """
    check_baud(baud)
    check_port(name)
    import serial

    try:
        device = serial.serial_for_url(name, do_not_open=True, baudrate=baud)
        device.timeout = _SHORT_WAIT
        device.dtr, device.rts = dtr, rts
    except (ValueError, serial.SerialException) as error:
        raise SettingsError(f"port {name!r}: {error}") from error
    if not _POSIX:
        device.write_timeout = _WRITE_WAIT
    elif "://" not in name:
        device.exclusive = True
    lock = None if name.startswith("loop:") else PortLock.take(name)
    try:
        device.open()
        _low_latency(device)
        return Port(name, device, baud, lock, is_uart)
    except BaseException as error:
        if lock is not None:
            lock.release()
        if isinstance(error, OSError | ValueError):
            raise _why_not_open(name, error) from error
        raise


def check_port(name: str) -> None:
    """What can be told of a port without opening it: SettingsError for a name that cannot be one or
    a scheme that is not documented (some of pyserial's import modules or write files), PortFailed
    for a device of another kind, PortNotFound for a path that leads to nothing."""
    if len(name) > _LONGEST_NAME:
        raise SettingsError(f"port {printable(name, 40)!r}: a name of {len(name)} characters")
    if not name.isprintable():
        raise SettingsError(f"port {printable(name)!r}: a name with control characters")
    scheme, is_url, rest = name.partition("://")
    if is_url and scheme not in _SCHEMES:
        raise SettingsError(
            f"port {name!r}: unknown scheme {scheme}://. Use the path of a device, "
            f"{', '.join(f'{each}://HOST:PORT' for each in _SCHEMES[:-1])}"
        )
    if is_url and scheme != "loop":
        host, _, number = rest.partition("?")[0].partition("/")[0].rpartition(":")
        if not host or not number.isdecimal() or not 1 <= int(number) <= 65535:
            raise SettingsError(
                f"port {name!r}: write {scheme}://HOST:PORT with a port from 1 to 65535"
            )
    if not is_url and (kind := _other_kind(name)):
        raise PortFailed(f"{name} is not a serial port but a device of kind {kind!r}")
    if not is_url and _POSIX and not os.path.lexists(name):
        raise _not_there(name)


def _other_kind(name: str) -> str:
    """The kernel's name for what a device is, if it is no terminal: ``mem`` for /dev/null."""
    try:
        found = Path(name).stat()
        if not stat.S_ISCHR(found.st_mode):
            return ""
        number = f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"
        kind = Path(f"/sys/dev/char/{number}/subsystem").resolve(strict=True).name
    except (OSError, ValueError, AttributeError):
        return ""  # not Linux, or a pseudo-terminal
    return "" if kind == "tty" else kind


def check_baud(baud: int) -> None:
    """SettingsError for a baud rate that must not or cannot be used."""
    if baud == _BOOTLOADER_BAUD:
        raise SettingsError(
            "1200 baud starts the bootloader of many boards instead of talking to them: use"
            " another rate, such as 115200"
        )
    if baud <= 0:
        raise SettingsError(f"a baud rate is a positive number, not {baud}")


def _descriptor(device: Any) -> int | None:
    """The file descriptor to wait for, where there is one that can be read and written as such."""
    if not _POSIX:
        return None
    try:
        return int(device.fileno())
    except Exception:
        return None  # loop:// and rfc2217:// have none


def _low_latency(device: Any) -> None:
    # Not every driver and system has it, and it works without.
    with contextlib.suppress(Exception):
        device.set_low_latency_mode(True)  # FTDI: answers at once instead of after 16 ms


def _why_not_open(name: str, error: Exception) -> TflmError:
    cause = error.__context__ if error.__context__ is not None else error
    number = getattr(error, "errno", None) or getattr(cause, "errno", None)
    if not number and (told := _WINDOWS_ERROR.search(str(error))):
        number = int(told[1])
        if number == errno.EACCES:
            return PortBusy(
                f"{name} is in use by another program (Windows does not say which). Close serial"
                " monitors, such as that of the Arduino IDE"
            )
    if "://" in name:
        if number in _NOBODY or isinstance(cause, socket.gaierror | TimeoutError):
            return PortNotFound(f"no program listens at {name}: {cause}")
        if "option 'control'" in str(error):  # of pyserial's RFC 2217
            other = f"{name}{'&' if '?' in name else '?'}ign_set_control"
            return PortFailed(f"{name}: its server does not confirm DTR and RTS. Use {other}")
        return PortFailed(f"{name} cannot be opened: {error}")
    if number in _NOT_THERE:
        return _not_there(name)
    if number in (errno.EBUSY, errno.EAGAIN) or "exclusively lock" in str(error):
        holder = holder_of(name)
        return PortBusy(f"{name} is in use" + (f" by {holder}" if holder else ""))
    if number in (errno.EACCES, errno.EPERM):
        return PortFailed(
            f"no permission to open {name}: on most Linux systems, add yourself to the group"
            f" {_group_of(name)} (sudo usermod -aG {_group_of(name)} $USER) and log in again"
        )
    if number in (errno.ENOTTY, errno.EISDIR) or not _is_device(name):
        return PortFailed(
            f"{name} is not a serial port. Give the board's port: pytest-tflm ports lists them"
        )
    return PortFailed(f"{name} cannot be opened: {error}")


def _not_there(name: str) -> PortNotFound:
    return PortNotFound(f"there is no port {name}. {_existing_ports()}")


def _existing_ports() -> str:
    """A sentence that names the serial ports there are, and the one that is always there."""
    from serial.tools import list_ports

    names = sorted(port.device for port in list_ports.comports())
    if not names:
        return "No serial port was found on this machine; 'sim' runs the simulator"
    more = f" and {len(names) - _SHOWN_PORTS} more" if len(names) > _SHOWN_PORTS else ""
    return f"There are {', '.join(names[:_SHOWN_PORTS])}{more}; 'sim' runs the simulator"


def _is_device(name: str) -> bool:
    return not _POSIX or Path(name).is_char_device()


def _group_of(name: str) -> str:
    try:
        group = Path(name).group()
    except (OSError, KeyError, NotImplementedError):
        return "dialout"
    return "dialout" if group == "root" else group
