"""The programs for boards that are reached through somebody else's headers, compiled without a
warning. The headers are not here: stand-ins declare what is used. docs/boards.md says which real
ones they were compiled with."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from boards.conftest import COMPILER, ROOT, need

HERE = Path(__file__).parent
SOURCES = {
    "zephyr": "zephyr_app/main.cpp",
    "pico": "pico_sdk/main.cpp",
    "stm32": "stm32_hal/pytest_tflm_stm32.cpp",
}


@pytest.mark.parametrize("name", SOURCES)
def test_it_compiles(name):
    need(COMPILER)
    includes = (
        HERE / "stand_ins" / name,
        HERE / "arduino" / "scripted",
        ROOT / "firmware" / "mps2_an386",
        ROOT / "firmware" / "core" / "src",
    )
    done = subprocess.run(
        [
            *(COMPILER, "-std=gnu++14", "-mcpu=cortex-m0plus", "-mthumb", "-fsyntax-only"),
            *("-fno-exceptions", "-fno-rtti", "-Wall", "-Wextra", "-Werror"),
            *(f"-I{path}" for path in includes),
            str(ROOT / "firmware" / SOURCES[name]),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
