"""An engine, and what is between it and the port, with the defects that a board was given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_tflm.simulator.defects.board import WRAPPERS
from pytest_tflm.simulator.defects.kernel_engine import KernelEngine
from pytest_tflm.simulator.defects.link import InputAltered, OtherModelSaid, Tampering
from pytest_tflm.simulator.defects.memory import ArenaOverlap, OtherModel, WeightChanged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_tflm.simulator.defects.registry import Chosen
    from pytest_tflm.simulator.engine.wrapper import SimulatedEngine


def defective(
    engine: SimulatedEngine, chosen: Sequence[Chosen], seed: int
) -> tuple[SimulatedEngine, list[Tampering]]:
    """``engine`` with those defects, and what happens to the bytes to and from the board.

    ``seed`` is of what is bad by chance.
    """
    if kernels := [each for each in chosen if each.is_kernel]:
        engine = KernelEngine(engine, kernels)
    tampering: list[Tampering] = []
    for each in chosen:
        name = each.defect.name
        if each.is_kernel:
            continue
        if name == "arena-overlap":
            engine = ArenaOverlap(engine)
        elif name == "weight-changed":
            engine = WeightChanged(engine)
        elif name == "other-model":
            engine = OtherModel(engine)
            tampering.append(OtherModelSaid(engine))
        elif name == "input-altered":
            tampering.append(InputAltered())
        else:
            engine = WRAPPERS[name](engine, each, seed)
    return engine, tampering
