"""The test that a .tflm-replay file is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pytest_tflm.errors import OutputMismatch
from pytest_tflm.runtime.spec import RuntimeSpec
from pytest_tflm.suite.state import STATE, settings_of

if TYPE_CHECKING:
    import pytest


def test_replay(
    request: pytest.FixtureRequest,
    tflm_board: str,
    record_property: Callable[[str, object], None],
) -> None:
    """What was found is not there any more."""
    from pytest_tflm.replay.format import read_replay
    from pytest_tflm.replay.rerun import models_of, replayed, steps_words

    state = request.config.stash[STATE]
    path = request.node.path
    replay = read_replay(path)
    models = models_of(replay, list(state.models.values()))
    board = state.board(settings_of(request.node, state))
    subject = board or state.hosts.open(_without_board(replay.subject.spec))
    reference = state.hosts.open(_without_board(replay.reference.spec))
    result = replayed(replay, models, subject, reference)
    lines = [f"steps: {steps_words(replay)}"]
    if replay.title:
        lines.insert(0, f"recorded: {replay.title}")
    if result.as_recorded is not None:
        same = "those" if result.as_recorded else "different from those"
        lines.append(f"outputs of {subject.name}: {same} in the file")
    short = f"{path.name}: {_word(result.reproduces)}: {result.lines[0]}"
    if replay.subject.spec.is_board and board is None:
        short += " (no --tflm-port: not run on a board, where it was found)"
    record_property("tflm_replay", short)
    if result.reproduces:
        raise OutputMismatch(
            "\n".join([f"reproduces: {result.lines[0]}", *result.lines[1:], *lines])
        )
    print("\n".join([f"does not reproduce: {result.lines[0]}", *result.lines[1:], *lines]))


def _word(reproduces: bool) -> str:
    return "reproduces" if reproduces else "does not reproduce"


def _without_board(spec: RuntimeSpec) -> RuntimeSpec:
    """Host TFLM, which computes what a correct board does, in the place of a board."""
    return RuntimeSpec.of_interpreter("tflm") if spec.is_board else spec
