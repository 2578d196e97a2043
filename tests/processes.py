"""Real commands in processes of their own, as a user types them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Finished:
    """A command that has ended."""

    status: int
    output: str
    outcomes: dict[str, int] = field(default_factory=dict)

    def lines(self, beginning: str) -> list[str]:
        """The output's lines that begin so."""
        return [line for line in self.output.splitlines() if line.startswith(beginning)]


def outcomes(output: str) -> dict[str, int]:
    """What pytest counts in its last line."""
    summary = [line for line in output.splitlines() if re.search(r" in \d+\.\d+s", line)]
    found = re.findall(r"(\d+) (\w+)", summary[-1]) if summary else []
    # An editable installation causes one warning of pytest's own: warnings are not outcomes.
    return {
        "error" if name == "errors" else name: int(n)
        for n, name in found
        if not name.startswith("warning")
    }


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
