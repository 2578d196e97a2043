"""Findings as replays: of inputs, of single samples, of operators, of sequences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_tflm.record.words import sample_lines
from pytest_tflm.replay.format import LOAD, RESET, RUN, Party, Replay, ReplayModel, Step
from pytest_tflm.runtime.packages import KINDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_tflm.fuzz.inputs.search import FoundInput
    from pytest_tflm.fuzz.kernels.finding import Finding
    from pytest_tflm.model import Model
    from pytest_tflm.options import Settings
    from pytest_tflm.runtime.base import Outputs, Runtime

    Arrays = tuple[NDArray[Any], ...]


def party(name: str, versions: Mapping[str, str], port: str = "") -> Party:
    """A runtime by its name: ``tflm``, ``litert builtin_ref``, ``board nano33``."""
    kind, _, resolver = name.partition(" ")
    if kind not in KINDS:
        return Party(name, "board", port=port, versions=versions)
    return Party(name, kind, resolver, versions=versions)


def parties(device: Runtime, reference: Runtime, settings: Settings) -> tuple[Party, Party]:
    """The board of ``settings.port`` and its reference."""
    return (
        party(device.name, _versions(device), settings.port or ""),
        party(reference.name, _versions(reference)),
    )


def replay_of_input(
    found: FoundInput, device: Runtime, reference: Runtime, settings: Settings
) -> Replay:
    """What the search for inputs found."""
    samples = [ran.sample for ran in found.runs]
    lines: list[str] = []
    for sample in samples:
        lines += sample_lines(device.model.inputs, sample)
    steps = [Step(LOAD), *([Step(RESET)] if len(samples) > 1 else [])]
    steps += [
        Step(RUN, number, ran.expected.arrays, ran.got.arrays)
        for number, ran in enumerate(found.runs)
    ]
    return _differing(
        device.model,
        samples,
        steps,
        parties(device, reference, settings),
        settings,
        str(found.error),
        lines,
    )


def replay_of_sample(
    got: Outputs,
    expected: Outputs,
    sample: Arrays,
    runtimes: tuple[Runtime, Runtime],
    settings: Settings,
    message: str,
) -> Replay:
    """A sample of the model's own for which outputs differ. ``runtimes``: board and reference."""
    model = runtimes[0].model
    steps = [Step(LOAD), Step(RUN, 0, expected.arrays, got.arrays)]
    lines = sample_lines(model.inputs, sample)
    return _differing(
        model, [sample], steps, parties(*runtimes, settings), settings, message, lines
    )


def _differing(
    model: Model,
    samples: Sequence[Arrays],
    steps: Sequence[Step],
    runtimes: tuple[Party, Party],
    settings: Settings,
    message: str,
    lines: Sequence[str],
) -> Replay:
    title = message.splitlines()[0] if message else "the test's assertion does not hold"
    return Replay(
        kind="differs",
        subject=runtimes[0],
        reference=runtimes[1],
        models=(ReplayModel.of(model),),
        samples=tuple(samples),
        steps=tuple(steps),
        lsb=settings.lsb,
        float_tolerance=settings.float_tolerance,
        title=title,
        text="\n".join([*message.splitlines(), *lines]),
    )


def replay_of_finding(finding: Finding, tolerance: int = 0, port: str = "") -> Replay:
    """What the search over kernels found: the model of one operator, its samples run in order."""
    from pytest_tflm.model import model_from_bytes

    model = model_from_bytes(finding.model, f"{finding.operator}.tflite")
    count = len(finding.inputs)
    expected, got = finding.expected or (None,) * count, finding.got or (None,) * count
    runs = [Step(RUN, i, expected[i], got[i]) for i in range(count)]
    subject = party(finding.subject, finding.versions, port)
    reference = party(finding.reference, finding.versions)
    return Replay(
        kind=finding.kind,
        who="" if not finding.who else _side(finding),
        subject=subject,
        reference=reference,
        models=(ReplayModel.of(model),),
        samples=finding.inputs,
        steps=(Step(LOAD), *runs),
        lsb=tolerance,
        float_tolerance=0.0,
        title=f"{finding.operator}: {finding.title}",
        text=finding.describe(),
        command=finding.command,
    )


def _side(finding: Finding) -> str:
    return "reference" if finding.who == finding.reference else "subject"


def keep(replay: Replay, directory: Path) -> Path:
    """Write it into ``directory``; the path as a user types it, from where they are."""
    path = replay.save(directory)
    try:
        return path.relative_to(Path.cwd())
    except ValueError:
        return path


def _versions(runtime: Any) -> Mapping[str, str]:
    versions: Mapping[str, str] = runtime.versions() if hasattr(runtime, "versions") else {}
    return versions
