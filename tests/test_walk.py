"""docs/walk.md and the code in docs/reports.md, run as they stand there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
from model_builders import Graph

from pytest_tflm.record.journal import read_run

DOCS = Path(__file__).parents[1] / "docs"


def files_of(page: str) -> dict[str, str]:
    """The files that a page shows whole."""
    found = re.findall(r"```\w+ file=(\S+)\n(.*?)```", (DOCS / page).read_text("utf-8"), re.DOTALL)
    return dict(found)


def commands_of(page: str) -> list[str]:
    """The commands of a page, in order."""
    text = "".join(re.findall(r"^```bash\n(.*?)```", (DOCS / page).read_text("utf-8"), re.M | re.S))
    return re.findall(r"^((?:python|pytest|pytest-tflm) .*|pytest)$", text, re.MULTILINE)


def write_recordings(folder: Path, count: int, seed: int) -> None:
    """Recordings of an accelerometer at rest and being waved, in Edge Impulse's form."""
    folder.mkdir()
    random = np.random.default_rng(seed)
    for number in range(count):
        for name, size in (("idle", 0.1), ("wave", 6.0)):
            times = np.arange(50) * 16
            wave_ = size * np.sin(times / random.uniform(40, 80) + random.uniform(0, 6))
            axes = random.normal([0, 0, 9.8], 0.1, (50, 3))
            axes[:, 0] += wave_
            readings = zip(times, axes, strict=True)
            rows = [f"{time},{x:.4f},{y:.4f},{z:.4f}" for time, (x, y, z) in readings]
            text = "\n".join(["timestamp,accX,accY,accZ", *rows, ""])
            (folder / f"{name}.{number:02}.csv").write_text(text)


@pytest.mark.slow
def test_the_walk(tmp_path):
    write_recordings(tmp_path / "training", 20, seed=1)
    write_recordings(tmp_path / "testing", 10, seed=2)
    files = files_of("walk.md")
    assert set(files) == {"train.py", "pytest.ini"}
    (tmp_path / "train.py").write_text(files["train.py"])
    commands = commands_of("walk.md")
    assert len(commands) == 10
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "TFLM_", "COV"))},
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONWARNINGS": "ignore",
    }
    for number, command in enumerate(commands):
        if number == 2:
            (tmp_path / "pytest.ini").write_text(files["pytest.ini"])
        done = subprocess.run(
            command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        wanted = 1 if command.endswith("# fails") else 0
        assert done.returncode == wanted, f"{command}\n{done.stdout}\n{done.stderr}"
        if command.startswith("pytest --tflm-port=sim --tflm-model"):
            assert "board accuracy 100.00%, agreement 100.00%" in done.stdout
    names = {path.name for path in tmp_path.iterdir()}
    assert {"run.html", "history.html", "broken.html", "run1.json", "run2.json"} <= names
    assert (tmp_path / "baselines" / "gestures@simulator" / "baseline.json").exists()
    (model,) = read_run(tmp_path / "run2.json")["models"]
    assert model["metrics"]["runtimes"].keys() == {"board", "reference", "float"}
    assert model["baseline"]["changes"] == []
    assert "The board is right" in (tmp_path / "run.html").read_text()
    assert "accuracy" in (tmp_path / "broken.html").read_text()


def test_the_mfcc_example_gives_the_samples_of_a_keyword_spotter(inner, model_file):
    g = Graph()
    x = g.tensor("mfcc", (1, 49, 10, 1), "int8", 0.5, 0)
    shape = g.tensor("shape", (2,), "int32", data=np.array([1, 490]))
    flat = g.tensor("flat", (1, 490), "int8", 0.5, 0)
    w = g.tensor("w", (2, 490), "int8", 0.01, 0, np.ones((2, 490)) * [[1], [-1]])
    y = g.tensor("y", (1, 2), "int8", 1.0, 0)
    g.operator("RESHAPE", (x, shape), (flat,), "ReshapeOptions", newShape=[1, 490])
    g.operator("FULLY_CONNECTED", (flat, w, -1), (y,), "FullyConnectedOptions", version=4)
    path = model_file("words.tflite", g.finish((x,), (y,)))
    (inner.directory / "conftest.py").write_text(files_of("reports.md")["conftest.py"])
    for word, hertz in (("low", 300), ("high", 3000)):
        (inner.directory / "words" / word).mkdir(parents=True)
        with wave.open(str(inner.directory / "words" / word / "a.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16000)
            tone = 0.5 * np.sin(2 * np.pi * hertz * np.arange(12000) / 16000)
            file.writeframes((tone * 32767).astype("<i2").tobytes())
    done = inner.pytest(
        "--tflm-port=sim", f"--tflm-model={path}", "--tflm-json=run.json", "--tflm-tolerance=auto"
    )
    assert set(done.outcomes) == {"passed"}, done.output
    (model,) = read_run(inner.directory / "run.json")["models"]
    assert [sample["label"] for sample in model["samples"]] == ["high", "low"]

    space: dict = {}
    exec(files_of("reports.md")["conftest.py"], space)
    for hertz in (300, 3000):
        found = space["mfcc"](np.sin(2 * np.pi * hertz * np.arange(16000) / 16000))
        assert found.shape == (49, 10)
        # Of a tone, the inverse of the cosine transform is largest in the band of the tone.
        angles = np.pi * (np.arange(40) + 0.5)[:, None] * np.arange(10) / 40
        band = int((found[5] @ np.cos(angles).T).argmax())
        edges = np.linspace(space["mel"](20), space["mel"](4000), 42)
        centre = 700 * np.expm1(edges[band + 1] / 1127)
        assert abs(centre - hertz) / hertz < 0.2
