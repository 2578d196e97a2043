"""What one pytest run keeps: settings, opened models, samples, hosts and verdicts."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_tflm.errors import SettingsError, TflmError
from pytest_tflm.printable import printable
from pytest_tflm.runtime.spec import NamedPort, RuntimeSpec
from pytest_tflm.suite.kept import KeptOutputs
from pytest_tflm.suite.resets import Resets
from pytest_tflm.suite.streams import Streams

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_tflm.compare.comparison import Comparison
    from pytest_tflm.link import Counters
    from pytest_tflm.model import Model
    from pytest_tflm.options import Settings
    from pytest_tflm.record.samples import Samples
    from pytest_tflm.record.survey import Survey
    from pytest_tflm.report.progress import ProgressLine
    from pytest_tflm.runtime.base import Arrays
    from pytest_tflm.runtime.board import BoardHost
    from pytest_tflm.runtime.hosts import Hosts
    from pytest_tflm.runtime.lab import Leases
    from pytest_tflm.suite.facts import Facts
    from pytest_tflm.suite.verdicts import Verdicts
    from pytest_tflm.verdict.carried import Carried


class State:
    """What one pytest run keeps: settings, opened models, and the pool of runtimes."""

    def __init__(
        self,
        settings: Settings,
        named: list[Path],
        directory: Path,
        own_samples: Callable[[Model], object] | None = None,
        own_port: Callable[[str], object] | None = None,
        own_reset: Callable[[str, str], bool] | None = None,
    ) -> None:
        """``own_samples`` gives what a project's hook has for a model, None for nothing;
        ``own_port`` what one has as the port of a board; ``own_reset`` resets one."""
        self.settings = settings
        self._directory = directory
        self._log: Callable[[str], None] | None = None
        self._is_worker = "PYTEST_XDIST_WORKER" in os.environ
        self._leases: Leases | None = None
        if settings.lab is not None:
            self._open_lab(settings.lab)
        self.resets = Resets(
            settings.reset == "on-crash",
            lambda error: self.hosts.whose(error),
            lambda value: self.facts.add("reset", value),
        )
        self._own_port = own_port
        self._own_reset = own_reset
        self._asked_for: set[str] = set()
        self._own_samples = own_samples
        self._facts: Facts | None = None
        self._opened: dict[Path, Model] = {}
        self._samples: dict[tuple[str, str | None, int], Samples] = {}
        self._surveys: dict[tuple[object, ...], Survey] = {}
        self._hosts: Hosts | None = None
        self._verdicts: Verdicts | None = None
        self.streams = Streams()
        self._shown: set[int] = set()
        self._progress: ProgressLine | None = None
        self.kept = KeptOutputs()
        self.verbose = False
        self.at_work = ""
        """The name of the board that the present test uses."""
        self.comparison: Comparison | None = None
        """Of the ``assert … == within(…)`` that failed last in the present test."""
        self.models: dict[Path, Model] = {}
        for path in dict.fromkeys((*settings.models, *named)):
            model = self.open(path)
            assert model.path is not None
            self.models[model.path] = model
        for path, name in _told_apart(list(self.models)).items():
            renamed = dataclasses.replace(self.models[path], name=name)
            self.models[path] = renamed
            self._opened = {
                key: renamed if found.path == path else found for key, found in self._opened.items()
            }

    def _open_lab(self, path: Path) -> None:
        """The boards of a lab's file. A worker of pytest-xdist has one of equal boards, and another
        process all that are free."""
        from pytest_tflm.runtime.lab import Leases, read_lab

        lab = read_lab(self._directory / path)
        groups = lab.groups(self.settings.tags)
        self.settings = self.settings.with_groups(groups)
        self._leases = Leases(
            lab,
            groups,
            wait=self.settings.wait,
            say=self.say,
            has_all=not self._is_worker,
        )

    def say(self, text: str) -> None:
        """Show a line, where there is somebody to see it."""
        if self._log is not None:
            self._log(f"tflm: {text}")

    def give_back(self) -> None:
        """Let other workers of pytest-xdist have the boards of a lab: this one has no test left for
        now."""
        if self._hosts is not None and self._is_worker:
            self._hosts.give_back()

    def path(self, path: Path) -> Path:
        """A path, relative to where pytest was started."""
        return self._directory / path

    def open(self, path: Path) -> Model:
        """The model of a file, relative to where pytest was started. Raises ModelError."""
        if path in self._opened:  # each test asks, and resolving looks at the disk
            return self._opened[path]
        absolute = (self._directory / path).resolve()
        if absolute not in self._opened:
            from pytest_tflm.model import open_model

            self._opened[absolute] = open_model(absolute)
        if path.is_absolute():
            self._opened[path] = self._opened[absolute]
        return self._opened[absolute]

    def survey(self, model: Model, settings: Settings) -> Survey:
        """The samples that tests use, and what can be said of them before. Raises SampleError."""
        key = (model.sha256, settings.samples, settings.seed, settings.reference)
        if key not in self._surveys:
            from pytest_tflm.record.survey import Survey, survey

            samples = self.samples(model, settings)
            try:
                self._surveys[key] = survey(model, samples, self.hosts.open(settings.reference))
            except TflmError:
                self._surveys[key] = Survey(samples)
        return self._surveys[key]

    def samples(self, model: Model, settings: Settings) -> Samples:
        """The samples that ``settings`` mean for ``model``. Raises SampleError."""
        key = (model.sha256, settings.samples, settings.seed)
        if key not in self._samples:
            self._samples[key] = self._open_samples(model, settings)
        return self._samples[key]

    def _open_samples(self, model: Model, settings: Settings) -> Samples:
        from pytest_tflm.record.given import Reading
        from pytest_tflm.record.samples import given_samples, samples_for

        if settings.samples is None and self._own_samples is not None:
            given = self._own_samples(model)
            if given is not None:
                return given_samples(model, given, "pytest_tflm_samples")
        reading = Reading(settings.label_column, settings.sample_range, settings.image_resize)
        return samples_for(model, settings.samples, settings.seed, reading)

    @property
    def facts(self) -> Facts:
        """What this process found out for the record of the run."""
        if self._facts is None:
            from pytest_tflm.suite.facts import Facts

            self._facts = Facts(self.survey)
        return self._facts

    @property
    def hosts(self) -> Hosts:
        """What runs models in this run."""
        if self._hosts is None:
            from pytest_tflm.runtime.hosts import Hosts

            self._hosts = Hosts(
                self.settings.line,
                self.progress,
                timeout=self.settings.timeout,
                reset=self._own_reset,
                lessor=self._leases,
            )
        return self._hosts

    @property
    def is_used(self) -> bool:
        """Whether anything was run on a board or an interpreter."""
        return self._hosts is not None

    def board(self, settings: Settings) -> BoardHost | None:
        """The board that a test with these settings is for; None if the run has none."""
        settings = settings._replace(ports=self.settings.ports)
        return None if settings.board is None else self.hosts.board(settings.board)

    def port(self, board: str) -> str | None:
        """The port of the board of that name: of ``--tflm-port``, else of a project's hook, which
        is asked once. None if neither gives one. Raises SettingsError for an answer that is no
        port."""
        known = self._known(board)
        if known or self._own_port is None or board in self._asked_for:
            return known or None
        self._asked_for.add(board)
        port = self._own_port(board)
        if port is not None:
            self.choose(board, port)
        return self._known(board) or None

    def _known(self, board: str) -> str:
        return next((each.port for each in self.settings.ports if each.name == board), "")

    def choose(self, board: str, port: object) -> bool:
        """From now on the board of that name is at ``port``; whether that is new. Raises
        SettingsError."""
        if port == self._known(board) and port:
            return False
        if not isinstance(port, str) or not port:
            raise SettingsError(
                f"{port!r} is no port for the board {board!r}: a text as --tflm-port takes it is"
            )
        others = [each for each in self.settings.ports if each.name != board]
        if board == "" and others:
            raise SettingsError("a port without a name was chosen in a run whose boards have names")
        chosen = NamedPort(board, port)
        ports = [chosen if each.name == board else each for each in self.settings.ports]
        self.settings = self.settings._replace(ports=tuple(ports) or (chosen,))
        return True

    def release(self, board: str) -> None:
        """Close the port of the board of that name; who uses the board again opens it anew."""
        if self._hosts is not None:
            self._hosts.board(RuntimeSpec.of_board(self._known(board), board)).close()

    @property
    def verdict_level(self) -> str:
        """How much a verdict says: all evidence with ``-v``."""
        level = self.settings.verdict
        return "full" if self.verbose and level == "brief" else level

    @property
    def verdicts(self) -> Verdicts:
        """Why tests failed."""
        if self._verdicts is None:
            from pytest_tflm.suite.verdicts import Verdicts

            self._verdicts = Verdicts(
                self.hosts,
                self.progress,
                lambda model, settings, verdict: self.facts.add(
                    "verdict", verdict, model, settings
                ),
            )
        return self._verdicts

    @property
    def links(self) -> dict[str, Counters]:
        """What the links to the boards that were greeted did in this run, by their names."""
        return self._hosts.links if self._hosts is not None else {}

    @property
    def _link(self) -> Counters | None:
        """Of the board that is at work."""
        links = self.links
        return links.get(self.at_work) or next(iter(links.values()), None)

    def keeps(self, settings: Settings, samples: Samples) -> bool:
        """Whether a later test asks for the outputs of all samples."""
        return (
            samples.labels is not None
            or settings.baseline is not None
            or settings.min_agreement is not None
        )

    def carried(
        self,
        model: Model,
        settings: Settings,
        samples: Sequence[object],
        got: Arrays,
        expected: Arrays,
    ) -> Carried:
        """Whether a difference is rounding that the model carries to its outputs."""
        from pytest_tflm.verdict.carried import carried
        from pytest_tflm.verdict.row import Row

        row = Row.made(self.hosts, settings.board, settings.reference)
        assert settings.board is not None
        with self.hosts.board(settings.board).alone():
            return carried(model, row, samples, got, expected, self.progress)

    def show_progress(self, reporter: Any, config: pytest.Config) -> None:
        """Show the progress of long work through pytest's terminal reporter, if there is one."""
        if reporter is None:
            return
        from pytest_tflm.report.progress import ProgressLine

        capture = config.pluginmanager.get_plugin("capturemanager")

        def seen() -> Any:
            """Inside a test what is written would be captured."""
            return capture.global_and_fixture_disabled() if capture else contextlib.nullcontext()

        def rewrite(text: str) -> None:
            with seen():
                reporter.ensure_newline()
                reporter.rewrite(text, erase=True)

        def log(text: str) -> None:
            with seen():
                reporter.write_line(text)

        self._log = log
        self._progress = ProgressLine(rewrite if reporter.isatty else None, log, lambda: self._link)

    def progress(self, what: str, done: int, total: int, unit: str = "") -> None:
        """Show how far something long is; nothing more when it is done."""
        if self._progress is not None:
            self._progress(what, done, total, unit)

    def first_time(self, error: Exception) -> bool:
        """Whether this error has not been shown yet; it is shown in full once."""
        if id(error) in self._shown:
            return False
        self._shown.add(id(error))
        return True

    def close(self) -> None:
        """Release the port and end all processes."""
        if self._hosts is not None:
            self._hosts.close()


def _told_apart(paths: Sequence[Path]) -> dict[Path, str]:
    """Names for those of these absolute paths whose files have a name in common: as many of the
    folders around them as tell them apart. Reports and baselines go by a model's name."""
    names = {path: path.name for path in paths}
    changed: dict[Path, str] = {}
    for size in range(2, max((len(path.parts) for path in paths), default=0) + 1):
        counts = Counter(names.values())
        common = {path: name for path, name in names.items() if counts[name] > 1}
        changed |= {path: "/".join(path.parts[-size:]) for path in common}
        names |= changed
    return {path: printable(name) for path, name in changed.items()}


STATE = pytest.StashKey[State]()


def settings_of(node: pytest.Item | pytest.Collector | pytest.Function, state: State) -> Settings:
    """The run's settings for a test's board, as changed by the ``tflm`` markers around the test,
    nearest first."""
    values: dict[str, Any] = {}
    for mark in node.iter_markers("tflm"):
        if mark.args:
            raise SettingsError(
                f"{node.name}: @pytest.mark.tflm takes keywords only, tolerance=2 for example."
            )
        values = {**mark.kwargs, **values}
    try:
        settings = state.settings.for_marker(values) if values else state.settings
    except SettingsError as error:
        raise SettingsError(f"{node.name}: {error}") from None
    call = getattr(node, "callspec", None)
    board = call.params.get("tflm_board") if call is not None else None
    return settings if board is None else settings._replace(board_name=board)
