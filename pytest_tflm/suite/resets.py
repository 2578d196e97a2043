"""``--tflm-reset=on-crash``: one reset and one retry after a board crashed or fell silent."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, TypeVar

from pytest_tflm.errors import BoardCrashed, NoAnswer, TflmError
from pytest_tflm.printable import PAGE, printable

if TYPE_CHECKING:
    import pytest

    from pytest_tflm.runtime.board import BoardHost
    from pytest_tflm.runtime.spec import RuntimeSpec
    from pytest_tflm.suite.state import State

_T = TypeVar("_T")
_CURED = (BoardCrashed, NoAnswer)
_IN_A_ROW = 2
"""Tests of a board that fail again after a reset before it is reset no more."""


class Resets:
    """Resets boards, each once for a test."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._in_vain: dict[RuntimeSpec, int] = {}
        self._item: pytest.Item | None = None
        """The test in which a board was reset last."""

    def once(self, item: pytest.Item, what: Callable[[], _T]) -> _T:
        """Do ``what``, a part of ``item``, and once more after a reset if the board crashed."""
        try:
            return what()
        except _CURED as error:
            if not self._cures(item, error):
                raise
        try:
            return what()
        except _CURED as error:
            self._cures(item, error)  # not in the same test; it counts
            raise

    def around(self, item: pytest.Function) -> Generator[None, object, object]:
        """Wraps the call of a test's function: calls it again after a reset."""
        try:
            made = yield
        except _CURED as error:
            if not self._cures(item, error):
                raise
            made = item.ihook.pytest_pyfunc_call(pyfuncitem=item)
        device = getattr(item, "funcargs", {}).get("_tflm_device")
        if device is not None:
            self._in_vain.pop(device.host.spec, None)
        return made

    def _cures(self, item: pytest.Item, error: TflmError) -> bool:
        """Whether the board was reset and answers again."""
        if self._state.settings.reset == "off":
            return False
        board = self._state.hosts.whose(error)
        if board is None:
            return False
        tried = self._in_vain.get(board.spec, 0)
        if self._item is item:
            self._in_vain[board.spec] = tried + 1
            return False
        if tried >= _IN_A_ROW:
            return False
        self._item = item
        return self._reset(board, error, item)

    def _reset(self, board: BoardHost, error: TflmError, item: pytest.Item) -> bool:
        name = board.spec.board or board.spec.port
        try:
            how = board.reset()
        except TflmError as failed:
            self._in_vain[board.spec] = _IN_A_ROW
            self._note(item, name, f"was not reset: {failed}", error)
            return False
        self._note(item, name, f"was reset ({how}) and the test was run again", error)
        return True

    def _note(self, item: pytest.Item, board: str, what: str, error: TflmError) -> None:
        first = str(error).splitlines()[0]
        text = printable(f"{board} {what} after {type(error).__name__}: {first}", PAGE)
        item.user_properties.append(("tflm_reset", text))
        self._state.facts.add("reset", {"board": board, "test": item.nodeid, "text": text})
