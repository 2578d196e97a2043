"""Lists of serial ports as pyserial gives them, for tests without any."""

from __future__ import annotations

from serial.tools.list_ports_common import ListPortInfo


def usb_port(
    device: str, vid: int = 0x2341, pid: int = 0x805A, serial_number: str | None = None
) -> ListPortInfo:
    """A port of a USB device; a Nano 33 BLE unless said otherwise."""
    port = ListPortInfo(device, skip_link_detection=True)
    port.vid, port.pid, port.serial_number = vid, pid, serial_number
    return port


def plain_port(device: str) -> ListPortInfo:
    """A port that is no USB device."""
    return ListPortInfo(device, skip_link_detection=True)
