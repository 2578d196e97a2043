"""Each row of ``faults=`` in docs/usage.md ends as it says, with seeds drawn anew for each run.

The compiled core and the line's own fault model, in virtual time: what ``sim?faults=NAME`` is.
"""

from __future__ import annotations

import os
import random

import numpy as np
import pytest
from virtual_line import VirtualPort, World

from pytest_tflm import errors
from pytest_tflm.errors import TflmError
from pytest_tflm.link.connection import Connection
from pytest_tflm.link.session import Session
from pytest_tflm.simulator.line.faults import PROFILES

pytest.importorskip("pytest_tflm.simulator._firmware")

from compiled_board import CompiledBoard, NumpyEngine
from soak import answer

from pytest_tflm.simulator.engine.base import EngineTensor, Loaded

INPUT, OUTPUT = 1000, 16
SAMPLES = 100
NOW_AND_THEN = {"resets", "vanish", "late"}
"""Those whose fault may not come within so few samples."""


class TcnLikeEngine(NumpyEngine):
    """As many bytes in and out as the example has, and as many operators."""

    memory = 1 << 20
    operators = " ".join(f"OPERATOR_{number:03}" for number in range(115))

    def __init__(self) -> None:
        super().__init__()
        self.input = np.zeros(INPUT, np.int8)

    def prepare(self, model: bytes) -> Loaded:
        inputs = (EngineTensor(self.input, 9, 0.5, -3),)
        return Loaded(640, 3000, inputs, (EngineTensor(self.output, 9, 0.125, 7),))


def run(name: str, seed: int) -> TflmError | None:
    """A run over that line: the error that it ends in; none for one whose results are all right."""
    engine = TcnLikeEngine()
    board = CompiledBoard(engine, largest_frame=2048, window=4096, reply_store=4096)
    world = World(
        board,
        seed=seed,
        faults=PROFILES[name].faults,
        ring=4096 + 64,
        invoked=lambda: len(engine.invoked),
        boot=board.boot,
    )
    port = VirtualPort(world)
    rng = random.Random(seed)
    sent = [rng.randbytes(INPUT) for _ in range(SAMPLES)]
    try:
        connection = Connection(port, session=Session(), clock=port.clock)
        connection.load(rng.randbytes(20_000))
        results = [result.outputs for result in connection.run_many(iter(sent))]
    except TflmError as error:
        return error
    assert results == [answer(sample) for sample in sent], (name, seed)
    assert len(engine.invoked) == SAMPLES, (name, seed)
    return None


@pytest.mark.parametrize("name", PROFILES)
def test_a_run_ends_as_the_row_says(name):
    allowed = tuple(getattr(errors, each) for each in PROFILES[name].errors)
    ended = False
    for _ in range(12 if name in NOW_AND_THEN else 2):
        seed = int.from_bytes(os.urandom(4), "little")
        error = run(name, seed)
        assert error is None or isinstance(error, allowed), (seed, error)
        assert error or not allowed or name in NOW_AND_THEN, f"passed with seed {seed}"
        ended = error is not None
        if ended and name in NOW_AND_THEN:
            break
    assert ended == bool(allowed)
