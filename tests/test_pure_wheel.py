"""Without a C++ compiler: the wheel for all systems, in an environment of its own, tests a board
that another environment simulates."""

from __future__ import annotations

import os
import signal
import site
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.slow

# Not only a PATH without one: CMake also looks in the system's own folders.
NO_COMPILER = {
    "PATH": str(Path(sys.executable).parent),
    "CXX": "/no/compiler",
    "CC": "/no/compiler",
}


def run(
    *words: str | Path, directory: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "TFLM_"))}
    return subprocess.run(
        [str(word) for word in words],
        cwd=directory,
        env=clean | NO_COMPILER | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def built(directory: Path, **environment: str) -> Path:
    # What scikit-build-core needs is installed here, so that no index is asked.
    done = run(
        *(sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index"),
        *("-w", directory, ROOT),
        directory=directory,
        **environment,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = directory.glob("pytest_tflm-*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    return built(tmp_path_factory.mktemp("wheel"), PYTEST_TFLM_PURE="1")


@pytest.fixture(scope="module")
def bin_folder(wheel, tmp_path_factory) -> Path:
    """Where the programs of the environment are. What the package depends on comes from this one,
    behind what is installed there; the extension here is not on the way."""
    place = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
    python = place / "bin/python"
    done = run(
        *(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index"),
        wheel,
        directory=place,
    )
    assert done.returncode == 0, done.stderr
    (packages,) = place.glob("lib/python*/site-packages")
    (packages / "others.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    return place / "bin"


def test_the_wheel_is_for_all_systems_and_has_all_but_the_extension(wheel):
    assert wheel.name.endswith("-py3-none-any.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "pytest_tflm/simulator/board/process.py" in names
    assert "pytest_tflm/firmware/sources/core/src/board.cpp" in names
    assert "pytest_tflm/verdict/causes/pages/stored-shapes.md" in names
    assert not [name for name in names if "_firmware." in name and not name.endswith(".pyi")]


def test_the_suite_on_a_board_of_another_environment(bin_folder, tmp_path, tcn):
    with subprocess.Popen(
        [sys.executable, "-m", "pytest_tflm", "simulate", "--tcp", "127.0.0.1:0"],
        stdout=subprocess.PIPE,
        text=True,
    ) as board:
        try:
            assert board.stdout is not None
            port = board.stdout.readline().split()[-1]
            done = run(
                *(bin_folder / "python", "-m", "pytest", "-p", "no:cacheprovider"),
                *(f"--tflm-port={port}", f"--tflm-model={tcn}", "--tflm-samples=8"),
                directory=tmp_path,
            )
        finally:
            board.send_signal(signal.SIGTERM)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "board simulator" in done.stdout
    assert "8 samples: equal" in done.stdout


def test_the_simulator_says_in_one_line_what_is_missing(bin_folder, tmp_path, tcn):
    for words in (
        (bin_folder / "python", "-m", "pytest", "--tflm-port=sim", f"--tflm-model={tcn}"),
        (bin_folder / "pytest-tflm", "simulate"),
    ):
        done = run(*words, directory=tmp_path)
        assert done.returncode != 0
        said = [line for line in (done.stdout + done.stderr).splitlines() if "compiler" in line]
        assert len(said) == 1, done.stdout + done.stderr
        assert "pytest-tflm simulate --tcp HOST:PORT" in said[0]
        assert "Traceback" not in done.stdout + done.stderr


def test_what_needs_no_simulator(bin_folder, tmp_path, tcn):
    for words in (
        ("firmware", "nano33", "--model", tcn, "-o", tmp_path / "project"),
        ("explain", "stored-shapes"),
        ("model", "lint", tcn),
        ("ports",),
    ):
        done = run(bin_folder / "pytest-tflm", *words, directory=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "project/arduino_nano33/model.h").is_file()


def test_an_installation_from_the_sources_does_without_a_compiler(tmp_path):
    names = zipfile.ZipFile(built(tmp_path)).namelist()
    assert "pytest_tflm/verdict/causes/pages/stored-shapes.md" in names
    assert not [name for name in names if "_firmware." in name and not name.endswith(".pyi")]
