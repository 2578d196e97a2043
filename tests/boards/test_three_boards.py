"""Three boards in one run: two simulators with different defects and an emulated Cortex-M4."""

from __future__ import annotations

import os

import pytest
from boards.conftest import EMULATOR, need

from pytest_tflm.record.journal import read_run

pytestmark = pytest.mark.slow

IMAGE_VARIABLE = "PYTEST_TFLM_MPS2_IMAGE"
BAD = {"rows": "last-row:CONV_2D", "adds": "off-by-one:ADD"}


@pytest.fixture
def ports(monkeypatch):
    need(EMULATOR)
    image = os.environ.get(IMAGE_VARIABLE)
    if not image:
        pytest.skip(f"{IMAGE_VARIABLE} names no image with TFLM (firmware/mps2_an386/Makefile)")
    boards = {name: f"sim?defect={defect}" for name, defect in BAD.items()}
    return [
        f"--tflm-port={name}={port}" for name, port in {**boards, "m4": f"qemu:{image}"}.items()
    ]


def causes(model):
    return [each["name"] for each in model["verdict"]["causes"] if not each["is_note"]]


def test_each_has_a_column_and_the_right_one_is_blamed(inner, tcn, ports):
    words = (f"--tflm-model={tcn}", "--tflm-samples=4", "--tflm-tolerance=0")
    done = inner.pytest(*ports, *words, "--tflm-runtime=tflm", "--tflm-json=run.json")
    found = {each["board"]: each for each in read_run(inner.directory / "run.json")["models"]}
    assert list(found) == ["rows", "adds", "m4"], done.output
    assert {each["outcome"] for each in found["m4"]["samples"]} == {"equal"}
    assert found["m4"]["verdict"] is None
    assert causes(found["rows"]) == ["edge-positions"]
    assert causes(found["adds"]) == ["kernel-differs"]
    (header,) = [
        line for line in done.output.splitlines() if line.split() == ["rows", "adds", "m4"]
    ]
    assert header
    assert not [line for line in done.lines("FAILED ") if "m4" in line]


def test_the_emulated_board_as_the_reference(inner, tcn, ports):
    words = (f"--tflm-model={tcn}", "--tflm-samples=4", "--tflm-tolerance=0")
    done = inner.pytest(*ports, *words, "--tflm-runtime=board:m4", "--tflm-json=run.json")
    found = {each["board"]: each for each in read_run(inner.directory / "run.json")["models"]}
    assert list(found) == ["rows", "adds"], done.output
    assert causes(found["rows"]) == ["edge-positions"]
    assert causes(found["adds"]) == ["kernel-differs"]
    assert "part is operator" in " ".join(" ".join(found["rows"]["verdict"]["lines"]).split())
