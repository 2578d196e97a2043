"""The lines above the tests: what is about to be compared with what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_tflm.errors import TflmError

if TYPE_CHECKING:
    from pytest_tflm.model import Model
    from pytest_tflm.options import Settings
    from pytest_tflm.runtime.pool import Pool


def header_lines(settings: Settings, pool: Pool, models: list[Model]) -> list[str]:
    """Board, firmware, models with their hashes and what is known to go wrong with them, reference
    and tolerance. Connects to the board:
    if that fails the tests will say so, and the header does in short."""
    return [
        f"tflm: board: {_board(settings, pool)}",
        *(
            f"tflm: model: {model.name}, {model.size} bytes, CRC-32 {model.crc32:08x}, "
            f"SHA-256 {model.sha256[:12]}…"
            for model in models
        ),
        f"tflm: reference: {reference_name(settings)}, tolerance {settings.tolerance} LSB",
        *(line for model in models for line in _lint_lines(model)),
    ]


def _lint_lines(model: Model) -> list[str]:
    """What is known to go wrong with a model, before it does: a line each."""
    from pytest_tflm.model.lint import NOTE, lint

    found = [finding for finding in lint(model) if finding.severity != NOTE]
    return [f"tflm: {f.severity}: {model.name}: {f.sentence} ({f.remedy})" for f in found]


def reference_name(settings: Settings) -> str:
    """How the reference of these settings is called, ``litert builtin_ref`` for example."""
    if settings.runtime == "tflm":
        return "tflm"
    return f"{settings.runtime} {settings.resolver}"


def _board(settings: Settings, pool: Pool) -> str:
    if settings.port is None:
        return "none (no --tflm-port)"
    try:
        connection = pool.connection()
        baud = connection.counters.baud
        rate = "" if baud is None else f", {baud} baud"
        note = f" ({connection.rate_note})" if connection.rate_note else ""
        return f"{connection.identity.describe()}, at {connection.name}{rate}{note}"
    except TflmError as error:
        return f"none: {str(error).splitlines()[0]}"
