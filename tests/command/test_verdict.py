"""Why outputs differ, as a user sees it: in a failing test, and by ``pytest-tflm diagnose``."""

from __future__ import annotations

import json
import re
import textwrap

import network_models
import numpy as np
import pytest

from pytest_tflm.model import open_model
from pytest_tflm.record.samples import RandomSamples
from pytest_tflm.runtime.interpreter import interpreter

SIM = "--tflm-port=sim"


def why(output: str) -> list[str]:
    """The verdict's sections."""
    return re.findall(r"-+ tflm: why -+\n(.*?)(?=\n(?:_{3,}|={3,}|-{3,}))", output, re.DOTALL)


def test_a_failing_model_is_explained_once_and_named_at_the_end(command, tcn):
    words = (SIM, f"--tflm-model={tcn}", "--tflm-resolver=auto", "--tflm-tolerance=0")
    done = command.pytest(*words, "--tflm-samples=4")
    assert done.outcomes["failed"] >= 2, done.output
    first, *others = why(done.output)
    assert "The board is right" in first
    assert "CONV_2D (operators 2, 6, 11, 16, 21, 26, 31, 36, 41) of litert auto" in first
    assert "pytest-tflm explain delegate-kernels" in first
    assert others
    assert all(text.startswith("as shown with ") for text in others)
    (line,) = done.lines("why: tcn.tflite: the resolver's delegate")
    assert "delegate-kernels" in line
    assert "--tflm-resolver=builtin_ref" in line
    assert "Traceback" not in done.output


def test_the_verdict_can_be_brief_or_off(command, tcn):
    words = (SIM, f"--tflm-model={tcn}", "--tflm-resolver=auto", "--tflm-tolerance=0")
    brief = command.pytest(*words, "--tflm-samples=2", "--tflm-verdict=brief")
    (text, *_) = why(brief.output)
    assert text.startswith("The board is right")
    assert "= the link" not in text
    off = command.pytest(*words, "--tflm-samples=2", "--tflm-verdict=off")
    assert off.outcomes["failed"] == brief.outcomes["failed"]
    assert why(off.output) == []
    assert not off.lines("why:")


def test_a_users_own_test_is_explained_too(command, tcn):
    (command.directory / "test_mine.py").write_text(
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
    done = command.pytest(SIM, f"--tflm-model={tcn}", *options, "-k", "outputs")
    assert done.outcomes == {"failed": 1, "deselected": 1}, done.output
    assert "cause: the resolver's delegate" in why(done.output)[0]
    done = command.pytest(
        SIM, f"--tflm-model={tcn}", "--tflm-samples=1", "--tflm-suite=off", "-k", "expectation"
    )
    (text,) = why(done.output)
    assert "compares them with something else" in " ".join(text.split())


def test_tests_after_a_verdict_run_on_the_model_again(command, tcn, model_file):
    # The verdict loads many small models on the board: the next test must not see them.
    small = model_file("small.tflite", network_models.image_network())
    words = (SIM, f"--tflm-model={tcn}", f"--tflm-model={small}", "--tflm-resolver=auto")
    done = command.pytest(*words, "--tflm-tolerance=0", "--tflm-samples=2")
    assert "test_order_does_not_matter" not in "".join(done.lines("FAILED"))
    assert "error" not in done.outcomes, done.output


def test_ctrl_c_in_a_verdict_ends_the_run_and_keeps_the_failure(command, tcn):
    (command.directory / "conftest.py").write_text(
        textwrap.dedent(
            """
            import pytest
            from pytest_tflm.verdict import verdict

            def interrupted(*words, **more):
                raise KeyboardInterrupt

            verdict.judge = interrupted
            """
        )
    )
    words = (SIM, f"--tflm-model={tcn}", "--tflm-resolver=auto", "--tflm-tolerance=0")
    done = command.pytest(*words, "--tflm-samples=8")
    assert done.outcomes["failed"] == 1, done.output
    assert "interrupted during the verdict" in done.output
    assert done.status == 2


def test_an_error_names_its_page(command, model_file):
    small = model_file("small.tflite", network_models.image_network())
    done = command.pytest("--tflm-port=sim?without=ADD", f"--tflm-model={small}")
    assert "pytest-tflm explain operator-missing" in done.output
    assert done.output.count("pytest-tflm explain operator-missing") == 1


def test_diagnose_says_it_without_a_test(command, tcn_dynamic):
    done = command.run(
        "pytest_tflm", "diagnose", "--port", "sim", "--model", tcn_dynamic, "--samples", "3"
    )
    assert done.status == 1, done.output
    text = " ".join(done.output.split())
    assert "Operator 5, SPACE_TO_BATCH_ND, makes a tensor of shape [2, 502, 16]" in text
    assert "the file stores [1, 502, 16]" in text
    assert "pytest-tflm model repair" in text


def test_diagnose_ends_with_0_where_all_are_equal(command, tcn):
    words = ("diagnose", "--port", "sim", "--model", tcn, "--samples", "2", "--runtime", "tflm")
    done = command.run("pytest_tflm", *words)
    assert done.status == 0, done.output
    assert "give the same outputs, bit for bit" in " ".join(done.output.split())


def test_diagnose_for_programs(command, tcn):
    words = ("diagnose", "--model", tcn, "--samples", "2", "--resolver", "auto", "--json")
    done = command.run("pytest_tflm", *words)
    data = json.loads(done.output)
    assert data["format"] == 1
    assert [step["name"] for step in data["steps"]][:2] == ["tflm", "resolver"]
    assert {cause["name"] for cause in data["causes"]} >= {"delegate-kernels"}
    assert data["versions"]["ai-edge-litert"]


def test_a_reproducer_shows_it_to_somebody_else(command, tcn):
    folder = command.directory / "repro"
    words = ("diagnose", "--model", tcn, "--samples", "2", "--resolver", "auto", "--save", folder)
    done = command.run("pytest_tflm", *words)
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
def test_diagnose_of_what_there_is_not(command, tcn, words, said):
    done = command.run("pytest_tflm", "diagnose", *(str(w).format(tcn=tcn) for w in words))
    assert done.status == 1, done.output
    assert re.search(said, done.output), done.output
    assert "Traceback" not in done.output


def _repaired(command, model):
    """Does what the verdict tells to do; gives the repaired model."""
    done = command.run("pytest_tflm", "diagnose", "--port", "sim", "--model", model)
    found = re.search(
        r"try: pytest-tflm model repair (\S+) -o (\S+)", " ".join(done.output.split())
    )
    assert found is not None, done.output
    assert found[1] == model.name, "as short as it can be typed here"
    again = command.run("pytest_tflm", "model", "repair", found[1], "-o", found[2])
    assert again.status == 0, again.output
    return done, command.directory / found[2]


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


def _passes(command, model):
    """Against BUILTIN_REF at a tolerance of 1, against host TFLM bit for bit."""
    done = command.pytest(SIM, f"--tflm-model={model}", "--tflm-samples=16")
    assert set(done.outcomes) == {"passed"}, done.output
    done = command.pytest(
        SIM, f"--tflm-model={model}", "--tflm-samples=16", "--tflm-runtime=tflm",
        "--tflm-tolerance=0",
    )  # fmt: skip
    assert set(done.outcomes) == {"passed"}, done.output


def test_the_example_is_repaired_by_the_command_that_the_verdict_names(command, tcn_dynamic):
    original = command.directory / "tcn_dynamic.tflite"
    original.write_bytes(tcn_dynamic.read_bytes())
    done, repaired = _repaired(command, original)
    assert "cause: the file stores shapes for another batch" in done.output
    _passes(command, repaired)
    _same_bits(original, repaired)


@pytest.mark.parametrize(
    ("name", "causes"),
    [
        ("tcn_same", {"stored-shapes", "space-to-batch-padding"}),
        ("conv_2d", {"stored-shapes", "space-to-batch-padding"}),
    ],
)
def test_two_causes_at_once_are_both_named_and_repaired(command, keras_model, name, causes):
    original = command.directory / f"{name}.tflite"
    original.write_bytes(keras_model(name).read_bytes())
    done, repaired = _repaired(command, original)
    named = set(re.findall(r"more: pytest-tflm explain ([\w-]+)", done.output))
    assert named >= causes, done.output
    _passes(command, repaired)
    _same_bits(original, repaired)


def test_a_failure_that_is_expected_is_not_explained(command, tcn):
    (command.directory / "test_mine.py").write_text(
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
    done = command.pytest(SIM, f"--tflm-model={tcn}", "--tflm-samples=1", "--tflm-suite=off")
    assert done.outcomes == {"xfailed": 1}, done.output
    assert not done.lines("why:")
