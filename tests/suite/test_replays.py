"""A ``.tflm-replay`` file as a test."""

from __future__ import annotations

import numpy as np

from pytest_tflm.model import model_from_bytes
from pytest_tflm.replay.format import Party, Replay, ReplayModel, Step
from pytest_tflm.runtime.spec import RuntimeSpec
from tests.runtime import state_models

# One output code is higher when input element 17 has its highest code.
BROKEN = "--tflm-port=sim?defect=one-element:17"


def test_a_sequence_is_replayed_step_by_step_on_boards(inner):
    model = model_from_bytes(state_models.svdf(), "svdf.tflite")
    samples = tuple((np.full((1, 3), code, np.int8),) for code in (90, 3))
    replay = Replay(
        kind="differs",
        subject=Party("board", RuntimeSpec.of_board("")),
        reference=Party("tflm", RuntimeSpec("tflm")),
        models=(ReplayModel.of(model),),
        samples=samples,
        steps=tuple(
            Step(*each)
            for each in (
                ("load", 0),
                ("run", 0),
                ("reopen",),
                ("write", 1),
                ("reset",),
                ("run", 1),
            )
        ),
    )
    path = replay.save(inner.directory)
    done = inner.pytest("--tflm-port=sim", path)
    assert done.outcomes == {"passed": 1}, done.output
    done = inner.pytest("--tflm-port=sim?defect=state-kept", path)
    assert done.outcomes == {"failed": 1}, done.output
    assert "steps: load svdf.tflite, run 0, reopen, write 1, reset, run 1" in done.output


def test_a_file_that_is_no_replay_is_an_error_with_a_name(inner):
    (inner.directory / "bad.tflm-replay").write_bytes(b"PK\x03\x04 and more")
    done = inner.pytest("bad.tflm-replay")
    assert done.outcomes == {"error": 1}, done.output
    assert "ReplayError" in done.output
    assert "bad.tflm-replay: it is not a .tflm-replay file, or it is damaged" in done.output
    assert "Traceback" not in done.output
