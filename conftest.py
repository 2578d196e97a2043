"""What all tests share: the examples, model files, and the ways to run the command."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import keras_models

pytest_plugins = ["pytester", "tests.processes", "tests.doubles"]

EXAMPLES = Path(__file__).parent / "examples"

# A shell starts what it runs in the background with Ctrl-C ignored, and children inherit that: the
# tests of Ctrl-C would wait for what cannot come.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def model_file(tmp_path: Path) -> Callable[[str, bytes], Path]:
    """Writes a model's bytes to a file and gives its path."""

    def write(name: str, data: bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write


@pytest.fixture(scope="session")
def tcn() -> Path:
    """The example TCN, batch 1."""
    return EXAMPLES / "tcn.tflite"


@pytest.fixture(scope="session")
def tcn_dynamic() -> Path:
    """The example TCN with an unknown batch size, which TFLM gets wrong."""
    return EXAMPLES / "tcn_dynamic.tflite"


@pytest.fixture(scope="session")
def keras_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The path of a model that the converter made, by its name in ``keras_models.NAMES``. They are
    made once for a run, also with pytest-xdist, whose workers have folders beside each other."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    return lambda name: keras_models.made_models(folder / "keras_models") / f"{name}.tflite"
