"""Resetting a board by the control lines of its serial port, as the circuit of an ESP32 has it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pytest_tflm.errors import PortFailed
from pytest_tflm.link.port import check_port
from pytest_tflm.link.portlock import PortLock

if TYPE_CHECKING:
    from pytest_tflm.link.ports import FoundPort

_BAUD = 115200
"""Never 1200: opening a native-USB Arduino at that rate starts its bootloader."""
_PULSE = 0.1
"""Seconds that the chip is held in reset."""
_SCHEMES = ("rfc2217",)
"""URLs of pyserial's that carry the control lines."""


def has_reset_lines(port: str, found: tuple[FoundPort, ...]) -> bool:
    """Whether ``port`` is one behind which RTS may reset the chip: a USB bridge or Espressif's own
    USB, of the ports ``found`` on this machine; or a port of RFC 2217. A native-USB Arduino has no
    such line, and what is no USB device is left alone."""
    if "://" in port:
        return port.partition("://")[0] in _SCHEMES
    device = os.path.realpath(port)
    known = [each for each in found if each.device in (port, device)]
    return any(each.board == "esp32" or (each.usb and not each.board) for each in known)


def reset_by_lines(port: str, wait: Callable[[float], None] = time.sleep) -> None:
    """Reset the chip behind a closed port: RTS pulls its enable pin low for 0.1 s, and DTR stays
    off, so that it starts its program and not its boot loader. Raises PortNotFound, PortBusy or
    PortFailed."""
    import serial

    check_port(port)
    lock = PortLock.take(port)
    try:
        device: Any = serial.serial_for_url(port, do_not_open=True, baudrate=_BAUD)
        device.dtr, device.rts = False, False
        device.open()
        try:
            device.rts = True
            device.dtr = device.dtr  # some drivers of Windows send RTS with DTR alone
            wait(_PULSE)
            device.rts = False
            device.dtr = device.dtr
        finally:
            device.close()
    except (OSError, ValueError) as error:
        raise PortFailed(f"{port} cannot be reset by its control lines: {error}") from error
    finally:
        if lock is not None:
            lock.release()
