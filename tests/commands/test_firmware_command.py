"""``pytest-tflm firmware`` and ``flash``."""

from __future__ import annotations

import os

import model_builders
import pytest

from pytest_tflm.firmware.boards import BOARDS, PROOFS


def says(done, *parts):
    assert "Traceback" not in done.output
    for part in parts:
        assert part in done.output, done.output


def test_the_boards_are_listed(inner):
    done = inner.pytest_tflm("firmware", "--list")
    assert done.status == 0
    lines = done.output.splitlines()
    assert [line.split()[0] for line in lines] == list(BOARDS)
    for line, board in zip(lines, BOARDS.values(), strict=True):
        assert board.title in line
        assert line.endswith(f" {board.proof}")
        assert board.proof in PROOFS


def test_a_project_with_a_model(inner, tcn_dynamic):
    done = inner.pytest_tflm("firmware", "nano33", "--model", tcn_dynamic, "-o", "fw")
    assert done.status == 0, done.output
    says(done, "SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND", "and a margin", "pytest-tflm flash nano33")
    text = (inner.directory / "fw/arduino_nano33/model.h").read_text()
    assert 'X("SPACE_TO_BATCH_ND", AddSpaceToBatchNd)' in text
    assert (inner.directory / "fw/core/src/board.cpp").is_file()
    assert (inner.directory / "fw/arduino_nano33/README.md").is_file()

    again = inner.pytest_tflm("firmware", "nano33", "-o", "fw")
    assert again.status == 1
    says(again, "fw is not empty", "--force")
    assert inner.pytest_tflm("firmware", "nano33", "-o", "fw", "--force").status == 0
    assert not (inner.directory / "fw/arduino_nano33/model.h").exists()


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_what_comes_next_is_a_page_that_is_there_and_a_command_that_works(inner, board):
    done = inner.pytest_tflm("firmware", board.name, "-o", "fw")
    page = f"fw/{board.folder}/README.md"
    says(done, page)
    assert (inner.directory / page).is_file()
    flashed = inner.pytest_tflm("flash", board.name, "fw", PATH="")
    assert ("pytest-tflm flash" in done.output) == ("Install it, then run:" in flashed.output)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "name a board: nano33, esp32, arduino"),
        (("uno", "-o", "fw"), "no firmware for 'uno'"),
        (("nano33",), "give the folder for the project: -o DIR"),
        (("nano33", "-o", "fw", "--model", "nothing.tflite"), "There is no model nothing.tflite"),
        (("nano33", "-o", "fw", "--arena", "9999"), "--arena is for a model"),
    ],
)
def test_what_cannot_be_written_is_said_and_nothing_is_there(inner, words, message):
    done = inner.pytest_tflm("firmware", *words)
    assert done.status == 1
    says(done, f"pytest-tflm: {message}")
    assert not (inner.directory / "fw").exists()


def test_an_operator_without_a_kernel_is_told_with_the_converters_flag(inner, model_file):
    from tests.model import odd_models

    table = model_builders.unpack(odd_models.custom(large=False))
    table.operatorCodes[1].customCode = "FlexErf"
    flex = model_file("flex.tflite", model_builders.pack(table))
    done = inner.pytest_tflm("firmware", "mps2", "-o", "fw", "--model", flex)
    assert done.status == 1
    says(done, "flex.tflite uses FlexErf, which TFLM does not have", "SELECT_TF_OPS")
    assert not (inner.directory / "fw").exists()


def test_without_the_boards_tool_its_commands_are_printed(inner):
    assert inner.pytest_tflm("firmware", "esp32", "-o", "fw").status == 0
    done = inner.pytest_tflm("flash", "esp32", "fw", "--port", "/dev/ttyUSB0", PATH="/nowhere")
    assert done.status == 1
    says(done, "idf.py is not installed or not in PATH", "idf.py -C fw/esp32_idf -p /dev/ttyUSB0")


def test_with_the_boards_tool_it_is_called(command):
    assert command.run("pytest_tflm", "firmware", "nano33", "-o", "fw").status == 0
    tools = command.directory / "tools"
    tools.mkdir()
    (tools / "arduino-cli").write_text('#!/bin/sh\necho "called: $*"\n')
    (tools / "arduino-cli").chmod(0o755)
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    done = command.run("pytest_tflm", "flash", "nano33", "fw", "--port", "/dev/ttyACM0", PATH=path)
    assert done.status == 0, done.output
    assert len(done.lines("called: compile")) == 1
    assert len(done.lines("called: upload")) == 1
    says(done, "--port /dev/ttyACM0 fw/arduino_nano33")
