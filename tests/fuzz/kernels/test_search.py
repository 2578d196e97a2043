"""The search finds what differs, says how often and how much, and shrinks it."""

from __future__ import annotations

from dataclasses import replace

import hypothesis
import numpy as np
import pytest
from fuzz.kernels.doubles import NumpyHost, copies

from pytest_tflm.errors import InterpreterCrashed, InterpreterRefused
from pytest_tflm.fuzz.kernels.pair import Pair
from pytest_tflm.fuzz.kernels.search import Search
from pytest_tflm.replay.format import replay_from_bytes

pytestmark = pytest.mark.slow


def search(kernel, operator: str = "HARD_SWISH", examples: int = 60, **more) -> Search:
    pair = Pair(NumpyHost("bad", kernel), NumpyHost("good", copies))
    options = {"examples": examples, "seed": 3, "shrink_runs": 60} | more
    return Search(operator, pair, **options)


def one_code(model, samples):
    return [array + (array == 17) for array in copies(model, samples)]


def test_equal_kernels_are_bit_exact():
    survey = search(copies).run()
    assert survey.bit_exact and survey.examples == 60 and survey.findings == []


def test_one_wrong_code_is_found_and_shrunk():
    survey = search(one_code).run()
    (finding,) = survey.findings
    assert finding.kind == "differs" and finding.size == finding.largest == 1
    assert finding.case.model.size <= 1024 and finding.off_zero_point == 1
    assert 17 in finding.inputs[0][0] and finding.inputs[0][0].size <= 4
    assert survey.by_type["int8"].different > 0 and not survey.bit_exact


def test_a_large_difference_is_shrunk_beside_the_small_one():
    def kernel(model, samples):
        return [(a ^ 1) + np.int8(100) * (a == -100) for a in copies(model, samples)]

    survey = search(kernel).run()
    assert [finding.size > 50 for finding in survey.findings] == [False, True]
    assert survey.largest > 90


def test_no_two_places_that_hypothesis_climbs_over_are_of_one_height(monkeypatch):
    """Between two of them that it knows it would walk to and fro without end."""
    heights: list[float] = []
    monkeypatch.setattr(hypothesis, "target", heights.append)
    search(lambda model, samples: [a ^ 1 for a in copies(model, samples)]).run()
    assert len(heights) == len(set(heights)) > 40
    assert {round(height) for height in heights} == {1}


def test_what_differs_by_no_more_than_the_tolerance_is_counted_and_no_finding():
    survey = search(one_code, tolerance=1).run()
    assert survey.findings == [] and survey.largest == 1


def test_a_refusal_is_found_and_shrunk():
    def kernel(model, samples):
        if model.inputs[0].shape[-1] > 2:
            raise InterpreterRefused("too wide")
        return copies(model, samples)

    survey = search(kernel).run()
    (finding,) = survey.findings
    assert (finding.kind, finding.who_name, finding.error) == ("refused", "bad", "too wide")
    assert finding.inputs[0][0].shape == (3,) and finding.got is None
    assert survey.refused["bad"] > 0 and survey.bit_exact


def test_a_crash_is_found_and_shrunk():
    def kernel(model, samples):
        if any((sample[0] == -128).any() for sample in samples):
            raise InterpreterCrashed("SIGSEGV")
        return copies(model, samples)

    survey = search(kernel).run()
    (finding,) = survey.findings
    assert finding.kind == "crashed" and finding.off_zero_point <= 1
    assert survey.crashed["bad"] > 0


def test_other_shapes_are_found():
    def kernel(model, samples):
        return [array[..., :1] for array in copies(model, samples)]

    survey = search(kernel).run()
    assert [finding.kind for finding in survey.findings] == ["shapes"]
    assert "bad gives int8[1], good int8[2]" in survey.findings[0].title
    assert survey.shapes > 0 and not survey.bit_exact


def test_what_neither_runs_is_no_finding():
    def kernel(model, samples):
        raise InterpreterRefused("no")

    pair = Pair(NumpyHost("a", kernel), NumpyHost("b", kernel))
    survey = Search("RELU", pair, examples=20).run()
    assert survey.neither == 20 and survey.findings == []


def test_a_seed_gives_the_same_findings():
    def texts(seed):
        survey = search(one_code, examples=30, seed=seed).run()
        return [f.describe() for f in survey.findings], survey.by_type

    first = texts(5)
    assert first == texts(5)


def test_a_runtime_that_gives_other_outputs_each_time_does_not_end_the_search():
    noise = np.random.default_rng(0)

    def kernel(model, samples):
        return [a ^ noise.integers(0, 2, a.shape, np.int8) for a in copies(model, samples)]

    survey = search(kernel, examples=30).run()
    assert len(survey.findings) == 1 and survey.examples == 30


def test_what_the_memory_held_is_shown_by_an_example_that_shows_it_again():
    """The last element stays what it was in the run before: the smallest example has the same
    there in each run."""
    held = np.int8(0)

    def kernel(model, samples):
        nonlocal held
        found = []
        for array in copies(model, samples):
            held, last = array.flat[-1], held
            array.flat[-1] = last
            found.append(array)
        return found

    survey = search(kernel, examples=40).run()
    (finding, *_) = survey.findings
    assert finding.again
    assert finding.size > 0
    assert "differs by 0" not in finding.describe()


def test_what_does_not_happen_again_is_not_said_to_differ():
    (finding,) = search(one_code).run().findings
    once = replace(finding, again=False, size=0.0, largest=191.0)
    assert once.title == "differed by up to 191 LSB, but not when repeated"
    assert "but not when repeated" in once.describe()


def test_ctrl_c_leaves_what_there_is():
    runs = []

    def before_run() -> None:
        runs.append(1)
        if len(runs) == 21:
            raise KeyboardInterrupt

    one = search(copies, before_run=before_run)
    with pytest.raises(KeyboardInterrupt):
        one.run()
    assert one.survey.examples == 20


def test_a_finding_is_saved_with_all_that_it_takes_to_see_it(tmp_path):
    (finding,) = search(one_code).run().findings
    path = finding.save(tmp_path / "new")
    assert path.read_bytes() == finding.case.model.data
    with np.load(path.with_suffix(".npz")) as arrays:
        np.testing.assert_array_equal(arrays["in_0_0"], finding.inputs[0][0])
        difference = arrays["got_0_0"].astype(int) - arrays["expected_0_0"]
        assert np.abs(difference).max() == 1
    text = path.with_suffix(".txt").read_text()
    assert "bad 1" in text and "--ops HARD_SWISH" in text and "differs by 1 LSB" in text


def test_two_findings_of_one_name_are_both_kept(tmp_path):
    (finding,) = search(one_code).run().findings
    model = replace(finding.case.model, data=finding.case.model.data + b"\0")
    other = replace(finding, case=replace(finding.case, model=model))
    assert len({finding.save(tmp_path), other.save(tmp_path), finding.save(tmp_path)}) == 2


def test_a_finding_is_a_replay_of_the_two_that_parted():
    def kernel(model, samples):
        raise InterpreterCrashed("SIGSEGV")

    pair = Pair(NumpyHost("good", copies), NumpyHost("bad", kernel))
    (finding,) = Search("RELU", pair, examples=20).run().findings
    replay = replay_from_bytes(finding.replay(tolerance=2).to_bytes())
    assert (replay.kind, replay.who, replay.lsb) == ("crashed", "reference", 2)
    assert (replay.subject.name, replay.reference.name) == ("good", "bad")
    assert replay.subject.spec == NumpyHost.spec
    assert replay.models[0].data == finding.case.model.data
    assert [step.do for step in replay.steps][:2] == ["load", "run"]
    assert replay.steps[1].got is not None and replay.steps[1].expected is None
    assert "--runtime tflm --against tflm --ops RELU" in replay.command
