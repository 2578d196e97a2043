"""A finding as one file, ``.tflm-replay``: what ran, in which order, and what came of it.

The format is documented in docs/replay.md: a zip file with ``replay.json``, ``arrays.bin`` (the
bytes of all arrays, one after the other) and the models. A file may come from anybody, so reading
checks sizes before it allocates, and raises ReplayError for whatever does not fit together.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_tflm.errors import ReplayError
from pytest_tflm.replay.fields import Fields
from pytest_tflm.runtime.spec import BOARD, INTERPRETERS, RESOLVERS, RuntimeSpec
from pytest_tflm.whole_file import write_whole

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_tflm.model import Model
    from pytest_tflm.runtime.base import Host

    Arrays = tuple[NDArray[Any], ...]

FORMAT = "pytest-tflm replay"
VERSION = 1
SUFFIX = ".tflm-replay"
LARGEST_MODEL = 4 << 20
"""Bytes. Of a larger model the file has the hash alone."""
LARGEST_FILE = 64 << 20
_LARGEST_JSON = 4 << 20
_MOST_MODELS = 64
_MOST_ARRAYS = 30_000
_MOST_STEPS = 100_000
_MOST_DIMENSIONS = 8
DTYPES = (
    "bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64",
    "float16", "float32", "float64",
)  # fmt: skip
KINDS = ("differs", "shapes", "refused", "crashed")
LOAD, RESET, RUN, WRITE, REOPEN = "load", "reset", "run", "write", "reopen"
STEPS = (LOAD, RESET, RUN, WRITE, REOPEN)


@dataclass(frozen=True)
class Party:
    """A runtime as it was. ``name`` is for people; ``versions`` are of the package, or of the
    board's firmware."""

    name: str
    spec: RuntimeSpec
    versions: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, host: Host, name: str = "") -> Party:
        """A host as it is; ``name`` where reports call it something else than it does itself."""
        return cls(name or host.name, host.spec, host.versions())


@dataclass(frozen=True)
class ReplayModel:
    """A model by name, size in bytes and SHA-256 (hexadecimal); ``data`` is None if it was too
    large for the file."""

    name: str
    size: int
    sha256: str
    data: bytes | None = field(default=None, repr=False)

    @classmethod
    def of(cls, model: Model) -> ReplayModel:
        data = model.data if model.size <= LARGEST_MODEL else None
        return cls(Path(model.name).name, model.size, model.sha256, data)


@dataclass(frozen=True, eq=False)
class Step:
    """``load`` model number ``index``, ``reset`` the variables, ``run`` or ``write`` sample number
    ``index``, or ``reopen`` the line to the board. ``expected`` and ``got`` are the outputs of the
    reference and of the subject for a ``run``, None of one that gave none."""

    do: str
    index: int = 0
    expected: Arrays | None = None
    got: Arrays | None = None


@dataclass(frozen=True, eq=False)
class Replay:
    """A finding that can be run again.

    ``kind``: outputs ``differ`` by more than ``lsb`` (integers) or ``float_tolerance`` (see
    :func:`pytest_tflm.within`), their ``shapes`` do, or ``who`` (``subject`` or ``reference``)
    ``refused`` or ``crashed``. ``title`` is that in a line, ``text`` in as many as it takes,
    ``command`` what searches it again, ``created_by`` the version of this package.
    """

    kind: str
    subject: Party
    reference: Party
    models: tuple[ReplayModel, ...]
    samples: tuple[Arrays, ...]
    steps: tuple[Step, ...]
    lsb: int = 0
    float_tolerance: float = 1e-4
    who: str = ""
    title: str = ""
    text: str = ""
    command: str = ""
    created_by: str = ""

    @property
    def name(self) -> str:
        """What its file is called: the model and a hash of all it holds that a run depends on."""
        digest = hashlib.blake2b(digest_size=4)
        for model in self.models:
            digest.update(model.sha256.encode())
        for sample in self.samples:
            for array in sample:
                digest.update(array.tobytes())
        told = (self.kind, self.subject.name, self.reference.name, self.who, self.lsb)
        digest.update(repr([told, [(step.do, step.index) for step in self.steps]]).encode())
        stem = Path(self.models[0].name).stem if self.models else "model"
        return f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', stem)[:60]}-{digest.hexdigest()}{SUFFIX}"

    def save(self, directory: Path) -> Path:
        """Write it into a folder, which is made if need be; gives the file's path. Raises
        ReplayError if that cannot be done."""
        path = directory / self.name
        try:
            directory.mkdir(parents=True, exist_ok=True)
            write_whole(path, self.to_bytes())
        except OSError as error:
            raise ReplayError(f"{path} cannot be written: {error.strerror or error}.") from None
        return path

    def to_bytes(self) -> bytes:
        """The file."""
        table = _Table()
        data: dict[str, Any] = {
            "format": FORMAT,
            "version": VERSION,
            "created_by": self.created_by or _this_package(),
            "kind": self.kind,
            "who": self.who,
            "title": self.title,
            "text": self.text,
            "command": self.command,
            "tolerance": {"lsb": self.lsb, "float": self.float_tolerance},
            "subject": _party(self.subject),
            "reference": _party(self.reference),
            "models": [
                {"name": m.name, "size": m.size, "sha256": m.sha256, "included": m.data is not None}
                for m in self.models
            ],
            "samples": [table.add(sample) for sample in self.samples],
            "steps": [_step(step, table) for step in self.steps],
        }
        data["arrays"] = [{"dtype": a.dtype.name, "shape": list(a.shape)} for a in table.arrays]
        members = {
            "replay.json": json.dumps(data, indent=1, ensure_ascii=False).encode(),
            "arrays.bin": b"".join([array.tobytes() for array in table.arrays]),
        }
        for number, model in enumerate(self.models):
            if model.data is not None:
                members[f"model-{number}.tflite"] = model.data
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members.items():
                # The same finding is the same file, whenever it is written.
                archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
        return buffer.getvalue()


def read_replay(path: Path) -> Replay:
    """Read a file. Raises ReplayError, which names it."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise ReplayError(f"{path} cannot be read: {error.strerror or error}.") from None
    try:
        return replay_from_bytes(data)
    except ReplayError as error:
        raise ReplayError(f"{path}: {error}") from None


def replay_from_bytes(data: bytes) -> Replay:
    """What :meth:`Replay.to_bytes` wrote. Raises ReplayError."""
    if len(data) > LARGEST_FILE:
        raise ReplayError(f"it is larger than {LARGEST_FILE >> 20} MiB, the limit of replay files.")
    members = _members(data)
    try:
        parsed = json.loads(members["replay.json"].decode())
    except (ValueError, RecursionError) as error:
        raise ReplayError(f"its replay.json is damaged ({error}).") from None
    top = Fields(parsed, "replay.json")
    if top.text("format") != FORMAT:
        raise ReplayError("it is a zip file, but not a replay of pytest-tflm.")
    version = top.integer("version", 1, 1 << 30)
    if version > VERSION:
        raise ReplayError(
            f"it has version {version} of the format; this pytest-tflm reads up to {VERSION}. "
            "Try a newer pytest-tflm."
        )
    arrays = _arrays(top.list_of("arrays", _MOST_ARRAYS), members["arrays.bin"])
    models = tuple(
        _model(Fields(each, f"model {number}"), members.get(f"model-{number}.tflite"))
        for number, each in enumerate(top.list_of("models", _MOST_MODELS))
    )
    samples = tuple(
        _chosen(each, arrays, f"sample {number}")
        for number, each in enumerate(top.list_of("samples", _MOST_ARRAYS))
    )
    steps = tuple(
        _read_step(Fields(each, f"step {number}"), arrays, len(models), len(samples))
        for number, each in enumerate(top.list_of("steps", _MOST_STEPS))
    )
    if not steps or steps[0].do != LOAD or not any(step.do in (RUN, WRITE) for step in steps):
        raise ReplayError("its steps do not start by loading a model, or do not run anything.")
    tolerance = top.fields("tolerance")
    return Replay(
        kind=top.one_of("kind", KINDS),
        subject=_read_party(top.fields("subject")),
        reference=_read_party(top.fields("reference")),
        models=models,
        samples=samples,
        steps=steps,
        lsb=tolerance.integer("lsb", 0, 1 << 32),
        float_tolerance=tolerance.number("float"),
        who=top.one_of("who", ("", "subject", "reference")),
        title=top.text("title"),
        text=top.text("text"),
        command=top.text("command"),
        created_by=top.text("created_by"),
    )


class _Table:
    """Arrays, and the numbers by which the rest of the file calls them."""

    def __init__(self) -> None:
        self.arrays: list[NDArray[Any]] = []

    def add(self, arrays: Sequence[NDArray[Any]]) -> list[int]:
        first = len(self.arrays)
        for array in arrays:
            if array.dtype.name not in DTYPES:
                raise ReplayError(f"an array of {array.dtype} cannot be stored in a replay file.")
            little = array.dtype.newbyteorder("<")
            self.arrays.append(np.ascontiguousarray(array, little).reshape(array.shape))
        return list(range(first, len(self.arrays)))


def _step(step: Step, table: _Table) -> dict[str, Any]:
    told: dict[str, Any] = {"do": step.do}
    if step.do == LOAD:
        told["model"] = step.index
    elif step.do in (RUN, WRITE):
        told["sample"] = step.index
    for name, arrays in (("expected", step.expected), ("got", step.got)):
        if arrays is not None:
            told[name] = table.add(arrays)
    return told


def _party(party: Party) -> dict[str, Any]:
    return {
        "name": party.name,
        "kind": party.spec.kind,
        "resolver": party.spec.resolver,
        "port": party.spec.port,
        "versions": dict(party.versions),
    }


def _members(data: bytes) -> dict[str, bytes]:
    """The files in the zip, no larger than a replay can have."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            if len(entries) > _MOST_MODELS + 2:
                raise ReplayError(f"it has {len(entries)} members, more than a replay may have.")
            left = LARGEST_FILE
            members: dict[str, bytes] = {}
            for entry in entries:
                limit = min(left, _LARGEST_JSON if entry.filename == "replay.json" else left)
                with archive.open(entry) as member:
                    content = member.read(limit + 1)
                if len(content) > limit:
                    raise ReplayError(f"its member {entry.filename[:40]!r} is too large.")
                left -= len(content)
                members[entry.filename] = content
    except ReplayError:
        raise
    except Exception as error:  # zipfile's own are a dozen: of zlib, struct, and plain Python
        raise ReplayError(f"it is not a .tflm-replay file, or it is damaged ({error}).") from None
    missing = {"replay.json", "arrays.bin"} - set(members)
    if missing:
        raise ReplayError(f"it has no {' and no '.join(sorted(missing))}.")
    return members


def _arrays(table: list[Any], data: bytes) -> list[NDArray[Any]]:
    found, at = [], 0
    for number, each in enumerate(table):
        fields = Fields(each, f"array {number}")
        dtype = np.dtype(fields.one_of("dtype", DTYPES)).newbyteorder("<")
        shape = fields.integers("shape", _MOST_DIMENSIONS, len(data))
        size = math.prod(shape) * dtype.itemsize
        if size > len(data) - at:
            raise ReplayError(f"array {number} extends beyond the end of arrays.bin.")
        array = np.frombuffer(data, dtype, math.prod(shape), at).reshape(shape)
        if dtype.kind == "b":
            array = np.frombuffer(data, np.uint8, math.prod(shape), at).reshape(shape) != 0
        found.append(array.astype(dtype.newbyteorder("=")))
        at += size
    if at != len(data):
        raise ReplayError(f"arrays.bin has {len(data)} bytes, but its arrays need {at}.")
    return found


def _model(fields: Fields, data: bytes | None) -> ReplayModel:
    model = ReplayModel(
        Path(fields.text("name")).name[:200] or "model",
        fields.integer("size", 1, 1 << 40),
        fields.text("sha256"),
        data if fields.boolean("included") else None,
    )
    if not re.fullmatch(r"[0-9a-f]{64}", model.sha256):
        raise ReplayError(f"{fields.where}: invalid SHA-256.")
    if fields.boolean("included"):
        if data is None:
            raise ReplayError(f"{fields.where} is missing.")
        if len(data) != model.size or hashlib.sha256(data).hexdigest() != model.sha256:
            raise ReplayError(
                f"{fields.where} is not the file that was saved (its SHA-256 differs)."
            )
    return model


def _chosen(numbers: object, arrays: list[NDArray[Any]], where: str) -> Arrays:
    if not isinstance(numbers, list) or len(numbers) > 256:
        raise ReplayError(f"{where} is not a list of arrays.")
    for number in numbers:
        if type(number) is not int or not 0 <= number < len(arrays):
            raise ReplayError(f"{where} refers to a missing array.")
    return tuple(arrays[number] for number in numbers)


def _read_step(fields: Fields, arrays: list[NDArray[Any]], models: int, samples: int) -> Step:
    do = fields.one_of("do", STEPS)
    index = 0
    if do == LOAD:
        index = fields.integer("model", 0, models - 1)
    elif do in (RUN, WRITE):
        index = fields.integer("sample", 0, samples - 1)
    expected, got = (
        _chosen(fields.data[name], arrays, f"{fields.where}, {name},")
        if name in fields.data
        else None
        for name in ("expected", "got")
    )
    return Step(do, index, expected, got)


def _read_party(fields: Fields) -> Party:
    versions = fields.data.get("versions")
    if not isinstance(versions, dict) or len(versions) > 64:
        raise ReplayError(f"{fields.where} has no versions.")
    kind = fields.one_of("kind", (BOARD, *INTERPRETERS))
    resolver = fields.one_of("resolver", ("", *RESOLVERS))
    return Party(
        fields.text("name"),
        RuntimeSpec.of_board(fields.text("port"))
        if kind == BOARD
        else RuntimeSpec.of_interpreter(kind, resolver or None),
        {str(name)[:200]: str(version)[:200] for name, version in versions.items()},
    )


def _this_package() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"pytest-tflm {version('pytest-tflm')}"
    except PackageNotFoundError:
        return "pytest-tflm"
