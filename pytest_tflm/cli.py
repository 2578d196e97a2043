"""The command ``pytest-tflm``: what is useful beside a pytest run."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from pytest_tflm.commands import (
    conformance,
    diagnose,
    explain,
    firmware,
    model,
    ports,
    report,
    simulate,
)
from pytest_tflm.errors import TflmError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand. Gives the exit status: 0 done, 1 it could not be done, 2 wrong usage."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if sys.stdout is None:  # closed by the shell: >&-
        print("pytest-tflm: standard output is closed", file=sys.stderr)
        return 1
    try:
        status = int(options.run(options))
        sys.stdout.flush()  # a full disk is told here, and not when Python has ended
        return status
    except TflmError as error:
        print(f"pytest-tflm: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever read the output has enough of it: "| head"
        _drop_output()
        return 1
    except OSError as error:  # a full disk, a folder that may not be written, no descriptors left
        print(f"pytest-tflm: {error}", file=sys.stderr)
        try:
            sys.stdout.flush()
        except OSError:
            _drop_output()
        return 1


def _drop_output() -> None:
    """Nobody takes standard output: what Python still holds of it goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("pytest-tflm")
    except PackageNotFoundError:
        return "(not installed)"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pytest-tflm",
        description="Tools for pytest --tflm-…: why outputs differ, models, kernels, ports,"
        " firmware for boards, a simulated board.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {_version()}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (diagnose, explain, report, model, conformance, ports, firmware, simulate):
        command.add(commands)
    return parser
