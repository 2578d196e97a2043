"""What is done about a board that broke: ``--tflm-reset=on-crash`` resets it and runs the test once
more; in a lab, an equal board goes on."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, TypeVar

from pytest_tflm.errors import BoardCrashed, BoardReset, LinkError, NoAnswer, TflmError
from pytest_tflm.printable import PAGE, printable

if TYPE_CHECKING:
    import pytest

    from pytest_tflm.runtime.board import BoardHost
    from pytest_tflm.runtime.spec import RuntimeSpec

_T = TypeVar("_T")
_CURED = (BoardCrashed, NoAnswer)
_BROKEN = (LinkError, BoardCrashed, BoardReset)
_IN_A_ROW = 2
"""Tests of a board that fail again after a reset before it is reset no more."""


class Resets:
    """Resets or replaces boards, once for each test."""

    def __init__(
        self,
        is_on: bool,
        whose: Callable[[TflmError], BoardHost | None],
        tell: Callable[[dict[str, str]], None],
    ) -> None:
        """``whose`` says whose board's use an error ended; ``tell`` takes what was reset, for the
        record of the run."""
        self._is_on = is_on
        self._whose = whose
        self._tell = tell
        self._in_vain: dict[RuntimeSpec, int] = {}
        self._item: pytest.Item | None = None
        """The test in which a board was reset last."""

    def once(self, item: pytest.Item, what: Callable[[], _T]) -> _T:
        """Do ``what``, a part of ``item``, and once more after a reset if the board crashed."""
        try:
            return what()
        except _BROKEN as error:
            if not self._cures(item, error):
                raise
        try:
            return what()
        except _BROKEN as error:
            self._cures(item, error)  # not in the same test; it counts
            raise

    def around(self, item: pytest.Function) -> Generator[None, object, object]:
        """Wraps the call of a test's function: calls it again after a reset."""
        try:
            made = yield
        except _BROKEN as error:
            if not self._cures(item, error):
                raise
            made = item.ihook.pytest_pyfunc_call(pyfuncitem=item)
        device = getattr(item, "funcargs", {}).get("_tflm_device")
        if device is not None:
            self._in_vain.pop(device.host.spec, None)
            notes, device.host.notes = device.host.notes, []
            for text in notes:
                self._tell_of(item, device.host.label, text)
        return made

    def _cures(self, item: pytest.Item, error: TflmError) -> bool:
        """Whether the board was reset and answers again."""
        board = self._whose(error)
        if board is None:
            return False
        tried = self._in_vain.get(board.spec, 0)
        if self._item is item:
            self._in_vain[board.spec] = tried + 1
            return False
        self._item = item
        resets = self._is_on and isinstance(error, _CURED) and tried < _IN_A_ROW
        if resets and self._reset(board, error, item):
            return True
        return board.is_leased and self._replace(board, error, item)

    def _replace(self, board: BoardHost, error: TflmError, item: pytest.Item) -> bool:
        """Whether another board of the lab goes on."""
        try:
            how = board.replace(error)
        except TflmError as failed:
            self._note(item, board.label, f"has no equal left: {failed}", error)
            return False
        self._note(item, board.spec.board, f"{how}: the test was run again", error)
        return True

    def _reset(self, board: BoardHost, error: TflmError, item: pytest.Item) -> bool:
        name = board.label or board.port
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
        self._tell_of(item, board, f"{board} {what} after {type(error).__name__}: {first}")

    def _tell_of(self, item: pytest.Item, board: str, text: str) -> None:
        text = printable(text, PAGE)
        item.user_properties.append(("tflm_reset", text))
        self._tell({"board": board, "test": item.nodeid, "text": text})
