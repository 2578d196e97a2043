"""Models with one thing changed, and what the check must say to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import model_builders as builders
import pytest

from pytest_tflm.errors import DamagedModel
from pytest_tflm.model import model_from_bytes

Bend = Callable[[Any], None]


def bent(data: bytes, bend: Bend) -> bytes:
    """The model with one thing changed."""
    model = builders.unpack(data)
    bend(model)
    return builders.pack(model)


def refused(data: bytes, bend: Bend, *words: str) -> str:
    with pytest.raises(DamagedModel) as caught:
        model_from_bytes(bent(data, bend), "some/model.tflite")
    text = str(caught.value)
    assert text.startswith("some/model.tflite is ")
    assert len(text.splitlines()) <= 2
    for word in words:
        assert word in text, text
    return text


def assign(path: str, value: Any) -> Bend:
    """Set ``subgraphs[0].tensors[1].type`` and the like."""

    def bend(model: Any) -> None:
        owner, _, attribute = f"model.{path}".rpartition(".")
        target = eval(owner, {"model": model})
        setattr(target, attribute, value)

    return bend
