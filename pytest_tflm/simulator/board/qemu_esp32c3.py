"""An emulated ESP32-C3: a flash image of firmware/esp32_idf in Espressif's QEMU, from the chip's
ROM on. Its UART 0 is the port."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from pytest_tflm.errors import InterpreterMissing, PortFailed, PortNotFound
from pytest_tflm.printable import printable
from pytest_tflm.simulator.board.qemu_process import QemuProcess

PREFIX = "qemu-esp32c3:"
"""What ``--tflm-port`` begins with to mean an emulated ESP32-C3; the flash image's path follows."""

_PROGRAM = "qemu-system-riscv32"
_MACHINE = "esp32c3"
_INSTALL = (
    "Espressif's QEMU has it: $IDF_PATH/tools/idf_tools.py install qemu-riscv32, then"
    " . $IDF_PATH/export.sh"
)
_MERGE = (
    "Make one in the project's build directory:"
    " esptool.py --chip esp32c3 merge_bin --fill-flash-size 4MB -o flash.bin @flash_args"
)
_START_SECONDS = 30.0
_ASK_SECONDS = 30.0
_FLASH_SIZES = tuple(megabytes << 20 for megabytes in (2, 4, 8, 16))
"""Bytes of the flash chips that QEMU's machine knows."""

_IMAGE_MAGIC = 0xE9
_CHIP_AT = slice(12, 14)
_CHIPS = {
    0: "ESP32",
    2: "ESP32-S2",
    5: "ESP32-C3",
    9: "ESP32-S3",
    12: "ESP32-C2",
    13: "ESP32-C6",
    16: "ESP32-H2",
}
"""The chip ids of an image's header (esp_image_format.h)."""
_C3 = 5
_EFUSES = bytes(38) + b"\x0c" + bytes(985)
"""A chip of revision 0.3, the oldest that ESP-IDF's bootloader accepts unless it is told to."""


class EmulatedEsp32C3(QemuProcess):
    """A running QEMU; ``image`` is its flash, which it does not change."""

    def __init__(self, image: Path, program: str) -> None:
        self.image = image
        self._efuses = tempfile.NamedTemporaryFile(prefix="efuses-", suffix=".bin")  # noqa: SIM115
        self._efuses.write(_EFUSES)
        self._efuses.flush()
        # QEMU inherits a socket that listens: no other program can take the number in between.
        with socket.create_server(("127.0.0.1", 0)) as server:
            address: tuple[str, int] = server.getsockname()
            number = server.fileno()
            try:
                super().__init__(
                    program,
                    [
                        *("-M", _MACHINE),
                        *("-drive", f"{_file(image)},if=mtd,format=raw,snapshot=on"),
                        *(
                            "-drive",
                            f"{_file(Path(self._efuses.name))},if=none,format=raw,id=efuse",
                        ),
                        *("-global", "driver=nvram.esp32c3.efuse,property=drive,value=efuse"),
                        # Emulated time stands still while this machine does other things.
                        *("-global", "driver=timer.esp32c3.timg,property=wdt_disable,value=true"),
                        *("-chardev", f"socket,id=uart0,fd={number},server=on,wait=off"),
                        *("-serial", "chardev:uart0"),
                    ],
                    [number],
                )
            except PortFailed:
                self._efuses.close()
                raise
        self.port = f"socket://{address[0]}:{address[1]}"
        try:
            self._wait_for_rom(address)
        except BaseException:
            self.close()
            raise

    def _wait_for_rom(self, address: tuple[str, int]) -> None:
        """Until the chip's ROM says its first word."""
        deadline = time.monotonic() + _START_SECONDS
        said = b""
        with (
            contextlib.suppress(OSError),
            socket.create_connection(address, _START_SECONDS) as uart,
        ):
            uart.settimeout(max(0.1, deadline - time.monotonic()))
            said = uart.recv(1)
        if said:
            return
        ended = self.exit_description(1.0)
        raise PortFailed(
            f"{self.image} did not start: QEMU {printable(ended)}"
            if ended
            else f"{self.image} did not start: the chip's ROM said nothing in {_START_SECONDS:g} s."
        )

    def _close_files(self) -> None:
        super()._close_files()
        self._efuses.close()


def start(port: str) -> EmulatedEsp32C3:
    """Start QEMU with the flash image that ``port`` (``qemu-esp32c3:IMAGE.bin``) names.

    Raises PortNotFound without the image, PortFailed if it is no whole flash of an ESP32-C3 or QEMU
    cannot be started, InterpreterMissing without a QEMU that has this chip.
    """
    image = Path(port.removeprefix(PREFIX)).expanduser()
    if not image.is_file():
        what = "is not a file" if image.exists() else "does not exist"
        raise PortNotFound(f"{printable(port)}: the image {what}. {_MERGE}")
    try:
        with image.open("rb") as file:
            head = file.read(24)
            size = file.seek(0, 2)
    except OSError as error:
        raise PortFailed(f"{printable(port)}: cannot read the image: {error}") from error
    _check_flash(printable(port), head, size)
    program = shutil.which(_PROGRAM)
    if program is None:
        raise InterpreterMissing(
            f"{printable(port)} needs {_PROGRAM} with the machine {_MACHINE}, and no {_PROGRAM} is"
            f" in PATH. {_INSTALL}"
        )
    if not _has_machine(program):
        raise InterpreterMissing(
            f"{printable(port)} needs the machine {_MACHINE}, which {program} does not have."
            f" {_INSTALL}"
        )
    return EmulatedEsp32C3(image, program)


def _check_flash(port: str, head: bytes, size: int) -> None:
    """Raises PortFailed unless a flash of ``size`` bytes that begins with ``head`` is a whole one
    of an ESP32-C3, with the bootloader at 0."""
    if len(head) < _CHIP_AT.stop or head[0] != _IMAGE_MAGIC:
        raise PortFailed(
            f"{port}: not a flash image: no ESP32-C3 bootloader at its start. {_MERGE}"
        )
    chip = int.from_bytes(head[_CHIP_AT], "little")
    if chip != _C3:
        name = _CHIPS.get(chip, f"chip with the id {chip}")
        raise PortFailed(f"{port}: this image is for the {name}, not for the ESP32-C3")
    if size not in _FLASH_SIZES:
        raise PortFailed(
            f"{port}: the image has {size} bytes, but a complete flash has 2, 4, 8 or 16 MB."
            f" {_MERGE}"
        )


def _has_machine(program: str) -> bool:
    """Whether this QEMU knows the chip. PortFailed if it cannot be asked."""
    try:
        told = subprocess.run(
            [program, "-machine", "help"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_ASK_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PortFailed(f"{program} cannot be started: {error}") from error
    return re.search(rf"^{_MACHINE}\s", told.stdout, re.MULTILINE) is not None


def _file(path: Path) -> str:
    """The file of a ``-drive``, where a comma ends a value."""
    return "file=" + str(path).replace(",", ",,")
