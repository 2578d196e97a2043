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
from collections.abc import Iterator, Mapping
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


def shell(
    text: str, folder: Path, variables: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run commands as a reader would: in a folder, with the installed commands on the path."""
    environment = {
        **{key: os.environ[key] for key in ("HOME", "LANG", "TMPDIR") if key in os.environ},
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        **variables,
    }
    return subprocess.run(
        ["bash", "-e", "-c", text],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


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
    for block in blocks(PAGES[name]):
        named = re.search(r"`([\w.]+)`:$", block.before)
        if block.language != "sh" and named:
            (tmp_path / named[1]).write_text(block.text)
        if block.language != "sh" or NOT_RUN.match(block.before):
            continue
        done = shell(SERIAL_PORT.sub(board_port, block.text), tmp_path, {})
        assert done.returncode == 0, f"{name}:\n{block.text}\n{done.stdout}"


def recipes() -> dict[str, Block]:
    """The recipes for CI, by the schema of what they are."""
    found = [block for block in blocks(PAGES["docs/how-to/ci.md"]) if block.language == "yaml"]
    return dict(zip(("github-workflows", "gitlab-ci"), found, strict=True))


def jobs(recipe: str) -> list[tuple[str, dict[str, str], list[str]]]:
    """Each job of a recipe: its name, its environment, its commands."""
    if recipe == "gitlab-ci":
        text = yaml.safe_load(recipes()[recipe].text)
        return [(name, job["variables"], job["script"]) for name, job in text.items()]
    text = yaml.safe_load(recipes()[recipe].text)["jobs"]
    return [
        (
            name,
            {key: value for step in job["steps"] for key, value in step.get("env", {}).items()},
            [step["run"] for step in job["steps"] if "run" in step],
        )
        for name, job in text.items()
    ]


@pytest.mark.parametrize("recipe", ["github-workflows", "gitlab-ci"])
def test_a_recipe_for_ci_is_what_the_service_takes(recipe: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yml"
    path.write_text(recipes()[recipe].text, encoding="utf-8")
    obeys(recipe, path)


@pytest.mark.parametrize(
    ("schema", "pattern"),
    [
        ("vendor.github-workflows", "workflows/*.yml"),
        ("vendor.github-issue-forms", "ISSUE_TEMPLATE/[!c]*.yml"),
        ("vendor.github-issue-config", "ISSUE_TEMPLATE/config.yml"),
    ],
)
def test_the_projects_own_workflows_and_forms_obey_their_schemas(schema: str, pattern: str) -> None:
    if not (ROOT / ".github").is_dir():
        pytest.skip("an sdist has no .github")
    obeys(schema, *sorted((ROOT / ".github").glob(pattern)))


def obeys(schema: str, *paths: Path) -> None:
    assert paths
    name = schema if "." in schema else f"vendor.{schema}"
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", name, *map(str, paths)]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["github-workflows", "gitlab-ci"])
def test_the_jobs_of_a_recipe_run(recipe: str, tmp_path: Path, board_port: str) -> None:
    """All but the installation. The board that ``auto`` finds is a simulated one."""
    ini = next(b for b in blocks(PAGES["docs/how-to/ci.md"]) if b.language == "ini")
    (tmp_path / "pytest.ini").write_text(ini.text, encoding="utf-8")
    shutil.copy(ROOT / "examples" / "tcn.tflite", tmp_path)
    for name, variables, commands in jobs(recipe):
        assert commands[0] == "pip install pytest-tflm", name
        port = variables["TFLM_PORT"]
        for command in commands[1:]:
            done = shell(command, tmp_path, {"TFLM_PORT": board_port if port == "auto" else port})
            assert done.returncode == 0, f"{name}: {command}\n{done.stdout}"
        assert (tmp_path / "results.xml").is_file()
        (tmp_path / "results.xml").unlink()
