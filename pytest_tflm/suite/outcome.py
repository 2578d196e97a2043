"""How an error of ours stands in a test's report: its name and text, where the test was, no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from _pytest._code.code import ReprExceptionInfo, ReprFileLocation, ReprTracebackNative

if TYPE_CHECKING:
    import pytest


def without_traceback(
    item: pytest.Item, excinfo: pytest.ExceptionInfo[BaseException], error: BaseException
) -> ReprExceptionInfo:
    """What is shown of ``error`` in place of a traceback through this package: ``Name: message``,
    and the line of the test file that was reached if there is one.

    ``error`` is what ``excinfo`` holds, or what is known better since.
    """
    message = f"{type(error).__name__}: {error}"
    reached = [entry for entry in excinfo.traceback if entry.path == item.path]
    path, line = str(item.path), reached[-1].lineno + 1 if reached else 0
    text = "\n".join(f"E   {part}" for part in message.splitlines())
    if reached:
        text += f"\n\n{path}:{line}"
    return ReprExceptionInfo(
        reprtraceback=ReprTracebackNative([text + "\n"]),
        reprcrash=ReprFileLocation(path, line, message),
    )
