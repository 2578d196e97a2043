"""Sphinx builds the documentation site from these Markdown files: ``make docs``."""

from __future__ import annotations

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import generated

project = "pytest-tflm"
copyright = "the pytest-tflm authors"
author = "the pytest-tflm authors"
release = version = installed_version("pytest-tflm")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"pytest-tflm {version}"

myst_heading_anchors = 3
# A block without a language is output or a mixture: leave it as it is.
highlight_language = "none"

autodoc_member_order = "bysource"
autodoc_typehints = "description"


OUTSIDE = {"../protocol/SPEC.md": "reference/protocol.md"}
"""Pages that lie beside docs/ in the repository, and where the site has them."""


def _lead_into_the_site(app: object, docname: str, source: list[str]) -> None:
    for path, page in OUTSIDE.items():
        source[0] = source[0].replace(f"({path})", f"({page})")


def _fill(app: object, docname: str, source: list[str]) -> None:
    source[0] = generated.fill(source[0])


def _not_kept(
    app: object, env: object, added: set[str], changed: set[str], removed: set[str]
) -> list[str]:
    """What code makes is read again in each build: Sphinx does not know when it changed."""
    return ["symptoms", "reference/options", "reference/fixtures"]


def setup(app: object) -> None:
    """Called by Sphinx."""
    app.connect("source-read", _lead_into_the_site)  # type: ignore[attr-defined]
    app.connect("source-read", _fill)  # type: ignore[attr-defined]
    app.connect("env-get-outdated", _not_kept)  # type: ignore[attr-defined]
