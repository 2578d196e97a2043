"""Builds the wheel, installs it into an environment of its own, and does the main job there.

    make wheel-check

The environment is fresh, the working directory is not the checkout, and nothing of the checkout is
on the path: what is missing from the wheel is missing here.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def run(*words: str | Path, directory: Path) -> None:
    print("+", *words, flush=True)
    subprocess.run([str(word) for word in words], cwd=directory, check=True)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        run(
            sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", place, ROOT,
            directory=place,
        )  # fmt: skip
        (wheel,) = place.glob("pytest_tflm-*.whl")
        run(sys.executable, "-m", "venv", place / "environment", directory=place)
        python = place / "environment/bin/python"
        run(python, "-m", "pip", "install", "--quiet", wheel, directory=place)
        user = place / "user"
        user.mkdir()
        for name in ("tcn.tflite", "tcn_samples.npz", "test_tcn.py"):
            shutil.copy(ROOT / "examples" / name, user)
        run(
            python, "-m", "pytest", "-q", "--tflm-port=sim", "--tflm-model=tcn.tflite",
            directory=user,
        )  # fmt: skip
        command = place / "environment/bin/pytest-tflm"
        run(command, "--help", directory=user)
        run(command, "explain", "stored-shapes", directory=user)
        for board in ("nano33", "esp32", "mps2"):
            run(
                command, "firmware", board, "--model", "tcn.tflite", "-o", board, directory=user
            )  # fmt: skip
            for needed in ("core/src/board.cpp", "core/src/tflm/tflm_engine.h"):
                if not (user / board / needed).is_file():
                    raise SystemExit(f"the wheel lacks the firmware's {needed}")
    print(f"{wheel.name}: installed elsewhere, it does the main job")


if __name__ == "__main__":
    main()
