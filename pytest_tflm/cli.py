"""The command ``pytest-tflm``: what is useful beside a pytest run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from pytest_tflm.commands import conformance, diagnose, explain, firmware, ports, simulate
from pytest_tflm.errors import TflmError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand. Gives the exit status: 0 done, 1 it could not be done, 2 wrong usage."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        return int(options.run(options))
    except TflmError as error:
        print(f"pytest-tflm: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pytest-tflm",
        description="Beside pytest --tflm-…: why outputs differ, kernels compared, ports, firmware "
        "for boards, a simulated board.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (diagnose, explain, conformance, ports, firmware, simulate):
        command.add(commands)
    return parser
