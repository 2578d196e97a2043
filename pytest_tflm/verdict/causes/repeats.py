"""Causes by which equal inputs do not give equal outputs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pytest_tflm.verdict import around, behaviour
from pytest_tflm.verdict.causes.cause import Match, Stage, cause

if TYPE_CHECKING:
    from pytest_tflm.verdict.evidence import Evidence


@cause(
    "drifting-outputs",
    "the board's outputs drift with each run",
    Stage.REPEATS,
    remedy="Something in the firmware keeps adding up: an input that is scaled in place, a "
    "filter's state, a tensor that Invoke uses again. Write the whole input before every Invoke.",
    citation="espressif/esp-tflite-micro#67, tensorflow/tflite-micro#2260",
)
def _drifting(evidence: Evidence) -> Iterator[Match]:
    seen = behaviour.unsteady(evidence)
    if seen is not None and seen.drifts and not _is_explained(evidence):
        yield Match(
            f"The same input, run {seen.runs} times, gives other outputs each time, always moving "
            f"the same way (by up to {seen.step} LSB a run"
            f"{', only ' + seen.place if seen.place else ''}); host TFLM repeats itself.",
            step="determinism",
        )


@cause(
    "state-not-reset",
    "the model's state is not reset",
    Stage.REPEATS,
    remedy="Call interpreter->Reset() (ResetVariableTensors in older TFLM) between sequences; "
    "older releases reset to 0 where the zero point is meant.",
    citation="tensorflow/tflite-micro PR#1750",
)
def _state_not_reset(evidence: Evidence) -> Iterator[Match]:
    kept = behaviour.state_kept(evidence) if behaviour.unsteady(evidence) is not None else None
    if kept is not None:
        yield Match(
            f"{evidence.model.name} has state. The host requests a reset before each of "
            f"{kept.samples} inputs, and the board answers exactly as a correct one without resets"
            f" ({kept.gap}).",
            step="determinism",
        )
    elif _is_reset_elsewhere(evidence):
        yield Match(
            "A reset does not restore the state that the model has after loading: TFLM sets"
            " resource variables to 0, and not to what the model's initialiser (CALL_ONCE) writes."
            " Loaded again, the board repeats its first outputs.",
            step="determinism",
            remedy="Let variables begin as 0, or load the model again instead of a reset.",
        )


def _is_reset_elsewhere(evidence: Evidence) -> bool:
    """A model with an initialiser, whose first run alone begins with its values."""
    seen = behaviour.unsteady(evidence)
    return (
        seen is not None
        and seen.order
        and evidence.model.has_hidden_variables
        and behaviour.is_cured_by_loading(evidence)
    )


@cause(
    "first-run",
    "the first run of a model is wrong",
    Stage.REPEATS,
    remedy="Something is ready only after the first Invoke: an accelerator or a cache that is "
    "switched on there, uninitialised memory, outputs that are read before they are complete. Find"
    " what that run sets up, and set it up earlier.",
)
def _first_run(evidence: Evidence) -> Iterator[Match]:
    seen = behaviour.unsteady(evidence)
    if seen is not None and seen.order and behaviour.is_wrong_at_first(evidence):
        yield Match(
            "A sample is wrong in the first run after the model was loaded, and right in the runs "
            "after it. That is so each time that the model is loaded.",
            step="determinism",
        )


@cause(
    "nondeterministic-board",
    "the board is not deterministic",
    Stage.REPEATS,
    remedy="Uninitialised memory, or memory that something else writes: an arena that is too small"
    " or shared, another task or interrupt, a stack overflow, an unstable supply or clock; only"
    " after other inputs: something that the firmware or a kernel sets up once.",
    citation="espressif/esp-tflite-micro#67, tensorflow/tflite-micro PR#1548 (arena not aligned)",
)
def _unsteady(evidence: Evidence) -> Iterator[Match]:
    seen = behaviour.unsteady(evidence)
    if seen is None or seen.drifts or _is_explained(evidence):
        return
    if seen.order and evidence.differs("board") and behaviour.is_right_at_first(evidence):
        return  # which has a name of its own
    if seen.order and behaviour.is_wrong_at_first(evidence):
        return  # and so has that
    if behaviour.state_kept(evidence) is None and not _is_reset_elsewhere(evidence):
        operators = behaviour.unsteady_operators(evidence)
        alone = ""
        if 2 * len(operators) > len(evidence.model.operators):
            alone = (
                f" {len(operators)} of {len(evidence.model.operators)} operators do so in"
                " isolation: the cause is not a kernel."
            )
        elif operators:
            alone = (
                f" In isolation, {', '.join(operators[:4])} do{'es' * (len(operators) == 1)}"
                " so, too."
            )
        yield Match(
            f"Equal inputs do not give equal outputs ({seen.text}); host TFLM repeats itself."
            f"{alone}",
            step="determinism",
        )


def _is_explained(evidence: Evidence) -> bool:
    """Outputs of the run before are why a board does not repeat itself."""
    if evidence.outcome("board") != "differs":
        return False
    got, want = evidence.outputs["board"], evidence.outputs[evidence.oracle[1]]
    if behaviour.stale(evidence) is not None or behaviour.stale_tail(got, want) is not None:
        return True
    copy = around.copied(evidence)
    return copy is not None and copy.stale is not None
