"""Generated inputs for a model. :func:`samples` is a Hypothesis strategy of them.

Importing this imports neither Hypothesis nor numpy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_tflm.fuzz.inputs.strategies import PATTERNS, samples

__all__ = ["PATTERNS", "samples"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pytest_tflm.fuzz.inputs import strategies

    return getattr(strategies, name)
