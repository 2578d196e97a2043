"""What a board does wrong that is no difference of outputs: an error with a name, never FAILED."""

from __future__ import annotations

import model_builders
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from pytest_tflm.model.graph import Graph


def without_inputs() -> bytes:
    """A model whose output is a constant in another shape."""
    g = Graph()
    constant = g.tensor("constant", (4,), "float32", data=np.arange(4, dtype=np.float32))
    shape = g.tensor("shape", (2,), "int32", data=np.asarray([1, 4]))
    output = g.tensor("output", (1, 4), "float32")
    g.operator("RESHAPE", (constant, shape), (output,), "ReshapeOptions", newShape=[1, 4])
    return g.finish((), (output,))


def test_a_model_without_inputs_is_refused_and_the_next_one_runs(inner, model_file):
    none = model_file("none.tflite", without_inputs())
    other = model_file("dense.tflite", model_builders.fully_connected())
    done = inner.pytest(
        "--tflm-port=sim", f"--tflm-model={none}", f"--tflm-model={other}", "--tflm-samples=1"
    )
    assert "failed" not in done.outcomes, done.output
    assert done.outcomes["passed"] == 6, done.output
    assert "Traceback" not in done.output
    assert "ModelRejected" in done.output


def test_inputs_that_read_back_otherwise_are_an_error(inner, tcn, monkeypatch):
    from pytest_tflm.runtime.board import BoardRuntime

    real = BoardRuntime.read_back

    def altered(self, sample):
        first, *rest = real(self, sample)
        first.flat[3] ^= 1
        return (first, *rest)

    monkeypatch.setattr(BoardRuntime, "read_back", altered)
    done = inner.pytest(
        "--tflm-port=sim", f"--tflm-model={tcn}", "--tflm-samples=1", "-k", "read_back"
    )
    assert done.outcomes == {"error": 1, "deselected": 5}, done.output
    assert "InputAltered" in done.output


@pytest.mark.parametrize("kind", ["INT4", "UINT4", "STRING", "BFLOAT16", "COMPLEX64", "RESOURCE"])
def test_an_input_of_a_type_without_numbers_is_refused_and_the_next_model_runs(
    inner, model_file, kind
):
    """TFLM on this machine died of bfloat16, and of int4 the board says that it is int8."""
    bent = model_builders.unpack(model_builders.identity("int8", (1, 4), 0.5))
    for tensor in bent.subgraphs[0].tensors[:2]:
        tensor.type = getattr(schema.TensorType, kind)
        tensor.quantization = None
    odd = model_file("odd.tflite", model_builders.pack(bent))
    other = model_file("dense.tflite", model_builders.fully_connected())
    words = ("--tflm-port=sim", f"--tflm-model={odd}", f"--tflm-model={other}", "--tflm-samples=1")
    done = inner.pytest(*words)
    assert done.outcomes == {"error": 6, "passed": 6}, done.output
    assert "Traceback" not in done.output
    told = done.lines("E   ModelRejected: odd.tflite: input 'input' is ")
    assert kind.lower() in told[0]
    assert sum("(as before)" not in line for line in told) == 1


def test_more_inputs_than_a_message_has_place_for(inner, model_file):
    """The simulator ended with an exception of its own."""
    many = model_builders.unpack(model_builders.fully_connected())
    many.subgraphs[0].outputs = list(many.subgraphs[0].outputs) * 256
    odd = model_file("odd.tflite", model_builders.pack(many))
    other = model_file("dense.tflite", model_builders.fully_connected())
    words = ("--tflm-port=sim", f"--tflm-model={odd}", f"--tflm-model={other}", "--tflm-samples=1")
    done = inner.pytest(*words)
    assert done.outcomes == {"error": 6, "passed": 6}, done.output
    assert "more than 255 inputs or outputs" in done.output
