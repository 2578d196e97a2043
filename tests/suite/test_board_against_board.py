"""One board as the reference of another one."""

from __future__ import annotations

import json

import model_builders
import pytest

from pytest_tflm.record.journal import read_run

GOOD, WRONG = "good=sim", "wrong=sim?defect=off-by-one:FULLY_CONNECTED"


@pytest.fixture
def small(model_file):
    """A model of one operator."""
    return model_file("small.tflite", model_builders.fully_connected(8, 1))


@pytest.mark.parametrize("reference", ["good", "wrong"])
def test_the_wrong_board_is_blamed_whichever_is_the_reference(inner, small, reference):
    done = inner.pytest(
        *(f"--tflm-port={GOOD}", f"--tflm-port={WRONG}", f"--tflm-runtime=board:{reference}"),
        *(f"--tflm-model={small}", "--tflm-samples=2", "--tflm-tolerance=0"),
        *("--tflm-json=run.json", "--tflm-verdict=full"),
    )
    assert done.outcomes["failed"] >= 2, done.output
    (model,) = read_run(inner.directory / "run.json")["models"]
    assert {model["board"], reference} == {"good", "wrong"}, "the reference is not under test"
    causes = [cause for cause in model["verdict"]["causes"] if not cause["is_note"]]
    assert [cause["name"] for cause in causes] == ["kernel-differs"]
    assert "board wrong (simulator)" in causes[0]["sentence"]
    assert model["verdict"]["is_board_right"] == (reference == "wrong")
    lines = model["verdict"]["lines"]
    (step,) = [line for line in lines if line.startswith("≠ board") and "against board" in line]
    assert f"board {model['board']} (simulator) against board {reference} (simulator)" in step
    assert "part is operator 0, FULLY_CONNECTED" in " ".join(" ".join(lines).split())


@pytest.mark.parametrize("names", [True, False])
def test_diagnose_climbs_between_two_boards(inner, small, names):
    one, other = (GOOD, WRONG) if names else (each.partition("=")[2] for each in (GOOD, WRONG))
    words = ("diagnose", "--model", small, "--samples", "2")
    done = inner.pytest_tflm(*words, "--port", one, "--against", other)
    assert done.status == 1, done.output
    text = " ".join(done.output.split())
    mine, theirs = ("good", "wrong") if names else ("tested", "other")
    assert (
        f"≠ board {mine} (simulator) against board {theirs} (simulator): differ in 2 of 2 samples"
        in text
    )
    assert "the first operator in which they part is operator 0, FULLY_CONNECTED" in text
    assert f"FULLY_CONNECTED (operator 0) on board {theirs} (simulator) differs" in text
    assert f"The board is right: board {mine} (simulator)" in text
    found = json.loads(
        inner.pytest_tflm(*words, "--port", one, "--against", other, "--json").output
    )
    assert [step["name"] for step in found["steps"] if step["outcome"] == "differs"] == [
        "against",
        "reference-board",
    ]


def test_diagnose_says_that_two_boards_agree(inner, small):
    """Also two that are wrong in the same way: then the difference to this machine is told."""
    words = ("diagnose", "--model", small, "--samples", "2", "--port")
    same = inner.pytest_tflm(*words, "sim", "--against", "sim?arena=1m")
    assert same.status == 0, same.output
    port = WRONG.partition("=")[2]
    alike = inner.pytest_tflm(*words, port, "--against", f"{port}&arena=1m")
    assert alike.status == 1
    assert "= board tested (simulator) against board other (simulator)" in alike.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--against", "sim"), "--against requires --port PORT"),
        (("--port", "/dev/ttyX", "--against", "/dev/ttyX"), "is the port of --port"),
    ],
)
def test_what_makes_no_sense_is_said(inner, small, words, message):
    done = inner.pytest_tflm("diagnose", "--model", small, *words)
    assert done.status == 1, done.output
    assert message in done.output
