"""Defects of a board's firmware as a whole: what it forgets, what it refuses, when it ends."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from pytest_tflm.model import model_from_bytes
from pytest_tflm.simulator.defects.registry import DefectiveEngine, defect
from pytest_tflm.simulator.engine.base import Refusal, Status

if TYPE_CHECKING:
    from pytest_tflm.simulator.engine.base import Loaded


@defect(
    "state-kept",
    says="a reset does not change the model's variables",
    cause="state-not-reset",
    shows="models with variables",
)
class _StateKept(DefectiveEngine):
    def reset_state(self) -> None:
        pass


@defect(
    "invoke-twice",
    says="Invoke runs twice for each input, so that a state goes two steps",
    cause="state-advances",
    shows="models with variables",
)
class _InvokeTwice(DefectiveEngine):
    def invoke(self) -> int:
        return super().invoke() + super().invoke()


@defect(
    "first-run-lost",
    says="the first run after a model was loaded leaves all outputs at code 0",
    cause="first-run",
)
class _FirstRunLost(DefectiveEngine):
    _is_first = False

    def prepare(self, model: bytes) -> Loaded:
        self._is_first = True
        return super().prepare(model)

    def invoke(self) -> int:
        microseconds = super().invoke()
        if self._is_first:
            for tensor in self.outputs:
                tensor.data[...] = 0
        self._is_first = False
        return microseconds


@defect(
    "lost-version",
    says="rejects operators with a version above 1; with an operator, only of that type",
    cause="operator-version",
    shows="models with such operators",
    operator=True,
)
class _LostVersion(DefectiveEngine):
    def prepare(self, model: bytes) -> Loaded:
        loaded = super().prepare(model)
        for each in model_from_bytes(model).operators:
            if each.version > 1 and self.chosen.operator in (None, each.name):
                self.unload()
                # The words of TFLM's op resolver.
                raise Refusal(
                    Status.OPERATOR_MISSING,
                    f"Didn't find op for builtin opcode '{each.name}' version '{each.version}'",
                )
        return loaded


@defect(
    "only-first-operator",
    says="only the type of the first operator of the first model is registered",
    cause="operator-missing",
    shows="models with more than one operator type",
)
class _OnlyFirstOperator(DefectiveEngine):
    _registered = ""

    def prepare(self, model: bytes) -> Loaded:
        loaded = super().prepare(model)
        names = [each.name for each in model_from_bytes(model).operators]
        self._registered = self._registered or names[0]
        for name in names:
            if name != self._registered:
                self.unload()
                raise Refusal(
                    Status.OPERATOR_MISSING, f"Didn't find op for builtin opcode '{name}'"
                )
        return loaded


@defect("crash", says="the board's process dies in Invoke", cause="board-broke")
class _Crash(DefectiveEngine):
    def invoke(self) -> int:
        os.kill(os.getpid(), signal.SIGSEGV)
        return 0
