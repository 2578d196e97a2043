"""Building and flashing a project with the tools of its board's maker."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pytest_tflm.errors import PortNotFound, SettingsError
from pytest_tflm.link.ports import FoundPort, found_ports

if TYPE_CHECKING:
    from pytest_tflm.firmware.boards import Board

_FQBN = "arduino:mbed_nano:nano33ble"
_SET_UP = {
    "nano33": (
        "arduino-cli core install arduino:mbed_nano",
        "arduino-cli lib install Chirale_TensorFlowLite",
    ),
    "esp32": (". $IDF_PATH/export.sh",),
}
_TOOLS = {"nano33": "arduino-cli", "esp32": "idf.py"}
FLASHED = frozenset(_TOOLS)
"""The boards that this module can build and flash; the others' folders have a README."""


class Plan(NamedTuple):
    """The commands that build a project and bring it onto the board, and the tool they call.
    ``set_up`` is what is done once, before."""

    tool: str
    set_up: tuple[str, ...]
    commands: tuple[tuple[str, ...], ...]

    def lines(self) -> list[str]:
        """The commands as a shell takes them."""
        return [shlex.join(command) for command in self.commands]


def plan(board: Board, directory: Path, port: str | None) -> Plan:
    """What flashes the project in ``directory``. Raises SettingsError if there is none."""
    folder, core = directory / board.folder, directory / "core"
    if not (folder.is_dir() and core.is_dir()):
        raise SettingsError(
            f"{directory} contains no firmware for {board.name}. Write it first:"
            f" pytest-tflm firmware {board.name} -o DIR"
        )
    commands: tuple[tuple[str, ...], ...]
    if board.name == "nano33":
        compile_ = ("arduino-cli", "compile", "--fqbn", _FQBN, "--library", str(core), str(folder))
        upload = ("arduino-cli", "upload", "--fqbn", _FQBN, "--port", port or "PORT", str(folder))
        commands = (compile_, upload)
    elif board.name == "esp32":
        commands = (("idf.py", "-C", str(folder), *(("-p", port) if port else ()), "flash"),)
    elif board.name != "mps2":
        raise SettingsError(
            f"{board.title}: build and flash {folder} with your board's own tools;"
            f" {folder / 'README.md'} says how"
        )
    else:
        raise SettingsError(
            f"{board.name} is emulated; nothing to flash: make -C {folder} TFLM_LIB=…"
            f" TFLM_INCLUDE=…, then pytest --tflm-port=qemu:{folder}/build/pytest_tflm.elf"
        )
    return Plan(_TOOLS[board.name], _SET_UP[board.name], commands)


def port_to_flash(
    board: Board, ports: Callable[[], tuple[FoundPort, ...]] = found_ports
) -> str | None:
    """The one port that the board can be at; None if its tool finds it by itself.

    Raises PortNotFound for none, SettingsError for several.
    """
    if board.name != "nano33":
        return None
    found = [port.device for port in ports() if port.board == board.name]
    if not found:
        raise PortNotFound(
            f"no {board.title} was found at a USB port. Give --port, or press its button twice to"
            " start the bootloader"
        )
    if len(found) > 1:
        raise SettingsError(f"several boards could be flashed: give --port, of {', '.join(found)}")
    return found[0]


def is_there(tool: str) -> bool:
    """Whether the tool is in PATH."""
    return shutil.which(tool) is not None


def run(plan: Plan, show: Callable[[str], None]) -> int:
    """Run the commands, each shown first, until one fails. Gives the last one's exit status."""
    for command, line in zip(plan.commands, plan.lines(), strict=True):
        show(f"+ {line}")
        status = subprocess.run(command, check=False).returncode
        if status:
            return status
    return 0
