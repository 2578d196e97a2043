"""The fixtures and the assertion in a user's own test file."""

from __future__ import annotations

import textwrap

import model_builders

SIM = "--tflm-port=sim"


def test_a_users_own_test_runs_for_each_model_and_sample(inner, tcn, model_file):
    small = model_file("small.tflite", model_builders.conv_2d())
    (inner.directory / "test_mine.py").write_text(
        textwrap.dedent(
            """
            from pytest_tflm import within

            def test_outputs(device, reference, tflm_sample, tflm_tolerance):
                assert device.run(tflm_sample) == within(
                    reference.run(tflm_sample), lsb=tflm_tolerance
                )
            """
        )
    )
    words = ("-v", SIM, f"--tflm-model={tcn}", f"--tflm-model={small}", "--tflm-samples=2")
    done = inner.pytest(*words, "--tflm-suite=off")
    assert done.outcomes == {"passed": 4}, done.output
    assert "test_mine.py::test_outputs[tcn.tflite-0] PASSED" in done.output
    assert "test_mine.py::test_outputs[small.tflite-1] PASSED" in done.output


def test_a_users_failing_assert_shows_the_comparison(inner, tcn):
    (inner.directory / "test_mine.py").write_text(
        textwrap.dedent(
            """
            from pytest_tflm import within

            def test_outputs(device, reference, tflm_sample):
                expected = reference.run(tflm_sample).arrays[0] ^ 64
                assert device.run(tflm_sample) == within(expected, lsb=2)
            """
        )
    )
    done = inner.pytest(SIM, f"--tflm-model={tcn}", "--tflm-samples=1", "--tflm-suite=off")
    assert done.outcomes == {"failed": 1}, done.output
    assert "64 LSB apart, 2 allowed: board simulator" in done.output
    assert "1 of 1 element beyond the tolerance" in done.output
    assert "assert device.run(tflm_sample) == within(expected, lsb=2)" in done.output


def test_outputs_are_equal_if_their_bytes_are(inner, model_file):
    model = model_file("small.tflite", model_builders.conv_2d())
    (inner.directory / "test_mine.py").write_text(
        textwrap.dedent(
            """
            def test_same(device, reference, tflm_sample):
                assert device.run(tflm_sample) == reference.run(tflm_sample)

            def test_other(device, reference, tflm_samples):
                assert device.run(tflm_samples[0]) == reference.run(tflm_samples[1])
            """
        )
    )
    words = (SIM, f"--tflm-model={model}", "--tflm-samples=2", "--tflm-suite=off")
    done = inner.pytest(*words, "--tflm-verdict=off", "-rf")
    assert done.outcomes == {"passed": 2, "failed": 1}, done.output
    assert "LSB apart, 0 allowed" in done.output
