"""One thing that a search found: a model, inputs, and what two runtimes made of them."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_tflm.fuzz.reduce import off_zero_point

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_tflm.model import Tensor

_SHOWN = 16


@dataclass(frozen=True, eq=False)
class Finding:
    """The smallest model and inputs found that show something.

    ``kind``, ``who`` and ``error``: see :class:`~.judge.Outcome`. ``inputs`` are the
    samples in the order in which they run, after the model was loaded; ``tensors`` the model's
    inputs. ``got`` and ``expected`` are the outputs of ``subject`` and ``reference`` for them, None
    of a runtime that gave none. ``size`` is the largest difference here, ``largest`` that of all
    examples, in LSBs (units in the last place of float outputs). ``again``: it showed itself once
    more, in new processes where there are such (a board goes on as it is). ``command`` searches it
    again.
    """

    operator: str
    kind: str
    who: str
    activations: str
    model: bytes
    inputs: tuple[tuple[NDArray[Any], ...], ...]
    tensors: tuple[Tensor, ...]
    subject: str
    reference: str
    versions: Mapping[str, str]
    got: tuple[tuple[NDArray[Any], ...], ...] | None
    expected: tuple[tuple[NDArray[Any], ...], ...] | None
    size: float
    largest: float
    error: str
    model_text: str
    brief: str
    command: str
    again: bool

    @property
    def off_zero_point(self) -> int:
        """How many input elements are not at the zero point."""
        return off_zero_point(self.tensors, self.inputs)

    @property
    def title(self) -> str:
        """What it is, in some words."""
        if self.kind == "differs":
            unit = "ULP" if self.activations.endswith("to float32") else "LSB"
            if not self.again:
                return f"differed by up to {self.largest:g} {unit}, and not when it was run again"
            more = f" (up to {self.largest:g} seen)" if self.largest > self.size else ""
            return f"differs by {self.size:g} {unit}{more}"
        if self.kind == "shapes":
            return f"shapes of outputs differ: {self.error}"
        return f"{self.who} {'crashes' if self.kind == 'crashed' else 'refuses it'}: {self.error}"

    def describe(self) -> str:
        """All of it as text, short enough for a screen."""
        lines = [
            f"{self.operator}: {self.subject} against {self.reference}: {self.title}",
            self.model_text,
            f"  {len(self.model)} bytes, {self.off_zero_point} inputs not at the zero point",
        ]
        for number, sample in enumerate(self.inputs):
            for tensor, array in zip(self.tensors, sample, strict=True):
                rest = 0 if tensor.dtype == "float32" else tensor.zero_point
                lines.append(f"  sample {number} {tensor.name}: {_listed(array, rest)}")
            for name, outputs in ((self.reference, self.expected), (self.subject, self.got)):
                if outputs is not None:
                    arrays = "; ".join(_values(array) for array in outputs[number])
                    lines.append(f"  sample {number} {name}: {arrays}")
        if not self.again:
            lines.append(
                "  Run again, in new processes where they can be had, it did not happen: what is "
                "computed depends on more than the input, such as what the memory held before."
            )
        lines += [f"  {name} {version}" for name, version in self.versions.items()]
        return "\n".join(lines)

    def save(self, directory: Path) -> Path:
        """Write the model (.tflite), inputs and outputs (.npz) and this text (.txt) into a folder,
        which is made if need be. Gives the model's path."""
        directory.mkdir(parents=True, exist_ok=True)
        pair = f"{self.subject}-vs-{self.reference}"
        words = (self.operator, self.activations, self.kind, self.who, pair)
        stem = re.sub(r"[^A-Za-z0-9_.]+", "-", "-".join(filter(None, words)))
        path = directory / f"{stem}.tflite"
        number = 2
        while path.exists() and path.read_bytes() != self.model:
            path = directory / f"{stem}-{number}.tflite"
            number += 1
        path.write_bytes(self.model)
        arrays = {
            f"{what}_{number}_{position}": array
            for what, lists in (("in", self.inputs), ("got", self.got), ("expected", self.expected))
            for number, sample in enumerate(lists or ())
            for position, array in enumerate(sample)
        }
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)  # type: ignore[arg-type]
        path.with_suffix(".npz").write_bytes(buffer.getvalue())
        path.with_suffix(".txt").write_text(
            f"{self.describe()}\n  {self.command}\n", encoding="utf-8"
        )
        return path


def _listed(array: NDArray[Any], rest: int | None) -> str:
    """``[1,4,4,2] of 3 but [0,1,0,0] = 127``."""
    shape = f"[{','.join(map(str, array.shape))}]"
    places = np.argwhere(array != rest)
    if len(places) == array.size and array.size <= _SHOWN:
        return _values(array)
    if not len(places):
        return f"{shape} of {rest}"
    told = [f"[{','.join(map(str, place))}] = {array[tuple(place)]}" for place in places[:_SHOWN]]
    more = " …" if len(places) > _SHOWN else ""
    return f"{shape} of {rest} but {', '.join(told)}{more}"


def _values(array: NDArray[Any]) -> str:
    text = " ".join(str(value) for value in array.reshape(-1)[:_SHOWN].tolist())
    return f"[{','.join(map(str, array.shape))}] {text}{' …' if array.size > _SHOWN else ''}"
