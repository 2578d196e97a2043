"""The main job, in a folder that is not the repository; once by the command that a user types."""

from __future__ import annotations

import re

import model_builders
import numpy as np
import pytest

SIM = "--tflm-port=sim"
SUITE_BESIDE_SAMPLES = 5  # identity, read-back, same input, order, similar inputs


def test_the_example_passes_over_all_its_samples(command, tcn):
    done = command.pytest(SIM, f"--tflm-model={tcn}")
    samples = len(np.load(tcn.with_name("tcn_samples.npz"))["inputs"])
    assert samples >= 200
    assert done.outcomes == {"passed": samples + SUITE_BESIDE_SAMPLES + 1}, done.output
    assert done.status == 0
    (metrics,) = done.lines("tcn.tflite: board MAE")  # the samples have labels
    assert "; reference MAE" in metrics
    (board,) = done.lines("tflm: board: ")
    assert "simulator" in board
    assert "pytest-tflm-core" in board
    (model,) = done.lines("tflm: model: ")
    assert "tcn.tflite" in model
    assert re.search(r"CRC-32 [0-9a-f]{8}", model)
    assert done.lines("tflm: reference: litert builtin_ref, tolerance auto")
    (summary,) = done.lines("tcn.tflite: board simulator against")
    assert f"{samples} samples" in summary


def test_the_dynamic_example_fails_by_dozens_of_lsb(inner, tcn_dynamic):
    # Its first Invoke reads memory that nobody wrote: checks of repeatability may fail as well.
    done = inner.pytest(SIM, f"--tflm-model={tcn_dynamic}", "--tflm-samples=4")
    assert set(done.outcomes) == {"passed", "failed"}, done.output
    assert done.outcomes["failed"] >= 4
    assert done.status == 1
    largest, *_ = re.findall(
        r"4 of 4 samples beyond the tolerance, largest (\d+) LSB$", done.output, re.M
    )
    assert int(largest) >= 24
    assert "Traceback" not in done.output


@pytest.mark.slow
def test_host_tflm_is_equal_bit_for_bit(inner, tcn):
    done = inner.pytest(SIM, f"--tflm-model={tcn}", "--tflm-runtime=tflm", "--tflm-tolerance=0")
    assert done.status == 0, done.output
    assert "equal, bit for bit" in done.lines("tcn.tflite: ")[0]


def test_the_delegate_is_not(inner, tcn):
    done = inner.pytest(
        SIM, f"--tflm-model={tcn}", "--tflm-resolver=auto", "--tflm-tolerance=0", "--tflm-samples=8"
    )
    assert done.status == 1, done.output
    assert set(done.outcomes) == {"passed", "failed"}
    assert done.lines("tflm: reference: litert auto, tolerance 0 LSB")


def test_two_inputs_and_three_outputs_of_mixed_types(inner, model_file):
    path = model_file("mixed.tflite", model_builders.mixed())
    done = inner.pytest(SIM, f"--tflm-model={path}", "--tflm-samples=5", "--tflm-tolerance=0")
    assert done.outcomes == {"passed": 5 + SUITE_BESIDE_SAMPLES}, done.output


def test_a_float_model_is_compared_with_a_float_tolerance(inner, model_file):
    path = model_file("quantize.tflite", model_builders.dequantize_op("int8", 0.05, 3))
    done = inner.pytest(SIM, f"--tflm-model={path}", "--tflm-samples=5")
    assert done.outcomes == {"passed": 5 + SUITE_BESIDE_SAMPLES}, done.output


def test_several_models_in_one_run(inner, tcn, model_file):
    small = model_file("small.tflite", model_builders.conv_2d())
    done = inner.pytest(SIM, f"--tflm-model={tcn}", f"--tflm-model={small}", "--tflm-samples=3")
    assert done.outcomes == {"passed": 2 * (3 + SUITE_BESIDE_SAMPLES)}, done.output


def test_one_sample_can_be_run_again_by_its_name(inner, tcn):
    name = f"{tcn}::test_outputs[3]"
    done = inner.pytest(SIM, f"--tflm-model={tcn}", name)
    assert done.outcomes == {"passed": 1}, done.output
    assert inner.pytest(SIM, name).outcomes == {"passed": 1}


def test_without_a_port_device_tests_skip_and_say_why(inner, tcn):
    done = inner.pytest("-rs", f"--tflm-model={tcn}", "--tflm-samples=2")
    assert done.outcomes == {"skipped": 2 + SUITE_BESIDE_SAMPLES}
    assert "no board: give --tflm-port" in done.output
