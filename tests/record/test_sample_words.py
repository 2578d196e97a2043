"""A sample in words."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_tflm.model import Tensor
from pytest_tflm.record.words import sample_lines, tensor_words


def tensor(shape, dtype="int8", scale: float | None = 0.5, zero_point: int | None = 3) -> Tensor:
    return Tensor(0, "serving_default_in:0", shape, None, dtype, scale, zero_point)


def array(shape, value, changes=(), dtype=np.int8):
    filled = np.full(shape, value, dtype)
    for place, code in changes:
        filled[place] = code
    return filled


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ((), "zero point (3) everywhere"),
        ((((0, 417, 0), 127),), "zero point (3) everywhere but x[417] = 127 (62)"),
        (
            (((0, 4, 0), -128), ((0, 999, 0), 4)),
            "zero point (3) everywhere but x[4] = -128 (-65.5), x[999] = 4 (0.5)",
        ),
    ],
)
def test_an_input_of_a_thousand_elements(changes, words):
    assert tensor_words(tensor((1, 1000, 1)), array((1, 1000, 1), 3, changes)) == words


def test_another_constant_a_step_and_noise():
    shape = (1, 100)
    assert tensor_words(tensor(shape), array(shape, 5)) == "5 (1) everywhere"
    step = array(shape, 5)
    step[0, 40:] = 7
    assert tensor_words(tensor(shape), step) == "5 (1) in x[0:40], 7 (2) in x[40:100]"
    noise = np.arange(100, dtype=np.int8).reshape(shape)
    assert tensor_words(tensor(shape), noise) == (
        "100 elements, 100 different values from 0 to 99, 99 of them not zero point (3)"
    )


def test_places_have_the_dimensions_that_count():
    shape = (1, 4, 6, 1)
    words = tensor_words(tensor(shape), array(shape, 3, (((0, 2, 5, 0), 9),)))
    assert words == "zero point (3) everywhere but x[2, 5] = 9 (3)"


def test_few_elements_floats_bools_scalars_and_none():
    words = tensor_words(tensor((1, 3)), np.array([[1, 2, 3]], np.int8))
    assert words == "zero point (3) everywhere but x[0] = 1 (-1), x[1] = 2 (-0.5)"
    plain = tensor((1, 2), "float32", None, None)
    assert tensor_words(plain, np.array([[0.1, -2.5]], np.float32)) == "x = 0.1 -2.5"
    flag = tensor((), "bool", None, None)
    assert tensor_words(flag, np.array(True)) == "x = 1"
    assert tensor_words(tensor((1, 0)), np.zeros((1, 0), np.int8)) == "no elements"


def test_several_inputs_have_their_names():
    tensors = [tensor((1, 20)), tensor((1, 20))]
    lines = sample_lines(tensors, [array((1, 20), 3), array((1, 20), 3, (((0, 1), 0),))])
    assert lines == [
        "in: zero point (3) everywhere",
        "in: zero point (3) everywhere but in[1] = 0 (-1.5)",
    ]
