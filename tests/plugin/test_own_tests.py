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
