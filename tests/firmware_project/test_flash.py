"""Flashing: which commands, with which port, and what comes of their failure."""

from __future__ import annotations

import pytest
from port_lists import usb_port

from pytest_tflm.errors import PortNotFound, SettingsError
from pytest_tflm.firmware import flash
from pytest_tflm.firmware.boards import board_named
from pytest_tflm.firmware.project import write_project
from pytest_tflm.link.ports import found_ports


@pytest.fixture
def project(tmp_path):
    def write(name):
        write_project(board_named(name), tmp_path / name)
        return tmp_path / name

    return write


def test_the_nano_is_compiled_with_the_core_as_a_library_and_uploaded(project):
    directory = project("nano33")
    plan = flash.plan(board_named("nano33"), directory, "/dev/ttyACM7")
    assert plan.tool == "arduino-cli"
    fqbn = "--fqbn arduino:mbed_nano:nano33ble"
    assert plan.lines() == [
        f"arduino-cli compile {fqbn} --library {directory}/core {directory}/arduino_nano33",
        f"arduino-cli upload {fqbn} --port /dev/ttyACM7 {directory}/arduino_nano33",
    ]
    assert "arduino-cli lib install Chirale_TensorFlowLite" in plan.set_up


def test_the_esp32_is_flashed_by_idf_which_finds_its_port(project):
    directory = project("esp32")
    board = board_named("esp32")
    assert flash.plan(board, directory, None).lines() == [f"idf.py -C {directory}/esp32_idf flash"]
    assert flash.plan(board, directory, "P").lines() == [
        f"idf.py -C {directory}/esp32_idf -p P flash"
    ]
    assert flash.port_to_flash(board) is None


@pytest.mark.parametrize("name", ["arduino", "zephyr", "pico", "stm32"])
def test_a_board_with_tools_of_its_own(project, name):
    board = board_named(name)
    directory = project(name)
    with pytest.raises(SettingsError, match=f"{board.folder}/README.md says how"):
        flash.plan(board, directory, None)
    assert (directory / board.folder / "README.md").is_file()


def test_the_emulated_board_needs_no_flashing(project):
    with pytest.raises(SettingsError, match="emulated; nothing to flash: make -C"):
        flash.plan(board_named("mps2"), project("mps2"), None)


def test_a_directory_without_the_boards_project(project):
    with pytest.raises(SettingsError, match=r"no firmware for esp32.*pytest-tflm firmware esp32"):
        flash.plan(board_named("esp32"), project("nano33"), None)


def test_the_port_of_the_only_nano_is_found_also_in_its_bootloader():
    nano, other = usb_port("/dev/ttyACM0"), usb_port("/dev/ttyUSB0", 0x10C4, 0xEA60)
    loader = usb_port("/dev/ttyACM1", 0x2341, 0x005A)
    board = board_named("nano33")

    def port(*ports):
        return flash.port_to_flash(board, lambda: found_ports(lambda: ports))

    assert port(nano, other) == "/dev/ttyACM0"
    assert port(other, loader) == "/dev/ttyACM1"
    with pytest.raises(PortNotFound, match="Give --port"):
        port(other)
    with pytest.raises(SettingsError, match="/dev/ttyACM0, /dev/ttyACM1"):
        port(nano, loader)


def test_commands_run_in_order_until_one_fails():
    said = []
    plan = flash.Plan("x", (), (("true",), ("sh", "-c", "exit 3"), ("true",)))
    assert flash.run(plan, said.append) == 3
    assert said == ["+ true", "+ sh -c 'exit 3'"]
    assert flash.run(flash.Plan("x", (), (("true",),)), said.append) == 0
