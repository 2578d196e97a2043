"""Hosts that compute in numpy, without an interpreter: what the search makes of them is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pytest_tflm.errors import TflmError
from pytest_tflm.runtime.spec import RuntimeSpec

Kernel = Callable[[Any, list[Any]], list[Any]]


class NumpyHost:
    """``kernel`` gives for a model and its samples the first output of each sample, or raises a
    TflmError."""

    spec = RuntimeSpec("tflm")

    def __init__(self, name: str, kernel: Kernel) -> None:
        self.name = name
        self.kernel = kernel

    def attempt(self, model, samples: Sequence[Any]) -> _Attempt:
        try:
            return _Attempt([(array,) for array in self.kernel(model, list(samples))])
        except TflmError as error:
            return _Attempt(error)

    def note(self, error: TflmError) -> TflmError:
        return error

    def renew(self) -> None:
        pass

    def versions(self) -> dict[str, str]:
        return {self.name: "1"}


class _Attempt:
    def __init__(self, result: list[Any] | TflmError) -> None:
        self._result = result

    def outputs(self) -> list[Any]:
        if isinstance(self._result, TflmError):
            raise self._result
        return self._result


def copies(model, samples: list[Any]) -> list[Any]:
    """The first input as it is."""
    return [sample[0].copy() for sample in samples]
