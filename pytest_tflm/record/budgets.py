"""Limits that a team gives a model: how long, how much memory. Figures are those of the board."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from pytest_tflm.errors import SettingsError
from pytest_tflm.runtime.latency import time_words

if TYPE_CHECKING:
    from pytest_tflm.runtime.base import OperatorTime

_UNITS = {"us": 1, "µs": 1, "ms": 1000, "s": 1_000_000}
CHANGES = ("outputs", "reference", "model", "samples", "versions", "latency", "arena", "accuracy")
"""Kinds of changes from a baseline."""
_SIZES = {"": 1, "k": 1024, "m": 1024 * 1024}


def microseconds(text: str, source: str) -> int:
    """``20ms``, ``750us``, ``1.5s`` in microseconds. Raises SettingsError naming ``source``."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(us|µs|ms|s)\s*", text)
    if found is None or not float(found[1]):
        raise SettingsError(f"{source}: {text!r} is not a time such as 20ms, 750us or 1.5s.")
    return max(1, round(float(found[1]) * _UNITS[found[2]]))


def bytes_of(text: str, source: str) -> int:
    """``90k``, ``1M``, ``4096`` in bytes; k is 1024. Raises SettingsError naming ``source``."""
    found = re.fullmatch(r"\s*(\d+)\s*([kKmM]?)(?:i?[bB])?\s*", text)
    if found is None or not int(found[1]):
        raise SettingsError(f"{source}: {text!r} is not a size such as 90k, 1M or 4096 (bytes).")
    return int(found[1]) * _SIZES[found[2].lower()]


def per_operator(text: str, source: str) -> dict[str, int]:
    """``CONV_2D:5ms,17:300us``: by an operator's kind or index, microseconds. Raises SettingsError
    naming ``source``."""
    limits = {}
    for part in text.split(","):
        name, colon, time = part.strip().rpartition(":")
        if not colon or not name:
            raise SettingsError(
                f"{source}: {part.strip()!r} is not OPERATOR:TIME, for example CONV_2D:5ms or"
                " 17:300us."
            )
        limits[name.strip()] = microseconds(time, source)
    return limits


def baseline_rules(text: str, source: str) -> dict[str, float]:
    """Read ``outputs:1,latency:10%,accuracy:0.5%``: what fails, and from how much on. ``outputs``
    and ``reference`` in LSB, ``latency`` and ``arena`` as a share of the baseline, ``accuracy`` in
    percentage points (as a share). Raises SettingsError naming ``source``."""
    found: dict[str, float] = {}
    for part in text.split(","):
        name, colon, amount = part.strip().partition(":")
        in_percent = name in ("latency", "arena", "accuracy")
        number = re.fullmatch(r"(\d+(?:\.\d+)?)%" if in_percent else r"(\d+)", amount)
        takes_none = name in ("model", "samples", "versions")
        if name not in CHANGES or (colon and (number is None or takes_none)):
            raise SettingsError(
                f"{source}: {part.strip()!r} is not one of {', '.join(CHANGES)}; outputs:1 allows "
                "1 LSB, latency:10% a tenth more."
            )
        value = float(number[1]) if number is not None else 0.0
        found[name] = value / 100 if in_percent else value
    return found


def slow_operators(times: Iterable[OperatorTime], limits: Mapping[str, int]) -> list[str]:
    """Operators that took longer than allowed, each in words, the worst first. A limit of a kind
    holds for each operator of that kind."""
    found = []
    for each in times:
        limit = limits.get(str(each.index), limits.get(each.name))
        if limit is not None and each.microseconds > limit:
            text = (
                f"{each.name} (operator {each.index}) took {time_words(each.microseconds)}, "
                f"{time_words(limit)} allowed"
            )
            found.append((each.microseconds / limit, text))
    return [text for _, text in sorted(found, reverse=True)]
