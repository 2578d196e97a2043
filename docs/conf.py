"""Sphinx builds the documentation site from these Markdown files: ``make docs``."""

from __future__ import annotations

from importlib.metadata import version as installed_version

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


def setup(app: object) -> None:
    """Called by Sphinx."""
    app.connect("source-read", _lead_into_the_site)  # type: ignore[attr-defined]
