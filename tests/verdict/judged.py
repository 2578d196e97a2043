"""A verdict over a model on a simulated board, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_tflm.model import Model, model_from_bytes
from pytest_tflm.record.samples import RandomSamples
from pytest_tflm.runtime.hosts import Hosts
from pytest_tflm.runtime.spec import RuntimeSpec
from pytest_tflm.verdict.row import Row
from pytest_tflm.verdict.verdict import Verdict, judge

if TYPE_CHECKING:
    from pytest_tflm.runtime.base import Arrays, Host


def judged(
    model: Model | bytes,
    port: str | None = "sim",
    *,
    samples: Sequence[object] | int = 8,
    runtime: str = "litert",
    resolver: str = "builtin_ref",
    float_model: Path | None = None,
    codes: Sequence[object] | None = None,
    history: Sequence[Arrays] = (),
    before: bytes | None = None,
    takes_models: bool = True,
) -> Verdict:
    """The verdict over random samples (a count) or the ones given. ``before`` is a model that the
    board has loaded first; ``takes_models``: whether the verdict may send it others."""
    if isinstance(model, bytes):
        model = model_from_bytes(model, "network.tflite")
    if isinstance(samples, int):
        drawn = RandomSamples(model, samples, 0)
        samples = [drawn[i] for i in range(len(drawn))]
    with Hosts() as hosts:
        board = RuntimeSpec.of_board(port) if port else None
        row = Row.made(hosts, board, RuntimeSpec.of_interpreter(runtime, resolver))
        if row.board is not None and before is not None:
            row.board.load(model_from_bytes(before, "before.tflite"))
        if row.board is not None and not takes_models:
            row = replace(row, board=_Fixed(row.board))
        return judge(model, samples, row, history=history, float_model=float_model, codes=codes)


class _Fixed:
    """A board that is said to take no models."""

    takes_models = False

    def __init__(self, board: Host) -> None:
        self._board = board

    def __getattr__(self, name: str) -> object:
        return getattr(self._board, name)
