"""SPEC.md is enough: a client that knows nothing of pytest_tflm runs a model on the simulator."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pytest_tflm.model import open_model
from pytest_tflm.runtime.interpreter import interpreter
from pytest_tflm.simulator.board.launch import start

pytest.importorskip("tflite_micro")

CLIENT = Path(__file__).with_name("client.py")


def test_it_is_short_and_a_stranger():
    source = CLIENT.read_text()
    assert len(source.splitlines()) <= 150
    imported = {
        name.name.split(".")[0]
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in node.names
    }
    assert imported <= set(sys.stdlib_module_names)


@pytest.mark.parametrize("spec", ["sim", "sim?largest_frame=64&window=67", "sim?faults=bursts"])
def test_it_runs_a_model(spec, tcn):
    model = open_model(tcn)
    sample = np.load(tcn.with_name("tcn_samples.npz"))["inputs"][0]
    (data,) = model.quantize(sample)
    with interpreter("tflm") as host:
        expected = host.load(model).run(sample).arrays[0].tobytes()
    with start(spec) as simulator:
        done = subprocess.run(
            [sys.executable, "-I", CLIENT, simulator.port, tcn],
            input=data.tobytes(),
            capture_output=True,
            timeout=120,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == expected
