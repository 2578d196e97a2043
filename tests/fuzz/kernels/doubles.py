"""Runners that compute in numpy, without an interpreter: what the search makes of them is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pytest_tflm.fuzz.kernels.codes import Sample
from pytest_tflm.fuzz.kernels.operators.case import OperatorCase
from pytest_tflm.fuzz.kernels.runners import Failed, Ran

Kernel = Callable[[OperatorCase, list[Sample]], "list[Any] | Failed"]


class NumpyRunner:
    """``kernel`` gives for a case and its samples the first output of each sample, or a failure."""

    def __init__(self, name: str, kernel: Kernel) -> None:
        self.name = name
        self.kernel = kernel
        self.runs = 0
        self._result: Ran | Failed | None = None

    def start(self, case: OperatorCase, samples: Sequence[Sample]) -> None:
        self.runs += 1
        found = self.kernel(case, list(samples))
        self._result = found if isinstance(found, Failed) else Ran([(array,) for array in found])

    def finish(self) -> Ran | Failed:
        assert self._result is not None
        return self._result

    def renew(self) -> None:
        pass

    def versions(self) -> dict[str, str]:
        return {self.name: "1"}

    def close(self) -> None:
        pass


def copies(case: OperatorCase, samples: list[Sample]) -> list[Any]:
    """The first input as it is."""
    return [sample[0].copy() for sample in samples]
