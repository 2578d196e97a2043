"""The builders' models run in LiteRT and in TFLM, with equal results."""

from __future__ import annotations

from typing import Any

import model_builders as builders
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from pytest_tflm.model import Model, model_from_bytes


def samples(model: Model, seed: int) -> list[np.ndarray[Any, Any]]:
    rng = np.random.default_rng(seed)
    arrays = []
    for tensor in model.inputs:
        if tensor.dtype == "float32":
            arrays.append(rng.normal(0, 2, tensor.shape).astype(np.float32))
        else:
            low, high = tensor.code_range if tensor.dtype == "int8" else (-5, 9)
            arrays.append(rng.integers(low, high + 1, tensor.shape).astype(tensor.dtype))
    return arrays


@pytest.mark.parametrize("name", sorted(builders.ALL))
def test_equal_in_both(name: str) -> None:
    runtime = pytest.importorskip("tflite_micro.python.tflite_micro.runtime")
    data = builders.ALL[name]()
    model = model_from_bytes(data, name)
    litert = Interpreter(
        model_content=data, experimental_op_resolver_type=OpResolverType.BUILTIN_REF
    )
    litert.allocate_tensors()
    tflm = runtime.Interpreter.from_bytes(data, arena_size=100_000)
    for seed in range(5):
        for i, array in enumerate(samples(model, seed)):
            litert.set_tensor(litert.get_input_details()[i]["index"], array)
            tflm.set_input(array, i)
        litert.invoke()
        tflm.invoke()
        for i, tensor in enumerate(model.outputs):
            expected = litert.get_tensor(litert.get_output_details()[i]["index"])
            got = tflm.get_output(i)
            assert got.dtype == expected.dtype == np.dtype(tensor.dtype)
            assert got.shape == expected.shape == tensor.shape
            np.testing.assert_array_equal(got, expected)
