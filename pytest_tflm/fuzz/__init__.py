"""Generated inputs and generated models. Importing this imports neither Hypothesis nor numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_tflm.fuzz.inputs.decorator import tflm_fuzz
    from pytest_tflm.fuzz.kernels.codes import codes, sample_lists
    from pytest_tflm.fuzz.kernels.finding import Finding
    from pytest_tflm.fuzz.kernels.operators import OPERATORS, cases
    from pytest_tflm.fuzz.kernels.pair import Pair
    from pytest_tflm.fuzz.kernels.search import Search, Survey

_HOMES = {
    "OPERATORS": "kernels.operators",
    "Finding": "kernels.finding",
    "Pair": "kernels.pair",
    "Search": "kernels.search",
    "Survey": "kernels.search",
    "cases": "kernels.operators",
    "codes": "kernels.codes",
    "sample_lists": "kernels.codes",
    "tflm_fuzz": "inputs.decorator",
}

__all__ = [
    "OPERATORS",
    "Finding",
    "Pair",
    "Search",
    "Survey",
    "cases",
    "codes",
    "sample_lists",
    "tflm_fuzz",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{home}"), name)
