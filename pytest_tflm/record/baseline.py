"""A baseline: what a model on a board gave once, to compare today with.

A folder for each model and board, made for git and for review: ``baseline.json`` holds versions,
hashes and figures and reads well in a diff; ``outputs.npz`` holds the outputs of the board and of
the reference, and a digest of each sample. Both are the same bytes for the same contents.

Today's outputs of both are computed anew. So it can be told who changed: the board, if its outputs
for the same codes of the same model are others; the reference, if its are.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypedDict, cast

from pytest_tflm.errors import RecordError, SampleError
from pytest_tflm.printable import printable
from pytest_tflm.record.typed_json import checked
from pytest_tflm.runtime.latency import time_words
from pytest_tflm.whole_file import write_whole

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_tflm.runtime.base import Arrays

FORMAT = 1
_FIGURES, _OUTPUTS = "baseline.json", "outputs.npz"
_DIGEST = 16
"""Bytes of a sample's digest."""
_LARGEST_JSON = 1 << 24
_TOLD = 0.1
"""Share by which a time must change before it is told, if it does not fail."""
_ROUNDING = 1e-9

Kind = Literal[
    "outputs", "reference", "model", "samples", "versions", "latency", "arena", "accuracy"
]


class Change(NamedTuple):
    """Something that is not as the baseline says."""

    kind: Kind
    text: str
    fails: bool


class Figures(TypedDict):
    """What ``baseline.json`` holds. Times in microseconds, sizes in bytes."""

    format: int
    model: dict[str, str | int]
    board: dict[str, str]
    reference: str
    versions: dict[str, str]
    samples: dict[str, str | int]
    accuracy: float | None
    latency_p50: int | None
    latency_p95: int | None
    arena_used: int | None


@dataclass(frozen=True, eq=False)
class Snapshot:
    """What a model gave on a board and on the reference. ``digests`` holds one for each sample
    (:func:`digest`); ``board`` and ``reference`` its outputs."""

    figures: Figures
    digests: tuple[bytes, ...]
    board: tuple[Arrays, ...]
    reference: tuple[Arrays, ...]
    is_board: bool = True
    """Whether the times are those of a board: others are not judged."""


def digest(codes: Arrays, before: bytes = b"") -> bytes:
    """Of a sample's codes; of a model with state also of the samples ``before`` it, by the digest
    of the last of them."""
    made = hashlib.sha256(before)
    for array in codes:
        made.update(repr((array.dtype.str, array.shape)).encode())
        made.update(array.tobytes())
    return made.digest()[:_DIGEST]


def folder_of(base: Path, model: str, board: str) -> Path:
    """The folder of a model's baseline on a board."""
    stem = model.removesuffix(".tflite")
    return base / f"{_plain(stem)}@{_plain(board)}"


def _plain(text: str) -> str:
    return re.sub(r"[^\w.+-]", "_", text).strip(".")[:100] or "_"


def write(folder: Path, snapshot: Snapshot) -> None:
    """Write a baseline. Raises RecordError."""
    arrays = {"digests": _rows(snapshot.digests)}
    for name, runs in (("board", snapshot.board), ("reference", snapshot.reference)):
        for number, column in enumerate(zip(*runs, strict=True)):
            arrays[f"{name}_{number}"] = _stacked(column)
    text = json.dumps(snapshot.figures, indent=2, sort_keys=True, allow_nan=False) + "\n"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / _OUTPUTS, _archive(arrays))
        write_whole(folder / _FIGURES, text.encode())
    except OSError as error:
        raise RecordError(
            f"the baseline {folder} cannot be written: {error.strerror or error}."
        ) from None


def read(folder: Path) -> Snapshot | None:
    """Read a baseline; None if there is none. Raises RecordError."""
    from pytest_tflm.record.sample_files import read_arrays

    path = folder / _FIGURES
    try:
        if not path.exists():
            return None
        if path.stat().st_size > _LARGEST_JSON:
            raise RecordError(f"{path} is larger than {_LARGEST_JSON >> 20} MiB.")
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise RecordError(f"{path} cannot be read: {error.strerror or error}.") from None
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{path} is not JSON: {printable(str(error), 120)}.") from None
    figures = cast("Figures", checked(value, Figures, str(path)))
    if figures["format"] != FORMAT:
        raise RecordError(
            f"{path} has format {figures['format']}; this version of pytest-tflm reads {FORMAT}. "
            "Write it again with --tflm-baseline-update."
        )
    try:
        arrays = read_arrays(folder / _OUTPUTS, lambda names: names)
    except SampleError as error:
        raise RecordError(f"the baseline {folder} is damaged: {error}") from None
    rows = arrays.get("digests")
    if rows is None or rows.ndim != 2 or any(len(array) != len(rows) for array in arrays.values()):
        raise RecordError(f"the baseline {folder} is damaged: {_OUTPUTS} has no digest a sample.")
    digests = tuple(row.tobytes() for row in rows)
    board, reference = (_unstacked(arrays, name, len(rows)) for name in ("board", "reference"))
    return Snapshot(figures, digests, board, reference)


def compare(before: Snapshot, today: Snapshot, fails: Mapping[str, float]) -> list[Change]:
    """What changed, and whether that fails (see :func:`.budgets.baseline_rules`)."""
    changes = [*_identity(before, today, fails)]
    same_model = before.figures["model"]["sha256"] == today.figures["model"]["sha256"]
    outputs = _outputs(before, today, fails) if same_model else []
    changes += outputs
    versions = _versions(before.figures, today.figures)
    if versions:
        alone = "" if changes else "only versions changed, all outputs are the baseline's: "
        changes.append(Change("versions", alone + versions, "versions" in fails))
    changes += _figures(before, today, fails)
    return changes


def _identity(before: Snapshot, today: Snapshot, fails: Mapping[str, float]) -> list[Change]:
    """Model and samples: what a run is given."""
    found = []
    was, now = before.figures["model"], today.figures["model"]
    if was["sha256"] != now["sha256"]:
        text = (
            f"the model changed: {now['bytes']} bytes, SHA-256 {str(now['sha256'])[:12]}…, was "
            f"{was['bytes']} bytes, {printable(str(was['sha256'])[:12])}…; outputs are not "
            "compared with the baseline's"
        )
        found.append(Change("model", text, "model" in fails))
    if before.digests != today.digests:
        common = len(set(before.digests) & set(today.digests))
        text = (
            f"the samples changed: {len(today.digests)}, was {len(before.digests)}; "
            f"{common} are the same" + ("" if common else ", so outputs cannot be compared")
        )
        found.append(Change("samples", text, "samples" in fails))
    return found


class _Apart(NamedTuple):
    samples: int
    of: int
    lsb: int
    real: float

    def words(self) -> str:
        sizes = [f"{self.lsb} LSB"] if self.lsb else []
        sizes += [f"{self.real:.3g} (float)"] if self.real else []
        return f"{self.samples} of {self.of} samples differ, by at most {' and '.join(sizes)}"


def _outputs(before: Snapshot, today: Snapshot, fails: Mapping[str, float]) -> list[Change]:
    """Who gives other outputs for the same codes of the same model."""
    board = _apart(before, today, lambda each: each.board)
    reference = _apart(before, today, lambda each: each.reference)
    was, now = before.figures["reference"], today.figures["reference"]
    found = []
    if board.samples:
        also = (
            ""
            if not reference.of
            else ("; the reference's outputs are unchanged" if not reference.samples else "")
        )
        limit = fails.get("outputs")
        failed = limit is not None and (board.lsb > limit or board.real > 0)
        found.append(Change("outputs", f"the board changed: {board.words()}{also}", failed))
    if reference.samples or was != now:
        who = (
            f"the reference is {now}, was {printable(was)}"
            if was != now
            else ("the reference changed")
        )
        what = reference.words() if reference.samples else "its outputs are the same"
        also = "; the board's outputs are unchanged" if not board.samples and board.of else ""
        limit = fails.get("reference")
        failed = limit is not None and (reference.lsb > limit or reference.real > 0)
        found.append(Change("reference", f"{who}: {what}{also}", failed))
    return found


def _apart(
    before: Snapshot, today: Snapshot, runs: Callable[[Snapshot], Sequence[Arrays]]
) -> _Apart:
    import numpy as np

    known = dict(zip(before.digests, runs(before), strict=True))
    samples = of = lsb = 0
    real = 0.0
    for key, arrays in zip(today.digests, runs(today), strict=True):
        if key not in known:
            continue
        of += 1
        differs = len(known[key]) != len(arrays)
        for was, now in zip(known[key], arrays, strict=False):
            if was.shape != now.shape or was.dtype != now.dtype:
                raise RecordError("the baseline's outputs have another shape or dtype: damaged.")
            if was.tobytes() == now.tobytes():
                continue
            differs = True
            if now.dtype.kind == "f":
                with np.errstate(invalid="ignore"):
                    apart = np.nan_to_num(
                        np.abs(now.astype(np.float64) - was.astype(np.float64)), nan=np.inf
                    )
                real = max(real, float(apart.max()), 5e-324)
            else:
                steps = np.abs(now.astype(np.int64) - was.astype(np.int64))
                lsb = max(lsb, int(steps.max()))
        samples += differs
    return _Apart(samples, of, lsb, real)


def _versions(was: Figures, now: Figures) -> str:
    names = sorted(was["versions"].keys() | now["versions"].keys())
    found = [
        f"{printable(name)} {now['versions'].get(name, 'not used')}, was "
        f"{printable(was['versions'].get(name, 'not used'))}"
        for name in names
        if was["versions"].get(name) != now["versions"].get(name)
    ]
    return "; ".join(found)


def _figures(before: Snapshot, today: Snapshot, fails: Mapping[str, float]) -> list[Change]:
    """Latency, arena and accuracy."""
    was, now = before.figures, today.figures
    found = []
    if was["latency_p95"] and now["latency_p95"] is not None and today.is_board:
        found += _grown(
            "latency", was["latency_p95"], now["latency_p95"], fails, time_words, "p95 "
        )
    if was["arena_used"] and now["arena_used"] is not None:
        found += _grown(
            "arena", was["arena_used"], now["arena_used"], fails, lambda n: f"{n:.0f} bytes"
        )
    if was["accuracy"] is not None and now["accuracy"] is not None:
        lost = was["accuracy"] - now["accuracy"]
        if lost:
            text = f"accuracy {now['accuracy']:.2%}, was {was['accuracy']:.2%}"
            limit = fails.get("accuracy")
            found.append(Change("accuracy", text, limit is not None and lost > limit + _ROUNDING))
    return found


def _grown(
    kind: Kind,
    was: int,
    now: int,
    fails: Mapping[str, float],
    words: Callable[[float], str],
    what: str = "",
) -> list[Change]:
    limit = fails.get(kind)
    share = now / was - 1
    fails_now = limit is not None and share > limit + _ROUNDING
    # A time is never the same twice: what does not fail is told from a tenth on.
    if not share or (kind == "latency" and not fails_now and abs(share) <= _TOLD + _ROUNDING):
        return []
    return [Change(kind, f"{kind} {what}{words(now)}, was {words(was)} ({share:+.1%})", fails_now)]


def _rows(digests: Sequence[bytes]) -> NDArray[Any]:
    import numpy as np

    return np.frombuffer(b"".join(digests), np.uint8).reshape(len(digests), _DIGEST)


def _stacked(column: Sequence[NDArray[Any]]) -> NDArray[Any]:
    import numpy as np

    return np.stack(column)


def _unstacked(arrays: Mapping[str, NDArray[Any]], name: str, count: int) -> tuple[Arrays, ...]:
    columns: list[NDArray[Any]] = []
    while f"{name}_{len(columns)}" in arrays:
        columns.append(arrays[f"{name}_{len(columns)}"])
    return tuple(tuple(column[i] for column in columns) for i in range(count))


def _archive(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """A .npz file that is the same for the same arrays: numpy's own has the time of day in it."""
    import numpy as np

    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, np.ascontiguousarray(array), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy")
            archive.writestr(entry, content.getvalue(), zipfile.ZIP_DEFLATED)
    return made.getvalue()
