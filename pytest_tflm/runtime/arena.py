"""The smallest arena of a model, found by trying it on host TFLM."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pytest_tflm.errors import InterpreterCrashed
from pytest_tflm.runtime import packages
from pytest_tflm.runtime.worker import DEFAULT_TIMEOUT, START_TIMEOUT, Worker

if TYPE_CHECKING:
    from pytest_tflm.model import Model

_LEAST_ARENA = 1024
_ARENA_STEP = 16


def arena_needed(model: Model, *, timeout: float = DEFAULT_TIMEOUT) -> int:
    """The smallest arena, in bytes, in which host TFLM allocates ``model``'s tensors.

    A multiple of 16, at least 1 KiB. Found by trying: what TFLM itself reports can be too low
    (tensorflow/tflite-micro#890, #2738) and only says where to begin. Host TFLM has pointers of 64
    bits and records its allocations, so a board's TFLM needs less.

    Raises :class:`~pytest_tflm.errors.InterpreterRefused` if TFLM does not take the model at all,
    :class:`~pytest_tflm.errors.InterpreterMissing` and
    :class:`~pytest_tflm.errors.InterpreterCrashed`.
    """
    packages.check_installed("tflm")
    doing = f"while measuring the arena of {model.name}"
    with Worker("tflm", timeout=max(timeout, START_TIMEOUT)) as worker:

        def fits(arena: int) -> bool:
            try:
                return bool(worker.call("fits_arena", model.data, arena, doing=doing))
            except InterpreterCrashed:
                return False  # some arenas that are too small do that to TFLM

        return _smallest(fits, worker.call("recorded_arena", model.data, doing=doing))


def _smallest(fits: Callable[[int], bool], guess: int) -> int:
    """The smallest multiple of 16, from 1 KiB, that fits: in steps that grow away from ``guess``,
    then by bisection."""
    least, step = _LEAST_ARENA // _ARENA_STEP, 4
    high = max(least, -(-guess // _ARENA_STEP))
    low = least - 1  # taken not to fit; all in units of _ARENA_STEP
    if fits(high * _ARENA_STEP):
        while high - step > low:
            if not fits((high - step) * _ARENA_STEP):
                low = high - step
                break
            high -= step
            step *= 4
    else:
        low, high = high, high + step
        while not fits(high * _ARENA_STEP):
            step *= 4
            low, high = high, high + step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(middle * _ARENA_STEP) else (middle, high)
    return high * _ARENA_STEP
