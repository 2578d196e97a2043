"""Faults of firmware that no defect of the simulator has: a board is played by host TFLM."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import model_builders
import network_models
import numpy as np
import pytest

from pytest_tflm.errors import NotSupported
from pytest_tflm.model import Model, model_from_bytes
from pytest_tflm.record.samples import RandomSamples
from pytest_tflm.runtime.hosts import Hosts
from pytest_tflm.runtime.interpreter import InterpreterHost, InterpreterRuntime
from pytest_tflm.runtime.spec import RuntimeSpec
from pytest_tflm.verdict.lines import verdict_lines
from pytest_tflm.verdict.row import Row
from pytest_tflm.verdict.verdict import judge

Run = Callable[[Model, list[tuple[Any, ...]], int], Iterator[tuple[Any, ...]]]


class PlayedBoard(InterpreterHost):
    """Host TFLM behind firmware. ``changes`` gives, for a model, the samples that Invoke is given
    in place of ``samples``; ``since`` counts the runs since the model was loaded."""

    name = "board played"

    def __init__(self, changes: Callable[[Model, list[Any], int], list[Any]]) -> None:
        super().__init__(RuntimeSpec("tflm"))
        self.name = "board played"
        self.changes = changes
        self.loaded, self.since = "", 0

    def attempt(
        self,
        model: Model,
        samples: Sequence[object],
        *,
        reset_between: bool = False,
        expected: object = None,
    ):
        if model.sha256 != self.loaded:
            self.loaded, self.since = model.sha256, 0
        given = [model.quantize(sample) for sample in samples]
        changed = self.changes(model, given, self.since)
        self.since += len(given)
        return super().attempt(model, changed, reset_between=reset_between)

    def load(self, model: Model) -> PlayedRuntime:
        return PlayedRuntime(self, model)


class PlayedRuntime(InterpreterRuntime):
    def reload(self) -> None:
        self.host.loaded = ""

    def read_inputs(self):
        return tuple(np.zeros(t.shape, t.dtype) for t in self.model.inputs)  # used for others

    def read_model(self):
        raise NotSupported("not shown")


def judged(data: bytes, changes: Any, count: int = 8):
    model = model_from_bytes(data, "network.tflite")
    drawn = RandomSamples(model, count, 0)
    with Hosts() as hosts, PlayedBoard(changes) as board:
        row = Row.made(hosts, None, RuntimeSpec("tflm"))
        row = Row(board, row.tflm, row.builtin_ref, row.reference, row.without_delegates)
        return judge(model, [drawn[i] for i in range(count)], row)


def flat(rule: Callable[[np.ndarray], np.ndarray]) -> Any:
    def changes(model: Model, samples: list[Any], since: int) -> list[Any]:
        return [tuple(rule(a.ravel()).reshape(a.shape) for a in sample) for sample in samples]

    return changes


def late(x: np.ndarray) -> np.ndarray:
    return np.concatenate([x[:1], x[:-1]])


def old_end(model: Model, samples: list[Any], since: int) -> list[Any]:
    """The last 16 elements of the first input are those of the run before."""
    made = []
    for before, sample in zip([samples[0], *samples[:-1]], samples, strict=True):
        x = sample[0].ravel().copy()
        if x.size > 32:
            x[-16:] = before[0].ravel()[-16:]
        made.append((x.reshape(sample[0].shape), *sample[1:]))
    return made


def exchanged(model: Model, samples: list[Any], since: int) -> list[Any]:
    return [sample[::-1] if len(model.inputs) == 2 else sample for sample in samples]


def first_is_right(model: Model, samples: list[Any], since: int) -> list[Any]:
    """From the second run on, a model of several operators computes with another input."""
    if len(model.operators) == 1:
        return samples
    return [s if since + i == 0 else (s[0] ^ 0x10, *s[1:]) for i, s in enumerate(samples)]


def invoked_twice(model: Model, samples: list[Any], since: int) -> list[Any]:
    """What Invoke leaves in the input is other tensors, unless the input is kept as an output."""
    kept = {t.index for t in model.inputs} & {t.index for t in model.outputs}
    if len(model.operators) == 1 or kept:
        return samples
    return [(np.roll(s[0], 7) ^ 3, *s[1:]) for s in samples]


def two_inputs() -> bytes:
    g = model_builders.Graph()
    x = [g.tensor(name, (1, 40), "int8", scale, 3) for name, scale in (("a", 0.1), ("b", 0.3))]
    y = g.tensor("y", (1, 40), "int8", 0.5, -7)
    g.operator("ADD", x, (y,), "AddOptions", version=2, potScaleInt16=False)
    return g.finish(x, (y,))


FAULTS = {
    "late": (flat(late), "input-changed", "shifted by 1, toward the end; the one at the edge"),
    "planes": (
        lambda model, samples, since: [
            tuple(
                np.ascontiguousarray(a.transpose(0, 3, 1, 2)).reshape(a.shape) if a.ndim == 4 else a
                for a in sample
            )
            for sample in samples
        ],
        "input-changed",
        "channels come first in memory",
    ),
    "old end": (
        old_end,
        "input-changed",
        "the last 16 of 192 elements are those of the run before",
    ),
    "first right": (first_is_right, "set-up-once", "right in the first run"),
    "twice": (invoked_twice, "input-not-rewritten", "Invoke runs twice"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_firmware_does_is_named(name: str) -> None:
    changes, cause, words = FAULTS[name]
    verdict = judged(network_models.image_network(), changes)
    text = "\n".join(verdict_lines(verdict))
    assert verdict.names == (cause,), text
    assert words in verdict.accusations[0].sentence, text


def test_exchanged_inputs_are_named() -> None:
    verdict = judged(two_inputs(), exchanged)
    assert verdict.names == ("input-changed",), "\n".join(verdict_lines(verdict))
    assert "they are exchanged: input i gets input [1, 0][i]" in verdict.accusations[0].sentence


def test_firmware_that_does_nothing_is_not_accused() -> None:
    verdict = judged(network_models.image_network(), lambda model, samples, since: samples)
    assert verdict.is_equal
    assert verdict.accusations == ()
