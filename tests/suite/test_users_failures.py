"""A user's own test that fails for many samples: one section, and nothing that it says is lost."""

from __future__ import annotations

import re
import textwrap

import model_builders
import pytest

from pytest_tflm.record.journal import read_run

WRONG = "--tflm-port=sim?defect=off-by-one:FULLY_CONNECTED"


@pytest.fixture
def users(inner, model_file):
    """Runs a user's test file on a board that is wrong for all samples."""
    model = model_file("small.tflite", model_builders.fully_connected(8, 1))

    def run(code: str, *words: str, samples: int = 14):
        (inner.directory / "test_mine.py").write_text(
            f"from pytest_tflm import within\n{textwrap.dedent(code)}"
        )
        return inner.pytest(
            *(WRONG, f"--tflm-model={model}", "--tflm-suite=off", f"--tflm-samples={samples}"),
            *("test_mine.py", *words),
        )

    return run


PLAIN = """
def test_outputs(device, reference, tflm_sample):
    assert device.run(tflm_sample) == within(reference.run(tflm_sample), lsb=0)
"""


def sections(done) -> list[str]:
    return re.findall(r"^_{3,} (.*?) _{3,}$", done.output, re.MULTILINE)


def test_one_section_the_verdict_once_and_the_ten_largest(users):
    done = users(PLAIN)
    assert done.outcomes == {"failed": 14}, done.output
    assert sections(done) == ["test_outputs[small.tflite-0]", "test_outputs: 13 more"]
    assert done.output.count("cause: ") == 1
    assert "13 more failed at test_mine.py:4; the 10 largest differences:" in done.output
    assert len(done.lines("  [small.tflite-")) == 10
    assert done.lines("in full: -vv, or pytest 'test_mine.py::test_outputs[small.tflite-")
    assert len(done.lines("FAILED ")) == 14, "pytest's summary has each"
    above = done.output[: done.output.index("short test summary")]
    assert len(above.splitlines()) < 70, above


def test_what_a_user_says_of_a_sample_is_there(users):
    done = users(
        """
        import pytest

        @pytest.mark.parametrize("i", range(3))
        def test_outputs(device, reference, tflm_samples, i):
            got, wanted = device.run(tflm_samples[i]), reference.run(tflm_samples[i])
            assert got == within(wanted, lsb=0), f"the sample of bearing {i}"

        def test_other(device, reference, tflm_samples):
            got, wanted = device.run(tflm_samples[0]), reference.run(tflm_samples[0])
            assert got == within(wanted, lsb=0), "something else"
        """
    )
    assert done.outcomes == {"failed": 4}, done.output
    shown = [each.split("[")[0] for each in sections(done)]
    assert shown == ["test_outputs", "test_outputs: 2 more", "test_other"]
    for said in ("bearing 0", "bearing 1", "bearing 2", "something else"):
        assert said in done.output, said


def test_failures_of_other_kinds_and_places_have_their_own_sections(users):
    done = users(
        """
        import pytest

        @pytest.mark.parametrize("i", range(4))
        def test_outputs(device, reference, tflm_samples, i):
            got, wanted = device.run(tflm_samples[i]), reference.run(tflm_samples[i])
            assert i < 3, "no comparison at all"
            if i == 2:
                assert got == within(wanted, lsb=0), "another line"
            assert got == within(wanted, lsb=0)
        """
    )
    assert [each.split(":")[0] for each in sections(done)] == [
        "test_outputs[small.tflite-0]",
        "test_outputs",
        "test_outputs[small.tflite-2]",
        "test_outputs[small.tflite-3]",
    ]
    assert "1 more failed at test_mine.py:11:" in done.output


@pytest.mark.parametrize("words", [("-vv",), ("--tb=line",), ("--tb=no",)])
def test_who_asks_for_more_or_less_gets_it(users, words):
    done = users(PLAIN, *words, samples=5)
    assert done.outcomes == {"failed": 5}
    assert " more failed at" not in done.output
    count = {"-vv": 5, "--tb=line": 0, "--tb=no": 0}[words[0]]
    assert len(sections(done)) == count


def test_the_record_has_a_test_each_and_no_samples(users, inner):
    users(PLAIN, "--tflm-json=run.json", samples=3)
    run = read_run(inner.directory / "run.json")
    assert [each["cause"] for each in run["tests"]] == ["AssertionError"] * 3
    (model,) = run["models"]
    assert model["samples"] == []
    assert model["verdict"]["causes"][0]["name"] == "kernel-differs"


@pytest.mark.slow
def test_workers_of_xdist(command, model_file):
    model = model_file("small.tflite", model_builders.fully_connected(8, 1))
    (command.directory / "test_mine.py").write_text(f"from pytest_tflm import within\n{PLAIN}")
    done = command.pytest(
        *("-n2", WRONG, f"--tflm-model={model}", "--tflm-suite=off", "--tflm-samples=20"),
        "test_mine.py",
    )
    assert set(done.outcomes) <= {"failed", "passed"} and done.outcomes["failed"] > 10, done.output
    assert len(sections(done)) == 2, done.output
    assert done.output.count("cause: ") == 1
