"""``pytest-tflm firmware`` and ``flash``: a board's firmware as a project, and onto the board."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add(commands: Any) -> None:
    """Add the subcommands to argparse's ``commands``."""
    firmware = commands.add_parser(
        "firmware",
        help="write a board's firmware as a project that its own tools build",
        description="Write a complete project: the firmware core and the board's program. Without"
        " --model, the firmware takes any model over the link. With --model, that model is compiled"
        " in, with only the operators that it uses.",
    )
    firmware.add_argument("board", nargs="?", metavar="BOARD", help="see --list")
    firmware.add_argument("--list", action="store_true", help="list the boards and exit")
    firmware.add_argument("--model", type=Path, metavar="FILE", help="a .tflite file to compile in")
    firmware.add_argument("-o", "--output", type=Path, metavar="DIR", help="folder to write to")
    firmware.add_argument(
        "--arena",
        type=int,
        metavar="BYTES",
        help="size of the arena (default: what TFLM on this machine needs, what the board's "
        "kernels need beyond that, and a margin)",
    )
    firmware.add_argument("--force", action="store_true", help="overwrite files in DIR")
    firmware.set_defaults(run=_firmware)

    flash = commands.add_parser(
        "flash",
        help="build a project and flash it",
        description="Build the project that pytest-tflm firmware wrote and flash it, with "
        "arduino-cli or idf.py. If that is not installed, print the commands.",
    )
    flash.add_argument("board", metavar="BOARD", help="see pytest-tflm firmware --list")
    flash.add_argument(
        "directory",
        nargs="?",
        type=Path,
        default=Path(),
        metavar="DIR",
        help="the project (default: the current directory)",
    )
    flash.add_argument("--port", metavar="PORT", help="the board's port (default: detected)")
    flash.set_defaults(run=_flash)


def _firmware(options: argparse.Namespace) -> int:
    from pytest_tflm.errors import SettingsError
    from pytest_tflm.firmware.boards import BOARDS, board_named

    if options.list:
        for board in BOARDS.values():
            print(f"{board.name:8} {board.title:44} {board.proof}")
        return 0
    if options.board is None:
        raise SettingsError(f"name a board: {', '.join(BOARDS)}")
    board = board_named(options.board)
    if options.output is None:
        raise SettingsError("give the folder for the project: -o DIR")

    from pytest_tflm.firmware.flash import FLASHED
    from pytest_tflm.firmware.project import write_project
    from pytest_tflm.model import open_model

    project = write_project(
        board,
        options.output,
        model=open_model(options.model) if options.model else None,
        arena=options.arena,
        force=options.force,
    )
    print(f"{project.directory}: firmware for {board.title}")
    if options.model:
        print(f"  model:     {options.model.name}, compiled in")
        print(f"  operators: {' '.join(project.operators)}")
        for arena in reversed(project.arenas):
            print(f"  arena:     {arena.describe()}")
        print(f"             {project.arena_origin}")
        if max(arena.size for arena in project.arenas) > board.memory:
            print(f"  Warning: that is more than the {board.memory} bytes that are sure to fit.")
    else:
        print("  takes any model over the link")
    page = project.directory / board.folder / "README.md"
    if board.name in FLASHED:
        print(f"Next: {page} or, to build and flash,")
        print(f"  pytest-tflm flash {board.name} {project.directory}")
    else:
        print(f"Next: {page} tells you how to build and flash it")
    return 0


def _flash(options: argparse.Namespace) -> int:
    from pytest_tflm.firmware import flash
    from pytest_tflm.firmware.boards import board_named

    board = board_named(options.board)
    plan = flash.plan(board, options.directory, options.port)
    if not flash.is_there(plan.tool):
        print(f"{plan.tool} is not installed or not in PATH. Install it, then run:")
        for line in (*plan.set_up, *plan.lines()):
            print(f"  {line}")
        return 1
    port = options.port or flash.port_to_flash(board)
    return flash.run(
        flash.plan(board, options.directory, port), lambda line: print(line, flush=True)
    )
