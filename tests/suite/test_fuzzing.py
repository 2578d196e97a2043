"""Searching for inputs as a user sees it: --tflm-fuzz, @tflm_fuzz."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import model_builders
import pytest

from pytest_tflm.replay.format import read_replay

# One output code is higher when input element 17 has its highest code.
BROKEN = "--tflm-port=sim?defect=one-element:17"


@pytest.fixture
def small(model_file) -> Path:
    return model_file("small.tflite", model_builders.conv_2d())


def saved(folder: Path) -> Path:
    (path,) = folder.glob("*.tflm-replay")
    return path


def test_there_is_a_fuzz_test_if_it_is_asked_for(inner, small):
    without = inner.pytest("--tflm-port=sim", f"--tflm-model={small}", "--collect-only", "-q")
    assert "test_fuzz" not in without.output
    done = inner.pytest("--tflm-port=sim", f"--tflm-model={small}", "--tflm-fuzz=50", "-k", "fuzz")
    assert done.outcomes["passed"] == 1, done.output


def test_a_defect_that_samples_do_not_show_is_found_shown_and_replayed(inner, small):
    words = (BROKEN, f"--tflm-model={small}", "--tflm-fuzz=2000", "--tflm-save=found", "-k", "fuzz")
    done = inner.pytest(*words, "--tflm-samples=1", "--tflm-seed=3")
    assert done.outcomes["failed"] == 1, done.output
    assert "LSB apart, 1 allowed: board simulator against litert builtin_ref" in done.output
    shown = re.search(
        r"^ +zero point \(-?\d+\) everywhere but x\[(.*?)\] = 127 ", done.output, re.M
    )
    assert shown is not None, done.output
    assert done.output.count("  why: ") == 1
    assert "Traceback" not in done.output
    replay = saved(inner.directory / "found")
    assert f"again: pytest {Path('found') / replay.name}" in done.output

    again = inner.pytest(BROKEN, replay)
    assert again.outcomes == {"failed": 1}, again.output
    assert "OutputMismatch: reproduces: " in again.output
    assert shown[1] in again.output
    assert "outputs of board simulator: those in the file" in again.output
    for port in (("--tflm-port=sim",), ()):
        healthy = inner.pytest(*port, replay)
        assert healthy.outcomes == {"passed": 1}, healthy.output
        (line,) = healthy.lines("replay: ")
        assert "does not reproduce" in line
        assert ("no --tflm-port" in line) == (not port)


def test_a_users_own_fuzz_test(inner, small):
    (inner.directory / "test_mine.py").write_text(
        textwrap.dedent(
            """
            import pytest
            from pytest_tflm import tflm_fuzz, within

            seen = []

            @pytest.fixture
            def limit():
                return 1

            @tflm_fuzz(max_examples=2000, batch=64, seed=3)
            def test_outputs(got, expected, limit):
                assert got == within(expected, lsb=limit)

            class TestMethods:
                @tflm_fuzz(max_examples=40)
                def test_samples(self, sample, got, tflm_model):
                    assert sample[0].shape == tflm_model.inputs[0].shape
                    seen.append(got)

                def test_count(self):
                    assert len(seen) == 40
            """
        )
    )
    words = (f"--tflm-model={small}", "--tflm-suite=off", "--tflm-samples=1")
    done = inner.pytest("--tflm-port=sim", *words)
    assert done.outcomes == {"passed": 3}, done.output
    done = inner.pytest(BROKEN, *words, "-k", "outputs")
    assert done.outcomes["failed"] == 1, done.output
    assert re.search(r"everywhere but x\[.*?\] = 127 ", done.output, re.M)
    assert "test_mine.py:13" in done.output
    assert "tflm: comparison" in done.output
    assert "not saved" in done.output, "there is no cache in these tests"
    skipped = inner.pytest(*words)
    assert skipped.outcomes["skipped"] == 2


@pytest.mark.parametrize(
    "assertion", ["assert got == within(expected, lsb=0)", "within(expected, lsb=0).check(got)"]
)
def test_a_replay_allows_what_the_users_test_allowed(inner, small, assertion):
    """The board is 1 LSB off, which --tflm-tolerance would let pass."""
    (inner.directory / "test_mine.py").write_text(
        "from pytest_tflm import tflm_fuzz, within\n\n"
        f"@tflm_fuzz()\ndef test_outputs(got, expected):\n    {assertion}\n"
    )
    port = "--tflm-port=sim?defect=off-by-one:CONV_2D"
    words = (f"--tflm-model={small}", "--tflm-suite=off", "--tflm-save=kept")
    done = inner.pytest(port, *words, "--tflm-verdict=off", "test_mine.py")
    assert done.outcomes == {"failed": 1}, done.output
    path = saved(inner.directory / "kept")
    assert read_replay(path).lsb == 0
    again = inner.pytest(port, path)
    assert again.outcomes == {"failed": 1}, again.output
    assert "reproduces: 1 LSB apart, 0 allowed" in again.output


def test_findings_are_in_pytests_cache_without_a_folder(inner, small):
    words = (BROKEN, f"--tflm-model={small}", "--tflm-fuzz=2000", "-k", "fuzz")
    done = inner.pytest(*words, "--tflm-verdict=off", "--tflm-seed=3", cache=True)
    assert done.outcomes["failed"] == 1, done.output
    assert saved(inner.directory / ".pytest_cache" / "tflm").name in done.output


def test_a_failing_sample_is_saved_if_a_folder_is_given(inner, tcn):
    words = (
        f"--tflm-model={tcn}",
        "--tflm-resolver=auto",
        "--tflm-tolerance=0",
        "--tflm-samples=1",
    )
    options = ("-k", "test_outputs", "--tflm-verdict=off")
    done = inner.pytest("--tflm-port=sim", *words, *options, "--tflm-save=kept")
    assert done.outcomes["failed"] == 1, done.output
    again = inner.pytest(saved(inner.directory / "kept"))
    assert again.outcomes == {"failed": 1}, again.output
    assert "reproduces: " in again.output
    assert "tflm against litert auto" in again.output


def test_tflm_fuzz_for_a_test_that_checks_nothing(inner):
    (inner.directory / "test_none.py").write_text(
        "from pytest_tflm import tflm_fuzz\n\n@tflm_fuzz()\ndef test_it(sample):\n    pass\n"
    )
    done = inner.pytest("test_none.py")
    assert "takes neither got nor expected" in done.output


def test_hypothesis_has_the_profile_and_the_type(command):
    (command.directory / "test_given.py").write_text(
        textwrap.dedent(
            """
            from hypothesis import given, settings, strategies as st
            from pytest_tflm import Tensor

            @given(st.from_type(Tensor))
            def test_tensor(tensor):
                low, high = tensor.code_range
                assert low <= tensor.zero_point <= high
                assert settings.default.deadline is None
            """
        )
    )
    done = command.pytest("--hypothesis-profile=tflm", "test_given.py")
    assert done.outcomes == {"passed": 1}, done.output
