"""The test that a .tflm-replay file is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pytest_tflm.errors import OutputMismatch, SettingsError
from pytest_tflm.fixtures import STATE, State

if TYPE_CHECKING:
    import pytest

    from pytest_tflm.replay.format import Party, Replay
    from pytest_tflm.replay.rerun import Machine


def test_replay(
    request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> None:
    """What was found is not there any more."""
    from pytest_tflm.replay.format import read_replay
    from pytest_tflm.replay.rerun import InterpreterMachine, models_of, replayed, steps_words

    state = request.config.stash[STATE]
    path = request.node.path
    replay = read_replay(path)
    models = models_of(replay, list(state.models.values()))
    machines: list[Machine] = []
    try:
        machines.append(_subject(replay, state))
        machines.append(_machine(replay.reference, state))
        result = replayed(replay, models, machines[0], machines[1])
    finally:
        for machine in machines:
            if isinstance(machine, InterpreterMachine):
                machine.close()
    lines = [f"steps: {steps_words(replay)}"]
    if replay.title:
        lines.insert(0, f"recorded: {replay.title}")
    if result.as_recorded is not None:
        same = "those" if result.as_recorded else "other ones than those"
        lines.append(f"outputs of {machines[0].name}: {same} of the file")
    short = f"{path.name}: {_word(result.reproduces)}: {result.lines[0]}"
    if replay.subject.kind == "board" and state.settings.port is None:
        short += " (no --tflm-port: not run on a board, where it was found)"
    record_property("tflm_replay", short)
    if result.reproduces:
        raise OutputMismatch(
            "\n".join([f"reproduces: {result.lines[0]}", *result.lines[1:], *lines])
        )
    print("\n".join([f"does not reproduce: {result.lines[0]}", *result.lines[1:], *lines]))


def _word(reproduces: bool) -> str:
    return "reproduces" if reproduces else "does not reproduce"


def _subject(replay: Replay, state: State) -> Machine:
    """The board of ``--tflm-port`` if there is one; else the runtime that the replay names, and
    host TFLM, which computes what a correct board does, in the place of a board."""
    if state.settings.port is not None:
        return _board(state)
    return _machine(replay.subject, state)


def _machine(party: Party, state: State) -> Machine:
    from pytest_tflm.replay.rerun import InterpreterMachine
    from pytest_tflm.runtime.packages import RESOLVERS

    if party.kind == "board":
        return InterpreterMachine("tflm")
    if party.resolver and party.resolver not in RESOLVERS:
        raise SettingsError(f"the replay names a resolver that there is not: {party.resolver!r}.")
    return InterpreterMachine(party.kind, party.resolver)


def _board(state: State) -> Machine:
    from pytest_tflm.replay.rerun import BoardMachine

    return BoardMachine(state.pool.board, state.pool.reopen)
