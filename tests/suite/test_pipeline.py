"""The suite begins samples before their tests: every test gives what it gives without that."""

from __future__ import annotations

import json
import textwrap

import model_builders
import pytest

from pytest_tflm.runtime.ahead import Ahead
from tests.runtime import state_models

SIM = "--tflm-port=sim"

OWN_TESTS = """
    import json, pathlib
    import numpy as np
    import pytest
    from pytest_tflm import within

    def note(request, *outputs):
        with open("noted.jsonl", "a") as file:
            arrays = [[a.tolist() for a in each] for each in outputs]
            file.write(json.dumps([request.node.name, arrays]) + "\\n")

    def test_plain(request, device, reference, tflm_sample):
        got, wanted = device.run(tflm_sample), reference.run(tflm_sample)
        note(request, got.arrays, wanted.arrays)
        assert got == within(wanted, lsb=1)

    def test_twice(request, device, tflm_sample):
        note(request, device.run(tflm_sample).arrays, device.run(tflm_sample).arrays)

    def test_reads(request, device, tflm_sample):
        note(request, device.run(tflm_sample).arrays, device.read_inputs())

    def test_other_input(request, device, reference, tflm_sample):
        note(request, device.run(tflm_sample // 2).arrays, reference.run(tflm_sample // 2).arrays)

    def test_one_in_three_is_skipped(request, device, tflm_sample):
        if request.node.callspec.params["tflm_sample"] % 3 == 1:
            pytest.skip("not this one")
        note(request, device.run(tflm_sample).arrays)

    def test_one_in_five_fails(request, device, tflm_sample):
        note(request, device.run(tflm_sample).arrays)
        assert request.node.callspec.params["tflm_sample"] % 5 != 2

    def test_reset(request, device, reference, tflm_sample):
        device.reset_state()
        reference.reset_state()
        note(request, device.run(tflm_sample).arrays, reference.run(tflm_sample).arrays)

    @pytest.mark.tflm(samples=3, seed=9)
    def test_marked(request, device, reference, tflm_sample):
        note(request, device.run(tflm_sample).arrays, reference.run(tflm_sample).arrays)

    def test_without_device():
        pass
"""

ORDER = """
    import random

    def pytest_collection_modifyitems(items):
        random.Random({seed}).shuffle(items) if {seed} else None
"""


@pytest.fixture
def run(inner, monkeypatch):
    """``run(words…)`` gives each test's outcome, what was noted, and how many samples were handed
    out ahead; with ``ahead=False`` nothing is expected of any runtime."""

    def run(*words: str, ahead: bool = True):
        noted = inner.directory / "noted.jsonl"
        noted.unlink(missing_ok=True)
        handed_out = []
        with monkeypatch.context() as patch:
            if not ahead:
                patch.setattr(Ahead, "expect", lambda *_, **__: None)
            take = Ahead.take

            def counted(self, arrays):
                outputs = take(self, arrays)
                handed_out.append(outputs is not None)
                return outputs

            patch.setattr(Ahead, "take", counted)
            port = () if any("port=" in word for word in words) else (SIM,)
            done = inner.pytest("-rA", *port, *words)
        outcomes = [
            line for line in done.output.splitlines()
            if line.startswith(("PASSED ", "FAILED ", "ERROR ", "SKIPPED "))
        ]  # fmt: skip
        lines = noted.read_text().splitlines() if noted.exists() else []
        return outcomes, [json.loads(line) for line in lines], sum(handed_out), done

    return run


@pytest.fixture
def own_tests(inner):
    """Writes the tests above; ``seed`` shuffles all tests of the run, 0 leaves their order."""

    def write(seed: int) -> None:
        (inner.directory / "test_own.py").write_text(textwrap.dedent(OWN_TESTS))
        (inner.directory / "conftest.py").write_text(textwrap.dedent(ORDER.format(seed=seed)))

    return write


@pytest.mark.parametrize("seed", [0, 1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("state", [False, True], ids=["stateless", "stream"])
def test_all_outcomes_and_outputs_are_as_without(run, own_tests, model_file, seed, state):
    own_tests(seed)
    path = model_file("m.tflite", state_models.svdf() if state else model_builders.conv_2d())
    words = (f"--tflm-model={path}", "--tflm-samples=11", "--tflm-runtime=tflm",
             "--tflm-verdict=off")  # fmt: skip
    ahead, plain = run(*words), run(*words, ahead=False)
    assert ahead[0] == plain[0] != [], ahead[3].output
    assert ahead[1] == plain[1] != []
    assert plain[2] == 0
    if not seed:
        # The suite's samples twice (board, reference) and, without a state, those of the user's
        # plain tests.
        assert ahead[2] >= (2 * 11 if state else 4 * 10)


def test_one_board_in_the_middle_of_a_verdict(run, model_file):
    """A verdict uses board and interpreters in the middle of the samples."""
    path = model_file("m.tflite", model_builders.conv_2d())
    words = (f"--tflm-model={path}", "--tflm-samples=9", "--tflm-tolerance=0",
             "--tflm-port=sim?defect=one-code:CONV_2D:5")  # fmt: skip
    ahead, plain = run(*words), run(*words, ahead=False)
    assert ahead[0] == plain[0]
    assert "kernel" in ahead[3].output


@pytest.mark.parametrize("port", ["sim?defect=drift", "sim?defect=output-stale"])
def test_a_board_that_depends_on_what_it_ran_fails_the_same_tests(run, model_file, port):
    path = model_file("m.tflite", model_builders.conv_2d())
    words = (f"--tflm-model={path}", "--tflm-samples=9", "--tflm-tolerance=0",
             "--tflm-verdict=off", f"--tflm-port={port}")  # fmt: skip
    ahead, plain = run(*words), run(*words, ahead=False)
    assert [each.split(" - ")[0] for each in ahead[0]] == [e.split(" - ")[0] for e in plain[0]]
    assert any(each.startswith("FAILED") for each in ahead[0])


def test_stop_at_the_first_failure_and_run_it_again(run, own_tests, inner, model_file):
    own_tests(0)
    path = model_file("m.tflite", model_builders.conv_2d())
    words = (f"--tflm-model={path}", "--tflm-samples=11", "--tflm-suite=off", "-k", "five")
    _, noted, _, done = run(*words, "-x")
    assert len(noted) == 3
    assert done.outcomes["failed"] == 1
    assert done.outcomes["passed"] == 2
    again = run(*words[:3], "test_own.py::test_one_in_five_fails[m.tflite-2]")
    assert again[1] == noted[2:]


def test_a_sample_that_fails_in_the_middle(run, inner, model_file, tmp_path):
    import numpy as np

    path = model_file("m.tflite", model_builders.conv_2d())
    rng = np.random.default_rng(0)
    inputs = rng.integers(-128, 128, (8, 6, 6, 3)).astype(np.int64)
    inputs[4, 0, 0, 0] = 1000  # no int8
    np.savez(tmp_path / "some.npz", inputs=inputs)
    words = (f"--tflm-model={path}", f"--tflm-samples={tmp_path / 'some.npz'}")
    ahead, plain = run(*words), run(*words, ahead=False)
    assert ahead[0] == plain[0] != []


@pytest.mark.slow
def test_with_xdist_each_worker_looks_at_its_own_next_test(command, model_file):
    path = model_file("m.tflite", model_builders.conv_2d())
    done = command.pytest("-n2", SIM, f"--tflm-model={path}", "--tflm-samples=12")
    assert done.outcomes == {"passed": 17}, done.output


def test_a_board_with_a_slower_processor(inner, model_file):
    (inner.directory / "test_own.py").write_text(
        "def test_slow(device, tflm_sample):\n"
        "    assert device.run(tflm_sample).invoke_microseconds >= 5000\n"
    )
    path = model_file("m.tflite", model_builders.conv_2d())
    done = inner.pytest("--tflm-port=sim?invoke=5000", f"--tflm-model={path}", "--tflm-samples=2")
    assert set(done.outcomes) == {"passed"}, done.output
