"""The command pytest-tflm conformance, as a user runs it."""

from __future__ import annotations

import json
import shlex
import signal
from pathlib import Path

import numpy as np
import pytest

from pytest_tflm.cli import main
from pytest_tflm.model import open_model
from pytest_tflm.replay.format import read_replay
from pytest_tflm.runtime.interpreter import interpreter


def conformance(command, *words: str | Path):
    return command.run("pytest_tflm", "conformance", *words)


@pytest.mark.slow
def test_space_to_batch_nd_is_found_by_itself(command, tmp_path):
    """The trouble that this project exists for, and the second one behind it."""
    found = tmp_path / "found"
    finished = conformance(
        command, "--ops", "SPACE_TO_BATCH_ND,RESHAPE", "--examples", "60",
        "--save", found, "--json", tmp_path / "result.json", "--markdown", tmp_path / "table.md",
    )  # fmt: skip
    assert finished.status == 0, finished.output
    assert finished.lines("RESHAPE") == [f"{'RESHAPE':28} {60:5}  bit-exact"]

    data = json.loads((tmp_path / "result.json").read_text())
    space, reshape = data["operators"]
    assert reshape["bit_exact"] and not space["bit_exact"]
    assert {finding["kind"] for finding in space["findings"]} == {"differs", "shapes"}
    assert all(finding["again"] for finding in space["findings"])
    shapes = next(f["text"] for f in space["findings"] if f["kind"] == "shapes")
    assert "unknown batch size, stored as 1" in shapes and "signature [-1," in shapes
    padding = next(f["text"] for f in space["findings"] if f["kind"] == "differs")
    assert "padding [[" in padding

    table = (tmp_path / "table.md").read_text()
    assert "| RESHAPE | 60 | bit-exact |" in table
    assert "ai-edge-litert" in table and "tflite-micro" in table and data["date"] in table
    assert "`pytest-tflm conformance --ops SPACE_TO_BATCH_ND,RESHAPE --examples 60`" in table

    # What was saved shows it again, without the search.
    path = next(found.glob("*-differs-*.tflite"))
    with np.load(path.with_suffix(".npz")) as arrays:
        sample, got, expected = (arrays[f"{name}_0_0"] for name in ("in", "got", "expected"))
    with interpreter("litert") as litert:
        np.testing.assert_array_equal(litert.load(open_model(path)).run(sample)[0], expected)
    assert (got != expected).any()


@pytest.mark.slow
def test_a_board_against_host_tflm(command, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# Ours\n<!-- conformance -->\nold\n<!-- /conformance -->\nThe end.\n")
    finished = conformance(
        command, "--port", "sim", "--ops", "conv_2d,SPLIT", "--examples", "25", "--markdown", page
    )
    assert finished.status == 0, finished.output
    lines = [line.split() for line in finished.output.splitlines()]
    assert lines == [["CONV_2D", "25", "bit-exact"], ["SPLIT", "25", "bit-exact"]]
    text = page.read_text()
    assert text.startswith("# Ours\n<!-- conformance -->\n`pytest-tflm conformance --port sim")
    assert "| SPLIT | 25 | bit-exact |" in text and "old" not in text
    assert text.endswith("<!-- /conformance -->\nThe end.\n")


@pytest.mark.slow
def test_a_board_against_another_one(command, tmp_path):
    """Two simulators, one of them with a wrong kernel; what is found can be searched again."""
    saved = tmp_path / "found"
    words = ("--ops", "RELU", "--examples", "30", "--save", saved)
    finished = conformance(
        command, "--runtime", "sim?defect=last-channel:RELU", "--against", "board:sim", *words
    )
    assert finished.status == 0, finished.output
    name = "board simulator at sim"
    assert f"{name}?defect=last-channel:RELU against {name}: differs by" in finished.output
    replay = read_replay(next(saved.glob("*.tflm-replay")))
    assert str(replay.subject.spec) == "board:sim?defect=last-channel:RELU"
    assert str(replay.reference.spec) == "board:sim"
    again = shlex.split(replay.command)[2:]
    assert "differs by" in conformance(command, *again).output


@pytest.mark.slow
def test_several_pairs_in_several_processes(command):
    finished = conformance(
        command, "--ops", "PADV2", "--examples", "20", "--jobs", "2",
        "--pair", "litert:builtin_ref,litert:auto",
    )  # fmt: skip
    assert finished.status == 0, finished.output
    assert sorted(line.split(":  ")[0] for line in finished.output.splitlines()) == [
        "litert builtin_ref against litert auto",
        "tflm against litert builtin_ref",
    ]


@pytest.mark.parametrize("jobs", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_ctrl_c_leaves_the_table_so_far(command, tmp_path, jobs):
    table = tmp_path / "table.md"
    running = command.start(
        "pytest_tflm", "conformance", "--ops", "PADV2,PAD,CONV_2D", "--examples", "40",
        "--pair", "tflm,litert:builtin", "--markdown", table, "--jobs", jobs,
    )  # fmt: skip
    running.wait_for("PADV2")
    running.send(signal.SIGINT)
    finished = running.finish()
    assert finished.status == 130
    assert "Interrupted after" in finished.output and "Traceback" not in finished.output
    assert "| PADV2 | 40 |" in table.read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--ops", "CONV_3D"], "No models of 'CONV_3D' are made"),
        (["--against", "tflite"], "unknown runtime 'tflite'"),
        (["--runtime", "board"], "requires --port PORT"),
        (["--port", "/dev/tty-none"], "/dev/tty-none"),
        (["--port", "sim", "--jobs", "2"], "--jobs cannot be combined with a board"),
        (["--examples", "0"], "--examples is 0"),
        (["--pair", "tflm"], "give two runtimes"),
        (["--runtime", "tflm", "--against", "tflm"], "cannot be compared with itself"),
    ],
)
def test_a_mistake_is_one_line(capsys, words, message):
    assert main(["conformance", *words]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("pytest-tflm: ") and message in line


def test_the_operators_can_be_listed(command):
    finished = conformance(command, "--list")
    assert finished.status == 0 and "UNIDIRECTIONAL_SEQUENCE_LSTM" in finished.output.splitlines()
