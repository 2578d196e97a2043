"""Writes a project that a board's own tools build: the core, the board's program, the model."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pytest_tflm.errors import SettingsError
from pytest_tflm.firmware import model_header
from pytest_tflm.firmware.arena import Arena, arenas
from pytest_tflm.firmware.boards import Board, sources

if TYPE_CHECKING:
    from pytest_tflm.model import Model

_LEAST_ARENA = 1024
# What the boards' tools, and a model that was tried, leave in a checkout.
_NOT_COPIED = shutil.ignore_patterns(
    "build", "managed_components", "sdkconfig", "sdkconfig.old", "*.lock", model_header.NAME
)


class Project(NamedTuple):
    """What was written. Without a model ``operators`` and ``arenas`` are empty; with one, the last
    arena is the default."""

    directory: Path
    board: Board
    operators: tuple[str, ...]
    arenas: tuple[Arena, ...]
    arena_origin: str


def write_project(
    board: Board,
    directory: Path,
    *,
    model: Model | None = None,
    arena: int | None = None,
    force: bool = False,
) -> Project:
    """Write the firmware of ``board`` to ``directory``, with ``model`` compiled in if there is one.

    ``arena`` is the size of that model's arena in bytes; None measures what host TFLM needs and
    adds what the board's kernels need beyond that (:func:`~pytest_tflm.firmware.arena.arenas`).
    ``force`` writes over what is in the directory; files that are not of the project stay.

    Raises SettingsError, OperatorMissing, or what
    :func:`~pytest_tflm.runtime.arena.arena_needed` raises. Nothing is written then.
    """
    if arena is not None and (model is None or arena < _LEAST_ARENA):
        raise SettingsError(
            "--arena is for a model that is compiled in: give --model"
            if model is None
            else f"an arena of {arena} bytes holds no model: give at least {_LEAST_ARENA}"
        )
    _check_directory(directory, force)
    header = ""
    operators: tuple[str, ...] = ()
    sizes: tuple[Arena, ...] = ()
    origin = ""
    if model is not None:
        operators = tuple(name for name, _ in model_header.registrations(model))
        sizes, origin = ((Arena(arena),), "As requested.") if arena else _measured(model, board)
        header = model_header.model_header(model, sizes, origin)
    try:
        for folder in ("core", board.folder):
            shutil.copytree(
                sources() / folder,
                directory / folder,
                ignore=_NOT_COPIED,
                copy_function=shutil.copyfile,  # newer than what was built from older ones
                dirs_exist_ok=True,
            )
        path = directory / board.folder / _program_folder(board) / model_header.NAME
        if header:
            path.write_text(header, encoding="utf-8")
        else:
            path.unlink(missing_ok=True)
    except OSError as error:  # also shutil.Error
        raise SettingsError(f"the project cannot be written to {directory}: {error}") from error
    return Project(directory, board, operators, sizes, origin)


def _check_directory(directory: Path, force: bool) -> None:
    if directory.exists() and not directory.is_dir():
        raise SettingsError(f"{directory} is a file: give a directory to write the project to")
    if not force and directory.is_dir() and any(directory.iterdir()):
        raise SettingsError(
            f"{directory} is not empty: give another directory, or --force to write over it"
        )


def _measured(model: Model, board: Board) -> tuple[tuple[Arena, ...], str]:
    from pytest_tflm.runtime.arena import arena_needed

    needed = arena_needed(model)
    origin = f"Host TFLM needs {needed} bytes; the rest is for the board's kernels, and a margin."
    return arenas(model, needed, board), origin


def _program_folder(board: Board) -> str:
    return "main" if board.name == "esp32" else ""
