"""The fixtures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_tflm.errors import SettingsError
from pytest_tflm.suite.pipeline import DEVICE, PIPELINE, REFERENCE
from pytest_tflm.suite.state import STATE, settings_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_tflm.compare.comparison import Comparison
    from pytest_tflm.model import Model
    from pytest_tflm.options import Settings
    from pytest_tflm.record.samples import Sample, Samples
    from pytest_tflm.replay.format import Replay
    from pytest_tflm.runtime.base import Runtime
    from pytest_tflm.runtime.board import BoardRuntime
    from pytest_tflm.suite.subject import Subject


@pytest.fixture
def tflm_settings(request: pytest.FixtureRequest) -> Settings:
    """The settings of this test: options, environment, ini, and its ``tflm`` marker."""
    if "_tflm_chosen" in request.fixturenames:  # which may choose one
        request.getfixturevalue("_tflm_chosen")
    return settings_of(request.node, request.config.stash[STATE])


@pytest.fixture
def tflm_model(request: pytest.FixtureRequest) -> Model:
    """The model under test. Tests that use it, or `device` or `reference`, run once for each
    ``--tflm-model``."""
    state = request.config.stash[STATE]
    if getattr(request, "param", None) is not None:
        model: Model = state.open(request.param)
        return model
    from pytest_tflm.suite.collect import models_of

    models = models_of(request.node, state)
    if not models:
        pytest.skip("no model: give --tflm-model=FILE, or @pytest.mark.tflm(model=FILE)")
    return models[0]


@pytest.fixture(scope="session")
def tflm_board(request: pytest.FixtureRequest) -> str:
    """The name of the board under test, empty if it has none. Tests that use a board run once for
    each board of ``--tflm-port``."""
    name: str = getattr(request, "param", "")
    return name


@pytest.fixture(scope="session")
def tflm_port(request: pytest.FixtureRequest, tflm_board: str) -> str | None:
    """The port of the board under test, from ``--tflm-port`` or the hook ``pytest_tflm_port``; None
    without one. A conftest.py can override this fixture to choose a port when the first test of the
    board needs it, and to release it after the last."""
    port: str | None = request.config.stash[STATE].port(tflm_board)
    if port is None and tflm_board:
        raise SettingsError(
            f"the board {tflm_board!r} has no port: --tflm-port={tflm_board}=PORT, the hook "
            "pytest_tflm_port or a fixture tflm_port gives one"
        )
    return port


@pytest.fixture(scope="session")
def _tflm_chosen(
    request: pytest.FixtureRequest, tflm_board: str, tflm_port: str | None
) -> Iterator[str | None]:
    """The same; the port is closed before a fixture of that name releases it."""
    state = request.config.stash[STATE]
    if tflm_port is not None and state.choose(tflm_board, tflm_port):
        yield tflm_port
        state.release(tflm_board)
    else:
        yield tflm_port


@pytest.fixture
def _tflm_device(
    request: pytest.FixtureRequest, tflm_board: str, _tflm_chosen: str | None, tflm_model: Model
) -> Runtime:
    """What :func:`device` is, also where a conftest has a fixture of that name for its own use."""
    state = request.config.stash[STATE]
    if _tflm_chosen is None:
        pytest.skip("no board: give --tflm-port=PORT, or --tflm-port=sim for the simulator")
    board = state.board(settings_of(request.node, state))
    assert board is not None
    state.at_work = tflm_board
    runtime = state.resets.once(request.node, lambda: board.load(tflm_model))
    request.config.stash[PIPELINE].prepare(request.node, runtime, DEVICE)
    return runtime


@pytest.fixture
def _tflm_reference(
    request: pytest.FixtureRequest, tflm_model: Model, tflm_settings: Settings
) -> Runtime:
    """What :func:`reference` is, whatever a conftest calls so."""
    state = request.config.stash[STATE]
    if tflm_settings.reference.is_board:
        state.port(tflm_settings.reference.board)
    spec = settings_of(request.node, state).reference
    runtime = state.resets.once(request.node, lambda: state.hosts.open(spec).load(tflm_model))
    request.config.stash[PIPELINE].prepare(request.node, runtime, REFERENCE)
    return runtime


@pytest.fixture
def device(_tflm_device: Runtime) -> Runtime:
    """The board of ``--tflm-port``, with the model under test loaded. Skips without a port."""
    return _tflm_device


@pytest.fixture
def reference(_tflm_reference: Runtime) -> Runtime:
    """The interpreter that outputs are compared with: ``--tflm-runtime``, ``--tflm-resolver``."""
    return _tflm_reference


@pytest.fixture
def tflm_samples(
    request: pytest.FixtureRequest, tflm_model: Model, tflm_settings: Settings
) -> Samples:
    """All samples of the model under test, as a sequence."""
    return request.config.stash[STATE].survey(tflm_model, tflm_settings).samples


@pytest.fixture
def tflm_sample(request: pytest.FixtureRequest, tflm_samples: Samples) -> Sample:
    """One sample. Tests that use it run once for each sample of ``--tflm-samples``."""
    return tflm_samples[getattr(request, "param", 0)]


@pytest.fixture
def tflm_keep(
    request: pytest.FixtureRequest, tflm_settings: Settings
) -> Callable[..., Path | None]:
    """``tflm_keep(replay)`` writes a finding into ``--tflm-save``, or into pytest's cache, and
    returns the file's path; None if there is neither."""
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
    """``tflm_compared()`` returns the comparison of the last ``assert … == within(…)`` that failed
    in this test; None if none failed."""
    state = request.config.stash[STATE]
    return lambda: state.comparison


@pytest.fixture
def _tflm_subject(
    request: pytest.FixtureRequest,
    _tflm_device: BoardRuntime,
    tflm_model: Model,
    tflm_samples: Samples,
    tflm_settings: Settings,
) -> Subject:
    """What the suite's checks of accuracy, time and memory are about."""
    from pytest_tflm.suite.subject import Subject

    state = request.config.stash[STATE]
    return Subject(state, tflm_settings, tflm_model, tflm_samples, _tflm_device)


@pytest.fixture
def tflm_budgets(_tflm_subject: Subject) -> Callable[[], None]:
    """``tflm_budgets()`` fails the test with LimitMissed if the runs so far missed a limit on time
    or memory in this test's settings, including its ``tflm`` marker. It skips the test if the
    figures are not a physical board's."""
    from pytest_tflm.suite.measures import check_budgets

    return lambda: check_budgets(_tflm_subject)


@pytest.fixture
def tflm_tolerance(tflm_settings: Settings) -> int:
    """``--tflm-tolerance``: the LSBs by which an output may differ."""
    return tflm_settings.lsb
