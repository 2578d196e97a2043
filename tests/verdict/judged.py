"""A verdict over a model on a simulated board, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pytest_tflm.model import Model, model_from_bytes
from pytest_tflm.record.samples import RandomSamples
from pytest_tflm.runtime.hosts import Hosts
from pytest_tflm.runtime.spec import RuntimeSpec
from pytest_tflm.verdict.row import Row
from pytest_tflm.verdict.verdict import Verdict, judge


def judged(
    model: Model | bytes,
    port: str | None = "sim",
    *,
    samples: Sequence[object] | int = 8,
    runtime: str = "litert",
    resolver: str = "builtin_ref",
    float_model: Path | None = None,
    codes: Sequence[object] | None = None,
) -> Verdict:
    """The verdict over random samples (a count) or the ones given."""
    if isinstance(model, bytes):
        model = model_from_bytes(model, "network.tflite")
    if isinstance(samples, int):
        drawn = RandomSamples(model, samples, 0)
        samples = [drawn[i] for i in range(len(drawn))]
    with Hosts() as hosts:
        board = RuntimeSpec.of_board(port) if port else None
        row = Row.made(hosts, board, RuntimeSpec.of_interpreter(runtime, resolver))
        return judge(model, samples, row, float_model=float_model, codes=codes)
