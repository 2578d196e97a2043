"""The serial ports of this machine: which boards they may be, and who answers at them.

One policy of the control lines serves all boards (:func:`~pytest_tflm.link.port.open_port`): DTR
and RTS are both set before the port is opened. A Nano 33 BLE neither sends nor receives without
DTR; an ESP32's circuit resets it when the two differ, and does nothing when they are equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_tflm.errors import PortNotFound, SettingsError, TflmError
from pytest_tflm.link.connection import Connection

if TYPE_CHECKING:
    from pytest_tflm.link.entries import BoardIdentity

AUTO = "auto"
"""What ``--tflm-port`` says to mean the one board that answers."""

_ASK_SECONDS = 3.0
"""Seconds to wait for each port. A board that is computing answers when it is done: too late."""

_BRIDGE = "USB bridge"


@dataclass(frozen=True)
class _Kind:
    board: str
    title: str
    can_answer: bool = True


_NANO33 = _Kind("nano33", "Arduino Nano 33 BLE")
_KINDS = {
    (0x2341, 0x805A): _NANO33,
    (0x2341, 0x015A): _NANO33,
    (0x2341, 0x025A): _NANO33,
    (0x2341, 0x005A): _Kind("nano33", "Arduino Nano 33 BLE, in its bootloader", can_answer=False),
    (0x303A, 0x1001): _Kind("esp32", "ESP32, USB Serial/JTAG"),
    (0x10C4, 0xEA60): _Kind("", f"{_BRIDGE} CP210x, on many ESP32 boards"),
    (0x1A86, 0x7523): _Kind("", f"{_BRIDGE} CH340, on many ESP32 boards"),
    (0x1A86, 0x55D4): _Kind("", f"{_BRIDGE} CH9102, on many ESP32 boards"),
    (0x0403, 0x6001): _Kind("", f"{_BRIDGE} FT232"),
    (0x0403, 0x6010): _Kind("", f"{_BRIDGE} FT2232, on many ESP32 boards"),
    (0x0403, 0x6015): _Kind("", f"{_BRIDGE} FT231X"),
}
"""By USB vendor and product id. Of the boards with firmware only the Nano's and Espressif's own
are sure; a bridge says nothing of the chip behind it."""


@dataclass(frozen=True)
class FoundPort:
    """A serial port. ``board`` is what its USB ids are sure to be (``nano33``), else empty;
    ``title`` is for people; ``usb`` is ``2341:805a``, empty where it is no USB device."""

    device: str
    board: str
    title: str
    usb: str
    serial_number: str
    can_answer: bool


@dataclass(frozen=True)
class Answer:
    """What asking a port gave: who is there, or why nobody is."""

    port: FoundPort
    identity: BoardIdentity | None
    error: str = ""

    def describe(self) -> str:
        """One line: ``/dev/ttyACM0: nano33, pytest-tflm-core 0.1.0``."""
        if self.identity is None:
            return (
                self.error
                if self.error.startswith(self.port.device)
                else (f"{self.port.device}: {self.error}")
            )
        number = f", serial number {self.port.serial_number}" if self.port.serial_number else ""
        return f"{self.port.device}: {self.identity.describe()}{number}"


def found_ports(comports: Callable[[], Iterable[Any]] | None = None) -> tuple[FoundPort, ...]:
    """The serial ports that pyserial lists (or ``comports``), sorted by name."""
    if comports is None:
        from serial.tools import list_ports

        comports = list_ports.comports
    return tuple(sorted((_found(port) for port in comports()), key=lambda port: port.device))


def _found(port: Any) -> FoundPort:
    if port.vid is None:
        return FoundPort(port.device, "", _text(port.description), "", "", can_answer=False)
    kind = _KINDS.get((port.vid, port.pid)) or _Kind("", _text(port.description))
    usb = f"{port.vid:04x}:{port.pid:04x}"
    number = _text(port.serial_number)
    return FoundPort(port.device, kind.board, kind.title, usb, number, kind.can_answer)


def _text(value: Any) -> str:
    return str(value) if value and value != "n/a" else ""


def ask(port: FoundPort, *, baud: int = 115200, timeout: float = _ASK_SECONDS) -> Answer:
    """Open a port and greet whoever is there. Ports that are no USB device, and bootloaders, are
    not asked: what is sent to them might do something."""
    if not port.can_answer:
        why = "is not asked: it is in its bootloader" if port.usb else "is not asked: no USB device"
        return Answer(port, None, why)
    try:
        connection = Connection.open(port.device, baud=baud, timeout=timeout)
    except TflmError as error:
        return Answer(port, None, str(error).splitlines()[0])
    connection.close()
    return Answer(port, connection.identity)


def ask_all(
    ports: Sequence[FoundPort], *, baud: int = 115200, timeout: float = _ASK_SECONDS
) -> list[Answer]:
    """Ask all ports at a time. The answers are in the order of the ports."""
    if not ports:
        return []
    with ThreadPoolExecutor(len(ports)) as pool:
        return list(pool.map(lambda port: ask(port, baud=baud, timeout=timeout), ports))


def the_board(*, baud: int = 115200, timeout: float = _ASK_SECONDS) -> str:
    """The port of the one board that answers.

    Raises PortNotFound if none does, saying what each port gave, and SettingsError if several do.
    """
    answers = ask_all(found_ports(), baud=baud, timeout=timeout)
    boards = [answer for answer in answers if answer.identity is not None]
    if len(boards) == 1:
        return boards[0].port.device
    if boards:
        shown = "; ".join(answer.describe() for answer in boards)
        raise SettingsError(f"{AUTO}: {len(boards)} boards answer. Name one of them: {shown}")
    if not answers:
        raise PortNotFound(
            f"{AUTO}: no serial port was found on this machine; 'sim' runs the simulator"
        )
    shown = "; ".join(answer.describe() for answer in answers)
    raise PortNotFound(f"{AUTO}: no board answers at {baud} baud. {shown}")
