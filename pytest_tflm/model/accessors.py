"""The schema's accessors that flatc generated, imported when a model is first read."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any


@cache
def schema() -> Any:
    """The module ``ai_edge_litert.schema_py_generated`` (it imports numpy and flatbuffers).

    Any, because it has no types. It reads wherever an offset leads: use it on bytes that
    :func:`pytest_tflm.model.verify.flatbuffer.verify` has passed, and on no others.
    """
    return importlib.import_module("ai_edge_litert.schema_py_generated")
