"""A conftest may have a fixture ``device`` of its own: it is theirs, and the suite has its own."""

from __future__ import annotations

import textwrap


def test_a_users_device_is_theirs_and_the_suite_runs(inner, tcn):
    (inner.directory / "conftest.py").write_text(
        textwrap.dedent(
            """
            import pytest

            @pytest.fixture
            def device():
                return "a power supply"

            @pytest.fixture
            def reference():
                return "a voltmeter"
            """
        )
    )
    (inner.directory / "test_mine.py").write_text(
        textwrap.dedent(
            """
            from pytest_tflm import tflm_fuzz

            def test_mine(device, reference):
                assert (device, reference) == ("a power supply", "a voltmeter")

            @tflm_fuzz(max_examples=3)
            def test_fuzz(got, expected):
                assert got.arrays[0].shape == expected.arrays[0].shape
            """
        )
    )
    done = inner.pytest(
        "--tflm-port=sim", f"--tflm-model={tcn}", "--tflm-samples=1", "--tflm-fuzz=2"
    )
    assert done.outcomes == {"passed": 9}, done.output
