"""The boards that firmware comes for, and where its sources are."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from pytest_tflm.errors import SettingsError

_INSTALLED = Path(__file__).parent / "sources"  # put there by CMakeLists.txt
_CHECKOUT = Path(__file__).parents[2] / "firmware"


PROOFS = (
    "run on hardware",
    "run in an emulator",
    "linked",
    "run in an emulator without TFLM",
    "compiled",
    "not compiled",
)
"""What a board's program has been through, the most first; docs/boards.md has the dates."""


class Board(NamedTuple):
    """A board. ``folder`` is its program's in the sources and in a project, ``memory`` the bytes
    that its program has for a model and its arena unless one is compiled in, ``kernels`` what
    TFLM may compute with there (:data:`pytest_tflm.firmware.scratch.KERNELS`), ``proof`` one of
    :data:`PROOFS`."""

    name: str
    title: str
    folder: str
    memory: int
    kernels: tuple[str, ...]
    proof: str


_ARM = ("CMSIS-NN",)
_ANY_ARM = (*_ARM, "CMSIS-NN with MVE")
_ESP = ("ESP-NN", "ESP-NN of the ESP32-S3", "ESP-NN of the ESP32-P4")

BOARDS = {
    board.name: board
    for board in (
        Board(
            "nano33", "Arduino Nano 33 BLE (Sense)", "arduino_nano33", 160 * 1024, _ARM, "linked"
        ),
        Board(
            "esp32",
            "ESP32 and its successors, with ESP-IDF",
            "esp32_idf",
            100 * 1024,
            _ESP,
            "run in an emulator",
        ),
        Board(
            "arduino",
            "Any board with Arduino's Serial, RP2040 too",
            "arduino_serial",
            48 * 1024,
            (*_ANY_ARM, *_ESP),
            "run in an emulator",
        ),
        Board(
            "zephyr",
            "Any board that Zephyr supports",
            "zephyr_app",
            64 * 1024,
            _ANY_ARM,
            "run in an emulator without TFLM",
        ),
        Board(
            "pico",
            "Raspberry Pi Pico, with the Pico SDK",
            "pico_sdk",
            128 * 1024,
            _ARM,
            "compiled",
        ),
        Board(
            "stm32",
            "STM32, in a project of STM32CubeMX",
            "stm32_hal",
            64 * 1024,
            _ANY_ARM,
            "run in an emulator",
        ),
        Board(
            "mps2",
            "MPS2 AN386 (Cortex-M4F), emulated by QEMU",
            "mps2_an386",
            3900 * 1024,
            _ARM,
            "run in an emulator",
        ),
    )
}


def board_named(name: str) -> Board:
    """The board. SettingsError for one that there is no firmware for."""
    if name not in BOARDS:
        raise SettingsError(f"no firmware for {name!r}. Boards: {', '.join(BOARDS)}")
    return BOARDS[name]


def sources() -> Path:
    """The directory with ``core`` and a folder for each board: of the installed package, or of the
    checkout that it is imported from."""
    return _INSTALLED if _INSTALLED.is_dir() else _CHECKOUT
