"""Causes in the model file: TFLM and TFLite read it differently."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pytest_tflm.verdict.causes.cause import Cause, Match
from pytest_tflm.verdict.causes.chain import is_hidden

if TYPE_CHECKING:
    from pytest_tflm.verdict.evidence import Evidence


def _stored_shapes(evidence: Evidence) -> Iterable[Match]:
    found = evidence.facts_of("stored shape")
    if not found or not (evidence.differs("tflm") or evidence.fact("tflm unsteady")):
        return []
    first = found[0]
    frozen = evidence.fact("frozen")
    proof = ""
    if frozen is not None:
        proof = (
            f" With the real shapes written into the file, host TFLM against BUILTIN_REF is: "
            f"{frozen.values['gap'].describe()}."
        )
    values = {**first.values, "count": len(found), "proof": proof}
    return [Match(values, tuple(f.operator for f in found if f.operator is not None), "tflm")]


def _space_to_batch_padding(evidence: Evidence) -> Iterable[Match]:
    for key in ("board", "tflm"):
        rung = evidence.rung(key)
        where = rung.localisation if rung is not None else None
        if where is None:
            continue
        found = [r for r in where.differing if r.operator.name == "SPACE_TO_BATCH_ND"]
        if not found or all(is_hidden(where, result) for result in found):
            continue  # of a hidden one a note says it
        worst = max(found, key=lambda r: r.gap.largest if r.gap else 0)
        values = {
            "operator": worst.operator.index,
            "gap": worst.gap.describe() if worst.gap else "",
            "count": len(found),
            "suspect": where.suspect,
            "trusted": where.trusted,
        }
        yield Match(values, tuple(r.operator.index for r in found), key)


def _hybrid(evidence: Evidence) -> Iterable[Match]:
    model = evidence.model
    found = []
    for operator in model.operators:
        tensors = [model.tensors[i] for i in operator.inputs if i >= 0]
        if (
            operator.name in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV",
                              "SVDF", "UNIDIRECTIONAL_SEQUENCE_LSTM", "BATCH_MATMUL")
            and len(tensors) > 1
            and tensors[0].dtype == "float32"
            and any(t.is_constant and t.dtype in ("int8", "uint8", "int4") for t in tensors[1:])
        ):  # fmt: skip
            found.append(operator)
    if not found:
        return []
    first = found[0]
    values = {"operator": first.index, "name": first.name, "count": len(found)}
    return [Match(values, tuple(o.index for o in found))]


CAUSES = (
    Cause(
        "stored-shapes",
        "the file stores shapes for another batch than the model computes",
        _stored_shapes,
        "Operator {operator}, {name}, makes a tensor of shape {real}, and the file stores "
        "{stored} for it ({count} such). TFLite infers shapes anew; TFLM trusts the stored ones "
        "and computes something else, silently.{proof}",
        "pytest-tflm model repair {path} -o {repaired} (or convert with a fixed batch: "
        "keras.Input(shape, batch_size=1))",
        "tensorflow/tflite-micro#2319, #3185",
    ),
    Cause(
        "space-to-batch-padding",
        "TFLM pads SPACE_TO_BATCH_ND with what its memory held",
        _space_to_batch_padding,
        "TFLM's SPACE_TO_BATCH_ND never sets the value that it pads with, TFLite pads with the "
        "zero point: {suspect} against {trusted}, operator {operator} alone, with equal inputs, "
        "differs in {gap} ({count} such).",
        "pytest-tflm model repair {path} -o {repaired} (folds SPACE_TO_BATCH_ND, the convolution "
        "and BATCH_TO_SPACE_ND into one dilated convolution)",
        "tensorflow/tflite-micro#1646",
    ),
    Cause(
        "hybrid-model",
        "the model is quantised only in its weights",
        _hybrid,
        "Operator {operator}, {name}, has float activations and integer weights ({count} such): a "
        "hybrid (dynamic range) model, which TFLM does not support.",
        "Convert with a representative dataset and int8 inputs and outputs (full integer "
        "quantisation).",
        "tensorflow/tflite-micro#757, #1556",
    ),
)
