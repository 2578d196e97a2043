"""What a cause is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_tflm.verdict.evidence import Evidence


@dataclass(frozen=True)
class Match:
    """Evidence that fits a cause. ``values`` fill its sentence; ``operators`` are those accused;
    ``rung`` is the step of the ladder that it explains, if it is one."""

    values: dict[str, Any] = field(default_factory=dict)
    operators: tuple[int, ...] = ()
    rung: str = ""


@dataclass(frozen=True)
class Cause:
    """A known reason for other outputs.

    ``name`` is that of its page, ``docs/causes/NAME.md``. ``match`` reads the evidence and gives
    each place that fits, none if none does. ``sentence`` and ``remedy`` are filled with the match's
    values (``str.format``); of those every sentence may use ``model``, ``board`` and ``reference``.
    ``citation`` names who saw it before. A *note* does not explain a failure of itself, it says
    what is worth knowing beside.
    """

    name: str
    title: str
    match: Callable[[Evidence], Iterable[Match]]
    sentence: str
    remedy: str
    citation: str = ""
    is_note: bool = False


@dataclass(frozen=True)
class Accusation:
    """A cause that fits, as the report shows it."""

    cause: Cause
    match: Match
    sentence: str
    remedy: str

    @property
    def name(self) -> str:
        return self.cause.name

    @property
    def operators(self) -> tuple[int, ...]:
        return self.match.operators
