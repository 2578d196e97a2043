"""The ladder: from the board to what the user evaluated with, neighbour by neighbour.

    board — host TFLM — BUILTIN_REF — the resolver the user evaluated with

Equal neighbours are one step. Where two differ, causes say why (:mod:`pytest_tflm.verdict.causes`);
those of interpreters are compared operator by operator here.

A model with state is a stream: samples run in order from one reset. All others are run in the
same way, since with a correct runtime it makes no difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pytest_tflm.compare.distance import run_gap
from pytest_tflm.errors import InterpreterError, TflmError
from pytest_tflm.verdict import behaviour, experiments, quantisation
from pytest_tflm.verdict.evidence import Evidence, Step, counted
from pytest_tflm.verdict.localise import on_hosts

if TYPE_CHECKING:
    from pytest_tflm.model import Model
    from pytest_tflm.runtime.base import Host

SAMPLES = 16
"""How many samples a ladder is climbed with at most. Of a stream, all are used."""


def climb(
    evidence: Evidence,
    given: Sequence[object],
    *,
    float_model: Model | None = None,
    codes: Sequence[object] | None = None,
) -> None:
    """Compare all neighbours and leave the steps in ``evidence``. ``given`` are the samples as the
    user gave them; ``float_model`` and ``codes`` as :func:`~.verdict.judge` takes them. What breaks
    on the way ends the ladder, and is part of the evidence."""
    row = evidence.row
    if row.board is not None and not _board_alone(evidence, row.board):
        _tflm_alone(evidence)
        return
    _hosts(evidence)
    if not {"tflm", "builtin_ref"} & evidence.outputs.keys():
        return
    if row.board is not None:
        _determinism(evidence)
        _board(evidence)
    if row.reference is not row.tflm:
        _tflm(evidence)
        if row.reference is not row.builtin_ref:
            _resolver(evidence)
    _quantising(evidence, given, float_model, codes)


def _board_alone(evidence: Evidence, board: Host) -> bool:
    model = evidence.model
    try:
        evidence.names["board"] = board.name
        outputs = board.attempt(model, evidence.samples).outputs()
        size = sum(array.nbytes for array in evidence.samples[0])
        inputs = counted(len(evidence.samples), "input")
        text = f"{inputs} of {size} bytes: Invoke saw each as it was sent (CRC-32)"
        evidence.add("link", "the link", "equal", text)
        board.load(model).check_identity()
    except TflmError as error:
        kind = type(error).__name__
        key, title = "link", "the link"
        if kind == "WrongModel":
            key, title = "identity", "the model on the board"
        evidence.broke(key, title, "board", error)
        if kind in ("WrongModel", "InputAltered"):
            step = evidence.step(key)
            assert step is not None
            step.outcome = "differs"
        return False
    evidence.outputs["board"] = outputs
    text = f"the board's model is the file: {model.size} bytes, CRC-32 {model.crc32:08x}"
    evidence.add("identity", "the model on the board", "equal", text)
    return True


def _tflm_alone(evidence: Evidence) -> None:
    """The board failed and gave no outputs: whether host TFLM takes the model."""
    tflm = evidence.row.tflm
    if tflm is None or evidence.differs("identity") or evidence.differs("link"):
        return
    evidence.names["tflm"] = tflm.name
    try:
        tflm.attempt(evidence.model, evidence.samples[:1]).outputs()
    except InterpreterError as error:
        evidence.broke("tflm", f"host TFLM ({tflm.name})", "tflm", error)


def _hosts(evidence: Evidence) -> None:
    """Run the samples on each interpreter that is compared. One that refuses the model or crashes
    is a step that cannot be climbed."""
    row = evidence.row
    compared = {"tflm": row.tflm, "builtin_ref": row.builtin_ref, "reference": row.reference}
    if row.reference is row.tflm:
        del compared["builtin_ref"]
    first: dict[int, str] = {}
    for key, host in compared.items():
        if host is None:
            continue
        evidence.names[key] = host.name
        same = first.setdefault(id(host), key)
        if same != key:
            if same in evidence.outputs:
                evidence.outputs[key] = evidence.outputs[same]
            continue
        try:
            evidence.outputs[key] = host.attempt(evidence.model, evidence.samples).outputs()
        except TflmError as error:
            step = "resolver" if key == "reference" else "tflm"
            evidence.broke(step, host.name, key, error)


# Does the board repeat itself?


def _determinism(evidence: Evidence) -> None:
    title = "the same input again"
    try:
        seen = behaviour.board_repeats(evidence)
    except TflmError as error:
        evidence.broke("determinism", title, "board", error)
        return
    if seen.is_steady:
        text = "deterministic: same output when repeated, and after other inputs"
        if evidence.model.is_stream:
            text = "deterministic: the same inputs in order, from a reset, give the same outputs"
        evidence.add("determinism", title, "equal", text)
        return
    text = f"the board is not deterministic: {seen.text}"
    if behaviour.is_unsteady_by_design(evidence):
        text = f"neither the board nor host TFLM repeats itself on this model: {seen.text}"
    evidence.add("determinism", title, "differs", text)


# Two neighbours each.


def compared(evidence: Evidence, key: str, title: str, got: str, want: str) -> Step:
    ours, theirs = evidence.outputs[got], evidence.outputs[want]
    found = run_gap(ours, theirs, float_tolerance=evidence.float_tolerance)
    return evidence.add(
        key,
        title,
        "differs" if found.differing else "equal",
        found.describe(),
        suspect=tuple(ours),
        trusted=tuple(theirs),
        gap=found.gap,
    )


def _board(evidence: Evidence) -> None:
    oracle, key = evidence.oracle
    step = compared(
        evidence, "board", f"{evidence.names['board']} against {oracle.name}", "board", key
    )
    if step.outcome == "equal":
        return
    if behaviour.is_unsteady_by_design(evidence):
        step.outcome = "cannot"
        step.text += "; but host TFLM does not repeat itself on this model"
    elif experiments.stored_shapes(evidence):
        step.outcome = "cannot"
        step.text += (
            "; but the file stores wrong shapes, with which TFLM reads uninitialised"
            " memory, on the board as on the host"
        )


def _tflm(evidence: Evidence) -> None:
    tflm, builtin_ref = evidence.row.tflm, evidence.row.builtin_ref
    if tflm is None or not {"tflm", "builtin_ref"} <= evidence.outputs.keys():
        return
    title = f"host TFLM against {builtin_ref.name}"
    step = compared(evidence, "tflm", title, "tflm", "builtin_ref")
    is_steady = evidence.row.board is None or not behaviour.is_unsteady_by_design(evidence)
    if step.outcome == "equal" and is_steady:
        return
    try:
        on_hosts(evidence, step, tflm, builtin_ref)
    except TflmError as error:
        evidence.broke("tflm", title, "tflm", error)


def _resolver(evidence: Evidence) -> None:
    reference, builtin_ref = evidence.row.reference, evidence.row.builtin_ref
    if not {"reference", "builtin_ref"} <= evidence.outputs.keys():
        return
    title = f"{reference.name} against {builtin_ref.name}"
    step = compared(evidence, "resolver", title, "reference", "builtin_ref")
    if step.outcome == "equal":
        return
    try:
        on_hosts(evidence, step, reference, builtin_ref)
    except TflmError as error:
        evidence.broke("resolver", title, "reference", error)


def _quantising(
    evidence: Evidence,
    given: Sequence[object],
    float_model: Model | None,
    codes: Sequence[object] | None,
) -> None:
    reals = quantisation.real_samples(evidence.model, given)
    if reals is not None:
        ours = [evidence.model.quantize(sample) for sample in given]
        quantisation.harness_step(evidence, reals, ours, evidence.row.builtin_ref)
        if codes is not None:
            quantisation.codes_step(evidence, reals, ours, codes)
    if float_model is not None and "builtin_ref" in evidence.outputs:
        quantisation.float_step(
            evidence,
            # Not those that were given: what the board ran before them is among the samples.
            quantisation.reals_of(evidence.model, evidence.samples),
            float_model,
            evidence.row.builtin_ref,
            evidence.outputs["builtin_ref"],
        )
