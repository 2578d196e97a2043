"""Run a replay again: the same models, samples and resets, on these two hosts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_tflm.compare import distance
from pytest_tflm.compare.comparison import compare
from pytest_tflm.compare.words import comparison_lines
from pytest_tflm.errors import (
    BoardCrashed,
    BoardError,
    BoardReset,
    InputAltered,
    InterpreterCrashed,
    InterpreterRefused,
    NotSupported,
    OutputMismatch,
    ReplayError,
    SampleError,
    TflmError,
)
from pytest_tflm.model import model_from_bytes
from pytest_tflm.record.words import sample_lines
from pytest_tflm.replay.format import (
    LOAD,
    REOPEN,
    RESET,
    RUN,
    WRITE,
    Party,
    Replay,
    ReplayModel,
)
from pytest_tflm.runtime.base import check_read_back

if TYPE_CHECKING:
    from pytest_tflm.model import Model
    from pytest_tflm.runtime.base import Arrays, Host, Outputs, Runtime

_LONGEST = 300.0
"""Seconds for all steps on both hosts."""
_MOST_KEPT = 256 << 20
"""Bytes of the outputs of one host, which are kept until the other has run."""
_REFUSALS = (BoardError, InterpreterCrashed, InterpreterRefused)
_CRASHES = (BoardReset, BoardCrashed, InterpreterCrashed)


@dataclass(frozen=True)
class Replayed:
    """What came of it. ``reproduces``: the same kind of finding. ``lines`` tell, the first of them
    in short. ``as_recorded``: the subject's outputs are those of the file, bit for bit; None where
    either has none. ``sample`` is the one that differs."""

    reproduces: bool
    lines: tuple[str, ...]
    as_recorded: bool | None
    sample: Arrays | None = None


def models_of(replay: Replay, known: Sequence[Model]) -> list[Model]:
    """The models of a replay: from the file, or of a larger one that among ``known`` which has the
    same SHA-256. Raises ReplayError, and ModelError for what is no model."""
    return [_model_of(each, known) for each in replay.models]


def _model_of(wanted: ReplayModel, known: Sequence[Model]) -> Model:
    if wanted.data is not None:
        return model_from_bytes(wanted.data, wanted.name)
    for model in known:
        if model.sha256 == wanted.sha256:
            return model
    raise ReplayError(
        f"the replay needs {wanted.name}, {wanted.size} bytes, SHA-256 {wanted.sha256[:12]}…, "
        "which was too large for the file. Give it with --tflm-model=FILE."
    )


def replayed(replay: Replay, models: Sequence[Model], subject: Host, reference: Host) -> Replayed:
    """Run a replay. Raises what the hosts raise, except refusals and crashes where those are what
    was found, and ReplayError for one whose steps take longer than five minutes."""
    samples = replay.samples
    _check_samples(replay, models)
    until = time.monotonic() + _LONGEST
    try:
        got, refused = _run(replay, models, subject, until)
    except OutputMismatch as changed:
        return Replayed(True, (str(changed),), None)
    expected, also_refused = _run(replay, models, reference, until)
    if replay.kind in ("refused", "crashed"):
        return _refusal(replay, subject, refused, reference, also_refused)
    for error in (refused, also_refused):
        if error is not None:
            raise error
    as_recorded = _as_recorded(replay, got)
    order = [step.index for step in replay.steps if step.do == RUN]
    for number, (ours, theirs) in zip(order, zip(got, expected, strict=True), strict=True):
        try:
            comparison = compare(
                ours, theirs, lsb=replay.lsb, float_tolerance=replay.float_tolerance
            )
        except SampleError as error:
            return Replayed(True, (str(error),), as_recorded, samples[number])
        if not comparison.passed:
            lines = (*comparison_lines(comparison), *_about(replay, models, number))
            return Replayed(True, lines, as_recorded, samples[number])
    lines = (
        f"{subject.name} is within {replay.lsb} LSB of {reference.name}",
        f"recorded with {_told(replay.subject)} against {_told(replay.reference)}",
    )
    return Replayed(False, lines, as_recorded)


def steps_words(replay: Replay) -> str:
    """The steps in a line: ``load tcn.tflite, run 0, reset, run 1``."""
    told = []
    for step in replay.steps:
        if step.do == LOAD:
            told.append(f"load {replay.models[step.index].name}")
        else:
            told.append(f"{step.do} {step.index}" if step.do in (RUN, WRITE) else step.do)
    return ", ".join(told)


def _about(replay: Replay, models: Sequence[Model], number: int) -> list[str]:
    """The sample in words."""
    model = models[0]
    for step in replay.steps:
        if step.do == LOAD:
            model = models[step.index]
        elif step.do == RUN and step.index == number:
            break
    return ["input:", *(f"  {line}" for line in sample_lines(model.inputs, replay.samples[number]))]


def _check_samples(replay: Replay, models: Sequence[Model]) -> None:
    """Every sample fits the model it is run on, or ReplayError."""
    model = models[0]
    for step in replay.steps:
        if step.do == LOAD:
            model = models[step.index]
        elif step.do in (RUN, WRITE):
            found = [(a.dtype.name, a.shape) for a in replay.samples[step.index]]
            if found != [(tensor.dtype, tensor.shape) for tensor in model.inputs]:
                raise ReplayError(f"sample {step.index} does not fit the inputs of {model.name}.")


def _run(
    replay: Replay, models: Sequence[Model], host: Host, until: float
) -> tuple[list[Outputs], TflmError | None]:
    """Outputs of every ``run``, up to a refusal if there is one. ``until``: when to stop, by
    ``time.monotonic``."""
    outputs: list[Outputs] = []
    runtime: Runtime | None = None
    kept = 0
    try:
        for number, step in enumerate(replay.steps):
            if time.monotonic() > until or kept > _MOST_KEPT:
                why = (
                    f"its outputs exceed {_MOST_KEPT >> 20} MiB"
                    if kept > _MOST_KEPT
                    else f"it takes longer than {_LONGEST:g} s"
                )
                raise ReplayError(
                    f"the replay was stopped at step {number + 1} of {len(replay.steps)} on"
                    f" {host.name}: {why}. Use a replay with fewer steps"
                )
            if step.do == LOAD:
                runtime = _loaded(host, models[step.index])
            assert runtime is not None, "the reader checks that loading is first"
            if step.do == RESET:
                runtime.reset_state()
            elif step.do == WRITE:
                _check_read_back(runtime, replay.samples[step.index])
            elif step.do == REOPEN:
                host.reopen()
            elif step.do == RUN:
                outputs.append(runtime.run(replay.samples[step.index]))
                kept += sum(array.nbytes for array in outputs[-1].arrays)
    except _REFUSALS as error:
        return outputs, error
    return outputs, None


def _check_read_back(runtime: Runtime, sample: Arrays) -> None:
    try:
        check_read_back(runtime, sample)
    except InputAltered as error:
        raise OutputMismatch(str(error)) from None
    except NotSupported:
        pass  # by an interpreter, whose outputs it would not change


def _loaded(host: Host, model: Model) -> Runtime:
    """The model loaded anew, its variables at their initial values."""
    runtime = host.load(model)
    if host.takes_models:
        runtime.reload()
    else:
        runtime.reset_state()
    return runtime


def _refusal(
    replay: Replay,
    subject: Host,
    refused: TflmError | None,
    reference: Host,
    also_refused: TflmError | None,
) -> Replayed:
    is_subject = replay.who != "reference"
    host, error = (subject, refused) if is_subject else (reference, also_refused)
    other, others = (reference, also_refused) if is_subject else (subject, refused)
    if error is None:
        return Replayed(False, (f"{host.name} runs it; before, it {_past(replay.kind)}",), None)
    if others is not None:
        return Replayed(False, (f"neither runs it: {error}; {others}",), None)
    same = isinstance(error, _CRASHES) == (replay.kind == "crashed")
    lines = (f"{host.name} does not run it, but {other.name} does: {error}",)
    return Replayed(same, lines if same else (f"now differently: {lines[0]}",), None)


def _past(kind: str) -> str:
    return "refused it" if kind == "refused" else "crashed"


def _as_recorded(replay: Replay, got: Sequence[Outputs]) -> bool | None:
    runs = (step for step in replay.steps if step.do == RUN)
    kept = [(outputs, step.got) for outputs, step in zip(got, runs, strict=True) if step.got]
    return all(distance.same(outputs.arrays, arrays) for outputs, arrays in kept) if kept else None


def _told(party: Party) -> str:
    port = f" ({party.spec.port})" if party.spec.port else ""
    versions = ", ".join(f"{name} {version}" for name, version in party.versions.items())
    return f"{party.name}{port}{f', {versions}' if versions else ''}"
