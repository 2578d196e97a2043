"""--tflm-conformance: the kernels that a model uses, each on generated models of its own."""

from __future__ import annotations

from pathlib import Path

import model_builders
import pytest

from tests.runtime import state_models


@pytest.fixture
def small(model_file) -> Path:
    return model_file("small.tflite", model_builders.conv_2d())


WORDS = ("-k", "test_kernel", "-v")


def test_there_is_a_test_for_each_type_of_operator_that_the_model_uses(inner, tcn, small):
    asked = ("--tflm-port=sim", f"--tflm-model={tcn}", "--tflm-samples=1", "--collect-only", "-q")
    assert "test_kernel" not in inner.pytest(*asked).output
    done = inner.pytest(*asked, "--tflm-conformance=5")
    found = [line.split("test_kernel")[1] for line in done.output.split() if "test_kernel" in line]
    names = ("PAD", "RESHAPE", "CONV_2D", "ADD", "STRIDED_SLICE", "FULLY_CONNECTED")
    assert found == [f"[{name}]" for name in names], done.output


def test_kernels_that_are_right_pass_and_the_models_own_tests_go_on(inner, small):
    words = (
        "--tflm-port=sim",
        f"--tflm-model={small}",
        "--tflm-samples=2",
        "--tflm-conformance=20",
    )
    done = inner.pytest(*words, "-v")
    assert set(done.outcomes) == {"passed"}, done.output
    assert "::test_kernel[CONV_2D] PASSED" in done.output


@pytest.mark.slow
def test_a_kernel_that_is_wrong_where_the_samples_do_not_show_it(inner, small):
    """Its model has stride 1: only generated models show what is wrong."""
    port = "--tflm-port=sim?defect=odd-stride-and-padding:CONV_2D"
    words = (f"--tflm-model={small}", "--tflm-conformance=60", "--tflm-save=kept")
    done = inner.pytest(port, *words, "--tflm-samples=2")
    assert done.outcomes["failed"] == 1, done.output
    assert "test_kernel[CONV_2D]" in done.output
    assert "small.tflite: CONV_2D: board simulator against tflm: differs by 1 LSB" in done.output
    assert "tflm: why" not in done.output, "the kernel is the why"
    paths = list((inner.directory / "kept").glob("*.tflm-replay"))
    assert paths
    assert all(f"again: pytest kept/{path.name}" in done.output for path in paths)
    assert inner.pytest(port, *paths).outcomes == {"failed": len(paths)}
    assert inner.pytest("--tflm-port=sim", *paths).outcomes == {"passed": len(paths)}


@pytest.mark.slow
def test_a_board_that_crashes_is_an_error_with_the_smallest_model_that_does_it(inner, small):
    """And begins anew, so that the tests after it are run."""
    words = (f"--tflm-model={small}", "--tflm-conformance=10", "--tflm-save=kept", *WORDS)
    done = inner.pytest("--tflm-port=sim?defect=crash", *words)
    assert done.outcomes["error"] == 1, done.output
    assert "BoardCrashed: CONV_2D: board simulator against tflm: board simulator" in done.output
    assert "killed by SIGSEGV" in done.output
    assert "int8[1,1,1,1]" in done.output
    assert len(list((inner.directory / "kept").glob("*.tflm-replay"))) == 1
    assert "tflm: board: simulator" in done.output, "the header is shown for these tests alone too"
    assert "Traceback" not in done.output


@pytest.mark.slow
def test_what_tflm_dies_of_on_this_machine_is_not_sent_to_the_board(inner, model_file):
    """TFLM's Python package dies of SVDF without a bias, which one in 16 models has. The simulator
    would too, and nothing could be tested after that."""
    model = model_file("svdf.tflite", state_models.svdf())
    words = (f"--tflm-model={model}", "--tflm-conformance=100", *WORDS)
    done = inner.pytest("--tflm-port=sim", *words)
    assert done.outcomes["passed"] == 1, done.output


def test_without_a_board_it_is_skipped(inner, small):
    done = inner.pytest(f"--tflm-model={small}", "--tflm-conformance=5", *WORDS)
    assert done.outcomes["skipped"] == 1, done.output
