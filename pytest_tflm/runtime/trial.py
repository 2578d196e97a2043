"""Try a model on host TFLM, in a process of its own: does it prepare and run it?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_tflm.errors import CannotCut, InterpreterCrashed, InterpreterRefused, SampleError
from pytest_tflm.model.refusal import Refusal, read_refusal
from pytest_tflm.runtime.interpreter import InterpreterRuntime
from pytest_tflm.runtime.worker import DEFAULT_TIMEOUT, Worker

if TYPE_CHECKING:
    from pytest_tflm.model import Model
    from pytest_tflm.runtime.base import Arrays

_RANDOM, _AT_REST = "random codes 0", "all zero point"


def try_on_tflm(model: Model, *, timeout: float = DEFAULT_TIMEOUT) -> Refusal | None:
    """What host TFLM says against ``model``: to preparing it, or to running it with a random input
    and with an input of zeros. None if it runs one of them: an index beyond its range is refused
    with good reason. ``timeout`` is in seconds, for each step.

    Raises :class:`~pytest_tflm.errors.InterpreterMissing` if tflite-micro is not installed.
    """
    with Worker("tflm", timeout=timeout) as worker:
        refusal = _refusal(model, worker, timeout)
        if refusal is not None and refusal.crashed:
            return Refusal(refusal.words, _crashing_operator(model, worker, timeout), crashed=True)
        return refusal


def _refusal(model: Model, worker: Worker, timeout: float) -> Refusal | None:
    try:
        with InterpreterRuntime("tflm", model, timeout=timeout, worker=worker) as runtime:
            found = None
            for sample in _samples(model):
                try:
                    runtime.run(sample)
                except InterpreterRefused as error:
                    found = read_refusal(model, error.details or str(error))
                else:
                    return None
            return found
    except InterpreterCrashed as error:
        return Refusal(str(error).partition(";")[0], crashed=True)


def _samples(model: Model) -> list[Arrays]:
    from pytest_tflm.model.transform.extremes import extreme_samples

    named = dict(extreme_samples(model))
    return [named[_RANDOM], named[_AT_REST]]


def _crashing_operator(model: Model, worker: Worker, timeout: float) -> int | None:
    """The first operator that crashes TFLM by itself; None if none does."""
    from pytest_tflm.model.transform.cut import cut_operator

    for operator in model.operators:
        try:
            refusal = _refusal(cut_operator(model, operator.index).model, worker, timeout)
        except (CannotCut, SampleError):
            continue
        if refusal is not None and refusal.crashed:
            return operator.index
    return None
