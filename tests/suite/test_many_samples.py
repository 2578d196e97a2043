"""Many samples in one test: --tflm-per-sample."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import model_builders
import pytest

from pytest_tflm.compare.comparison import compare
from pytest_tflm.model import model_from_bytes
from pytest_tflm.options import settings_from
from pytest_tflm.record.journal import read_run
from pytest_tflm.record.samples import samples_for
from pytest_tflm.report.progress import ProgressLine
from pytest_tflm.runtime.board import BoardHost
from pytest_tflm.runtime.interpreter import interpreter
from pytest_tflm.runtime.spec import RuntimeSpec
from pytest_tflm.suite.judgement import Judgement
from pytest_tflm.suite.streamed import Numbers, tallied
from tests.runtime import state_models

SIM = "--tflm-port=sim"
BESIDE = 5  # the suite's tests beside those of the samples


@pytest.fixture
def small(model_file):
    return model_file("small.tflite", model_builders.conv_2d())


def test_more_than_a_thousand_samples_are_one_test(inner, small):
    done = inner.pytest(SIM, f"--tflm-model={small}", "--tflm-samples=1001", "-v")
    assert done.outcomes == {"passed": 1 + BESIDE}, done.output
    assert "test_all_outputs PASSED" in done.output
    assert "1001 samples: equal, bit for bit" in done.output


@pytest.mark.parametrize(
    ("choice", "count", "passed"), [("off", 5, 1), ("on", 5, 5), ("auto", 5, 5)]
)
def test_who_says_so_gets_one_test_or_many(inner, small, choice, count, passed):
    words = (SIM, f"--tflm-model={small}", f"--tflm-samples={count}")
    done = inner.pytest(*words, f"--tflm-per-sample={choice}")
    assert done.outcomes == {"passed": passed + BESIDE}, done.output


def test_a_sample_of_a_million_is_one_test_by_its_name(inner, small):
    done = inner.pytest(SIM, "--tflm-samples=1000000", f"{small}::test_outputs[999999]")
    assert done.outcomes == {"passed": 1}, done.output
    done = inner.pytest(SIM, "--tflm-samples=7", f"{small}::test_outputs[7]")
    assert done.outcomes == {}
    assert "not found" in done.output


@pytest.mark.parametrize("state", [False, True])
def test_one_test_and_many_find_the_same(inner, model_file, tmp_path, state):
    path = model_file("m.tflite", state_models.svdf() if state else model_builders.conv_2d())
    words = (
        f"--tflm-model={path}", "--tflm-samples=40", "--tflm-runtime=tflm", "--tflm-tolerance=0",
        "--tflm-verdict=off", "--tflm-port=sim?defect=one-code:5", "-k", "outputs", "-vv",
    )  # fmt: skip
    many = inner.pytest(*words, "--tflm-per-sample=on")
    failed = [int(n) for n in re.findall(r"FAILED .*test_outputs\[(\d+)\]", many.output)]
    junit = tmp_path / "junit.xml"
    one = inner.pytest(*words, "--tflm-per-sample=off", f"--junitxml={junit}")
    properties = {p.get("name"): p.get("value") for p in ET.parse(junit).iter("property")}
    listed = Numbers()
    for number in failed:
        listed.add(number)
    assert failed
    assert properties["tflm_differing"] == listed.text()
    assert f"{len(failed)} of 40 samples" in one.output
    summary = [done.lines("m.tflite: ")[-1] for done in (many, one)]
    assert summary[0] == summary[1]


def test_at_most_ten_are_shown_in_full_and_all_are_listed(inner, small):
    done = inner.pytest(
        "--tflm-port=sim?defect=off-by-one:CONV_2D", f"--tflm-model={small}", "--tflm-samples=300",
        "--tflm-tolerance=0", "--tflm-per-sample=off", "-k", "all_outputs", "-rA", "-vv",
    )  # fmt: skip
    assert done.status == 1
    assert "are beyond the tolerance: 0-299; the first 10 are subtests" in done.output
    assert "samples beyond the tolerance: 0-299" in done.output
    told = r"to run only this sample, give pytest this test: \S*::test_outputs\[(\d+)\]"
    shown = re.findall(told, done.output)
    assert list(dict.fromkeys(map(int, shown))) == list(range(10))
    assert "kernel" in done.output, "the verdict"
    assert done.output.count("tflm: why") >= 1


def test_without_subtests_one_failure_tells_all(inner, small):
    done = inner.pytest(
        "-p", "no:subtests", "--tflm-port=sim?defect=off-by-one:CONV_2D", f"--tflm-model={small}",
        "--tflm-samples=30", "--tflm-tolerance=0", "--tflm-per-sample=off", "-k", "all_outputs",
        "--tflm-verdict=off", "-vv",
    )  # fmt: skip
    assert done.outcomes["failed"] == 1, done.output
    assert "30 of 30 samples are beyond the tolerance: 0-29" in done.output
    assert "the first of them, sample 0: " in done.output
    assert "sample 9: " in done.output
    assert "sample 10: " not in done.output


def test_rounding_is_looked_at_on_the_way(inner, tcn):
    """auto runs the model elsewhere, and comes back to where it was."""
    done = inner.pytest(
        SIM, f"--tflm-model={tcn}", "--tflm-samples=20", "--tflm-per-sample=off",
        "--tflm-resolver=auto", "--tflm-runtime=litert", "-k", "outputs",
    )  # fmt: skip
    many = inner.pytest(
        SIM, f"--tflm-model={tcn}", "--tflm-samples=20", "--tflm-resolver=auto", "-k", "outputs",
    )  # fmt: skip
    assert done.lines("tcn.tflite: ")[-1] == many.lines("tcn.tflite: ")[-1]


def test_findings_are_saved(inner, small):
    done = inner.pytest(
        "--tflm-port=sim?defect=off-by-one:CONV_2D", f"--tflm-model={small}", "--tflm-samples=12",
        "--tflm-tolerance=0", "--tflm-per-sample=off", "-k", "all_outputs", "--tflm-save=found",
        "--tflm-verdict=off",
    )  # fmt: skip
    assert 1 <= len(list((inner.directory / "found").glob("*.tflm-replay"))) <= 10, done.output


def test_numbers_are_kept_as_ranges():
    numbers = Numbers()
    for each in (0, 1, 2, 5, 7, 8):
        numbers.add(each)
    assert numbers.text() == "0-2, 5, 7-8"
    assert numbers.text(2) == "0-2, 5, …"
    assert numbers.count == 6


class Shown:
    """A progress line over a clock that the test moves."""

    def __init__(self, terminal: bool, counters=None) -> None:
        self.now, self.texts = 0.0, []
        show = self.texts.append
        self.line = ProgressLine(
            show if terminal else None, show, lambda: counters, clock=lambda: self.now
        )


def test_what_takes_less_than_a_second_shows_nothing():
    shown = Shown(terminal=True)
    for done in range(10):
        shown.line("m on board", done, 10, "samples")
        shown.now += 0.09
    shown.line("m on board", 10, 10, "samples")
    assert shown.texts == []


def test_a_terminal_shows_rate_share_and_time_left():
    from pytest_tflm.link import Counters

    counters = Counters(baud=115200)
    shown = Shown(terminal=True, counters=counters)
    for done in range(40):
        shown.line("m on board", done, 100, "samples")
        shown.now += 0.125
        counters.bytes_sent += 1412
    assert (
        shown.texts[0]
        == "tflm: m on board: 8 of 100 samples, 8 a second, 98% of the line, 12 s left"
    )
    assert len(shown.texts) == 32
    shown.line("m on board", 100, 100)
    assert shown.texts[-1] == ""


def test_a_log_has_a_line_now_and_then():
    shown = Shown(terminal=False)
    for done in range(1000):
        shown.line("m on board", done, 0, "samples")
        shown.now += 0.125
    assert [t.split(",")[0] for t in shown.texts] == [
        f"tflm: m on board: {n} samples" for n in (240, 480, 720, 960)
    ]


@pytest.mark.slow
def test_progress_is_seen_on_a_terminal_and_not_captured(small, command):
    """A test that streams for more than a second, on a pseudo-terminal."""
    import os
    import pty

    ours, theirs = pty.openpty()
    import subprocess
    import sys

    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--tflm-port=sim?baud=9600",
         f"--tflm-model={small}", "--tflm-samples=30", "--tflm-per-sample=off",
         "-k", "all_outputs"],
        cwd=command.directory, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    seen = b""
    try:
        while data := os.read(ours, 4096):
            seen += data
    except OSError:
        pass
    assert process.wait() == 0, seen
    assert re.search(rb"of 30 samples, [\d.]+ a second, \d+% of the line, \d+ s left", seen), seen


def test_what_failed_among_many_is_one_block(inner, small):
    done = inner.pytest(
        "--tflm-port=sim?defect=off-by-one:CONV_2D", f"--tflm-model={small}", "--tflm-samples=300",
        "--tflm-tolerance=0", "--tflm-per-sample=off", "-k", "all_outputs", "--tflm-json=run.json",
    )  # fmt: skip
    assert done.lines("small.tflite: 300 of 300 samples beyond the tolerance, largest 1 LSB")
    assert "300 of 300 samples are beyond the tolerance: 0-299" in " ".join(done.output.split())
    assert "the 10 worst of 300 samples:" in done.output
    assert len(done.lines("FAILED ")) == 1
    run = read_run(inner.directory / "run.json")
    (model,) = run["models"]
    assert model["tally"]["beyond"] == len(model["samples"]) == 300
    assert [test["test"].split("::")[-1] for test in run["tests"]] == ["test_all_outputs"]


def test_of_many_that_pass_nothing_is_recorded_unless_asked(inner, small):
    words = (SIM, f"--tflm-model={small}", "--tflm-samples=30", "--tflm-per-sample=off")
    inner.pytest(*words, "-k", "all_outputs", "--tflm-csv=all.csv")
    assert len((inner.directory / "all.csv").read_text().splitlines()) == 31
    from pytest_tflm.suite.facts import Facts

    facts = Facts(lambda *_: None)
    take = facts.of_many("t", None, settings_from(lambda _: [], lambda _: [], {}), None)
    take(0, None, None, None)
    assert facts.take() == []


def test_the_stream_goes_on_after_another_model_was_on_the_board(kept):
    """auto loads single operators on the board in the middle of the samples."""
    model = model_from_bytes(model_builders.conv_2d(), "m")
    other = model_from_bytes(model_builders.conv_2d(seed=5), "other")
    samples = samples_for(model, "20", 0)
    spec = "sim?defect=last-channel:CONV_2D&window=300"
    with BoardHost(RuntimeSpec.of_board(spec)) as host, interpreter("tflm") as tflm:

        def judge(until, got, expected):
            host.attempt(other, until()).outputs()
            return Judgement(compare(got, expected, lsb=1))

        tally = tallied(host.load(model), tflm.load(model), samples, judge)
    assert tally.differing.text() == "0-19"
    assert tally.largest_lsb == 2
