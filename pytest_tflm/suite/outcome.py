"""How an error of ours stands in a test's report: its name and text, and where the test was."""

from __future__ import annotations

from typing import TYPE_CHECKING

from _pytest._code.code import ReprExceptionInfo, ReprFileLocation, ReprTracebackNative

if TYPE_CHECKING:
    import pytest

_KNOWN_WIDTH = 110


def without_traceback(
    item: pytest.Item,
    excinfo: pytest.ExceptionInfo[BaseException],
    error: BaseException,
    is_known: bool = False,
) -> ReprExceptionInfo:
    """What is shown of ``error`` in place of a traceback through this package: ``Name: message``,
    and the line of the test file that was reached if there is one.

    ``error`` is what ``excinfo`` holds, or what is known better since. One that ``is_known`` from a
    test before is cut to its first line.
    """
    message = f"{type(error).__name__}: {error}"
    reached = [entry for entry in excinfo.traceback if entry.path == item.path]
    path, line = str(item.path), reached[-1].lineno + 1 if reached else 0
    lines = message.splitlines()
    if is_known:
        lines = [f"{lines[0][:_KNOWN_WIDTH]}{' …' * (len(message) > _KNOWN_WIDTH)} (as before)"]
    text = "\n".join(f"E   {line}" for line in lines)
    if reached:
        text += f"\n\n{path}:{line}"
    return ReprExceptionInfo(
        reprtraceback=ReprTracebackNative([text + "\n"]),
        reprcrash=ReprFileLocation(path, line, message),
    )
