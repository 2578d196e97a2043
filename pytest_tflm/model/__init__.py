"""What a .tflite file is: read it, verify it, quantise for it.

Importing this imports neither numpy nor flatbuffers nor ai_edge_litert; :func:`open_model` does.
"""

from __future__ import annotations

from pytest_tflm.model.model import Model, model_from_bytes, open_model
from pytest_tflm.model.tensor import Operator, Tensor

__all__ = ["Model", "Operator", "Tensor", "model_from_bytes", "open_model"]
