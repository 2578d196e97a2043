"""The command ``pytest-tflm``: what is useful beside a pytest run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

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
        description="Beside pytest --tflm-…: a simulated board for another terminal.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    simulate = commands.add_parser(
        "simulate",
        help="run a simulated board until Ctrl-C and print its port",
        description="Run the firmware core with TFLM of this machine as a board of its own, print "
        "the port for --tflm-port, and serve it until Ctrl-C.",
    )
    simulate.add_argument(
        "spec",
        nargs="?",
        default="sim",
        metavar="SPEC",
        help="what board, as for --tflm-port: sim, sim?arena=64k, … (default: sim)",
    )
    simulate.add_argument(
        "--tcp",
        metavar="HOST:PORT",
        help="serve a TCP port instead of a pseudo-terminal; port 0 takes a free one",
    )
    simulate.set_defaults(run=_simulate)
    return parser


def _simulate(options: argparse.Namespace) -> int:
    from pytest_tflm.simulator.process import serve

    return serve(options.spec, tcp=options.tcp)
