"""Accuracy, latency, memory and baselines of a model: what its tests measure and may not miss."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from pytest_tflm.compare.comparison import compare
from pytest_tflm.errors import (
    BaselineChanged,
    LimitMissed,
    NotSupported,
    SampleError,
    TflmError,
)
from pytest_tflm.record import baseline
from pytest_tflm.record.budgets import slow_operators
from pytest_tflm.record.metrics import Metrics, measure, metrics_lines
from pytest_tflm.runtime.latency import time_words
from pytest_tflm.runtime.spec import RuntimeSpec

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from pytest_tflm.model import Model
    from pytest_tflm.options import Settings
    from pytest_tflm.record.baseline import Change, Snapshot
    from pytest_tflm.runtime.base import Arrays, Runtime
    from pytest_tflm.suite.subject import Subject

_RUNS = 32
"""Runs over which latency is measured, at least, if there are so many samples."""


class Unmeasured(Exception):
    """What was asked for cannot be measured here, which is no failure; says why."""


def accuracy(subject: Subject, reference: Runtime) -> Metrics:
    """Measure a model against its labels and the reference. Raises SampleError for labels that do
    not fit, and LimitMissed."""
    metrics = _measured(subject, reference)
    missed = _missed_accuracy(subject.settings, metrics)
    if missed:
        raise LimitMissed("\n".join([*missed, *metrics_lines(metrics)]))
    return metrics


def _measured(subject: Subject, reference: Runtime) -> Metrics:
    state, settings, model, samples, device = subject
    board = state.kept.all(device, samples)
    wanted = state.kept.all(reference, samples)
    outputs = {
        "board": _reals(model, [each.arrays for each in board]),
        "reference": _reals(model, [each.arrays for each in wanted]),
    }
    if not all(
        compare(a, b, lsb=settings.lsb, float_tolerance=settings.float_tolerance).passed
        for a, b in zip(board, wanted, strict=True)
    ):
        _add_host_tflm(subject, outputs)
    if settings.float_model is not None:
        outputs["float"] = _of_float_model(subject)
    metrics = measure(outputs, samples.labels, settings.classes, where=samples.source)
    subject.note("metrics", metrics.as_record())
    return metrics


def _reals(model: Model, runs: Sequence[Arrays]) -> NDArray[np.float64]:
    import numpy as np

    return np.stack([model.dequantize(arrays)[0].astype(np.float64).ravel() for arrays in runs])


def _add_host_tflm(subject: Subject, outputs: dict[str, NDArray[np.float64]]) -> None:
    """What a correct board would give: asked where the board and the reference differ by more than
    the tolerance, since it takes as long as they did."""
    state, settings, model, samples, _ = subject
    spec = RuntimeSpec.of_interpreter("tflm")
    if spec == settings.reference:
        return
    with contextlib.suppress(
        TflmError
    ):  # it is not there, or refuses the model: the verdict's part
        runtime = state.hosts.open(spec).load(model)
        outputs["tflm"] = _reals(model, [each.arrays for each in state.kept.all(runtime, samples)])


def _of_float_model(subject: Subject) -> NDArray[np.float64]:
    from pytest_tflm.verdict.quantisation import real_samples, reals_of

    state, settings, model, samples, _ = subject
    assert settings.float_model is not None
    other = state.open(settings.float_model)
    given = [samples[index] for index in range(len(samples))]
    reals = real_samples(model, given)
    if reals is None:
        reals = reals_of(model, [model.quantize(sample) for sample in given])
    host = state.hosts.open(RuntimeSpec.of_interpreter("litert"))
    try:
        shaped = [
            tuple(a.reshape(t.shape) for a, t in zip(sample, other.inputs, strict=True))
            for sample in reals
        ]
    except ValueError as error:
        raise SampleError(
            f"{other.name} does not take the samples of {model.name}: {error}"
        ) from None
    return _reals(other, host.attempt(other, shaped, reset_between=False).outputs())


def _missed_accuracy(settings: Settings, metrics: Metrics) -> list[str]:
    board = metrics.runtimes["board"]
    asked = {
        "--tflm-min-accuracy": (settings.min_accuracy, "accuracy"),
        "--tflm-max-accuracy-drop": (settings.max_accuracy_drop, "accuracy"),
        "--tflm-min-agreement": (settings.min_agreement, "agreement"),
    }
    for option, (limit, figure) in asked.items():
        if limit is not None and figure not in board:
            what = "needs labels that are classes" if figure == "accuracy" else "needs classes"
            raise SampleError(f"{option} {what}: a .npz file with 'labels', a .csv, a folder.")
    found = []
    least, most = settings.min_accuracy, settings.max_accuracy_drop
    if least is not None and board["accuracy"] < least:
        found.append(f"accuracy {board['accuracy']:.2%}, at least {least:.2%} asked for")
    if most is not None:
        name = "float" if "float" in metrics.runtimes else "reference"
        lost = metrics.runtimes[name]["accuracy"] - board["accuracy"]
        if lost > most + 1e-12:
            who = "the float model" if name == "float" else "the reference"
            found.append(f"accuracy {lost:.2%} below that of {who}, {most:.2%} allowed")
    least = settings.min_agreement
    if least is not None and board["agreement"] < least:
        found.append(
            f"agreement with the reference {board['agreement']:.2%}, at least {least:.2%} asked for"
        )
    return found


def latency(subject: Subject) -> None:
    """Measure Invoke and the operators. Raises LimitMissed, and Unmeasured where there is no clock
    of a board."""
    _, settings, _, samples, device = subject
    measured = device.latency
    missing = min(len(samples), _RUNS) - (measured.runs if measured is not None else 0)
    for _ in device.run_many(samples[index] for index in range(missing)):
        pass
    measured = device.latency
    if measured is None:
        raise Unmeasured("the board has no clock")
    _note_latency(subject)
    found = []
    limit = settings.max_latency
    if limit is not None and measured.p95 > limit:
        found.append(f"latency {measured}; {time_words(limit)} allowed for 95% of the runs")
    if settings.max_operator_latency:
        try:
            device.run(samples[0])
            found += slow_operators(device.operator_times(), settings.max_operator_latency)
        except NotSupported as error:
            if measured.is_board or settings.budgets == "all":
                raise
            raise Unmeasured(str(error)) from None
    _judge(found, settings, measured.is_board, f"the {device.host.kind}'s time is not a board's")


def _note_latency(subject: Subject) -> None:
    measured = subject.device.latency
    if measured is not None:
        subject.note("latency", measured._asdict())


def memory(subject: Subject) -> None:
    """Look at the arena. Raises LimitMissed, and Unmeasured where it is not that of a board."""
    loaded = subject.device.loaded
    is_board = subject.device.host.kind != "simulator"
    note_memory(subject)
    limit = subject.settings.max_arena
    if loaded.arena_used is None:
        raise Unmeasured("the board does not say how much of its arena is used")
    found = []
    if limit is not None and loaded.arena_used > limit:
        found.append(
            f"arena {loaded.arena_used} bytes used of {loaded.arena_size}; {limit} allowed"
        )
    _judge(found, subject.settings, is_board, "the simulator's arena is larger than a board's")


def note_memory(subject: Subject) -> None:
    """Put the arena into the record of the run."""
    loaded = subject.device.loaded
    value = {
        "arena_used": loaded.arena_used,
        "arena_size": loaded.arena_size,
        "is_board": subject.device.host.kind != "simulator",
    }
    subject.note("memory", value)


def check_budgets(subject: Subject) -> None:
    """Judge time and memory where they have a limit. Raises LimitMissed; skips the test where they
    are not those of a board."""
    import pytest

    settings = subject.settings
    try:
        if settings.max_latency is not None or settings.max_operator_latency:
            latency(subject)
        if settings.max_arena is not None:
            memory(subject)
    except Unmeasured as why:
        pytest.skip(str(why))


def _judge(found: list[str], settings: Settings, is_board: bool, why_not: str) -> None:
    if not is_board and settings.budgets == "board":
        told = f": {'; '.join(found)}" if found else ""
        raise Unmeasured(f"{why_not}, and fails no budget without --tflm-budgets=all{told}")
    if found:
        raise LimitMissed("\n".join(found))


def compared_with_baseline(subject: Subject, reference: Runtime) -> list[Change]:
    """Compare with the baseline in the folder of ``--tflm-baseline``, or write it. Raises
    BaselineChanged if a change was asked to fail, RecordError, and SampleError for labels that do
    not fit."""
    state, settings, model, _, device = subject
    assert settings.baseline is not None
    today = _snapshot(subject, reference)
    board = settings.board_name or device.host.connection().identity.board
    folder = baseline.folder_of(state.path(settings.baseline), model.name, board)
    if settings.baseline_update:
        baseline.write(folder, today)
        _note_baseline(subject, folder, [], today, today)
        return []
    before = baseline.read(folder)
    if before is None:
        raise BaselineChanged(
            f"no baseline of {model.name} on this board in {folder}: --tflm-baseline-update "
            "writes one"
        )
    changes = baseline.compare(before, today, settings.baseline_fail)
    _note_baseline(subject, folder, changes, before, today)
    failing = [each.text for each in changes if each.fails]
    if failing:
        others = [f"also: {each.text}" for each in changes if not each.fails]
        advice = "If that is right, --tflm-baseline-update makes it the baseline."
        raise BaselineChanged("\n".join([*failing, *others, f"baseline: {folder}", advice]))
    return changes


def _snapshot(subject: Subject, reference: Runtime) -> Snapshot:
    state, settings, model, samples, device = subject
    board = state.kept.all(device, samples)
    wanted = state.kept.all(reference, samples)
    digests = []
    before = b""
    for index in range(len(samples)):
        found = baseline.digest(model.quantize(samples[index]), before)
        digests.append(found)
        before = found if model.is_stream else b""
    accuracy_now = None
    if samples.labels is not None:
        metrics = _measured(subject, reference)
        accuracy_now = metrics.runtimes["board"].get("accuracy")
    measured, loaded = device.latency, device.loaded
    _note_latency(subject)
    note_memory(subject)
    host = device.host
    return baseline.Snapshot(
        figures={
            "format": baseline.FORMAT,
            "model": {"name": model.name, "bytes": model.size, "sha256": model.sha256},
            "board": {"name": host.connection().identity.board, "kind": host.kind},
            "reference": str(settings.reference),
            "versions": {**host.versions(), **reference.host.versions()},
            "samples": {"count": len(samples), "source": samples.source},
            "accuracy": accuracy_now,
            "latency_p50": measured.p50 if measured is not None else None,
            "latency_p95": measured.p95 if measured is not None else None,
            "arena_used": loaded.arena_used,
        },
        digests=tuple(digests),
        board=tuple(each.arrays for each in board),
        reference=tuple(each.arrays for each in wanted),
        is_board=host.kind == "board" or settings.budgets == "all",
    )


def _note_baseline(
    subject: Subject,
    folder: Path,
    changes: Sequence[Change],
    before: Snapshot,
    today: Snapshot,
) -> None:
    was, now = before.figures, today.figures
    value = {
        "folder": str(folder),
        "written": subject.settings.baseline_update,
        "changes": [each._asdict() for each in changes],
        "figures": {
            "accuracy": [was["accuracy"], now["accuracy"]],
            "latency_p95": [was["latency_p95"], now["latency_p95"]],
            "arena_used": [was["arena_used"], now["arena_used"]],
        },
    }
    subject.note("baseline", value)
