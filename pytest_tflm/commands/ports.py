"""``pytest-tflm ports``: which serial ports there are, and who is behind them."""

from __future__ import annotations

import argparse
from typing import Any


def add(commands: Any) -> None:
    """Add the subcommand to argparse's ``commands``."""
    parser = commands.add_parser(
        "ports",
        help="list serial ports, and with --ask the boards that answer",
        description="List the serial ports of this machine with their serial numbers and the"
        " boards that their USB ids suggest. With --ask, open each USB port and greet the board.",
    )
    parser.add_argument("--ask", action="store_true", help="greet the board at each USB port")
    parser.add_argument(
        "--baud",
        type=int,
        default=115200,
        metavar="N",
        help="baud rate for --ask (default: 115200)",
    )
    parser.set_defaults(run=_ports)


def _ports(options: argparse.Namespace) -> int:
    from pytest_tflm.link import check_baud
    from pytest_tflm.link.ports import ask_all, found_ports

    check_baud(options.baud)
    ports = found_ports()
    if not ports:
        print("No serial ports found on this machine.")
        return 0
    answers = ask_all(ports, baud=options.baud) if options.ask else []
    width = max(len(port.device) for port in ports)
    for number, port in enumerate(ports):
        words = [f"{port.device:{width}}", f"{port.usb or '-':9}", port.title or "unknown"]
        if port.serial_number:
            words.append(f"serial number {port.serial_number}")
        print("  ".join(words))
        if answers:
            identity = answers[number].identity
            if identity is None:
                print(f"{'':{width}}  {answers[number].error}")
                continue
            takes = "takes models" if identity.takes_models else "has its model compiled in"
            print(f"{'':{width}}  {identity.describe()}; {takes}; memory {identity.memory} bytes")
    return 0
