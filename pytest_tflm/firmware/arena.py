"""The arena of a model that is compiled in: what host TFLM needs, what a board's kernels need
beyond that, and a margin."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pytest_tflm.firmware.scratch import KERNELS, more_than_host, rounded_up

if TYPE_CHECKING:
    from pytest_tflm.firmware.boards import Board
    from pytest_tflm.model import Model

_LEAST_MARGIN = 1024
_ALIGNMENT = 16


class Arena(NamedTuple):
    """``size`` bytes, for ``kernels``: names of :data:`~pytest_tflm.firmware.scratch.KERNELS`, none
    for a size that the user chose. ``condition`` is true for the preprocessor where this one is
    meant; it is empty for the one that is meant where no other is."""

    size: int
    kernels: tuple[str, ...] = ()
    condition: str = ""

    def describe(self) -> str:
        """``101632 bytes (CMSIS-NN)``."""
        return f"{self.size} bytes" + (f" ({', '.join(self.kernels)})" if self.kernels else "")


def arenas(model: Model, needed: int, board: Board) -> tuple[Arena, ...]:
    """The arenas for ``model`` on ``board`` if host TFLM needs ``needed`` bytes: one for each kind
    of processor that the board's project can be built for, the default last."""
    groups: dict[str, list[str]] = {}
    for name in board.kernels:
        groups.setdefault(KERNELS[name].condition, []).append(name)
    made = [
        Arena(
            with_margin(needed, max(more_than_host(model, name) for name in names)),
            tuple(names),
            condition,
        )
        for condition, names in groups.items()
    ]
    return tuple(sorted(made, key=lambda arena: not arena.condition))


def with_margin(needed: int, more: int) -> int:
    """An arena for a model for which host TFLM needs ``needed`` bytes and a board's kernels need
    ``more`` beyond them: a 32nd larger, at least 1 KiB. A board's pointers are half as long as the
    host's, which leaves more still; all of it is for kernels of other years."""
    arena = needed + more
    return rounded_up(arena + max(arena // 32, _LEAST_MARGIN), _ALIGNMENT)
