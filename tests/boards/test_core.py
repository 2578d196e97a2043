"""The C++ tests of the firmware core, on the emulated Cortex-M4."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from boards.conftest import COMPILER, EMULATOR, ROOT, need
from filelock import FileLock

TESTS = ROOT / "tests" / "firmware"
NAMES = sorted(path.stem.removeprefix("test_") for path in TESTS.glob("test_*.cpp"))
# CMake and Ninja lie beside this Python where they were installed with the other tools.
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])


def run(*command: str) -> str:
    program = shutil.which(command[0], path=PATH)
    if program is None:
        pytest.skip(f"{command[0]} is not installed (pip install -e '.[dev]')")
    done = subprocess.run(
        [program, *command[1:]],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PATH": PATH},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def build() -> Path:
    """The tests' programs for the emulated processor, in a directory that CTest knows."""
    need(COMPILER)
    need(EMULATOR)
    build = ROOT / "build" / "cortex-m4"
    build.mkdir(parents=True, exist_ok=True)
    toolchain = TESTS / "cortex_m4" / "toolchain.cmake"
    configure = ("cmake", "-S", ".", "-B", str(build), "-G", "Ninja", "-DPYTEST_TFLM_TESTS=ON")
    with FileLock(build.with_suffix(".lock")):
        run(
            *configure,
            f"-DCMAKE_TOOLCHAIN_FILE={toolchain}",
            f"-DPython_EXECUTABLE={sys.executable}",
        )
        run("cmake", "--build", str(build))
    return build


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_core_on_a_cortex_m4(build, name):
    options = ("--output-on-failure", "--no-tests=error", "--timeout", "300")
    said = run("ctest", "--test-dir", str(build), "-V", *options, "-R", f"^firmware_{name}$")
    # What the program itself says last, so that one which ended early is not taken for a success.
    assert " tests, 0 failures" in said
