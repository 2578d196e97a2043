"""Generated inputs for a model. :func:`samples` is a Hypothesis strategy of them.

Importing this imports neither Hypothesis nor numpy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_tflm._lazy import exports

if TYPE_CHECKING:
    from pytest_tflm.fuzz.inputs.strategies import PATTERNS, samples

__all__ = ["PATTERNS", "samples"]

_STRATEGIES = "pytest_tflm.fuzz.inputs.strategies"
__getattr__ = exports(__name__, dict.fromkeys(__all__, _STRATEGIES))
