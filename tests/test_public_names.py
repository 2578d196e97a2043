"""What is public is small, is what the documentation names, and private names stay private
(docs/architecture.md)."""

from __future__ import annotations

import ast
import re
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "pytest_tflm"
PUBLIC = (
    "pytest_tflm",
    "pytest_tflm.errors",
    "pytest_tflm.fuzz.inputs",
    "pytest_tflm.fuzz.sequences",
)
_FOR_CONTRIBUTORS = {"architecture.md"}


def public_names(module: str) -> set[str]:
    """The names of a public module: those in its ``__all__``; of ``errors`` all classes."""
    loaded = import_module(module)
    names = getattr(loaded, "__all__", None)
    if names is None:
        names = [name for name, value in vars(loaded).items() if isinstance(value, type)]
    return set(names)


@pytest.mark.parametrize("module", PUBLIC)
def test_each_public_name_is_there_and_says_what_it_is(module: str) -> None:
    loaded = import_module(module)
    names = public_names(module)
    assert names
    for name in names:
        value = getattr(loaded, name)
        assert value.__doc__ if callable(value) else value is not None, name


def test_they_are_few() -> None:
    assert sum(len(public_names(module)) for module in PUBLIC) <= 100


def documents() -> list[Path]:
    found = [*(ROOT / "docs").glob("*.md"), ROOT / "README.md", *(ROOT / "examples").glob("*.md")]
    return [path for path in found if path.name not in _FOR_CONTRIBUTORS]


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.name)
def test_the_documentation_names_public_names_only(path: Path) -> None:
    text = path.read_text("utf-8")
    for module, names in re.findall(r"from (pytest_tflm[\w.]*) import ([\w, ]+)", text):
        known = public_names(module) if module in PUBLIC else set()
        submodules = {name.rpartition(".")[2] for name in PUBLIC if name.startswith(f"{module}.")}
        for name in names.split(","):
            assert name.strip() in known | submodules, f"{module}.{name}"
    for dotted in re.findall(r"`(pytest_tflm\.[\w.]+)", text):
        if dotted.endswith((".py", ".cpp")) or dotted in PUBLIC:
            continue
        module, _, name = dotted.rpartition(".")
        assert module in PUBLIC and name in public_names(module), dotted


def test_no_module_uses_another_s_private_names() -> None:
    wrong = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pytest_tflm"):
                wrong += [
                    f"{path.relative_to(ROOT)}: {node.module}.{alias.name}"
                    for alias in node.names
                    if alias.name.startswith("_")
                    and alias.name != "_firmware"
                    # pytest finds a plugin's fixtures in its module.
                    and node.module != "pytest_tflm.fixtures"
                ]
    assert wrong == []
