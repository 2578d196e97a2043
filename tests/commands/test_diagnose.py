"""``pytest-tflm diagnose``: why outputs differ, without a test."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from pytest_tflm.model import open_model
from pytest_tflm.record.samples import RandomSamples
from pytest_tflm.runtime.interpreter import interpreter

SIM = "--tflm-port=sim"


def test_diagnose_says_it_without_a_test(inner, tcn_dynamic):
    done = inner.pytest_tflm("diagnose", "--port", "sim", "--model", tcn_dynamic, "--samples", "3")
    assert done.status == 1, done.output
    text = " ".join(done.output.split())
    assert "Operator 5, SPACE_TO_BATCH_ND, makes a tensor of shape [2, 502, 16]" in text
    assert "the file stores [1, 502, 16]" in text
    assert "pytest-tflm model repair" in text


def test_diagnose_ends_with_0_where_all_are_equal(inner, tcn):
    words = ("diagnose", "--port", "sim", "--model", tcn, "--samples", "2", "--runtime", "tflm")
    done = inner.pytest_tflm(*words)
    assert done.status == 0, done.output
    text = " ".join(done.output.split())
    assert "give the same outputs for 2 samples" in text
    assert "equal, bit for bit, over 2 samples" in text


def test_diagnose_for_programs(inner, tcn):
    words = ("diagnose", "--model", tcn, "--samples", "2", "--resolver", "auto", "--json")
    done = inner.pytest_tflm(*words)
    data = json.loads(done.output)
    assert data["format"] == 2
    assert [step["name"] for step in data["steps"]][:2] == ["tflm", "resolver"]
    assert {cause["name"] for cause in data["causes"]} >= {"delegate-kernels"}
    assert data["versions"]["ai-edge-litert"]


def test_a_reproducer_shows_it_to_somebody_else(inner, command, tcn):
    folder = inner.directory / "repro"
    words = ("diagnose", "--model", tcn, "--samples", "2", "--resolver", "auto", "--save", folder)
    done = inner.pytest_tflm(*words)
    assert done.status == 1, done.output
    names = {path.name for path in folder.iterdir()}
    assert {"verdict.txt", "verdict.json"} <= names
    (report, *_) = sorted(folder.glob("resolver-*-CONV_2D.md"))
    model, arrays = report.with_suffix(".tflite"), np.load(report.with_suffix(".npz"))
    assert model.stat().st_size < 8192, "the operator alone"
    assert (arrays["trusted_0"] != arrays["suspect_0"]).any()
    assert "ai-edge-litert" in report.read_text()
    # The report's script does what it says.
    script = re.search(r"```python\n(.*?)```", report.read_text(), re.DOTALL)
    assert script is not None
    (folder / "script.py").write_text(script[1])
    command.directory = folder
    again = command.run("script")
    assert again.status == 0, again.output
    assert "litert builtin_ref" in again.output
    assert "suspect" in again.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--model", "nowhere.tflite"), "There is no model nowhere.tflite"),
        (("--model", "{tcn}", "--resolver", "best"), "'best' is not one of"),
        (("--model", "{tcn}", "--port", "/dev/nowhere"), "/dev/nowhere"),
        (("--model", "{tcn}", "--samples", "2", "--codes", "nowhere.npz"), "nowhere.npz"),
        (("--model", "{tcn}", "--samples", "2", "--float-model", "no.tflite"), "no.tflite"),
    ],
)
def test_diagnose_of_what_there_is_not(inner, tcn, words, said):
    done = inner.pytest_tflm("diagnose", *(str(w).format(tcn=tcn) for w in words))
    assert done.status == 1, done.output
    assert re.search(said, done.output), done.output
    assert "Traceback" not in done.output


def _repaired(inner, model):
    """Does what the verdict tells to do; gives the repaired model."""
    done = inner.pytest_tflm("diagnose", "--port", "sim", "--model", model)
    found = re.search(
        r"try: pytest-tflm model repair (\S+) -o (\S+)", " ".join(done.output.split())
    )
    assert found is not None, done.output
    assert found[1] == model.name, "as short as it can be typed here"
    again = inner.pytest_tflm("model", "repair", found[1], "-o", found[2])
    assert again.status == 0, again.output
    return done, inner.directory / found[2]


def _same_bits(original, repaired):
    """BUILTIN_REF gives the original's outputs."""
    models = [open_model(path) for path in (original, repaired)]
    samples = RandomSamples(models[0], 16, 3)
    outputs = []
    for model in models:
        with interpreter("litert") as host:
            runtime = host.load(model)
            outputs.append([out[0].tolist() for out in runtime.run_many(samples)])
    assert outputs[0] == outputs[1]


def _passes(inner, model):
    """Against BUILTIN_REF at a tolerance of 1, against host TFLM bit for bit."""
    done = inner.pytest(SIM, f"--tflm-model={model}", "--tflm-samples=16")
    assert set(done.outcomes) == {"passed"}, done.output
    done = inner.pytest(
        SIM, f"--tflm-model={model}", "--tflm-samples=16", "--tflm-runtime=tflm",
        "--tflm-tolerance=0",
    )  # fmt: skip
    assert set(done.outcomes) == {"passed"}, done.output


@pytest.mark.slow
def test_the_example_is_repaired_by_the_command_that_the_verdict_names(inner, tcn_dynamic):
    original = inner.directory / "tcn_dynamic.tflite"
    original.write_bytes(tcn_dynamic.read_bytes())
    done, repaired = _repaired(inner, original)
    assert "cause: the file stores shapes for another batch" in done.output
    _passes(inner, repaired)
    _same_bits(original, repaired)


@pytest.mark.parametrize(
    ("name", "causes"),
    [
        ("tcn_same", {"stored-shapes", "space-to-batch-padding"}),
        ("conv_2d", {"stored-shapes", "space-to-batch-padding"}),
    ],
)
def test_two_causes_at_once_are_both_named_and_repaired(inner, keras_model, name, causes):
    original = inner.directory / f"{name}.tflite"
    original.write_bytes(keras_model(name).read_bytes())
    done, repaired = _repaired(inner, original)
    named = set(re.findall(r"more: pytest-tflm explain ([\w-]+)", done.output))
    assert named >= causes, done.output
    _passes(inner, repaired)
    _same_bits(original, repaired)
