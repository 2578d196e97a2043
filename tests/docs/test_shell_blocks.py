"""The shell blocks of the documentation run, page by page, as a reader would type them.

A page is read from its top, in a folder with the example models. ``sh`` blocks run; each must end
with status 0. A block of another language is written to a file if the line before it names one in
backticks and ends with a colon. ``<!-- not run: REASON -->`` before a block leaves it out. A serial
port's name is replaced by that of a simulated board.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PAGES = {
    str(path.relative_to(ROOT)): path
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    if "_build" not in path.parts
}
BLOCK = re.compile(
    r"(?:^(?P<before>[^\n]*)\n+)?^```(?P<language>\w+)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
NOT_RUN = re.compile(r"<!-- not run: \S.* -->")
SERIAL_PORT = re.compile(r"/dev/tty(?:ACM|USB)\d")


class Block(NamedTuple):
    language: str
    text: str
    before: str
    """The last line before it that is not empty."""


def blocks(page: Path) -> list[Block]:
    found = BLOCK.finditer(page.read_text(encoding="utf-8"))
    return [Block(m["language"], m["text"], (m["before"] or "").strip()) for m in found]


def runs(page: Path) -> bool:
    return any(b.language == "sh" and not NOT_RUN.match(b.before) for b in blocks(page))


@pytest.fixture(scope="module")
def board_port() -> Iterator[str]:
    """The port of a simulated board that stays while the pages run."""
    board = subprocess.Popen(
        [sys.executable, "-m", "pytest_tflm", "simulate"], stdout=subprocess.PIPE, text=True
    )
    assert board.stdout is not None
    port = next(found[0] for line in board.stdout if (found := re.search(r"/dev/\S+", line)))
    yield port
    board.terminate()
    board.wait()


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, page in PAGES.items() if runs(page)])
def test_a_pages_blocks_run(name: str, tmp_path: Path, board_port: str) -> None:
    for example in (ROOT / "examples").glob("tcn*"):
        shutil.copy(example, tmp_path)
    environment = {
        **{key: os.environ[key] for key in ("HOME", "LANG", "TMPDIR") if key in os.environ},
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    for block in blocks(PAGES[name]):
        named = re.search(r"`([\w.]+)`:$", block.before)
        if block.language != "sh" and named:
            (tmp_path / named[1]).write_text(block.text)
        if block.language != "sh" or NOT_RUN.match(block.before):
            continue
        done = subprocess.run(
            ["bash", "-e", "-c", SERIAL_PORT.sub(board_port, block.text)],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, f"{name}:\n{block.text}\n{done.stdout}"


def test_the_recipes_for_ci_are_yaml_and_run_what_the_page_runs() -> None:
    page = blocks(PAGES["docs/how-to/ci.md"])
    typed = " ".join(block.text for block in page if block.language == "sh")
    recipes = [yaml.safe_load(block.text) for block in page if block.language == "yaml"]
    github, gitlab = recipes
    commands = [
        step["run"] for job in github["jobs"].values() for step in job["steps"] if "run" in step
    ]
    commands += [line for job in gitlab.values() for line in job["script"]]
    assert set(commands) == {"pip install pytest-tflm", "pytest --junitxml=results.xml"}
    assert "pytest --junitxml=results.xml" in typed
