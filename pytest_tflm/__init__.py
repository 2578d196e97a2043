"""Regression tests for quantised TFLite models on the microcontroller that runs them.

The public API, re-exported on first use: importing this package imports nothing else, so that a
pytest run that does not use the plugin does not pay for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_tflm._lazy import exports

if TYPE_CHECKING:
    from pytest_tflm.compare.within import Within, within
    from pytest_tflm.errors import OutputMismatch, TflmError
    from pytest_tflm.fuzz.inputs.decorator import tflm_fuzz
    from pytest_tflm.model import Model, Operator, Tensor, model_from_bytes, open_model
    from pytest_tflm.runtime.base import Outputs, Runtime

_HOMES = {
    "Model": "pytest_tflm.model",
    "Operator": "pytest_tflm.model",
    "OutputMismatch": "pytest_tflm.errors",
    "Outputs": "pytest_tflm.runtime.base",
    "Runtime": "pytest_tflm.runtime.base",
    "Tensor": "pytest_tflm.model",
    "TflmError": "pytest_tflm.errors",
    "Within": "pytest_tflm.compare.within",
    "model_from_bytes": "pytest_tflm.model",
    "open_model": "pytest_tflm.model",
    "tflm_fuzz": "pytest_tflm.fuzz.inputs.decorator",
    "within": "pytest_tflm.compare.within",
}

__all__ = [
    "Model",
    "Operator",
    "OutputMismatch",
    "Outputs",
    "Runtime",
    "Tensor",
    "TflmError",
    "Within",
    "model_from_bytes",
    "open_model",
    "tflm_fuzz",
    "within",
]

__getattr__ = exports(__name__, _HOMES)
