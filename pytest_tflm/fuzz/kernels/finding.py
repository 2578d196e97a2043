"""One thing that a search found: a model, inputs, and what two runtimes made of them."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_tflm.errors import ReplayError
from pytest_tflm.fuzz.kernels.pair import CRASHED, DIFFERS, REFERENCE, SHAPES
from pytest_tflm.fuzz.reduce import off_rest
from pytest_tflm.record.words import rest_of
from pytest_tflm.replay.format import LOAD, RUN, Party, Replay, ReplayModel, Step
from pytest_tflm.whole_file import write_whole

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_tflm.fuzz.kernels.operators.case import OperatorCase

    Runs = tuple[tuple[NDArray[Any], ...], ...]

_SHOWN = 16


@dataclass(frozen=True, eq=False)
class Finding:
    """The smallest model and inputs found that show something.

    ``kind``, ``who`` and ``error``: see :class:`~.pair.Outcome`. ``inputs`` are the samples in the
    order in which they run, after the model was loaded. ``got`` and ``expected`` are the outputs of
    ``subject`` and ``reference`` for them, None of one that gave none. ``size`` is the largest
    difference here, ``largest`` that of all examples, in LSBs (units in the last place of float
    outputs). ``again``: it showed itself once more, in new processes where there are such (a board
    goes on as it is). ``command`` searches it again.
    """

    case: OperatorCase
    kind: str
    who: str
    inputs: Runs
    subject: Party
    reference: Party
    got: Runs | None
    expected: Runs | None
    size: float
    largest: float
    error: str
    command: str
    again: bool

    @property
    def off_zero_point(self) -> int:
        """How many input elements are not at the zero point."""
        return off_rest(self.case.model.inputs, self.inputs)

    @property
    def who_name(self) -> str:
        """The name of the one that refused or crashed."""
        return (self.reference if self.who == REFERENCE else self.subject).name

    @property
    def title(self) -> str:
        """What it is, in some words."""
        if self.kind == DIFFERS:
            unit = "ULP" if self.case.activations.endswith("to float32") else "LSB"
            if not self.again:
                return f"differed by up to {self.largest:g} {unit}, but not when repeated"
            more = f" (up to {self.largest:g} seen)" if self.largest > self.size else ""
            return f"differs by {self.size:g} {unit}{more}"
        if self.kind == SHAPES:
            return f"shapes of outputs differ: {self.error}"
        return (
            f"{self.who_name} {'crashes' if self.kind == CRASHED else 'refuses it'}: {self.error}"
        )

    def describe(self) -> str:
        """All of it as text, short enough for a screen."""
        model, (one, other) = self.case.model, (self.subject, self.reference)
        lines = [
            f"{self.case.operator}: {one.name} against {other.name}: {self.title}",
            self.case.describe(),
            f"  {model.size} bytes, {self.off_zero_point} inputs not at the zero point",
        ]
        for number, sample in enumerate(self.inputs):
            for tensor, array in zip(model.inputs, sample, strict=True):
                told = _listed(array, rest_of(tensor))
                lines.append(f"  sample {number} {tensor.name}: {told}")
            for party, outputs in ((other, self.expected), (one, self.got)):
                if outputs is not None:
                    arrays = "; ".join(_values(array) for array in outputs[number])
                    lines.append(f"  sample {number} {party.name}: {arrays}")
        if not self.again:
            lines.append(
                "  It did not happen again when repeated, in new processes if possible: the result"
                " depends on more than the input, for example on uninitialised memory."
            )
        versions = {**one.versions, **other.versions}
        lines += [f"  {name} {version}" for name, version in versions.items()]
        return "\n".join(lines)

    def replay(self, tolerance: int = 0) -> Replay:
        """What pytest runs again: the model, its samples run in order. ``tolerance`` is in LSBs."""
        count = len(self.inputs)
        expected, got = self.expected or (None,) * count, self.got or (None,) * count
        return Replay(
            kind=self.kind,
            who=self.who,
            subject=self.subject,
            reference=self.reference,
            models=(ReplayModel.of(self.case.model),),
            samples=self.inputs,
            steps=(Step(LOAD), *(Step(RUN, i, expected[i], got[i]) for i in range(count))),
            lsb=tolerance,
            float_tolerance=0.0,
            title=f"{self.case.operator}: {self.title}",
            text=self.describe(),
            command=self.command,
        )

    def save(self, directory: Path) -> Path:
        """Write the model (.tflite), inputs and outputs (.npz) and this text (.txt) into a folder,
        which is made if need be. Gives the model's path. Raises ReplayError."""
        try:
            return self._saved(directory)
        except OSError as error:
            raise ReplayError(
                f"{directory} cannot be written: {error.strerror or error}."
            ) from None

    def _saved(self, directory: Path) -> Path:
        directory.mkdir(parents=True, exist_ok=True)
        who = self.who and self.who_name
        pair = f"{self.subject.name}-vs-{self.reference.name}"
        words = (self.case.operator, self.case.activations, self.kind, who, pair)
        stem = re.sub(r"[^A-Za-z0-9_.]+", "-", "-".join(filter(None, words)))
        path = directory / f"{stem}.tflite"
        number = 2
        data = self.case.model.data
        while path.exists() and path.read_bytes() != data:
            path = directory / f"{stem}-{number}.tflite"
            number += 1
        write_whole(path, data)
        arrays = {
            f"{what}_{number}_{position}": array
            for what, lists in (("in", self.inputs), ("got", self.got), ("expected", self.expected))
            for number, sample in enumerate(lists or ())
            for position, array in enumerate(sample)
        }
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)  # type: ignore[arg-type]
        write_whole(path.with_suffix(".npz"), buffer.getvalue())
        path.with_suffix(".txt").write_text(
            f"{self.describe()}\n  {self.command}\n", encoding="utf-8"
        )
        return path


def _listed(array: NDArray[Any], rest: int) -> str:
    """``[1,4,4,2] of 3 but [0,1,0,0] = 127``."""
    shape = f"[{','.join(map(str, array.shape))}]"
    places = np.argwhere(array != rest)
    if len(places) == array.size and array.size <= _SHOWN:
        return _values(array)
    if not len(places):
        return f"{shape} of {rest}"
    told = [f"[{','.join(map(str, place))}] = {array[tuple(place)]}" for place in places[:_SHOWN]]
    more = " …" if len(places) > _SHOWN else ""
    return f"{shape} of {rest} except {', '.join(told)}{more}"


def _values(array: NDArray[Any]) -> str:
    text = " ".join(str(value) for value in array.reshape(-1)[:_SHOWN].tolist())
    return f"[{','.join(map(str, array.shape))}] {text}{' …' if array.size > _SHOWN else ''}"
