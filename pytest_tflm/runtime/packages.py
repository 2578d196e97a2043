"""Which interpreters there are, which packages they come in, and what to do where one is missing.

Light: imported by the process that runs pytest and by the worker.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
from collections.abc import Iterator
from typing import NamedTuple

from pytest_tflm.errors import InterpreterMissing, SettingsError

KINDS = ("litert", "tensorflow", "tflm")
RESOLVERS = ("auto", "builtin", "builtin_ref", "builtin_without_default_delegates")
DEFAULT_RESOLVER = "builtin_ref"


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
        "pip install --pre tflite-micro (it has wheels for Linux on x86-64 alone, and only "
        "development releases)",
    ),
}


def runtime_name(kind: str, resolver: str | None) -> str:
    """How reports call a runtime. Raises SettingsError for a kind or resolver there is not."""
    if kind not in KINDS:
        raise SettingsError(f"There is no runtime {kind!r}: choose one of {', '.join(KINDS)}.")
    if resolver is not None and resolver not in RESOLVERS:
        raise SettingsError(
            f"There is no resolver {resolver!r}: choose one of {', '.join(RESOLVERS)}."
        )
    return kind if kind == "tflm" else f"{kind} {resolver or DEFAULT_RESOLVER}"


def check_installed(kind: str) -> None:
    """Raise InterpreterMissing if the package is not there. It is looked for, not imported."""
    package = _PACKAGES[kind]
    try:
        found = importlib.util.find_spec(package.module) is not None
    except (ImportError, ValueError):
        found = False
    if not found:
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
