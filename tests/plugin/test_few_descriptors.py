"""A run with few file descriptors: it passes, or says what there are too few of."""

from __future__ import annotations

import subprocess
import sys

import model_builders
import pytest

resource = pytest.importorskip("resource")

pytestmark = pytest.mark.slow


def run_with(descriptors, model):
    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

    return subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            "-q",
            "--tflm-port=sim",
            f"--tflm-model={model}",
            "--tflm-samples=1",
        ],
        cwd=model.parent,
        preexec_fn=limit,
        capture_output=True,
        text=True,
        check=False,
    )


def test_32_are_enough(model_file):
    model = model_file("identity.tflite", model_builders.identity("int8", (1, 4), 0.5))
    done = run_with(32, model)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("descriptors", [14, 18, 24, 26, 28])
def test_too_few_are_named(model_file, descriptors):
    model = model_file("identity.tflite", model_builders.identity("int8", (1, 4), 0.5))
    done = run_with(descriptors, model)
    if done.returncode:
        assert "INTERNALERROR" not in done.stdout
        assert "Too many open files" in done.stdout
        assert "failed" not in done.stdout.splitlines()[-1], done.stdout
