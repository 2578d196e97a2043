"""Try a model on host TFLM, in a process of its own: does it prepare and run it?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_tflm.errors import CannotCut, InterpreterCrashed, InterpreterRefused, SampleError
from pytest_tflm.model.refusal import Refusal, read_refusal

if TYPE_CHECKING:
    from pytest_tflm.model import Model
    from pytest_tflm.runtime.base import Arrays, Host

_RANDOM, _AT_REST = "random codes 0", "all zero point"


def try_on_tflm(model: Model, host: Host) -> Refusal | None:
    """What TFLM says against ``model``: to preparing it, or to running it with a random input and
    with an input of zeros. None if it runs one of them: an index beyond its range is refused with
    good reason. ``host``: TFLM of this machine.

    Raises :class:`~pytest_tflm.errors.InterpreterMissing` if tflite-micro cannot be imported, and
    :class:`~pytest_tflm.errors.SampleError` for inputs that cannot be made up.
    """
    refusal = _refusal(model, host)
    if refusal is not None and refusal.crashed:
        return Refusal(refusal.words, _crashing_operator(model, host), crashed=True)
    return refusal


def _refusal(model: Model, host: Host) -> Refusal | None:
    found = None
    runtime = host.load(model)
    try:
        for sample in _samples(model):
            try:
                runtime.run(sample)
            except InterpreterRefused as error:
                found = read_refusal(model, error.details or str(error))
            else:
                return None
    except InterpreterCrashed as error:
        return Refusal(str(error).partition(";")[0], crashed=True)
    finally:
        runtime.close()
    return found


def _samples(model: Model) -> list[Arrays]:
    from pytest_tflm.model.transform.extremes import extreme_samples

    named = dict(extreme_samples(model))
    return [named[_RANDOM], named[_AT_REST]]


def _crashing_operator(model: Model, host: Host) -> int | None:
    """The first operator that crashes TFLM by itself; None if none does."""
    from pytest_tflm.model.transform.cut import cut_operator

    for operator in model.operators:
        try:
            refusal = _refusal(cut_operator(model, operator.index).model, host)
        except (CannotCut, SampleError):
            continue
        if refusal is not None and refusal.crashed:
            return operator.index
    return None
