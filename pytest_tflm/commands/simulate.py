"""``pytest-tflm simulate``: a simulated board for another process."""

from __future__ import annotations

import argparse
import textwrap
from typing import Any

_WIDTH = 100
_DEFECTS = "defects"


class _Help(argparse.RawDescriptionHelpFormatter):
    """Lists the defects; their modules are imported only where they are shown."""

    def add_text(self, text: str | None) -> None:
        super().add_text(_defects() if text is _DEFECTS else text)


def add(commands: Any) -> None:
    """Add the subcommand to argparse's ``commands``."""
    parser = commands.add_parser(
        "simulate",
        help="run a simulated board until Ctrl-C and print its port",
        description="Run the firmware core with host TFLM as a simulated board, print\n"
        "the port for --tflm-port, and serve it until Ctrl-C.",
        epilog=_DEFECTS,
        formatter_class=_Help,
    )
    parser.add_argument(
        "spec",
        nargs="?",
        default="sim",
        metavar="SPEC",
        help="the board, as for --tflm-port: sim, sim?arena=64k, … (default: sim)",
    )
    parser.add_argument(
        "--tcp",
        metavar="HOST:PORT",
        help="serve a TCP port instead of a pseudo-terminal; port 0 selects a free one, and"
        " without HOST only this machine can connect",
    )
    parser.set_defaults(run=_simulate)


def _defects() -> str:
    """What ``defect=`` knows, as text for a terminal."""
    from pytest_tflm.simulator.defects.catalogue import table

    lines = [
        "sim?defect=NAME plants a defect, to check that tests notice it (docs/defects.md);"
        " separate several names with commas:"
    ]
    for written, says, _, _ in table():
        lines += [f"  {written}", textwrap.indent(textwrap.fill(says, _WIDTH), " " * 6)]
    return "\n".join(lines)


def _simulate(options: argparse.Namespace) -> int:
    from pytest_tflm.simulator.board.process import serve

    return serve(options.spec, tcp=options.tcp)
