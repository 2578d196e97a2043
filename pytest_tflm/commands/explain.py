"""``pytest-tflm explain CAUSE``: the page of a cause that a verdict named."""

from __future__ import annotations

import argparse
import difflib
from typing import Any

from pytest_tflm.errors import SettingsError


def add(commands: Any) -> None:
    """Add the subcommand to argparse's ``commands``."""
    parser = commands.add_parser(
        "explain",
        help="show the page of a cause that a verdict named",
        description="Show how a cause looks, why it happens and what to do. Without a name, list"
        " all causes.",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("cause", nargs="?", help="the cause's name, for example stored-shapes")
    which.add_argument(
        "--search",
        nargs="+",
        metavar="WORD",
        help="list the causes that match all words, for example 'same input' or saturate",
    )
    parser.set_defaults(run=_explain)


def _explain(options: argparse.Namespace) -> int:
    from pytest_tflm.verdict.causes import CATALOGUE
    from pytest_tflm.verdict.pages import page
    from pytest_tflm.verdict.symptoms import search

    if options.cause is None:
        found = search(options.search) if options.search else list(CATALOGUE.values())
        if not found:
            raise SettingsError(
                f"no cause matches {' '.join(options.search)!r}. Try fewer words; "
                "pytest-tflm explain lists all causes."
            )
        width = max(len(cause.name) for cause in found)
        for cause in found:
            print(f"{cause.name:{width}}  {cause.title}")
        return 0
    if options.cause not in CATALOGUE:
        near = difflib.get_close_matches(options.cause, CATALOGUE, 1)
        hint = (
            f" Did you mean {near[0]}?" if near else " Run pytest-tflm explain to list all causes."
        )
        raise SettingsError(f"unknown cause {options.cause!r}.{hint}")
    print(page(options.cause))
    return 0
