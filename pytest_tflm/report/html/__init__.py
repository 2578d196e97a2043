"""A page about a run, or about several: ``--tflm-html``, ``pytest-tflm report``."""

from __future__ import annotations

from importlib.util import find_spec

from pytest_tflm.errors import SettingsError
from pytest_tflm.report.html.page import as_html

__all__ = ["as_html", "require_packages"]


def require_packages() -> None:
    """Raises SettingsError where a package is missing that a page is made with."""
    missing = [name for name in ("jinja2", "matplotlib") if not _is_there(name)]
    if missing:
        raise SettingsError(
            f"--tflm-html needs {' and '.join(missing)}: pip install 'pytest-tflm[html]'."
        )


def _is_there(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ValueError:  # of a module that was put out of use
        return False
