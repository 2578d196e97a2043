"""The fixtures, and the state of a run that they share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_tflm.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_tflm.compare.comparison import Comparison
    from pytest_tflm.link import Counters
    from pytest_tflm.model import Model
    from pytest_tflm.options import Settings
    from pytest_tflm.record.samples import Sample, Samples
    from pytest_tflm.replay.format import Replay
    from pytest_tflm.runtime.base import Runtime
    from pytest_tflm.runtime.pool import Pool
    from pytest_tflm.suite.verdicts import Verdicts


class State:
    """What one pytest run keeps: settings, opened models, and the pool of runtimes."""

    def __init__(self, settings: Settings, named: list[Path], directory: Path) -> None:
        self.settings = settings
        self._directory = directory
        self._opened: dict[Path, Model] = {}
        self._samples: dict[tuple[str, str | None, int], Samples] = {}
        self._pool: Pool | None = None
        self._verdicts: Verdicts | None = None
        self._shown: set[int] = set()
        self._reporter: Any = None
        self.comparison: Comparison | None = None
        """Of the ``assert … == within(…)`` that failed last in the present test."""
        self.models: dict[Path, Model] = {}
        for path in dict.fromkeys((*settings.models, *named)):
            model = self.open(path)
            assert model.path is not None
            self.models[model.path] = model

    def open(self, path: Path) -> Model:
        """The model of a file, relative to where pytest was started. Raises ModelError."""
        absolute = (self._directory / path).resolve()
        if absolute not in self._opened:
            from pytest_tflm.model import open_model

            self._opened[absolute] = open_model(absolute)
        return self._opened[absolute]

    def samples(self, model: Model, settings: Settings) -> Samples:
        """The samples that ``settings`` mean for ``model``. Raises SampleError."""
        key = (model.sha256, settings.samples, settings.seed)
        if key not in self._samples:
            from pytest_tflm.record.samples import samples_for

            self._samples[key] = samples_for(model, settings.samples, settings.seed)
        return self._samples[key]

    @property
    def pool(self) -> Pool:
        """The runtimes of this run."""
        if self._pool is None:
            from pytest_tflm.runtime.pool import Pool

            self._pool = Pool(self.settings, self.progress)
        return self._pool

    @property
    def verdicts(self) -> Verdicts:
        """Why tests failed."""
        if self._verdicts is None:
            from pytest_tflm.suite.verdicts import Verdicts

            self._verdicts = Verdicts(self.pool, self.progress)
        return self._verdicts

    @property
    def link(self) -> Counters | None:
        """What the link to the board did in this run; None if no board was greeted."""
        return self._pool.link if self._pool is not None else None

    def show_progress(self, reporter: Any) -> None:
        """Show the progress of long work through pytest's terminal reporter."""
        self._reporter = reporter

    def progress(self, what: str, done: int, total: int) -> None:
        """Show how far something long is, where there is a terminal; nothing when it is done."""
        reporter = self._reporter
        if reporter is None or not reporter.isatty or not total:
            return
        if done < total:
            reporter.rewrite(f"tflm: {what}: {100 * done // total}%", erase=True)
        else:
            reporter.rewrite("", erase=True)

    def first_time(self, error: Exception) -> bool:
        """Whether this error has not been shown yet; it is shown in full once."""
        if id(error) in self._shown:
            return False
        self._shown.add(id(error))
        return True

    def close(self) -> None:
        """Release the port and end all processes."""
        if self._pool is not None:
            self._pool.close()


STATE = pytest.StashKey[State]()


def settings_of(node: pytest.Item | pytest.Collector | pytest.Function, state: State) -> Settings:
    """The run's settings as changed by the ``tflm`` markers around a test, nearest first."""
    values: dict[str, Any] = {}
    for mark in node.iter_markers("tflm"):
        if mark.args:
            raise SettingsError("@pytest.mark.tflm takes keywords only, tolerance=2 for example.")
        values = {**mark.kwargs, **values}
    return state.settings.for_marker(values) if values else state.settings


def models_of(node: pytest.Item | pytest.Collector, state: State) -> list[Model]:
    """The models that a test runs on: that of its file if it is part of the suite, those of its
    marker, or all of the run."""
    from pytest_tflm.suite.collect import ModelFile

    file = node.getparent(ModelFile)
    if file is not None:
        return [state.open(file.path)]
    settings = settings_of(node, state)
    if settings.models != state.settings.models:
        return [state.open(path) for path in settings.models]
    return list(state.models.values())


@pytest.fixture
def tflm_settings(request: pytest.FixtureRequest) -> Settings:
    """The settings of this test: options, environment, ini, and its ``tflm`` marker."""
    return settings_of(request.node, request.config.stash[STATE])


@pytest.fixture
def tflm_model(request: pytest.FixtureRequest) -> Model:
    """The model under test. Tests that use it, or `device` or `reference`, run once for each
    ``--tflm-model``."""
    state = request.config.stash[STATE]
    if getattr(request, "param", None) is not None:
        model: Model = state.open(request.param)
        return model
    models = models_of(request.node, state)
    if not models:
        pytest.skip("no model: give --tflm-model=FILE, or @pytest.mark.tflm(model=FILE)")
    return models[0]


@pytest.fixture
def device(request: pytest.FixtureRequest, tflm_model: Model) -> Runtime:
    """The board of ``--tflm-port``, with the model under test loaded. Skips without a port."""
    state = request.config.stash[STATE]
    if state.settings.port is None:
        pytest.skip("no board: give --tflm-port=PORT, or --tflm-port=sim for the simulator")
    return state.pool.board(tflm_model)


@pytest.fixture
def reference(
    request: pytest.FixtureRequest, tflm_model: Model, tflm_settings: Settings
) -> Runtime:
    """The interpreter that outputs are compared with: ``--tflm-runtime``, ``--tflm-resolver``."""
    pool = request.config.stash[STATE].pool
    return pool.reference(tflm_model, tflm_settings.runtime, tflm_settings.resolver)


@pytest.fixture
def tflm_samples(
    request: pytest.FixtureRequest, tflm_model: Model, tflm_settings: Settings
) -> Samples:
    """All samples of the model under test, as a sequence."""
    return request.config.stash[STATE].samples(tflm_model, tflm_settings)


@pytest.fixture
def tflm_sample(request: pytest.FixtureRequest, tflm_samples: Samples) -> Sample:
    """One sample. Tests that use it run once for each sample of ``--tflm-samples``."""
    return tflm_samples[getattr(request, "param", 0)]


@pytest.fixture
def tflm_keep(
    request: pytest.FixtureRequest, tflm_settings: Settings
) -> Callable[..., Path | None]:
    """``tflm_keep(replay)`` writes a finding into ``--tflm-save``, or into pytest's cache, and
    gives the file's path; None where there is neither."""
    config = request.config
    directory = tflm_settings.save
    if directory is None and config.pluginmanager.hasplugin("cacheprovider"):
        directory = config.rootpath / str(config.getini("cache_dir")) / "tflm"
    elif directory is not None:
        directory = config.invocation_params.dir / directory

    def keep(replay: Replay) -> Path | None:
        from pytest_tflm.replay.record import keep as kept

        return None if directory is None else kept(replay, directory)

    return keep


@pytest.fixture
def tflm_compared(request: pytest.FixtureRequest) -> Callable[[], Comparison | None]:
    """``tflm_compared()`` gives the comparison of the ``assert … == within(…)`` that failed last in
    this test; None if none has."""
    state = request.config.stash[STATE]
    return lambda: state.comparison


@pytest.fixture
def tflm_tolerance(tflm_settings: Settings) -> int:
    """``--tflm-tolerance``: how many LSBs an output may differ."""
    return tflm_settings.tolerance
