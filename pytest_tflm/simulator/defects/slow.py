"""A slower processor, which is no defect: Invoke takes as long as it is told."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pytest_tflm.simulator.defects.wrapper import EngineWrapper

if TYPE_CHECKING:
    from pytest_tflm.simulator.engine.base import SimulatedEngine


class SlowEngine(EngineWrapper):
    """Invoke takes ``microseconds`` at least. It sleeps for what is left: this machine's processor
    is free meanwhile, as it is with a real board."""

    def __init__(self, engine: SimulatedEngine, microseconds: int) -> None:
        super().__init__(engine)
        self._microseconds = microseconds

    def invoke(self) -> int:
        end = time.monotonic() + self._microseconds / 1e6
        took = super().invoke()
        time.sleep(max(0.0, end - time.monotonic()))
        return max(took, self._microseconds)
