"""What idf.py does with the project before it compiles, as far as it can be tried without it.

ESP-IDF 6.0.2 failed on both: docs/boards.md.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from pytest_tflm.firmware.boards import sources

_SCRIPT = """
cmake_minimum_required(VERSION 3.16)
set(ESP_PLATFORM 1)
function(idf_component_register)
  message(STATUS "registered ${ARGN}")
endfunction()
include(CORE/CMakeLists.txt)
"""


def cmake(*words: str | Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("cmake")  # PyPI's, of the extra dev
    return subprocess.run(
        [str(program if program.exists() else "cmake"), *map(str, words)],
        capture_output=True,
        text=True,
    )


def test_the_core_registers_itself_in_script_mode(tmp_path):
    """As tools/cmake/component.cmake reads every component for its requirements."""
    core = sources() / "core"
    script = tmp_path / "script.cmake"
    script.write_text(_SCRIPT.replace("CORE", core.as_posix()))
    done = cmake("-P", script)
    assert done.returncode == 0, done.stderr
    for each in ("board.cpp", "session.cpp", "tflm_engine.cpp"):
        assert each in done.stdout


def test_a_component_in_a_folder_has_the_folders_name():
    """ESP-IDF names a component by its folder, and looks for what the manifest calls it."""
    main = sources() / "esp32_idf/main"
    lines = (main / "idf_component.yml").read_text().splitlines()
    found = [
        (lines[i - 1].strip().rstrip(":"), line.split(":")[1].strip())
        for i, line in enumerate(lines)
        if re.match(r"\s+path:", line)
    ]
    assert found
    for name, path in found:
        assert name == Path(path).name
        assert (main / path / "CMakeLists.txt").is_file()
