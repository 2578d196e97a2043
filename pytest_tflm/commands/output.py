"""A file that a command writes: ``-o OUT`` and ``--force``."""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from pytest_tflm.errors import SettingsError


def add_output(parser: argparse.ArgumentParser) -> None:
    """Add the options ``-o`` and ``--force``."""
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="OUT", help="the file to write"
    )
    parser.add_argument(
        "--force", action="store_true", help="write over OUT if it is there, even if it is MODEL"
    )


def check_output(options: argparse.Namespace, source: Path) -> None:
    """Raise SettingsError if ``options.output`` may not or cannot be written."""
    output: Path = options.output
    if output.is_dir():
        raise SettingsError(
            f"{output} is a directory: name the file, for example -o repaired.tflite"
        )
    if not output.absolute().parent.is_dir():
        raise SettingsError(f"{output.parent} is no directory: make it first, or write elsewhere")
    if output.exists() and not options.force:
        what = "is the model itself" if output.samefile(source) else "is already there"
        raise SettingsError(f"{output} {what}: name another file, or say --force")


def write_output(options: argparse.Namespace, data: bytes) -> None:
    """Write ``options.output``, whole or not at all. Raises SettingsError if it cannot be."""
    output: Path = options.output
    # Through a link, so that the link stays and what it names is written.
    target = output.resolve()
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        mode = target.stat().st_mode if target.exists() else 0o666 & ~_umask()
        Path(temporary).chmod(mode)
        Path(temporary).replace(target)
        temporary = None
    except OSError as error:
        raise SettingsError(f"{output} cannot be written: {error.strerror or error}") from None
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def _umask() -> int:
    """Asking for it sets it; this process has one thread that makes files."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
