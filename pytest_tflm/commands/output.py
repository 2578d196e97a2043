"""A file that a command writes: ``-o OUT`` and ``--force``."""

from __future__ import annotations

import argparse
from pathlib import Path

from pytest_tflm.errors import SettingsError
from pytest_tflm.whole_file import write_whole


def add_output(parser: argparse.ArgumentParser) -> None:
    """Add the options ``-o`` and ``--force``."""
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="OUT", help="the file to write"
    )
    parser.add_argument(
        "--force", action="store_true", help="overwrite OUT if it exists, even if it is MODEL"
    )


def check_output(options: argparse.Namespace, source: Path) -> None:
    """Raise SettingsError if ``options.output`` may not or cannot be written."""
    output: Path = options.output
    if output.is_dir():
        raise SettingsError(
            f"{output} is a directory: name the file, for example -o repaired.tflite"
        )
    if not output.absolute().parent.is_dir():
        raise SettingsError(
            f"{output.parent} is not a directory: create it, or choose another file"
        )
    if output.exists() and not options.force:
        what = "is the model itself" if output.samefile(source) else "already exists"
        raise SettingsError(f"{output} {what}: name another file, or use --force")


def write_output(options: argparse.Namespace, data: bytes) -> None:
    """Write ``options.output``, whole or not at all. Raises SettingsError if it cannot be."""
    output: Path = options.output
    try:
        write_whole(output, data)
    except OSError as error:
        raise SettingsError(f"{output} cannot be written: {error.strerror or error}") from None
