"""Values out of JSON that anybody may have written: each of the type and size asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from pytest_tflm.errors import ReplayError
from pytest_tflm.printable import printable

_LONGEST_TEXT = 1 << 20


class Fields:
    """The fields of one JSON object. ``where`` is what errors call it. All raise ReplayError."""

    def __init__(self, data: object, where: str) -> None:
        if not isinstance(data, dict):
            raise ReplayError(f"{where} is not an object.")
        self.data: dict[str, Any] = data
        self.where = where

    def text(self, name: str) -> str:
        """A text, as it can be shown."""
        value = self.data.get(name)
        if not isinstance(value, str) or len(value) > _LONGEST_TEXT:
            raise self._wrong(name, "a text")
        return printable(value, _LONGEST_TEXT, keep="\n")

    def one_of(self, name: str, choices: Sequence[str]) -> str:
        value = self.data.get(name)
        if not isinstance(value, str) or value not in choices:
            raise self._wrong(name, f"one of {', '.join(map(repr, choices))}")
        return value

    def integer(self, name: str, low: int, high: int) -> int:
        value = self.data.get(name)
        if type(value) is not int or not low <= value <= high:
            raise self._wrong(name, f"a whole number from {low} to {high}")
        return value

    def integers(self, name: str, most: int, high: int) -> tuple[int, ...]:
        """At most so many integers from 0 to ``high``."""
        value = self.data.get(name)
        if (
            not isinstance(value, list)
            or len(value) > most
            or any(type(n) is not int or not 0 <= n <= high for n in value)
        ):
            raise self._wrong(name, f"a list of at most {most} whole numbers up to {high}")
        return tuple(value)

    def number(self, name: str) -> float:
        """A number, 0 or more, that is finite."""
        value: Any = self.data.get(name)
        if type(value) not in (int, float) or not 0 <= value < 1e300 or math.isnan(value):
            raise self._wrong(name, "a number, 0 or more")
        return float(value)

    def boolean(self, name: str) -> bool:
        value = self.data.get(name)
        if not isinstance(value, bool):
            raise self._wrong(name, "true or false")
        return value

    def list_of(self, name: str, most: int) -> list[Any]:
        value = self.data.get(name)
        if not isinstance(value, list) or len(value) > most:
            raise self._wrong(name, f"a list of at most {most}")
        return value

    def fields(self, name: str) -> Fields:
        return Fields(self.data.get(name), name)

    def _wrong(self, name: str, wanted: str) -> ReplayError:
        return ReplayError(f"{self.where}: {name!r} is missing or is not {wanted}.")
