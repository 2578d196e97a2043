"""The commands firmware, flash and ports, as a user types them."""

from __future__ import annotations

import os
import sys
import textwrap

import pytest

PROGRAM = "pytest_tflm"


def says(done, *parts):
    assert "Traceback" not in done.output
    for part in parts:
        assert part in done.output, done.output


def test_the_boards_are_listed(command):
    done = command.run(PROGRAM, "firmware", "--list")
    assert done.status == 0
    assert [line.split()[0] for line in done.output.splitlines()] == ["nano33", "esp32", "mps2"]


def test_a_project_with_a_model(command, tcn_dynamic):
    done = command.run(PROGRAM, "firmware", "nano33", "--model", tcn_dynamic, "-o", "fw")
    assert done.status == 0, done.output
    says(done, "SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND", "are margin", "pytest-tflm flash nano33")
    text = (command.directory / "fw/arduino_nano33/model.h").read_text()
    assert 'X("SPACE_TO_BATCH_ND", AddSpaceToBatchNd)' in text
    assert (command.directory / "fw/core/src/board.cpp").is_file()
    assert (command.directory / "fw/arduino_nano33/README.md").is_file()

    again = command.run(PROGRAM, "firmware", "nano33", "-o", "fw")
    assert again.status == 1
    says(again, "fw is not empty", "--force")
    assert command.run(PROGRAM, "firmware", "nano33", "-o", "fw", "--force").status == 0
    assert not (command.directory / "fw/arduino_nano33/model.h").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "for which board? There are nano33, esp32, mps2"),
        (("uno", "-o", "fw"), "there is no firmware for 'uno'"),
        (("nano33",), "say where to write the project to: -o DIR"),
        (("nano33", "-o", "fw", "--model", "nothing.tflite"), "There is no model nothing.tflite"),
        (("nano33", "-o", "fw", "--arena", "9999"), "--arena is for a model"),
    ],
)
def test_what_cannot_be_written_is_said_and_nothing_is_there(command, words, message):
    done = command.run(PROGRAM, "firmware", *words)
    assert done.status == 1
    says(done, f"pytest-tflm: {message}")
    assert not (command.directory / "fw").exists()


def test_without_the_boards_tool_its_commands_are_printed(command):
    assert command.run(PROGRAM, "firmware", "esp32", "-o", "fw").status == 0
    done = command.run(PROGRAM, "flash", "esp32", "fw", "--port", "/dev/ttyUSB0", PATH="/nowhere")
    assert done.status == 1
    says(done, "idf.py is not installed or not in PATH", "idf.py -C fw/esp32_idf -p /dev/ttyUSB0")


def test_with_the_boards_tool_it_is_called(command):
    assert command.run(PROGRAM, "firmware", "nano33", "-o", "fw").status == 0
    tools = command.directory / "tools"
    tools.mkdir()
    (tools / "arduino-cli").write_text('#!/bin/sh\necho "called: $*"\n')
    (tools / "arduino-cli").chmod(0o755)
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    done = command.run(PROGRAM, "flash", "nano33", "fw", "--port", "/dev/ttyACM0", PATH=path)
    assert done.status == 0, done.output
    assert len(done.lines("called: compile")) == 1
    assert len(done.lines("called: upload")) == 1
    says(done, "--port /dev/ttyACM0 fw/arduino_nano33")


def list_ports(command, *ports: str) -> dict[str, str]:
    """An environment in which this machine has those USB ports, and no others."""
    (command.directory / "sitecustomize.py").write_text(
        textwrap.dedent(
            f"""
            from serial.tools import list_ports
            from serial.tools.list_ports_common import ListPortInfo

            def comports(include_links=False):
                found = [ListPortInfo(name, True) for name in {list(ports)!r}]
                for port in found:
                    port.vid, port.pid, port.serial_number = 0x2341, 0x805A, "9A3F"
                return found

            list_ports.comports = comports
            """
        )
    )
    paths = [str(command.directory), *sys.path]
    return {"PYTHONPATH": os.pathsep.join(path for path in paths if path)}


def simulated(command) -> str:
    simulator = command.start(PROGRAM, "simulate")
    simulator.wait_for("\n")
    return simulator.output.split()[0]


def test_ports_are_listed_and_asked(command):
    port = simulated(command)
    environment = list_ports(command, port, "/dev/ttyNOTHING")
    done = command.run(PROGRAM, "ports", **environment)
    assert done.status == 0, done.output
    (line,) = done.lines(port)
    assert "2341:805a  Arduino Nano 33 BLE  serial number 9A3F" in line
    assert "simulator" not in done.output
    asked = command.run(PROGRAM, "ports", "--ask", **environment)
    assert asked.status == 0, asked.output
    says(asked, "simulator, pytest-tflm-core", "takes models", "there is no port /dev/ttyNOTHING")
    refused = command.run(PROGRAM, "ports", "--ask", "--baud", "1200", **environment)
    assert refused.status == 1
    says(refused, "1200 baud starts the bootloader")


def test_a_run_with_port_auto(command, tcn):
    first = simulated(command)
    words = ("--tflm-port=auto", f"--tflm-model={tcn}", "--tflm-samples=1")
    done = command.pytest(*words, **list_ports(command, first, "/dev/ttyNOTHING"))
    assert done.outcomes == {"passed": 5}, done.output
    says(done, f"at {first}")

    several = command.pytest(*words, **list_ports(command, first, simulated(command)))
    assert set(several.outcomes) == {"error"} and several.status == 1, several.output
    says(several, "SettingsError", "auto: 2 boards answer", first)

    none = command.pytest(*words, **list_ports(command, "/dev/ttyNOTHING"))
    assert set(none.outcomes) == {"error"} and none.status == 1, none.output
    says(none, "PortNotFound", "auto: no board answers", "/dev/ttyNOTHING")
