"""The pages of the causes, which are part of the docs and of the package."""

from __future__ import annotations

from pathlib import Path

_INSTALLED = Path(__file__).parent / "causes" / "pages"  # put there by CMakeLists.txt
_CHECKOUT = Path(__file__).parents[2] / "docs" / "causes"


def page(name: str) -> str:
    """The text (Markdown) of a cause's page."""
    folder = _INSTALLED if _INSTALLED.is_dir() else _CHECKOUT
    return (folder / f"{name}.md").read_text(encoding="utf-8").rstrip()
