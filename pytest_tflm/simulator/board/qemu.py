"""The emulated board: an image of firmware/mps2_an386 in QEMU, with its UART as a port."""

from __future__ import annotations

import shutil
from pathlib import Path
from zlib import crc32

from pytest_tflm.errors import InterpreterMissing, PortFailed, PortNotFound, SettingsError
from pytest_tflm.simulator.board.qemu_process import QemuProcess
from pytest_tflm.simulator.board.shared_line import SharedLine

PREFIX = "qemu:"
"""What ``--tflm-port`` begins with to mean an emulated board; the image's path follows, and perhaps
``?defect=NAME``."""

DEFECTS = {
    "zeros": "all outputs are code 0",
    "constant": "all outputs are at their zero point",
    "output-stale": "outputs are the previous run's",
    "drift": "outputs are one LSB higher with each run after the first",
    "random": "in about every other run, the lowest bit of one output element is flipped",
    "saturation": "outputs are clipped to -64 … 63",
    "input-stale": "Invoke uses the previous run's inputs",
    "input-truncated": "the last 50 bytes of the input (at most half of it) stay zero",
    "state-kept": "the model's state is not reset",
    "weight-changed": "64 bytes of the model's largest constant change after its CRC was taken",
    "fault": "Invoke reads through a null pointer",
}
"""What ``?defect=NAME`` knows, and what each does: in firmware/mps2_an386/defects.cpp, around the
engine. Neither the firmware core nor TFLM is touched, and an image does none of it unasked."""

_DEFECT_ADDRESS = 0x203FFFF0
"""Where the image looks for what it is asked for (``__defect`` in link.ld)."""

_PROGRAM = "qemu-system-arm"
_MACHINE = "mps2-an386"
_START_SECONDS = 10.0
_ARM = b"\x28\x00"
"""An ELF file's machine, at offset 18."""


class EmulatedBoard(QemuProcess):
    """A running QEMU; ``image`` is what it executes, ``defect`` what it does wrong if anything."""

    def __init__(self, image: Path, program: str, defect: str = "") -> None:
        self.image = image
        self.defect = defect
        self._line = SharedLine()
        arguments = ["-M", _MACHINE, "-kernel", str(image), *self._line.arguments()]
        if defect:
            arguments += ["-device", _loader(defect)]
        try:
            super().__init__(program, arguments, self._line.descriptors)
        except PortFailed:
            self._line.close()
            raise
        self._line.inherited()
        host, number = self._line.address
        self.port = f"socket://{host}:{number}"
        try:
            self._wait_for_start()
            self._line.serve()
        except BaseException:
            self.close()
            raise

    def _wait_for_start(self) -> None:
        """Until the image has said the first zero: an UART that is not switched on yet loses what
        it is sent. An image that is asked for a defect says its name behind that zero."""
        expected = b"\0defect: " + self.defect.encode() + b"\0" if self.defect else b"\0"
        said = b""
        patience = 0.0
        try:
            said = self._line.first_bytes(len(expected), _START_SECONDS)
            if said.startswith(expected):
                return
            patience = 0.0 if said else 1.0  # it is about to end
        except TimeoutError:
            pass
        except OSError:
            patience = 1.0
        ended = self.exit_description(patience)
        if said and not ended:
            raise PortFailed(
                f"{self.image} does not support the defect {self.defect}: build the image again"
            )
        raise PortFailed(
            f"{self.image} did not start: QEMU {ended}"
            if ended
            else f"{self.image} did not start: its UART sent nothing for {_START_SECONDS:g} s."
            " Is it an image of firmware/mps2_an386?"
        )

    def _ask_to_end(self) -> None:
        super()._ask_to_end()
        self._line.close()


def _loader(defect: str) -> str:
    """The value of QEMU's ``-device`` that leaves the wish for a defect in the board's memory."""
    return f"loader,addr={_DEFECT_ADDRESS:#x},data={crc32(defect.encode()):#x},data-len=4"


def start(port: str) -> EmulatedBoard:
    """Start QEMU with the image that ``port`` (``qemu:PATH.elf`` or ``qemu:PATH.elf?defect=NAME``)
    names.

    Raises PortNotFound without the image, PortFailed if it is none for this processor, does not
    know the defect, or QEMU cannot be started, InterpreterMissing without QEMU, SettingsError for
    what is asked of it and nobody knows.
    """
    path, defect = _parse(port)
    image = Path(path).expanduser()
    if not image.is_file():
        what = "is not a file" if image.exists() else "does not exist"
        raise PortNotFound(
            f"{port}: the image {str(image)!r} {what}. firmware/README.md says how to make one."
        )
    try:
        with image.open("rb") as file:
            head = file.read(20)
    except OSError as error:
        raise PortFailed(f"{port}: the image cannot be read: {error}") from error
    if head[:5] != b"\x7fELF\x01" or head[18:20] != _ARM:
        raise PortFailed(f"{port}: not a 32-bit ELF image for Arm")
    program = shutil.which(_PROGRAM)
    if program is None:
        raise InterpreterMissing(
            f"{port} needs {_PROGRAM}, which is not installed or not in PATH. On Debian and Ubuntu"
            f" it is in the package {_PROGRAM}: apt install {_PROGRAM}"
        )
    return EmulatedBoard(image, program, defect)


def _parse(port: str) -> tuple[str, str]:
    """The image's path, and the name of the defect or nothing."""
    path, asked, rest = port.removeprefix(PREFIX).partition("?")
    key, equals, defect = rest.partition("=")
    if not asked:
        return path, ""
    if key != "defect" or not equals:
        raise SettingsError(f"{port}: an emulated board supports only ?defect=NAME, not {rest!r}")
    if defect not in DEFECTS:
        names = ", ".join(DEFECTS)
        raise SettingsError(f"{port}: unknown defect {defect!r}. Known defects: {names}")
    return path, defect
