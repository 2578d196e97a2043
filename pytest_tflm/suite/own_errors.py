"""An exception of this package in a pytest hook: it is told, and it ends no run.

pytest ends a run with INTERNALERROR when a hook raises. What breaks while a test is reported or
explained must neither hide that test's outcome nor keep later tests from running.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from pytest_tflm.errors import TflmError

_FRAMES = 4


@contextlib.contextmanager
def told(doing: str, tell: Callable[[str], None]) -> Iterator[None]:
    """Call ``tell`` with a text where the block raises. ``doing`` says what the block does:
    ``explaining this test``."""
    try:
        yield
    except TflmError as error:
        tell(f"{doing} failed: {type(error).__name__}: {error}")
    except Exception as error:
        tell(_words(doing, error))


def _words(doing: str, error: Exception) -> str:
    import traceback

    from pytest_tflm.printable import PAGE, printable

    what = "".join(traceback.format_exception_only(error)).strip()
    frames = "".join(traceback.format_tb(error.__traceback__)[-_FRAMES:]).rstrip()
    return printable(
        f"{doing} failed, which is an error of pytest-tflm and not of the test: {what}\n"
        f"Please report it with these lines:\n{frames}",
        PAGE,
        keep="\n",
    )
