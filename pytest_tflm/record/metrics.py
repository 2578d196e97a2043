"""How good outputs are: against labels, and against each other.

Figures are computed from output 0 in real units. An output of several elements is that of a
classifier if labels are classes; its class is its largest element, the first of several (as
``numpy.argmax``). An output of one element with labels 0 and 1 is that of a binary classifier if it
lies between 0 and 1: it says 1 from 0.5 on. All else is a regression.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pytest_tflm.errors import SampleError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pytest_tflm.record.run_record import MetricsRecord

    Label = str | int | float
    Reals = NDArray[np.float64]

Kind = Literal["classification", "regression", "agreement"]
REFERENCE = "reference"
_HALF = 0.5
_SHORT = {"mae": "MAE", "rmse": "RMSE", "r2": "R²"}
_SHOWN = 8


@dataclass(frozen=True)
class Disagreement:
    """A sample for which the board and the reference give another class, or another value.
    ``margin`` is how far apart: of a classifier, by how much the reference prefers its own class to
    the board's; of a regression, the difference."""

    index: int
    board: str
    reference: str
    label: str | None
    margin: float


@dataclass(frozen=True)
class Metrics:
    """Figures by runtime; see :class:`~pytest_tflm.record.run_record.MetricsRecord`.
    ``disagreements`` holds the worst first."""

    kind: Kind
    samples: int
    classes: tuple[str, ...]
    runtimes: Mapping[str, Mapping[str, float]]
    confusion: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    disagreements: tuple[Disagreement, ...] = ()

    def as_record(self) -> MetricsRecord:
        return {
            "kind": self.kind,
            "samples": self.samples,
            "classes": list(self.classes),
            "runtimes": {name: dict(figures) for name, figures in self.runtimes.items()},
            "confusion": {name: table.tolist() for name, table in self.confusion.items()},
        }


def measure(
    outputs: Mapping[str, Reals],
    labels: Sequence[Label] | None,
    classes: Sequence[str] = (),
    *,
    where: str = "the samples",
) -> Metrics:
    """The metrics of each runtime. ``outputs`` holds, by runtime, float64 ``(samples, elements)``;
    ``board`` and ``reference`` are compared with each other. ``labels`` is one a sample: the name
    of a class or its number, or a real value for a regression; None: agreement alone. ``classes``
    names them in the outputs' order; without it names are put in alphabetical order.

    Raises SampleError for labels that do not fit; ``where`` names them.
    """
    count, size = next(iter(outputs.values())).shape
    if labels is not None and len(labels) != count:
        raise SampleError(f"{where}: {len(labels)} labels for {count} samples.")
    if labels is None:
        if size == 1:
            return _regression(outputs, None)
        return _classification(outputs, None, tuple(map(str, range(size))), count)
    values, names = _numbers(labels, classes, size, where)
    if size > 1 or _is_binary(values, outputs):
        wrong = [value for value in values if value != int(value) or not 0 <= value < len(names)]
        if wrong:
            raise SampleError(
                f"{where}: label {wrong[0]:g} is not a class: the model's output has {len(names)}, "
                f"0 to {len(names) - 1}."
            )
        return _classification(outputs, [int(value) for value in values], names, count)
    return _regression(outputs, values)


def _numbers(
    labels: Sequence[Label], classes: Sequence[str], size: int, where: str
) -> tuple[list[float], tuple[str, ...]]:
    """The labels as numbers, and the names of the classes."""
    outputs = max(2, size)
    if not any(isinstance(label, str) for label in labels):
        names = tuple(classes) or tuple(map(str, range(outputs)))
        return [float(label) for label in labels], names
    names = tuple(classes) or tuple(sorted({str(label) for label in labels}))
    if len(names) != outputs:
        raise SampleError(
            f"{where}: the labels name {len(names)} classes ({_some(names)}), and the model's "
            f"output has {outputs}. Name all of them in the order of the outputs: "
            "--tflm-classes=NAME,NAME,…"
        )
    numbers = {name: float(number) for number, name in enumerate(names)}
    unknown = [label for label in labels if str(label) not in numbers]
    if unknown:
        raise SampleError(
            f"{where}: label {unknown[0]!r} is not one of the classes {_some(names)} "
            "(--tflm-classes)."
        )
    return [numbers[str(label)] for label in labels], names


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (" …" if len(names) > _SHOWN else "")


def _is_binary(values: Sequence[float], outputs: Mapping[str, Reals]) -> bool:
    return set(values) <= {0.0, 1.0} and all(
        ((reals >= 0) & (reals <= 1)).all() for reals in outputs.values()
    )


def _given(reals: Reals) -> NDArray[np.int64]:
    """The class of each sample."""
    import numpy as np

    if reals.shape[1] == 1:
        given: NDArray[np.int64] = (reals[:, 0] >= _HALF).astype(np.int64)
        return given
    largest: NDArray[np.int64] = np.argmax(reals, axis=1)
    return largest


def _classification(
    outputs: Mapping[str, Reals], labels: list[int] | None, names: tuple[str, ...], count: int
) -> Metrics:
    import numpy as np

    given = {name: _given(reals) for name, reals in outputs.items()}
    runtimes: dict[str, dict[str, float]] = {name: {} for name in given}
    confusion: dict[str, NDArray[np.int64]] = {}
    for name, classes in given.items():
        if labels is not None:
            runtimes[name]["accuracy"] = float((classes == np.array(labels)).mean())
            table = np.zeros((len(names), len(names)), np.int64)
            np.add.at(table, (np.array(labels), classes), 1)
            confusion[name] = table
        if REFERENCE in given and name != REFERENCE:
            runtimes[name]["agreement"] = float((classes == given[REFERENCE]).mean())
    found = []
    if {"board", REFERENCE} <= given.keys():
        for index in np.flatnonzero(given["board"] != given[REFERENCE]).tolist():
            ours, theirs = int(given["board"][index]), int(given[REFERENCE][index])
            reals = outputs[REFERENCE][index]
            at = (theirs, ours) if reals.size > 1 else (0, 0)
            apart = outputs["board"][index][0] - reals[0]
            margin = reals[at[0]] - reals[at[1]] if reals.size > 1 else abs(apart)
            label = names[labels[index]] if labels is not None else None
            found.append(Disagreement(index, names[ours], names[theirs], label, float(margin)))
    found.sort(key=lambda each: -each.margin)
    kind: Kind = "classification" if labels is not None else "agreement"
    return Metrics(kind, count, names, runtimes, confusion, tuple(found))


def _regression(outputs: Mapping[str, Reals], labels: list[float] | None) -> Metrics:
    import numpy as np

    runtimes: dict[str, dict[str, float]] = {name: {} for name in outputs}
    for name, reals in outputs.items():
        if labels is not None:
            runtimes[name] = _errors(reals[:, 0], np.array(labels))
    found = []
    if {"board", REFERENCE} <= outputs.keys():
        ours, theirs = outputs["board"][:, 0], outputs[REFERENCE][:, 0]
        for index in np.flatnonzero(ours != theirs).tolist():
            label = f"{labels[index]:.6g}" if labels is not None else None
            apart = float(abs(ours[index] - theirs[index]))
            shown = (f"{ours[index]:.6g}", f"{theirs[index]:.6g}")
            found.append(Disagreement(index, *shown, label, apart))
    found.sort(key=lambda each: -each.margin)
    count = len(next(iter(outputs.values())))
    return Metrics("regression", count, (), runtimes, {}, tuple(found))


def _errors(given: NDArray[Any], labels: NDArray[Any]) -> dict[str, float]:
    import numpy as np

    apart = given - labels
    figures = {
        "mae": float(np.abs(apart).mean()),
        "rmse": float(np.sqrt((apart**2).mean())),
    }
    spread = float(((labels - labels.mean()) ** 2).sum())
    if spread:  # of labels that are all equal it is not defined
        figures["r2"] = 1 - float((apart**2).sum()) / spread
    return figures


def metrics_lines(metrics: Metrics, worst: int = 10) -> list[str]:
    """The figures, a line for each runtime, and the ``worst`` samples on which the board and the
    reference disagree."""
    lines = [f"{name}: {words}" for name, words in figure_rows(metrics.runtimes)]
    what = "give another value" if metrics.kind == "regression" else "disagree"
    found = metrics.disagreements
    if found:
        lines.append(
            f"board and reference {what} for {len(found)} of {metrics.samples} samples, worst "
            "first:"
        )
    for each in found[:worst]:
        label = f", label {each.label}" if each.label is not None else ""
        lines.append(
            f"  sample {each.index}: board {each.board}, reference {each.reference}{label} "
            f"(margin {each.margin:.4g})"
        )
    if len(found) > worst:
        lines.append(f"  and {len(found) - worst} more")
    return lines


def runtime_words(name: str) -> str:
    """``board``, ``host TFLM``, …: how reports call what metrics are of."""
    return {"tflm": "host TFLM", "float": "float model"}.get(name, name)


def figure_rows(runtimes: Mapping[str, Mapping[str, float]]) -> list[tuple[str, str]]:
    """What computed outputs and its figures, both in words, where it has any."""
    return [
        (runtime_words(name), figure_words(figures))
        for name, figures in runtimes.items()
        if figures
    ]


def figure_words(figures: Mapping[str, float]) -> str:
    """``accuracy 97.50%, agreement 100.00%``, ``MAE 0.25, RMSE 0.0312``."""
    return ", ".join(
        f"{name} {value:.2%}"
        if name in ("accuracy", "agreement")
        else f"{_SHORT[name]} {value:.4g}"
        for name, value in figures.items()
        if name in ("accuracy", "agreement", *_SHORT)
    )
