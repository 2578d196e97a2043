"""What all tests share: the examples, model files, and the real command in its own process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import keras_models
from tests.doubles import Finished, outcomes

pytest_plugins = ["pytester", "tests.doubles"]

EXAMPLES = Path(__file__).parent / "examples"

# A shell starts what it runs in the background with Ctrl-C ignored, and children inherit that: the
# tests of Ctrl-C would wait for what cannot come.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass(frozen=True)
class Running:
    """A command under way."""

    process: subprocess.Popen[str]
    log: Path

    @property
    def output(self) -> str:
        return self.log.read_text()

    def wait_for(self, text: str, seconds: float = 60) -> None:
        """Until the output holds ``text``."""
        end = time.monotonic() + seconds
        while text not in self.output:
            if self.process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"waited in vain for {text!r}:\n{self.output}")
            time.sleep(0.02)

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def finish(self, seconds: float = 90) -> Finished:
        """Wait for the end. A command that does not end is killed, and that is a failure."""
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"did not end in {seconds} s:\n{self.output}") from None
        return Finished(status, self.output, outcomes(self.output))


class Command:
    """Starts commands in a folder that is not the repository, as a user would."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._running: list[Running] = []

    def start(self, *words: str | os.PathLike[str], **environment: str) -> Running:
        """Start a command (its program is a module of this Python) and return at once."""
        log = self.directory / f"output-{len(self._running)}.txt"
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "TFLM_"))}
        with log.open("w") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", *map(os.fspath, words)],
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                env=clean | {"COLUMNS": "140", "PYTHONUNBUFFERED": "1"} | environment,
            )
        running = Running(process, log)
        self._running.append(running)
        return running

    def run(self, *words: str | os.PathLike[str], **environment: str) -> Finished:
        """Run a command to its end."""
        return self.start(*words, **environment).finish()

    def pytest(self, *words: str | os.PathLike[str], **environment: str) -> Finished:
        """Run pytest to its end, without what the repository's own configuration says."""
        return self.run("pytest", "-p", "no:cacheprovider", *words, **environment)

    def close(self) -> None:
        for running in self._running:
            if running.process.poll() is None:
                running.process.kill()
                running.process.wait()


@pytest.fixture
def command(tmp_path: Path):
    """Runs real commands in an empty folder."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    runner = Command(folder)
    yield runner
    runner.close()


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
