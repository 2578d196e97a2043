"""Repair a model, and find out whether the repaired one computes what the original did.

:mod:`pytest_tflm.model.transform.repair` says what is done; here it is run before anybody gets it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_tflm.compare.distance import RunGap, run_gap, same
from pytest_tflm.errors import CannotRepair, InterpreterError, InterpreterMissing
from pytest_tflm.model.transform.repair import plan_repairs
from pytest_tflm.runtime.spec import RuntimeSpec

if TYPE_CHECKING:
    from pytest_tflm.model import Model
    from pytest_tflm.model.transform.repair import Step
    from pytest_tflm.runtime.base import Arrays, Host
    from pytest_tflm.runtime.hosts import Hosts


@dataclass(frozen=True, eq=False)
class Repaired:
    """``model`` is the repaired one, None if there was nothing to repair; ``steps`` what was done
    and ``left`` what could not be, in sentences. ``samples`` is the number of inputs over which
    BUILTIN_REF gives the same bits for both. ``before`` and ``after`` are how host TFLM
    differs from BUILTIN_REF, or why that is not known."""

    model: Model | None
    steps: tuple[Step, ...]
    left: tuple[str, ...]
    samples: int = 0
    before: RunGap | str = ""
    after: RunGap | str = ""


def run_shapes(model: Model, host: Host) -> dict[int, tuple[int, ...]]:
    """The shape that each tensor has in a run on ``host`` (BUILTIN_REF of LiteRT) at the stored
    batch size, by index.

    Raises an :class:`~pytest_tflm.errors.InterpreterError` if LiteRT does not run the model.
    """
    from pytest_tflm.model.transform.extremes import extreme_samples

    _, arrays = next(extreme_samples(model))
    return host.observe(model, [arrays])[0].shapes


def repair_model(model: Model, hosts: Hosts, *, only: str | None = None) -> Repaired:
    """Repair ``model`` as it calls for, or with the one repair ``only``
    (:data:`pytest_tflm.model.transform.repair.REPAIRS`).

    The result has been run: over random and extreme inputs, in a row and from the same state, it
    gives the bits that the original gives under BUILTIN_REF at the stored batch size. Raises
    :class:`~pytest_tflm.errors.CannotRepair` where that does not hold, and an
    :class:`~pytest_tflm.errors.InterpreterError` if LiteRT does not run the model.
    """
    from pytest_tflm.model.transform.extremes import extreme_samples

    litert = hosts.open(RuntimeSpec.of_interpreter("litert"))
    plan = plan_repairs(model, run_shapes(model, litert), only)
    if plan.model is None:
        return Repaired(None, (), plan.left)
    names, samples = zip(*extreme_samples(model), strict=True)
    reference = litert.attempt(model, samples).outputs()
    try:
        repaired = litert.attempt(plan.model, samples).outputs()
    except InterpreterError as error:
        raise CannotRepair(
            f"{model.name} was not repaired: BUILTIN_REF does not run the result ({error})"
        ) from None
    _check_equal(model, names, reference, repaired)
    before = _tflm_gap(hosts, model, samples, reference)
    after = _tflm_gap(hosts, plan.model, samples, reference)
    return Repaired(plan.model, plan.steps, plan.left, len(samples), before, after)


def _check_equal(
    model: Model, names: Sequence[str], reference: list[Arrays], repaired: list[Arrays]
) -> None:
    for name, left, right in zip(names, reference, repaired, strict=True):
        for tensor, a, b in zip(model.outputs, left, right, strict=True):
            if not same((a,), (b,)):
                raise CannotRepair(
                    f"{model.name} was not repaired: with the input '{name}', BUILTIN_REF gives "
                    f"other values for the output '{tensor.name}' of the result"
                )


def _tflm_gap(
    hosts: Hosts, model: Model, samples: Sequence[object], reference: list[Arrays]
) -> RunGap | str:
    """How host TFLM and BUILTIN_REF differ on a model, or why that is not known."""
    try:
        outputs = hosts.open(RuntimeSpec("tflm")).attempt(model, samples).outputs()
    except InterpreterMissing:
        return "not known: tflite-micro is not installed"
    except InterpreterError as error:
        return f"not known: {error}"
    return run_gap(outputs, reference)
