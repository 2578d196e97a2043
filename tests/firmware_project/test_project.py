"""Projects: complete, refused where something would be lost, and as the sources are."""

from __future__ import annotations

import json
import re
from pathlib import Path

import model_builders
import pytest

from pytest_tflm.errors import SettingsError
from pytest_tflm.firmware import boards
from pytest_tflm.firmware.boards import BOARDS, board_named, sources
from pytest_tflm.firmware.project import write_project
from pytest_tflm.model import model_from_bytes
from pytest_tflm.runtime.arena import arena_needed

NEEDED = {
    "nano33": ("core/library.properties", "arduino_nano33/arduino_nano33.ino"),
    "esp32": (
        "core/idf_component.yml",
        "esp32_idf/CMakeLists.txt",
        "esp32_idf/sdkconfig.defaults",
        *(
            f"esp32_idf/main/{name}"
            for name in ("CMakeLists.txt", "idf_component.yml", "Kconfig.projbuild", "main.cpp")
        ),
    ),
    "arduino": ("core/library.properties", "arduino_serial/arduino_serial.ino"),
    "zephyr": (
        "core/zephyr/module.yml",
        "core/zephyr/CMakeLists.txt",
        "core/zephyr/Kconfig",
        "zephyr_app/CMakeLists.txt",
        "zephyr_app/prj.conf",
        "zephyr_app/main.cpp",
    ),
    "pico": ("pico_sdk/CMakeLists.txt", "pico_sdk/main.cpp"),
    "stm32": ("core/src/serial_port.h", "stm32_hal/pytest_tflm_stm32.cpp"),
    "mps2": ("mps2_an386/Makefile", "mps2_an386/link.ld", "mps2_an386/main.cpp"),
}
MODEL_H = {
    "nano33": "arduino_nano33/model.h",
    "esp32": "esp32_idf/main/model.h",
    "arduino": "arduino_serial/model.h",
    "zephyr": "zephyr_app/model.h",
    "pico": "pico_sdk/model.h",
    "stm32": "stm32_hal/model.h",
    "mps2": "mps2_an386/model.h",
}


def files(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("name", BOARDS)
def test_a_project_has_the_core_and_the_program_as_the_sources_have_them(name, tmp_path):
    write_project(board_named(name), tmp_path / "new/project")
    written = files(tmp_path / "new/project")
    for needed in (*NEEDED[name], "core/src/board.cpp", "core/src/tflm/tflm_engine.cpp"):
        assert needed in written
    assert not any(path.endswith(("model.h", ".o")) for path in written)
    for path, data in written.items():
        assert data == (sources() / path).read_bytes()


@pytest.mark.parametrize("name", BOARDS)
def test_a_model_goes_beside_the_program_with_the_arena_that_it_needs(name, tmp_path):
    model = model_from_bytes(model_builders.conv_2d())
    project = write_project(board_named(name), tmp_path, model=model)
    assert project.operators == ("CONV_2D",)
    needed = arena_needed(model)
    text = (tmp_path / MODEL_H[name]).read_text()
    for arena in project.arenas:
        assert arena.size > needed
        assert f"#define PYTEST_TFLM_ARENA {arena.size}\n" in text
    assert f"Host TFLM needs {needed} bytes" in text
    program = (tmp_path / NEEDED[name][-1]).read_text()
    if "tflm/tflm_board.h" in program:  # which uses what model.h says
        program += (tmp_path / "core/src/tflm/tflm_board.h").read_text()
    for word in ('"model.h"', "PYTEST_TFLM_MODEL_SIZE", "PYTEST_TFLM_ARENA", "pytest_tflm_model"):
        assert word in program


def test_an_arena_that_is_asked_for_is_not_measured(tmp_path, monkeypatch):
    monkeypatch.setattr("pytest_tflm.runtime.arena.arena_needed", None)
    model = model_from_bytes(model_builders.conv_2d())
    project = write_project(board_named("nano33"), tmp_path, model=model, arena=5000)
    assert [arena.size for arena in project.arenas] == [5000]
    assert "#define PYTEST_TFLM_ARENA 5000\n" in (tmp_path / MODEL_H["nano33"]).read_text()


def test_an_arena_without_a_model_or_too_small_for_any_is_refused(tmp_path):
    model = model_from_bytes(model_builders.conv_2d())
    with pytest.raises(SettingsError, match="give --model"):
        write_project(board_named("nano33"), tmp_path / "a", arena=5000)
    for arena in (0, -1, 100):
        with pytest.raises(SettingsError, match="holds no model"):
            write_project(board_named("nano33"), tmp_path / "a", model=model, arena=arena)
    assert not (tmp_path / "a").exists()


def test_a_directory_with_something_in_it_is_left_alone_without_force(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    board = board_named("nano33")
    with pytest.raises(SettingsError, match="is not empty"):
        write_project(board, tmp_path)
    assert files(tmp_path) == {"mine.txt": b"mine"}
    model = model_from_bytes(model_builders.conv_2d())
    write_project(board, tmp_path, model=model, arena=5000, force=True)
    assert (tmp_path / "mine.txt").read_text() == "mine"
    write_project(board, tmp_path, force=True)
    assert not (tmp_path / MODEL_H["nano33"]).exists(), "the model of the time before"


def test_a_file_instead_of_a_directory(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(SettingsError, match="is a file"):
        write_project(board_named("nano33"), tmp_path / "file", force=True)


def test_a_directory_that_cannot_be_written(tmp_path):
    with pytest.raises(SettingsError, match="cannot be written"):
        write_project(board_named("nano33"), Path("/dev/null/project"))


def test_an_installed_package_has_the_sources_inside(tmp_path, monkeypatch):
    assert (sources() / "core/src/board.h").is_file()
    monkeypatch.setattr(boards, "_INSTALLED", tmp_path)
    assert sources() == tmp_path


def test_the_manifests_of_the_core_have_one_version():
    core = sources() / "core"
    identity = (core / "src/identity.h").read_text("utf-8")
    version = re.search(r'"pytest-tflm-core ([0-9.]+)"', identity)[1]
    assert json.loads((core / "library.json").read_text("utf-8"))["version"] == version
    assert f"version={version}\n" in (core / "library.properties").read_text("utf-8")
    assert f'version: "{version}"\n' in (core / "idf_component.yml").read_text("utf-8")


def test_a_board_that_there_is_no_firmware_for():
    with pytest.raises(SettingsError, match=r"'uno'\. Boards: nano33, esp32, arduino"):
        board_named("uno")
