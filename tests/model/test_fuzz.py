"""Damaged models: whatever was changed, the answer is a model or a ModelError, and soon."""

from __future__ import annotations

import contextlib
import random
import struct

import model_builders as builders
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_tflm.errors import CannotCut, CannotRepair, ModelError
from pytest_tflm.model import Model, model_from_bytes
from pytest_tflm.model.lint import lint
from pytest_tflm.model.transform.cut import cut_operator
from pytest_tflm.model.transform.densify import densify
from pytest_tflm.model.transform.fold_dilation import fold_dilation
from pytest_tflm.model.transform.freeze import freeze
from tests.model import odd_models
from tests.model.bent_models import bent
from tests.model.dilated import Dilated, dilated

MODELS = [builders.ALL[name]() for name in sorted(builders.ALL)]
MODELS += [odd_models.ALL[name]() for name in sorted(odd_models.ALL)]
MODELS += [dilated(Dilated(before=(2, 0))), dilated(Dilated(flat=1, kernel=(1, 3), dynamic=True))]
MODELS += [odd_models.custom(large=True)]
# Numbers that mean something to a flatbuffer or to a model: sizes, indices, signs, IF and WHILE.
NUMBERS = (0, 1, 2, 3, 4, 7, 8, 16, 64, 118, 119, 127, 128, 129, 255, 0x7FFF, 0xFFFF, 0x7FFFFFFF,
           0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)  # fmt: skip


def answer(data: bytes) -> Model | None:
    """The model, or None for a ModelError of at most two lines; any other exception is a bug."""
    try:
        model = model_from_bytes(data, "mutant.tflite")
    except ModelError as error:
        assert len(str(error).splitlines()) <= 2, str(error)
        assert "mutant.tflite" in str(error)
        return None
    return model


def use(model: Model) -> None:
    """What the rest of the project does with a model first."""
    for tensor in model.tensors:
        _ = tensor.size, tensor.nbytes, tensor.is_quantized
    for operator in model.operators:
        for index in (*operator.inputs, *operator.outputs):
            assert -1 <= index < len(model.tensors)
    _ = repr(model), model.crc32, model.sha256
    lint(model)
    for operator in model.operators:
        with contextlib.suppress(CannotCut):
            cut_operator(model, operator.index)
    for made in (freeze(model, {}), fold_dilation(model).data):
        if made is not None:
            answer(made)
    with contextlib.suppress(CannotRepair):
        answer(densify(model))


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(MODELS),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_bytes_changed(data: bytes, changes: list[tuple[int, int]]) -> None:
    mutant = bytearray(data)
    for position, value in changes:
        mutant[position % len(mutant)] = value
    if model := answer(bytes(mutant)):
        use(model)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(MODELS),
    st.sampled_from(MODELS),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.integers(1, 200),
)
def test_spliced(data: bytes, other: bytes, to: int, start: int, length: int) -> None:
    piece = other[start % len(other) :][:length]
    to %= len(data)
    for mutant in (data[:to] + piece + data[to + len(piece) :], data[:to] + piece + data[to:]):
        if model := answer(mutant):
            use(model)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=400))
def test_noise_behind_the_identifier(noise: bytes) -> None:
    if model := answer(b"\x10\0\0\0TFL3" + noise):
        use(model)


@pytest.mark.parametrize("first", range(0, 200, 50))
def test_structures_bent(first: int) -> None:
    """tests/runtime/test_bent_models.py has 10 000 of these, and runs them too."""
    accepted = 0
    for seed in range(first, first + 50):
        if model := answer(bent(seed)[1]):
            use(model)
            accepted += 1
    assert accepted > 10


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2, 3))])
def test_numbers_that_matter(seed: int) -> None:
    """Aligned words replaced, which reaches further in than random bytes do."""
    rng = random.Random(seed)
    accepted = 0
    for _ in range(400):
        mutant = bytearray(rng.choice(MODELS))
        for _ in range(rng.choice((1, 1, 2, 4))):
            position = rng.randrange(len(mutant)) & ~3
            value = (rng.choice(NUMBERS) + rng.choice((0, 0, -1, 1))) & 0xFFFFFFFF
            mutant[position : position + 4] = struct.pack("<I", value)
        if model := answer(bytes(mutant)):
            use(model)
            accepted += 1
    assert accepted > 20  # else nothing behind the verifier is being tested
