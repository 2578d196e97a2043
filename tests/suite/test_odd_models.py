"""Whole runs over models and samples that once ended them: NaN, handles, floats, files."""

from __future__ import annotations

import network_models
import numpy as np
from model_builders import Graph

from tests.runtime import state_models

SIM = "--tflm-port=sim"


def test_a_board_that_gives_nan_fails_with_a_verdict_and_the_run_goes_on(inner, model_file):
    path = model_file("dense.tflite", network_models.float_dense())
    arguments = (f"--tflm-model={path}", "--tflm-samples=3", "--tflm-runtime=tflm")
    done = inner.pytest("--tflm-port=sim?defect=not-a-number", *arguments)
    assert done.outcomes["failed"] >= 3 and done.outcomes["passed"] >= 3, done.output
    assert "error" not in done.outcomes
    assert "inputs or outputs are changed around Invoke (input-changed)" in done.output
    assert "INTERNALERROR" not in done.output and "nan" in done.output.lower()


def test_a_sample_that_holds_nan_runs(inner, model_file):
    path = model_file("dense.tflite", network_models.float_dense())
    samples = path.with_name("nan.npz")
    rows = np.ones((2, 1, 16), np.float32)
    rows[1, 0, 3] = np.nan
    np.savez(samples, x=rows)
    done = inner.pytest(SIM, f"--tflm-model={path}", f"--tflm-samples={samples}")
    assert set(done.outcomes) == {"passed"}, done.output


def test_handles_of_variables_are_never_read(inner, model_file):
    path = model_file("sum.tflite", state_models.running_sum(0.0))
    done = inner.pytest_tflm("model", "lint", path)
    assert done.status == 0 and "No problems found" in done.output, done.output
    done = inner.pytest_tflm("model", "repair", path, "-o", "out.tflite")
    assert done.status == 0 and "nothing to repair" in done.output, done.output
    names = ["CALL_ONCE", "VAR_HANDLE", "READ_VARIABLE", "ADD", "ASSIGN_VARIABLE"]
    done = inner.pytest_tflm(
        "model", "cut", path, "--op", str(names.index("ADD")), "-o", "a.tflite"
    )
    assert done.status == 0, done.output
    done = inner.pytest_tflm("model", "cut", path, "--op", "2", "-o", "b.tflite")
    assert done.status == 1 and "shares with other operators" in done.output, done.output
    done = inner.pytest(SIM, f"--tflm-model={path}", "--tflm-samples=4")
    assert set(done.outcomes) == {"passed"}, done.output


def float_io() -> bytes:
    """float32 (1, 8) → QUANTIZE, FULLY_CONNECTED, DEQUANTIZE → float32 (1, 4)."""
    g = Graph()
    rng = np.random.default_rng(1)
    x, y = g.tensor("x", (1, 8), "float32"), g.tensor("y", (1, 4), "float32")
    codes = g.tensor("codes", (1, 8), "int8", 0.05, 3)
    w = g.tensor("w", (4, 8), "int8", 0.01, 0, rng.integers(-127, 128, (4, 8)))
    b = g.tensor("b", (4,), "int32", 0.05 * 0.01, 0, np.zeros(4))
    made = g.tensor("made", (1, 4), "int8", 0.1, -4)
    g.operator("QUANTIZE", (x,), (codes,), "QuantizeOptions")
    g.operator("FULLY_CONNECTED", (codes, w, b), (made,), "FullyConnectedOptions", version=4)
    g.operator("DEQUANTIZE", (made,), (y,), "DequantizeOptions", version=2)
    return g.finish((x,), (y,))


def test_a_float_output_is_judged(inner, model_file):
    path = model_file("float_io.tflite", float_io())
    arguments = (f"--tflm-model={path}", "--tflm-samples=4", "--tflm-runtime=tflm")
    done = inner.pytest("--tflm-port=sim?defect=random", *arguments)
    assert done.outcomes.get("failed", 0) >= 1, done.output
    assert "the board is not deterministic (nondeterministic-board)" in done.output
    done = inner.pytest("--tflm-port=sim?defect=drift", *arguments)
    assert "the board's outputs drift with each run (drifting-outputs)" in done.output
    done = inner.pytest(SIM, *arguments)
    assert set(done.outcomes) == {"passed"}, done.output


def test_sample_files_that_do_not_fit_are_told_in_one_line(inner, model_file):
    path = model_file("dense.tflite", network_models.float_dense())
    table, one = path.with_name("feat.csv"), path.with_name("one.npy")
    table.write_text("0.5,0.25\n1,2\n")
    np.save(one, np.float32(3))
    for file, words in (
        (table, "feat.csv has no header: its first row holds numbers."),
        (one, "one.npy: '' is a single number, not a stack of samples"),
    ):
        done = inner.pytest(SIM, f"--tflm-model={path}", f"--tflm-samples={file}")
        (line,) = done.lines("SampleError: ")
        assert words in line
        assert "Traceback" not in done.output and "pickle" not in done.output
