"""What breaks in this package while a test is reported: a note of that test, and no more."""

from __future__ import annotations

import textwrap

import pytest

SIM = "--tflm-port=sim"


def breaks(*_args, **_keywords):
    raise RuntimeError("broken \x1b[2J on purpose")


@pytest.fixture
def failing(inner, tcn):
    """A run of one user's test that fails and one that passes."""
    (inner.directory / "test_mine.py").write_text(
        textwrap.dedent(
            """
            from pytest_tflm import within

            def test_fails(device, tflm_samples):
                got = device.run(tflm_samples[0])
                assert got == within(got.arrays[0] ^ 1, lsb=0)

            def test_passes(device, tflm_samples):
                got = device.run(tflm_samples[0])
                assert got == within(got.arrays[0], lsb=0)
            """
        )
    )
    return lambda *words: inner.pytest(
        SIM, f"--tflm-model={tcn}", "--tflm-suite=off", "test_mine.py", *words
    )


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ("pytest_tflm.suite.verdicts.Verdicts.section", "explaining this test failed"),
        ("pytest_tflm.compare.words.comparison_lines", "describing this comparison failed"),
        ("pytest_tflm.compare.within.compared", "comparing these outputs failed"),
        ("pytest_tflm.report.header.header_lines", "the header failed"),
        ("pytest_tflm.report.summary.summary_lines", "the summary failed"),
    ],
)
def test_what_breaks_in_a_report_is_a_note(failing, monkeypatch, broken, words):
    monkeypatch.setattr(broken, breaks)
    done = failing()
    assert done.status == 1
    assert done.outcomes == {"failed": 1, "passed": 1}, done.output
    assert "INTERNALERROR" not in done.output
    assert words in done.output
    assert "RuntimeError: broken \\x1b[2J on purpose" in done.output
    assert "\x1b" not in done.output


def test_what_breaks_while_an_error_is_described_is_a_note(inner, tcn, monkeypatch):
    monkeypatch.setattr("pytest_tflm.suite.outcome._describe_error", breaks)
    words = ("--tflm-port=sim?without=CONV_2D", f"--tflm-model={tcn}", "--tflm-samples=1")
    done = inner.pytest(*words)
    assert set(done.outcomes) == {"error"}, done.output
    assert "INTERNALERROR" not in done.output
    assert "describing this error failed" in done.output
