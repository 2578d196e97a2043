"""Sparse weights written out, as TFLite's own kernels read them."""

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from pytest_tflm.compare.distance import RunGap
from pytest_tflm.model import model_from_bytes
from pytest_tflm.model.lint import lint
from pytest_tflm.model.transform.densify import densify, sparse_tensors
from pytest_tflm.runtime.hosts import Hosts
from pytest_tflm.verdict.repaired import repair_model
from tests import model_builders as build
from tests.model import odd_models as odd


@pytest.mark.parametrize("block", [0, 4, 16])
def test_the_dense_weights_are_those_that_were_meant(block: int) -> None:
    data, weights = odd.sparse_weights(block)
    model = model_from_bytes(data)
    assert sparse_tensors(model) == (2,) and model.constant(2) is None
    dense = model_from_bytes(densify(model))
    assert sparse_tensors(dense) == ()
    (found,) = (t for t in dense.tensors if t.name == "w")
    np.testing.assert_array_equal(dense.constant(found.index), weights)


def _run(data: bytes) -> list[float]:
    interpreter = Interpreter(
        model_content=data, experimental_op_resolver_type=OpResolverType.BUILTIN_REF
    )
    interpreter.allocate_tensors()
    details = interpreter.get_input_details()[0]
    interpreter.set_tensor(details["index"], np.arange(16, dtype=np.float32).reshape(1, 16))
    interpreter.invoke()
    found: list[float] = interpreter.get_tensor(
        interpreter.get_output_details()[0]["index"]
    ).tolist()
    return found


@pytest.mark.parametrize("block", [0, 4])
def test_tflite_computes_the_same_with_a_densify_and_without(block: int) -> None:
    data, _ = odd.sparse_weights(block, densify=True)
    dense = densify(model_from_bytes(data))
    assert [o.name for o in model_from_bytes(dense).operators] == ["FULLY_CONNECTED"]
    assert _run(dense) == _run(data)


def test_a_buffer_that_another_tensor_uses_stays() -> None:
    data, weights = odd.sparse_weights()
    parts = build.unpack(data)
    graph = parts.subgraphs[0]
    other = build.unpack(data).subgraphs[0].tensors[2]
    stored = len(parts.buffers[other.buffer].data) // 4
    other.name, other.shape, other.sparsity = "stored", [stored], None
    graph.tensors.append(other)
    graph.outputs = [*graph.outputs, 3]
    model = model_from_bytes(densify(model_from_bytes(build.pack(parts))))
    (kept,) = (t for t in model.tensors if t.name == "stored")
    np.testing.assert_array_equal(model.constant(kept.index), weights[weights != 0])


def test_repaired_tflm_computes_what_tflite_does() -> None:
    model = model_from_bytes(odd.sparse_weights()[0], "sparse")
    (finding,) = lint(model)
    assert (finding.name, finding.severity) == ("sparse-weights", "error")
    assert "pytest-tflm model repair sparse -o OUT" in finding.remedy
    with Hosts() as hosts:
        repaired = repair_model(model, hosts)
        assert repair_model(model, hosts, only="freeze").model is None
    assert [step.name for step in repaired.steps] == ["densify"]
    assert repaired.model is not None and lint(repaired.model) == []
    assert isinstance(repaired.after, RunGap) and not repaired.after.differing
