"""A folder that shows a difference to somebody else: the operator alone, what it was given, what
two runtimes made of it, and a text that can be pasted into a bug report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_tflm.errors import SettingsError
from pytest_tflm.verdict.as_json import as_json
from pytest_tflm.verdict.lines import verdict_lines

if TYPE_CHECKING:
    from pytest_tflm.runtime.base import Arrays
    from pytest_tflm.verdict.evidence import OperatorResult, Step
    from pytest_tflm.verdict.verdict import Verdict

_MOST_OPERATORS = 8


def save(verdict: Verdict, folder: Path) -> list[Path]:
    """Write the reproducer of a verdict into ``folder``, which is made if it is not there.

    ``verdict.txt`` and ``verdict.json``; and for the operators that differ most, of each step of
    the ladder: ``STEP-K-NAME.tflite``, ``.npz`` (arrays ``input_0``, ``trusted_0``,
    ``suspect_0`` …, a row for each sample) and ``.md``, the bug report. Gives the files' paths.
    Raises SettingsError if the folder cannot be written.
    """
    written: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        written.append(_text(folder / "verdict.txt", "\n".join(verdict_lines(verdict)) + "\n"))
        text = json.dumps(as_json(verdict), indent=1) + "\n"
        written.append(_text(folder / "verdict.json", text))
        for step in verdict.evidence.steps:
            if step.localisation is None:
                continue
            worst = sorted(
                step.localisation.differing,
                key=lambda r: (-(r.gap.largest if r.gap else 0.0), r.operator.index),
            )
            for result in worst[:_MOST_OPERATORS]:
                written += _operator(folder, verdict, step, result)
    except OSError as error:
        raise SettingsError(f"{folder} cannot be written: {error.strerror or error}") from None
    return written


def _text(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def _operator(folder: Path, verdict: Verdict, step: Step, result: OperatorResult) -> list[Path]:
    import numpy as np

    if result.cut is None:
        return []
    stem = f"{step.key}-{result.operator.index}-{result.operator.name}"
    model = folder / f"{stem}.tflite"
    model.write_bytes(result.cut.model.data)
    arrays = folder / f"{stem}.npz"
    named = {
        f"{role}_{position}": np.stack([sample[position] for sample in samples])
        for role, samples in (
            ("input", result.inputs),
            ("trusted", result.trusted),
            ("suspect", result.alone),
        )
        for position in range(len(samples[0]) if _alike(samples) else 0)
    }
    np.savez_compressed(arrays, **named)  # type: ignore[arg-type]
    report = folder / f"{stem}.md"
    return [model, arrays, _text(report, _report(verdict, step, result, stem))]


def _alike(samples: tuple[Arrays, ...]) -> bool:
    """They have one shape each, so that they can be stacked."""
    return bool(samples) and all(
        [a.shape for a in each] == [a.shape for a in samples[0]] for each in samples
    )


def _report(verdict: Verdict, step: Step, result: OperatorResult, stem: str) -> str:
    import numpy as np

    where, gap, cut = step.localisation, result.gap, result.cut
    assert where is not None
    assert gap is not None
    assert cut is not None
    lines = [
        f"# {result.operator.name}: {where.suspect} differs from {where.trusted}",
        "",
        f"The model `{stem}.tflite` is this one operator (version {result.operator.version}), cut "
        f"out of a larger model. With equal inputs ({len(result.inputs)}, in `{stem}.npz`) its "
        f"outputs differ: {gap.describe()}.",
        "",
        "| tensor | type | shape | scale | zero point |",
        "|---|---|---|---|---|",
    ]
    for kind, tensors in (("input", cut.model.inputs), ("output", cut.model.outputs)):
        lines += [
            f"| {kind} | {tensor.dtype} | {list(tensor.shape)} | {tensor.scale} | "
            f"{tensor.zero_point} |"
            for tensor in tensors
        ]
    lines += ["", "The first elements that differ:", "", "| sample | element | got | expected |"]
    lines.append("|---|---|---|---|")
    shown = 0
    for number, (ours, theirs) in enumerate(result.pairs()):
        for place in np.argwhere(ours != theirs)[: max(0, 8 - shown)]:
            at = tuple(int(i) for i in place)
            lines.append(f"| {number} | {list(at)} | {ours[at]} | {theirs[at]} |")
            shown += 1
    lines += ["", "To see it again:", "", "```python", *_script(stem), "```", "", "Versions:", ""]
    lines += [f"- {name}: {text}" for name, text in verdict.evidence.versions.items()]
    return "\n".join(lines) + "\n"


def _script(stem: str) -> list[str]:
    return [
        "import numpy as np",
        "from pytest_tflm import open_model",
        "from pytest_tflm.runtime.interpreter import interpreter",
        "",
        f'model, arrays = open_model("{stem}.tflite"), np.load("{stem}.npz")',
        'sample = [arrays[f"input_{i}"][0] for i in range(len(model.inputs))]',
        'for kind in ("litert", "tflm"):',
        "    with interpreter(kind) as host:",
        "        print(host.name, host.load(model).run(sample)[0].ravel()[:16])",
        'print("suspect", arrays["suspect_0"][0].ravel()[:16])',
    ]
