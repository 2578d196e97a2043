"""Generated inputs and generated models. Importing this imports neither Hypothesis nor numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_tflm.fuzz.codes import codes, sample_lists
    from pytest_tflm.fuzz.decorator import tflm_fuzz
    from pytest_tflm.fuzz.finding import Finding
    from pytest_tflm.fuzz.judge import Pair
    from pytest_tflm.fuzz.operators import OPERATORS, cases
    from pytest_tflm.fuzz.runners import runner
    from pytest_tflm.fuzz.search import Search, Survey

_HOMES = {
    "OPERATORS": "operators",
    "Finding": "finding",
    "Pair": "judge",
    "Search": "search",
    "Survey": "search",
    "cases": "operators",
    "codes": "codes",
    "runner": "runners",
    "sample_lists": "codes",
    "tflm_fuzz": "decorator",
}

__all__ = [
    "OPERATORS",
    "Finding",
    "Pair",
    "Search",
    "Survey",
    "cases",
    "codes",
    "runner",
    "sample_lists",
    "tflm_fuzz",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{home}"), name)
