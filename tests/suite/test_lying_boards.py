"""What a board does wrong that is no difference of outputs: an error with a name, never FAILED."""

from __future__ import annotations

import model_builders
import numpy as np

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
