"""Another LiteRT in an environment of its own: the baseline says that the reference changed.

LiteRT requantises FULLY_CONNECTED in float since 1.3 (google-ai-edge/LiteRT#8567), so some outputs
of 1.2.0 are others.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from model_builders import Graph

from pytest_tflm.record.journal import read_run
from tests.processes import outcomes

OTHER = "1.2.0"
PATIENCE = 300


@pytest.fixture
def other_python(tmp_path: Path) -> Path:
    """A Python that has what this one has, and another LiteRT."""
    import venv

    venv.create(tmp_path / "environment", with_pip=False)
    (site,) = (tmp_path / "environment").glob("lib/python*/site-packages")
    words = ("--no-deps", "--only-binary=:all:", "--retries=1", f"--target={site}")
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pip", "install", *words, f"ai-edge-litert=={OTHER}"],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"ai-edge-litert {OTHER} cannot be installed: pip took over {PATIENCE} s")
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["pip says nothing"])[-1]
        pytest.skip(f"ai-edge-litert {OTHER} cannot be installed: {why}")
    # Behind its own packages: the first that is found is the one that is imported.
    ours = sysconfig.get_path("purelib")
    (site / "ours.pth").write_text(f"import site; site.addsitedir({ours!r})\n")
    return tmp_path / "environment" / "bin" / "python"


def requantised() -> bytes:
    """FULLY_CONNECTED with sums that the two ways of requantising round differently here and there:
    of the 64 random samples with seed 0, a few."""
    g = Graph()
    x = g.tensor("x", (1, 64), "int8", 0.05, 3)
    weights = np.random.default_rng(1).integers(-127, 128, (256, 64))
    w = g.tensor("w", (256, 64), "int8", 0.013, 0, weights)
    y = g.tensor("y", (1, 256), "int8", 0.37, -2)
    g.operator("FULLY_CONNECTED", (x, w, -1), (y,), "FullyConnectedOptions", version=4)
    return g.finish((x,), (y,))


@pytest.mark.slow
def test_another_litert_is_told_as_another_reference(inner, model_file, other_python):
    model = model_file("fc.tflite", requantised())
    words = ["--tflm-port=sim", f"--tflm-model={model}", "--tflm-samples=64"]
    words += [f"--tflm-baseline={inner.directory / 'baselines'}"]
    done = inner.pytest(*words, "--tflm-baseline-update")
    assert set(done.outcomes) == {"passed"}, done.output

    def again(*more: str) -> str:
        run = subprocess.run(
            [other_python, "-m", "pytest", "-p", "no:cacheprovider", *words, *more],
            cwd=inner.directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert run.returncode == ("--tflm-baseline-fail=reference" in more), run.stdout
        return run.stdout

    told = again("--tflm-json=run.json")
    assert set(outcomes(told)) == {"passed"}, told
    run = read_run(inner.directory / "run.json")
    assert run["versions"]["ai-edge-litert"] == OTHER
    (found,) = run["models"]
    assert [each["kind"] for each in found["baseline"]["changes"]] == ["reference", "versions"]
    reference, versions = (each["text"] for each in found["baseline"]["changes"])
    assert reference.startswith("the reference changed: ")
    assert reference.endswith("1 LSB; the board's outputs are unchanged")
    assert f"ai-edge-litert {OTHER}, was " in versions

    told = again("--tflm-baseline-fail=reference")
    assert outcomes(told)["failed"] == 1, told
    assert "fc.tflite: the reference changed: " in told


@pytest.mark.parametrize("missing", ["accessor", "package"])
def test_a_litert_that_cannot_read_models_is_named_with_its_version(
    inner, tcn, monkeypatch, missing
):
    from ai_edge_litert import schema_py_generated

    if missing == "accessor":
        monkeypatch.delattr(schema_py_generated.Tensor, "Type")
        words = ("ai-edge-litert ", " cannot be used to read models: ", "--upgrade ai-edge-litert")
    else:
        monkeypatch.setitem(sys.modules, "ai_edge_litert.schema_py_generated", None)
        from pytest_tflm.model import accessors

        accessors.schema.cache_clear()
        words = ("reading models needs ai-edge-litert, which cannot be imported: ",)
    done = inner.pytest("--tflm-port=sim", f"--tflm-model={tcn}")
    assert done.status == 4, done.output
    assert "INTERNALERROR" not in done.output
    for part in words:
        assert part in done.output
