"""A run's record on disk: written while the run goes, readable at each moment.

``FILE`` is a JSON document by docs/run.schema.json from the first moment on. While the run goes it
says ``"complete": false``, and the facts so far stand in ``FILE.partial``, a JSON object a line.
At the end ``FILE`` is written whole and the other goes. Of a run that was killed both are left, and
:func:`read_run` puts them together.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import IO, Any

from pytest_tflm.errors import RecordError
from pytest_tflm.printable import printable
from pytest_tflm.record.run_record import FORMAT, Fact, Run, RunRecord, checked_run
from pytest_tflm.record.typed_json import checked
from pytest_tflm.whole_file import write_whole

LARGEST = 1 << 29
"""Bytes of a record that is read."""


def partial_of(path: Path) -> Path:
    """The file beside ``path`` that holds the facts of a run that goes on."""
    return path.with_name(f"{path.name}.partial")


class Journal:
    """Writes a run's record to a file. Raises RecordError where it cannot be written."""

    def __init__(self, path: Path, record: RunRecord) -> None:
        self.path = path
        self._record = record
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: IO[bytes] = partial_of(path).open("wb")
            self._write_document()
        except OSError as error:
            raise _cannot_write(path, error) from None

    def add(self, fact: Fact) -> None:
        """Write a fact; it is in the file when this returns, also if the process is killed then."""
        try:
            self._file.write(_line(fact))
            self._file.flush()
        except OSError as error:
            raise _cannot_write(self.path, error) from None

    def finish(self) -> None:
        """Write the whole record."""
        try:
            self._write_document()
            self._file.close()
            partial_of(self.path).unlink(missing_ok=True)
        except OSError as error:
            raise _cannot_write(self.path, error) from None

    def close(self) -> None:
        """Leave the files as they are."""
        with contextlib.suppress(OSError):
            self._file.close()

    def _write_document(self) -> None:
        write_whole(self.path, as_text(self._record.run).encode())


def as_text(run: Run) -> str:
    """The record as JSON, ASCII alone."""
    return json.dumps(run, indent=1, allow_nan=False) + "\n"


def read_run(path: Path) -> Run:
    """Read a record, also that of a run that was killed (``FILE`` or ``FILE.partial``). Raises
    RecordError."""
    if path.name.endswith(".partial"):
        path = path.with_name(path.name.removesuffix(".partial"))
    value = _parsed(_read(path), str(path))
    if not isinstance(value, dict) or not isinstance(value.get("format"), int):
        raise RecordError(f"{path} is not a record of a run (--tflm-json writes one).")
    if value["format"] > FORMAT:
        raise RecordError(
            f"{path} has format {value['format']}; this version of pytest-tflm reads {FORMAT}. "
            "Install a newer one."
        )
    run = checked_run(value, str(path))
    journal = partial_of(path)
    if run["complete"] or not journal.exists():
        return run
    record = RunRecord(run["run"])
    for number, line in enumerate(_read(journal).split(b"\n")[:-1]):  # the last has no end: cut
        fact = checked(_parsed(line, f"{journal}:{number + 1}"), dict[str, Any], str(journal))
        try:
            record.add(fact)
        except (KeyError, TypeError) as error:
            raise RecordError(f"{journal}:{number + 1} is damaged: {error}") from None
    return record.run


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > LARGEST:
            raise RecordError(f"{path} is larger than {LARGEST >> 20} MiB.")
        return path.read_bytes()
    except FileNotFoundError:
        raise RecordError(f"there is no file {path}.") from None
    except OSError as error:
        raise RecordError(f"{path} cannot be read: {error.strerror or error}.") from None


def _parsed(data: bytes, where: str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{where} is not JSON: {printable(str(error), 120)}.") from None


def _line(fact: Fact) -> bytes:
    return json.dumps(fact, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def _cannot_write(path: Path, error: OSError) -> RecordError:
    return RecordError(f"--tflm-json: {path} cannot be written: {error.strerror or error}.")
