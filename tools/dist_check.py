"""Build what a release uploads, check it, and do the main job with each wheel.

    make dist-check                                  # with the Python of .venv
    make dist-check PYTHONS="python3.10 python3.13"  # with these

The sdist holds every file that git tracks, less what pyproject.toml leaves out. Wheels are built
from the sdist, one for each Python that needs its own. Every environment is fresh, the working
directory is not the checkout, and nothing of the checkout is on the path: what the wheel lacks is
missing here.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
FIRST_STABLE_ABI = (3, 12)
"""From this CPython on, one wheel serves all (``wheel.py-api`` in pyproject.toml)."""

PYROMA_SKIPS = {
    "Url": "the project has no public address yet (CONTRIBUTING.md, A release)",
    "AuthorEmail": "nor an address for mail; vulnerabilities are reported as SECURITY.md says",
}
"""What pyroma misses here, and why it is so."""


_BUILT = {"pytest_tflm/simulator/_firmware.cpp"}
"""What is compiled, and not part of the wheel."""
_HOMES = {
    "docs/causes/": "pytest_tflm/verdict/causes/pages/",
    "firmware/": "pytest_tflm/firmware/sources/",
}
"""Where folders of the repository are in the wheel, as CMakeLists.txt installs them."""


def run(*words: str | Path, directory: Path) -> None:
    """Run a command, shown as a shell would take it. Raises CalledProcessError."""
    print("+", *words, flush=True)
    subprocess.run([str(word) for word in words], cwd=directory, check=True)


def output(*words: str | Path) -> str:
    """What a command prints."""
    return subprocess.run(
        [str(word) for word in words], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def make_sdist(folder: Path) -> Path:
    """Build the sdist, and compare its files with those that git tracks."""
    run(sys.executable, "-m", "build", "--sdist", "--outdir", folder, ROOT, directory=folder)
    (sdist,) = folder.glob("pytest_tflm-*.tar.gz")
    with tarfile.open(sdist) as archive:
        inside = {m.name.partition("/")[2] for m in archive.getmembers() if m.isfile()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    excluded = project["tool"]["scikit-build"]["sdist"]["exclude"]
    wanted = {
        name
        for name in output("git", "ls-files").splitlines()
        if not any(fnmatch.fnmatch(name, f"{each}*") for each in excluded)
    }
    inside.discard("PKG-INFO")
    if inside != wanted:
        raise SystemExit(
            f"{sdist.name} lacks {sorted(wanted - inside)}, and has {sorted(inside - wanted)}, "
            "which git does not track"
        )
    return sdist


def version_of(python: str) -> tuple[int, int]:
    """Major and minor version of an interpreter."""
    major, minor = json.loads(output(python, "-c", "import sys; print(list(sys.version_info[:2]))"))
    return major, minor


def make_wheel(sdist: Path, python: str, folder: Path) -> Path:
    """The wheel for this Python: one that is there already, or one built from the sdist."""
    version = version_of(python)
    stable = version >= FIRST_STABLE_ABI
    tag = "cp312-abi3" if stable else "cp{0}{1}-cp{0}{1}".format(*version)
    pattern = f"pytest_tflm-*-{tag}-*.whl"
    if not list(folder.glob(pattern)):
        run(python, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, sdist,
            directory=folder)  # fmt: skip
    found = list(folder.glob(pattern))
    if len(found) != 1:
        raise SystemExit(f"no wheel {pattern}: {[path.name for path in folder.glob('*.whl')]}")
    if lacking := missing(found[0]):
        raise SystemExit(f"{found[0].name} lacks {', '.join(lacking)}")
    return found[0]


def needed(tracked: Iterable[str]) -> set[str]:
    """The names in a wheel that the repository's files call for: the package as it is, the pages of
    causes, and the firmware, whose places CMakeLists.txt says."""
    found = set()
    for name in tracked:
        if name.startswith("pytest_tflm/") and name not in _BUILT:
            found.add(name)
        for folder, home in _HOMES.items():
            if name.startswith(folder):
                found.add(home + name.removeprefix(folder))
    return found


def missing(wheel: Path) -> list[str]:
    """What the wheel lacks of that."""
    tracked = output("git", "ls-files", "pytest_tflm", *_HOMES).splitlines()
    with zipfile.ZipFile(wheel) as archive:
        return sorted(needed(tracked) - set(archive.namelist()))


def check_metadata(sdist: Path, wheels: Sequence[Path]) -> None:
    """What PyPI would refuse or show badly, and what a wheel should not hold."""
    tools = Path(sys.executable).parent
    run(tools / "twine", "check", "--strict", sdist, *wheels, directory=ROOT)
    run(tools / "check-wheel-contents", *wheels, directory=ROOT)
    run(tools / "pyroma", "--min=10", f"--skip-tests={','.join(PYROMA_SKIPS)}", sdist,
        directory=ROOT)  # fmt: skip


def do_the_main_job(wheel: Path, python: str, place: Path) -> None:
    """Install the wheel into an environment of its own, and run what a user runs first."""
    run(python, "-m", "venv", place / "environment", directory=place)
    tools = place / "environment" / "bin"
    run(tools / "python", "-m", "pip", "install", "--quiet", wheel, directory=place)
    user = place / "user"
    user.mkdir()
    for path in (ROOT / "examples").glob("*tcn*"):
        shutil.copy(path, user)
    run(tools / "python", "-m", "pip", "list", directory=user)
    run(tools / "pytest", "-q", "--tflm-port=sim", "--tflm-model=tcn.tflite", directory=user)
    command = tools / "pytest-tflm"
    run(command, "--version", directory=user)
    run(command, "explain", "stored-shapes", directory=user)
    for board in ("nano33", "esp32", "mps2"):
        run(command, "firmware", board, "--model", "tcn.tflite", "-o", board, directory=user)
        for needed in ("core/src/board.cpp", "core/src/tflm/tflm_engine.h"):
            if not (user / board / needed).is_file():
                raise SystemExit(f"the wheel lacks the firmware's {needed}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "pythons", nargs="*", default=[sys.executable], help="interpreters to build and test with"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder for the files")
    options = parser.parse_args()
    folder = options.out.resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    sdist = make_sdist(folder)
    wheels = [make_wheel(sdist, python, folder) for python in options.pythons]
    check_metadata(sdist, sorted(set(wheels)))
    for python, wheel in zip(options.pythons, wheels, strict=True):
        with tempfile.TemporaryDirectory() as place:
            do_the_main_job(wheel, python, Path(place))
        print(f"{wheel.name} on {python}: installed elsewhere, it does the main job", flush=True)


if __name__ == "__main__":
    main()
