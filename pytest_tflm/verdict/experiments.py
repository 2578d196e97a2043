"""Experiments: runs that tell one cause from another, beyond comparing neighbours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pytest_tflm.compare.distance import gap_of
from pytest_tflm.errors import InterpreterError, ModelError, NotSupported
from pytest_tflm.runtime.base import outputs_of
from pytest_tflm.verdict.evidence import Evidence, Fact

if TYPE_CHECKING:
    from pytest_tflm.runtime.base import Arrays, Host


def stored_shapes(evidence: Evidence, builtin_ref: Host) -> dict[int, tuple[int, ...]]:
    """Operators whose outputs' real shapes are not the stored ones (fact ``stored shape``). Gives
    the real ones; nothing if all are as stored. Found out once."""
    model = evidence.model
    shapes = builtin_ref.observe(model, evidence.samples[:1])[0].shapes
    if evidence.fact("stored shape"):
        return shapes
    found = False
    for operator in model.operators:
        for index in operator.outputs:
            real, stored = shapes.get(index), model.tensors[index].shape
            if real is not None and real != stored:
                found = True
                values = {
                    "operator": operator.index,
                    "name": operator.name,
                    "real": list(real),
                    "stored": list(stored),
                }
                evidence.facts.append(Fact("stored shape", values, operator.index))
                break
    return shapes if found else {}


def frozen(
    evidence: Evidence,
    tflm: Host,
    builtin_ref: Host,
    outputs: Mapping[str, Sequence[Arrays]],
) -> None:
    """Whether TFLM is right once the real shapes are written into the file (fact ``frozen``)."""
    from pytest_tflm.model import model_from_bytes
    from pytest_tflm.model.transform.freeze import freeze

    model = evidence.model
    shapes = stored_shapes(evidence, builtin_ref)
    if not shapes:
        return
    try:
        real = model_from_bytes(freeze(model, shapes), f"{model.name} with real shapes")
        got = outputs_of(tflm, real, evidence.samples)
    except (ModelError, InterpreterError):
        return
    evidence.facts.append(Fact("frozen", {"gap": gap_of(got, outputs["builtin_ref"])}))


def without_delegates(evidence: Evidence, reference: Host, plain: Host) -> None:
    """Which operators that differ under ``reference`` also differ on ``plain``, without delegates
    (fact ``differs without delegates``), and whether observing changes the reference
    (``observed``)."""
    rung = evidence.rung("resolver")
    if rung is None or rung.localisation is None:
        return
    if reference.spec.resolver == "builtin_without_default_delegates":
        for result in rung.localisation.differing:
            evidence.facts.append(Fact("differs without delegates", operator=result.operator.index))
        return
    for result in rung.localisation.differing:
        if result.cut is None:
            continue
        made = outputs_of(plain, result.cut.model, result.inputs)
        if not gap_of(made, result.trusted).is_none:
            evidence.facts.append(Fact("differs without delegates", operator=result.operator.index))
    seen = reference.observe(evidence.model, evidence.samples)
    watched = gap_of([each.outputs.arrays for each in seen], rung.suspect)
    if not watched.is_none:
        evidence.facts.append(Fact("observed", {"gap": watched.describe()}))


def reloaded(evidence: Evidence, board: Host, want: Sequence[Arrays]) -> None:
    """Whether the board is right after the model was sent once more (fact ``reloaded``)."""
    board.load(evidence.model).reload()
    got = outputs_of(board, evidence.model, evidence.samples)
    evidence.facts.append(Fact("reloaded", {"cured": gap_of(got, want).is_none}))


def state_kept(evidence: Evidence, board: Host, oracle: Host) -> list[Fact]:
    """Whether the board, told to reset its state before each of a few inputs, answers exactly as a
    correct one that is never told (fact ``state kept``)."""
    samples = evidence.samples[:4]
    runtime = board.load(evidence.model)
    runtime.reload()
    mine = []
    for sample in samples:
        runtime.reset_state()
        mine.append(runtime.run(sample).arrays)
    host = oracle.load(evidence.model)

    def on_host(*, reset: bool) -> list[Arrays]:
        host.reset_state()
        made = []
        for sample in samples:
            if reset:
                host.reset_state()
            made.append(host.run(sample).arrays)
        return made

    never, always = on_host(reset=False), on_host(reset=True)
    if gap_of(mine, always).is_none or not gap_of(mine, never).is_none:
        return []
    return [Fact("state kept", {"gap": gap_of(mine, always).describe(), "samples": len(samples)})]


def reused_input(evidence: Evidence, board: Host) -> list[Fact]:
    """Whether Invoke left something else in the input tensors than was written there (fact ``input
    reused``)."""
    sample = evidence.samples[0]
    runtime = board.load(evidence.model)
    runtime.run(sample)
    try:
        left = runtime.read_inputs()
    except NotSupported:
        return []
    size = sum(array.nbytes for array in sample)
    changed = sum(
        x != y
        for a, b in zip(sample, left, strict=True)
        for x, y in zip(a.tobytes(), b.tobytes(), strict=True)
    )
    return [Fact("input reused", {"changed": changed, "size": size})] if changed else []


def kernels(evidence: Evidence, key: str, board: Host, oracle: Host) -> None:
    """Which known faults of kernels compute exactly what the board's operators compute (facts
    ``computes``)."""
    from pytest_tflm.verdict import kernel_faults

    rung = evidence.rung(key)
    if rung is None or rung.localisation is None:
        return
    for result in rung.localisation.differing:
        for fact in kernel_faults.explanations(result, board, oracle):
            evidence.facts.append(fact)
