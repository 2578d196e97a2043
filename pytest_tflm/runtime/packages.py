"""Which packages the interpreters come in, and what to do where one is missing.

Light: imported by the process that runs pytest and by the worker.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
from collections.abc import Iterator
from typing import NamedTuple

from pytest_tflm.errors import InterpreterMissing


class _Package(NamedTuple):
    module: str
    distributions: tuple[str, ...]
    remedy: str


_PACKAGES = {
    "litert": _Package("ai_edge_litert", ("ai-edge-litert",), "pip install ai-edge-litert"),
    "tensorflow": _Package(
        "tensorflow",
        ("tensorflow", "tensorflow-cpu", "tensorflow-macos", "tensorflow-intel", "tf-nightly"),
        'pip install "pytest-tflm[tensorflow]"',
    ),
    "tflm": _Package(
        "tflite_micro",
        ("tflite-micro",),
        "pip install --pre tflite-micro (wheels exist for Linux on x86-64, and only development "
        "releases)",
    ),
}


def is_installed(kind: str) -> bool:
    """Whether the package of this kind of interpreter is there. It is looked for, not imported."""
    try:
        return importlib.util.find_spec(_PACKAGES[kind].module) is not None
    except (ImportError, ValueError):
        return False


def check_installed(kind: str) -> None:
    """Raise InterpreterMissing if the package is not there. It is looked for, not imported."""
    if not is_installed(kind):
        package = _PACKAGES[kind]
        raise InterpreterMissing(
            f"The runtime {kind} needs {package.distributions[0]}, which is not installed. "
            f"Try: {package.remedy}"
        )


@contextlib.contextmanager
def importing(kind: str) -> Iterator[None]:
    """An import that fails here, for whatever reason, is InterpreterMissing."""
    try:
        yield
    except Exception as error:
        package = _PACKAGES[kind]
        raise InterpreterMissing(
            f"The runtime {kind} needs {package.distributions[0]}, which cannot be imported: "
            f"{error}. Try: {package.remedy}"
        ) from error


def versions(kind: str) -> dict[str, str]:
    """The package that a kind of runtime comes in and its version; empty if it is not installed."""
    for distribution in _PACKAGES[kind].distributions:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return {distribution: importlib.metadata.version(distribution)}
    return {}
