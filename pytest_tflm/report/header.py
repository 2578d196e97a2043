"""The lines above the tests: what is about to be compared with what."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from pytest_tflm.errors import TflmError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_tflm.model import Model
    from pytest_tflm.options import Settings
    from pytest_tflm.runtime.hosts import Hosts
    from pytest_tflm.runtime.spec import RuntimeSpec


def header_lines(
    settings: Settings, hosts: Hosts, models: list[Model], notes: Iterable[str]
) -> list[str]:
    """Board, firmware, models with their hashes and what is known to go wrong with them, reference
    and tolerance, and ``notes`` on the samples. Connects to the board: if that fails, the header
    names the error, and what the first test or the end of the run says is the whole of it."""
    return [
        *_boards(settings, hosts),
        *(
            f"tflm: model: {model.name}, {model.size} bytes, CRC-32 {model.crc32:08x}, "
            f"SHA-256 {model.sha256[:12]}…"
            for model in models
        ),
        f"tflm: reference: {settings.reference.name}, {settings.tolerance_words}",
        *(line for model in models for line in _lint_lines(model)),
        *(f"tflm: note: {note}" for note in notes),
    ]


def fitted(lines: Iterable[str], width: int) -> list[str]:
    """The lines, none longer than ``width``; what goes on is indented."""
    return [
        part
        for line in lines
        for part in textwrap.wrap(line, width, subsequent_indent="      ", break_on_hyphens=False)
    ]


def _lint_lines(model: Model) -> list[str]:
    """What is known to go wrong with a model, before it does: a line each."""
    from pytest_tflm.model.lint import NOTE, lint

    found = [finding for finding in lint(model) if finding.severity != NOTE]
    return [f"tflm: {f.severity}: {model.name}: {f.sentence} ({f.remedy})" for f in found]


def _boards(settings: Settings, hosts: Hosts) -> Iterator[str]:
    for name in settings.boards or ("",):
        spec = settings._replace(board_name=name).board
        what = f"board {name}" if name else "board"
        yield f"tflm: {what}: {_board(spec, hosts)}"


def _board(spec: RuntimeSpec | None, hosts: Hosts) -> str:
    if spec is None:
        return "none (no --tflm-port)"
    if not spec.port:
        return "none yet: its port is chosen by the first test that uses it"
    try:
        connection = hosts.board(spec).connection()
        baud = connection.counters.baud
        rate = "" if baud is None else f", {baud} baud"
        note = f" ({connection.rate_note})" if connection.rate_note else ""
        return f"{connection.identity.describe()}, at {connection.name}{rate}{note}"
    except TflmError as error:
        return f"none ({type(error).__name__})"
