"""Accuracy, budgets and baselines of a model in a run."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import numpy as np
import pytest
from model_builders import Graph

from pytest_tflm.record.journal import read_run

SIM = "--tflm-port=sim"


def picker(size: int = 4, gain: int = 100) -> bytes:
    """int8 (1, size) → FULLY_CONNECTED → int8 (1, size): its class is the largest input."""
    g = Graph()
    x = g.tensor("x", (1, size), "int8", 0.05, 0)
    w = g.tensor("w", (size, size), "int8", 0.01, 0, np.eye(size) * gain)
    b = g.tensor("b", (size,), "int32", 0.0005, 0, np.zeros(size))
    y = g.tensor("y", (1, size), "int8", 0.05, 0)
    g.operator("FULLY_CONNECTED", (x, w, b), (y,), "FullyConnectedOptions", version=4)
    return g.finish((x,), (y,))


@pytest.fixture
def labelled(inner, model_file):
    """A model, and a table beside it with 12 samples of which one has a wrong label."""
    path = model_file("pick.tflite", picker())
    rows = ["a,b,c,d,label"]
    for i in range(12):
        values = [0.2 + 0.1 * ((i + j) % 3) for j in range(4)]
        values[i % 4] = 3.0 - 0.1 * i
        label = "abcd"[i % 4] if i else "b"
        rows.append(",".join([*map(str, values), label]))
    table = path.with_name("pick.csv")
    table.write_text("\n".join(rows))
    words = (f"--tflm-model={path}", f"--tflm-samples={table}", "--tflm-json=run.json")

    def run(*more: str, port: str = SIM):
        done = inner.pytest(port, *words, "--tflm-tolerance=3", *more)
        return done, read_run(inner.directory / "run.json")

    return run


def test_labels_give_a_test_of_accuracy(labelled):
    done, run = labelled()
    assert set(done.outcomes) == {"passed"}, done.output
    metrics = run["models"][0]["metrics"]
    assert metrics["classes"] == ["a", "b", "c", "d"]
    assert metrics["runtimes"]["board"] == {"accuracy": 11 / 12, "agreement": 1.0}
    assert metrics["confusion"]["board"][1] == [1, 3, 0, 0]
    assert any("pick.tflite::test_accuracy" in each["test"] for each in run["tests"])
    (line,) = done.lines("pick.tflite: board accuracy")
    assert "board accuracy 91.67%, agreement 100.00%" in line


def test_too_low_an_accuracy_fails_and_names_samples(labelled):
    done, run = labelled(
        "--tflm-min-accuracy=0.5", "-k", "test_accuracy", port="--tflm-port=sim?defect=permuted"
    )
    assert done.outcomes["failed"] == 1, done.output
    assert "pick.tflite: accuracy 8.33%, at least 50.00% asked for" in done.output
    assert "board and reference disagree for 12 of 12 samples, worst first:" in done.output
    (test,) = run["tests"]
    assert test["cause"] == "LimitMissed"
    board = run["models"][0]["metrics"]["runtimes"]
    assert board["board"]["accuracy"] == 1 / 12
    assert board["tflm"]["accuracy"] == board["reference"]["accuracy"] == 11 / 12


def test_junit_holds_cause_figures_and_versions(labelled, inner):
    labelled(
        "--tflm-min-accuracy=0.5",
        "-k",
        "test_accuracy or test_outputs",
        "--junitxml=out.xml",
        "-o",
        "junit_family=xunit1",
        port="--tflm-port=sim?defect=permuted",
    )
    told = {
        case.get("name"): {each.get("name"): each.get("value") for each in case.iter("property")}
        for case in ElementTree.parse(inner.directory / "out.xml").iter("testcase")
    }
    accuracy = told["test_accuracy"]
    assert accuracy["tflm_error"].startswith("LimitMissed: accuracy 8.33%, at least 50.00%")
    assert "host TFLM: accuracy 91.67%" in accuracy["tflm_error"]
    assert "ai-edge-litert" in accuracy["tflm_versions"]
    outputs = told["test_outputs[0]"]
    assert "kernel" in outputs["tflm_verdict"]
    assert int(outputs["tflm_largest_lsb"]) > 3


def test_accuracy_is_asked_of_the_labels_alone(labelled):
    done, _ = labelled("--tflm-min-accuracy=92%", "-k", "test_accuracy")
    assert done.outcomes["failed"] == 1
    done, _ = labelled("--tflm-max-accuracy-drop=0", "-k", "test_accuracy")
    assert done.outcomes["passed"] == 1, "the reference is as wrong"


def test_disagreements_come_worst_first(labelled):
    done, _ = labelled(
        "--tflm-min-agreement=1",
        "-k",
        "test_accuracy",
        "-vv",
        port="--tflm-port=sim?defect=permuted",
    )
    found = [line.split() for line in done.output.splitlines() if line.startswith("E     sample")]
    margins = [float(words[-1].rstrip(")")) for words in found]
    assert len(margins) == 10
    assert margins == sorted(margins, reverse=True)
    assert "and 2 more" in done.output


def test_the_float_model_is_the_measure_of_what_was_lost(labelled, model_file):
    other = model_file("float.tflite", float_picker())
    done, run = labelled(
        f"--tflm-float-model={other}", "--tflm-max-accuracy-drop=0", "-k", "test_accuracy"
    )
    assert done.outcomes["passed"] == 1, done.output
    assert run["models"][0]["metrics"]["runtimes"]["float"]["accuracy"] == 11 / 12


def float_picker(size: int = 4) -> bytes:
    g = Graph()
    x = g.tensor("x", (1, size), "float32")
    w = g.tensor("w", (size, size), "float32", data=np.eye(size, dtype=np.float32))
    y = g.tensor("y", (1, size), "float32")
    g.operator("FULLY_CONNECTED", (x, w, -1), (y,), "FullyConnectedOptions", version=1)
    return g.finish((x,), (y,))


def test_accuracy_without_labels_is_an_error_that_says_so(inner, model_file):
    path = model_file("pick.tflite", picker())
    done = inner.pytest(
        SIM, f"--tflm-model={path}", "--tflm-min-accuracy=0.9", "-k", "test_accuracy"
    )
    assert done.outcomes["error"] == 1, done.output
    assert "--tflm-min-accuracy needs labels that are classes" in done.output


def test_a_simulator_s_figures_fail_no_budget_unless_asked(labelled):
    limits = ("--tflm-max-latency=1us", "--tflm-max-arena=1", "-k", "latency or memory")
    done, run = labelled(*limits, "-rs")
    assert done.outcomes["skipped"] == 2, done.output
    assert "the simulator's time is not a board's" in done.output
    assert run["models"][0]["latency"]["is_board"] is False
    assert run["models"][0]["memory"]["is_board"] is False
    done, run = labelled(*limits, "--tflm-budgets=all")
    assert done.outcomes["failed"] == 2, done.output
    text = " ".join(done.output.split())
    assert "1 µs allowed for 95% of the runs" in text
    assert "bytes used of" in text
    done, _ = labelled("--tflm-max-latency=10s", "--tflm-budgets=all", "-k", "latency")
    assert done.outcomes["passed"] == 1


def test_latency_is_there_for_tests_of_one_s_own(inner, model_file):
    path = model_file("pick.tflite", picker())
    (inner.directory / "test_mine.py").write_text(
        "def test_mine(device, tflm_samples):\n"
        "    assert device.latency is None\n"
        "    list(device.run_many(tflm_samples))\n"
        "    found = device.latency\n"
        "    assert found.runs == 5 and not found.is_board\n"
        "    assert 0 <= found.min <= found.p50 <= found.p95 <= found.max\n"
        "    assert 0 < device.loaded.arena_used <= device.loaded.arena_size\n"
    )
    done = inner.pytest(
        SIM, f"--tflm-model={path}", "--tflm-samples=5", "--tflm-suite=off", "test_mine.py"
    )
    assert done.outcomes == {"passed": 1}, done.output


def test_a_marker_has_limits_of_its_own(inner, model_file):
    path = model_file("pick.tflite", picker())
    (inner.directory / "test_mine.py").write_text(
        "import pytest\n"
        "@pytest.mark.tflm(max_latency='1us', max_arena='1M')\n"
        "def test_slow(tflm_budgets): tflm_budgets()\n"
        "@pytest.mark.tflm(max_latency='10s', max_arena=1)\n"
        "def test_large(tflm_budgets): tflm_budgets()\n"
        "@pytest.mark.tflm(max_latency='10s', max_arena='1M')\n"
        "def test_good(tflm_budgets): tflm_budgets()\n"
    )
    words = (SIM, f"--tflm-model={path}", "--tflm-samples=5", "--tflm-suite=off", "test_mine.py")
    done = inner.pytest(*words, "--tflm-budgets=all")
    assert done.outcomes == {"failed": 2, "passed": 1}, done.output
    assert done.lines("E   LimitMissed: latency p95")
    assert done.lines("E   LimitMissed: arena ")
    assert inner.pytest(*words).outcomes == {"skipped": 3}


@pytest.fixture
def compared(labelled, inner):
    """Runs with a baseline, and gives what changed by kind."""

    def run(*more: str, **options: str):
        done, run = labelled("--tflm-baseline=base", "-k", "baseline", *more, **options)
        changes = (run["models"][0]["baseline"] or {"changes": []})["changes"]
        return done, {each["kind"]: each["text"] for each in changes}

    return run


def test_a_missing_baseline_fails_and_an_update_writes_it(compared, inner):
    done, _ = compared()
    assert done.outcomes["failed"] == 1
    assert "--tflm-baseline-update writes one" in " ".join(done.output.split())
    done, _ = compared("--tflm-baseline-update")
    assert done.outcomes["passed"] == 1, done.output
    (folder,) = (inner.directory / "base").iterdir()
    assert folder.name == "pick@simulator"
    figures = json.loads((folder / "baseline.json").read_text())
    assert figures["accuracy"] == 11 / 12
    done, changes = compared()
    assert done.outcomes["passed"] == 1, done.output
    assert changes == {}


def test_a_board_with_a_defect_changed(compared):
    compared("--tflm-baseline-update")
    done, changes = compared(port="--tflm-port=sim?defect=off-by-one")
    assert done.outcomes["failed"] == 1, done.output
    assert changes["outputs"] == (
        "the board changed: 12 of 12 samples differ, by at most 1 LSB; the reference's outputs are"
        " unchanged"
    )
    done, _ = compared("--tflm-baseline-fail=outputs:1", port="--tflm-port=sim?defect=off-by-one")
    assert done.outcomes["passed"] == 1, done.output
    assert done.lines("baseline: pick.tflite: the board changed")


def test_a_retrained_model_and_other_samples_are_told(compared, inner, model_file):
    compared("--tflm-baseline-update")
    model_file("pick.tflite", picker(gain=90))
    done, changes = compared()
    assert done.outcomes["passed"] == 1, done.output
    assert changes["model"].startswith("the model changed: ")
    model_file("pick.tflite", picker())
    done, changes = compared("--tflm-samples=5")
    assert list(changes) == ["samples"], done.output


def test_a_reference_of_another_version_changed(compared, monkeypatch):
    from pytest_tflm.runtime.interpreter import InterpreterHost, InterpreterRuntime

    compared("--tflm-baseline-update")
    original, versions = InterpreterRuntime._outputs, InterpreterHost.versions

    def newer(self, reply):
        arrays, time = reply
        return original(self, (tuple(array ^ 1 for array in arrays), time))

    monkeypatch.setattr(
        InterpreterHost, "versions", lambda self: {name: "9.9" for name in versions(self)}
    )
    done, changes = compared()
    assert list(changes) == ["versions"], done.output
    assert changes["versions"].startswith("only versions changed")
    assert "9.9, was" in changes["versions"]
    monkeypatch.setattr(InterpreterRuntime, "_outputs", newer)
    done, changes = compared()
    assert changes["reference"].startswith("the reference changed: 12 of 12 samples differ")
    assert changes["reference"].endswith("the board's outputs are unchanged")
    assert "outputs" not in changes
    assert done.outcomes["passed"] == 1, "not asked to fail"


def test_a_project_s_own_samples_come_from_a_hook(inner, model_file):
    path = model_file("pick.tflite", picker())
    (inner.directory / "conftest.py").write_text(
        "import numpy as np\n"
        "def pytest_tflm_samples(config, model):\n"
        "    assert model.name == 'pick.tflite'\n"
        "    return np.eye(4)[[0, 2]], ['a', 'c']\n"
    )
    words = (SIM, f"--tflm-model={path}", "--tflm-json=run.json", "--tflm-classes=a,b,c,d")
    done = inner.pytest(*words, "--tflm-min-accuracy=1")
    assert set(done.outcomes) == {"passed"}, done.output
    (model,) = read_run(inner.directory / "run.json")["models"]
    assert model["source"] == "2 samples of pytest_tflm_samples"
    assert [sample["label"] for sample in model["samples"]] == ["a", "c"]
    done = inner.pytest(*words, "--tflm-samples=3")
    assert read_run(inner.directory / "run.json")["models"][0]["source"].startswith("3 random")
