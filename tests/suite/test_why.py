"""Why outputs differ, below the failing test."""

from __future__ import annotations

import re
import textwrap

import network_models
import pytest

from tests.runtime.state_models import delayed

SIM = "--tflm-port=sim"


def why(output: str) -> list[str]:
    """The verdict's sections, of a run with -vv: without, a model's failures are one block."""
    return re.findall(r"-+ tflm: why -+\n(.*?)(?=\n(?:_{3,}|={3,}|-{3,}))", output, re.DOTALL)


def test_a_failing_model_is_explained_once_and_named_at_the_end(inner, tcn):
    words = (SIM, f"--tflm-model={tcn}", "--tflm-resolver=auto", "--tflm-tolerance=0")
    done = inner.pytest(*words, "--tflm-samples=4", "-vv")
    assert done.outcomes["failed"] >= 2, done.output
    first, *others = why(done.output)
    assert "The board is right" in first
    assert "CONV_2D (operators 2, 6, 11, 16, 21, 26, 31, 36, 41) of litert auto" in first
    assert "pytest-tflm explain delegate-kernels" in first
    assert others
    assert all(text.startswith("as shown with ") for text in others)
    (line,) = done.lines("why: tcn.tflite: the delegate")
    assert "delegate-kernels" in line
    assert "--tflm-resolver=builtin_ref" in line
    assert "Traceback" not in done.output


def test_the_verdict_can_be_brief_or_off(inner, tcn):
    words = (SIM, f"--tflm-model={tcn}", "--tflm-resolver=auto", "--tflm-tolerance=0")
    brief = inner.pytest(*words, "--tflm-samples=2", "--tflm-verdict=brief")
    text = " ".join(brief.output.split())
    assert "board: right: its outputs equal host TFLM's" in text
    assert "why: the delegate" in text
    assert "= the link" not in text
    full = inner.pytest(*words, "--tflm-samples=2", "--tflm-verdict=full")
    assert "= the link" in full.output
    off = inner.pytest(*words, "--tflm-samples=2", "--tflm-verdict=off")
    assert off.outcomes["failed"] == brief.outcomes["failed"]
    assert "why:" not in off.output


def test_a_users_own_test_is_explained_too(inner, tcn):
    (inner.directory / "test_mine.py").write_text(
        textwrap.dedent(
            """
            from pytest_tflm import within

            def test_outputs(device, reference, tflm_sample):
                assert device.run(tflm_sample) == within(reference.run(tflm_sample), lsb=0)

            def test_wrong_expectation(device, tflm_sample):
                got = device.run(tflm_sample)
                assert got == within(got.arrays[0] ^ 1, lsb=0)
            """
        )
    )
    options = ("--tflm-samples=1", "--tflm-suite=off", "--tflm-resolver=auto")
    done = inner.pytest(SIM, f"--tflm-model={tcn}", *options, "-k", "outputs")
    assert done.outcomes == {"failed": 1, "deselected": 1}, done.output
    assert "cause: the delegate (XNNPACK)" in why(done.output)[0]
    done = inner.pytest(
        SIM, f"--tflm-model={tcn}", "--tflm-samples=1", "--tflm-suite=off", "-k", "expectation"
    )
    (text,) = why(done.output)
    assert "compares with something other than the reference" in " ".join(text.split())


def test_tests_after_a_verdict_run_on_the_model_again(inner, tcn, model_file):
    # The verdict loads many small models on the board: the next test must not see them.
    small = model_file("small.tflite", network_models.image_network())
    words = (SIM, f"--tflm-model={tcn}", f"--tflm-model={small}", "--tflm-resolver=auto")
    done = inner.pytest(*words, "--tflm-tolerance=0", "--tflm-samples=2")
    assert "test_order_does_not_matter" not in "".join(done.lines("FAILED"))
    assert "error" not in done.outcomes, done.output


@pytest.mark.parametrize("defect", ["off-by-one:FULLY_CONNECTED", "state-kept"])
def test_a_verdict_changes_no_outcome_of_a_model_with_state(inner, model_file, defect):
    stream = model_file("stream.tflite", delayed())
    words = (f"--tflm-port=sim?defect={defect}", f"--tflm-model={stream}", "--tflm-samples=10")
    words += ("--tflm-runtime=tflm", "--tflm-tolerance=0")
    (inner.directory / "test_mine.py").write_text(
        textwrap.dedent(
            """
            from pytest_tflm import within

            def test_stream(device, reference, tflm_sample):
                assert device.run(tflm_sample) == within(reference.run(tflm_sample), lsb=0)
            """
        )
    )
    with_it = inner.pytest(*words, "-vv")
    without = inner.pytest(*words, "-vv", "--tflm-verdict=off")
    assert with_it.outcomes == without.outcomes, with_it.output
    failed = [[line.split(" - ")[0] for line in run.lines("FAILED")] for run in (with_it, without)]
    assert failed[0] == failed[1]
    assert with_it.outcomes["failed"] > 1
    (text, *_) = why(with_it.output)
    cause = "kernel differs" if "FULLY" in defect else "state is not reset"
    assert cause in text


def test_ctrl_c_in_a_verdict_ends_the_run_and_keeps_the_failure(inner, monkeypatch, tcn):
    def interrupted(*words, **more):
        raise KeyboardInterrupt

    monkeypatch.setattr("pytest_tflm.verdict.verdict.judge", interrupted)
    words = (SIM, f"--tflm-model={tcn}", "--tflm-resolver=auto", "--tflm-tolerance=0")
    done = inner.pytest(*words, "--tflm-samples=8")
    assert done.outcomes["failed"] == 1, done.output
    assert "interrupted during the verdict" in done.output
    assert done.status == 2


def test_an_error_names_its_page(inner, model_file):
    small = model_file("small.tflite", network_models.image_network())
    done = inner.pytest("--tflm-port=sim?without=ADD", f"--tflm-model={small}")
    assert "pytest-tflm explain operator-missing" in done.output
    assert done.output.count("pytest-tflm explain operator-missing") == 1


def test_a_failure_that_is_expected_is_not_explained(inner, tcn):
    (inner.directory / "test_mine.py").write_text(
        textwrap.dedent(
            """
            import pytest
            from pytest_tflm import within

            @pytest.mark.xfail
            def test_outputs(device, tflm_sample):
                got = device.run(tflm_sample)
                assert got == within(got.arrays[0] ^ 1, lsb=0)
            """
        )
    )
    done = inner.pytest(SIM, f"--tflm-model={tcn}", "--tflm-samples=1", "--tflm-suite=off")
    assert done.outcomes == {"xfailed": 1}, done.output
    assert not done.lines("why:")
