"""Repair a model, and find out whether the repaired one computes what the original did.

:mod:`pytest_tflm.model.transform.repair` says what is done; here it is run before anybody gets it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_tflm.errors import CannotRepair, InterpreterError, InterpreterMissing
from pytest_tflm.model.transform.repair import plan_repairs
from pytest_tflm.runtime.interpreter import InterpreterRuntime
from pytest_tflm.runtime.observe import Observer
from pytest_tflm.runtime.worker import DEFAULT_TIMEOUT, Worker

if TYPE_CHECKING:
    from pytest_tflm.model import Model
    from pytest_tflm.model.transform.repair import Step
    from pytest_tflm.runtime.base import Outputs

__all__ = ["Gap", "Repaired", "repair_model", "run_shapes"]


@dataclass(frozen=True)
class Gap:
    """How host TFLM and BUILTIN_REF differ: in ``differing`` of ``samples``, by ``lsb`` codes at
    most (None if an output that differs has no codes)."""

    samples: int
    differing: int
    lsb: int | None

    def __str__(self) -> str:
        if not self.differing:
            return f"equal in all {self.samples} samples"
        far = "" if self.lsb is None else f", by at most {self.lsb} LSB"
        return f"different in {self.differing} of {self.samples} samples{far}"


@dataclass(frozen=True, eq=False)
class Repaired:
    """``model`` is the repaired one, None if there was nothing to repair; ``steps`` what was done
    and ``left`` what could not be, in sentences. ``samples`` is the number of inputs over which
    BUILTIN_REF gives the same bits for both. ``before`` and ``after`` are host TFLM's gaps to
    BUILTIN_REF, or a sentence why there is none."""

    model: Model | None
    steps: tuple[Step, ...]
    left: tuple[str, ...]
    samples: int = 0
    before: Gap | str = ""
    after: Gap | str = ""


def run_shapes(
    model: Model, *, timeout: float = DEFAULT_TIMEOUT, worker: Worker | None = None
) -> dict[int, tuple[int, ...]]:
    """The shape that each tensor has in a run of BUILTIN_REF at the stored batch size, by index.

    Raises an :class:`~pytest_tflm.errors.InterpreterError` if LiteRT does not run the model.
    """
    from pytest_tflm.model.transform.extremes import extreme_samples

    _, arrays = next(extreme_samples(model))
    observer = Observer("litert", model, timeout=timeout, worker=worker)
    with observer:
        return observer.observe(arrays).shapes


def repair_model(
    model: Model, *, only: str | None = None, timeout: float = DEFAULT_TIMEOUT
) -> Repaired:
    """Repair ``model`` as it calls for, or with the one repair ``only``
    (:data:`pytest_tflm.model.transform.repair.REPAIRS`).

    The result has been run: over random and extreme inputs, in a row and from the same state, it
    gives the bits that the original gives under BUILTIN_REF at the stored batch size. Raises
    :class:`~pytest_tflm.errors.CannotRepair` where that does not hold, and an
    :class:`~pytest_tflm.errors.InterpreterError` if LiteRT does not run the model.
    """
    from pytest_tflm.model.transform.extremes import extreme_samples

    with Worker("litert builtin_ref", timeout=timeout) as worker:
        plan = plan_repairs(model, run_shapes(model, timeout=timeout, worker=worker), only)
        if plan.model is None:
            return Repaired(None, (), plan.left)
        names, samples = zip(*extreme_samples(model), strict=True)
        reference = _run("litert", model, samples, timeout, worker)
        try:
            repaired = _run("litert", plan.model, samples, timeout, worker)
        except InterpreterError as error:
            raise CannotRepair(
                f"{model.name} was not repaired: BUILTIN_REF does not run what came of it ({error})"
            ) from None
        _check_equal(model, names, reference, repaired)
        before = _tflm_gap(model, samples, reference, timeout)
        after = _tflm_gap(plan.model, samples, reference, timeout)
        return Repaired(plan.model, plan.steps, plan.left, len(samples), before, after)


def _run(
    kind: str, model: Model, samples: Sequence[Any], timeout: float, worker: Worker | None = None
) -> list[Outputs]:
    with InterpreterRuntime(kind, model, timeout=timeout, worker=worker) as runtime:
        return list(runtime.run_many(samples))


def _check_equal(
    model: Model, names: Sequence[str], reference: list[Outputs], repaired: list[Outputs]
) -> None:
    for name, left, right in zip(names, reference, repaired, strict=True):
        for tensor, a, b in zip(model.outputs, left.arrays, right.arrays, strict=True):
            # Bytes, not values: also for NaN and for -0.
            if a.shape != b.shape or a.tobytes() != b.tobytes():
                raise CannotRepair(
                    f"{model.name} was not repaired: with the input '{name}', BUILTIN_REF gives "
                    f"other values for the output '{tensor.name}' of what came of it"
                )


def _tflm_gap(
    model: Model, samples: Sequence[Any], reference: list[Outputs], timeout: float
) -> Gap | str:
    try:
        outputs = _run("tflm", model, samples, timeout)
    except InterpreterMissing:
        return "not known: tflite-micro is not installed"
    except InterpreterError as error:
        return f"not known: {error}"
    differing, largest, has_codes = 0, 0, True
    for left, right in zip(reference, outputs, strict=True):
        differs = False
        for a, b in zip(left.arrays, right.arrays, strict=True):
            if a.tobytes() == b.tobytes():
                continue
            differs = True
            if a.shape != b.shape or a.dtype.kind not in "iu":
                has_codes = False
            else:
                wide = a.astype(object) if a.dtype.itemsize == 8 else a.astype("int64")
                largest = max(largest, int(abs(wide - b).max()))
        differing += differs
    return Gap(len(samples), differing, largest if has_codes else None)
