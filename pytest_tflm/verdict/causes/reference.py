"""Causes on this side of the cable: in the interpreter that the board is compared with, and in how
the samples became codes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pytest_tflm.verdict.causes.cause import Cause, Match
from pytest_tflm.verdict.causes.chain import magnifiers

if TYPE_CHECKING:
    from pytest_tflm.verdict.evidence import Evidence, OperatorResult


def _float_requantised(evidence: Evidence) -> Iterable[Match]:
    rung = evidence.rung("tflm")
    if rung is None or rung.localisation is None:
        return []
    found = [
        r
        for r in rung.localisation.differing
        if r.operator.name == "FULLY_CONNECTED" and r.gap is not None and r.gap.largest <= 1
    ]
    return _of(found, "tflm", version=evidence.versions.get("ai-edge-litert", ""))


def _kernels_of_tflm(evidence: Evidence) -> Iterable[Match]:
    """What differs between TFLM and TFLite of itself, and has no name of its own above."""
    rung = evidence.rung("tflm")
    if rung is None or rung.localisation is None:
        return []
    by_name: dict[str, list[OperatorResult]] = {}
    for result in rung.localisation.differing:
        name = result.operator.name
        rounded = result.gap is not None and result.gap.largest <= 1
        if name == "SPACE_TO_BATCH_ND" or (name == "FULLY_CONNECTED" and rounded):
            continue
        by_name.setdefault(name, []).append(result)
    return [match for results in by_name.values() for match in _of(results, "tflm")]


def _delegate(evidence: Evidence) -> Iterable[Match]:
    return _resolver(evidence, is_delegate=True)


def _optimised(evidence: Evidence) -> Iterable[Match]:
    return _resolver(evidence, is_delegate=False)


def _resolver(evidence: Evidence, *, is_delegate: bool) -> Iterable[Match]:
    rung = evidence.rung("resolver")
    if rung is None or rung.localisation is None:
        return []
    alike = {f.operator for f in evidence.facts_of("differs without delegates")}
    found = [
        r for r in rung.localisation.differing if (r.operator.index not in alike) == is_delegate
    ]
    by_name: dict[str, list[OperatorResult]] = {}
    for result in found:
        by_name.setdefault(result.operator.name, []).append(result)
    return [match for results in by_name.values() for match in _of(results, "resolver")]


def _of(found: list[OperatorResult], rung: str, **more: Any) -> list[Match]:
    if not found:
        return []
    worst = max(found, key=lambda r: (r.gap.largest, r.gap.elements) if r.gap else (0, 0))
    indices = tuple(r.operator.index for r in found)
    values = {
        "name": found[0].operator.name,
        "count": len(found),
        "operators": listed(indices),
        "largest": f"{worst.gap.largest:g}" if worst.gap else "",
        "worst": worst.operator.index,
        "gap": worst.gap.describe() if worst.gap else "",
        **more,
    }
    return [Match(values, indices, rung)]


def listed(indices: tuple[int, ...]) -> str:
    """``operator 3``, or ``operators 3, 7, 9 and 12 more``."""
    shown = ", ".join(map(str, indices[:16]))
    more = f" and {len(indices) - 16} more" if len(indices) > 16 else ""
    return f"operator{'s' * (len(indices) != 1)} {shown}{more}"


def _magnified(evidence: Evidence) -> Iterable[Match]:
    matches = []
    for rung in evidence.rungs:
        if rung.localisation is None:
            continue
        for result, before, after in magnifiers(rung.localisation):
            values = {
                "operator": result.operator.index,
                "name": result.operator.name,
                "before": f"{before:g}",
                "after": f"{after:g}",
            }
            matches.append(Match(values, (result.operator.index,), rung.key))
    matches.sort(key=lambda m: -float(m.values["after"]))
    return matches[:2]


def _observed(evidence: Evidence) -> Iterable[Match]:
    return [Match(f.values, rung="resolver") for f in evidence.facts_of("observed")]


def _broke(kind: str) -> Any:
    def match(evidence: Evidence) -> Iterable[Match]:
        return [
            Match(f.values) for f in evidence.facts_of("host broke") if f.values["kind"] == kind
        ]

    return match


def _quantised_otherwise(evidence: Evidence) -> Iterable[Match]:
    return [Match(f.values, rung="codes") for f in evidence.facts_of("codes")]


CAUSES = (
    Cause(
        "fully-connected-in-float",
        "TFLite requantises FULLY_CONNECTED in float",
        _float_requantised,
        "FULLY_CONNECTED ({operators}) differs between host TFLM and BUILTIN_REF by 1 LSB "
        "at most, with equal inputs: LiteRT from 1.3 on ({version} here) requantises it in float, "
        "TFLM in fixed point. That is so with any board.",
        "Compare at a tolerance of 1 LSB, or with host TFLM, which is exact: --tflm-runtime=tflm",
        "google-ai-edge/LiteRT#8567",
    ),
    Cause(
        "tflm-and-tflite-differ",
        "TFLM and TFLite compute an operator differently",
        _kernels_of_tflm,
        "{name} ({operators}) differs between host TFLM and BUILTIN_REF by at most {largest} "
        "LSB with equal inputs (operator {worst}: {gap}): the gap between the two, on any board. "
        "The board is not to blame.",
        "Compare with host TFLM, which is what a correct board computes: --tflm-runtime=tflm",
        "tensorflow/tensorflow#66358, tensorflow/tflite-micro#3046",
    ),
    Cause(
        "delegate-kernels",
        "the resolver's delegate computes with other kernels",
        _delegate,
        "{name} ({operators}) of {reference} differs from the reference kernel by at most "
        "{largest} LSB with equal inputs (operator {worst}: {gap}); without delegates it does not. "
        "That is XNNPACK, which rounds otherwise. That is so with any board.",
        "Evaluate with the reference kernels (--tflm-resolver=builtin_ref), or allow the "
        "difference (--tflm-tolerance).",
        "google-ai-edge/LiteRT#7441, tensorflow/tflite-micro#960",
    ),
    Cause(
        "optimised-kernels",
        "the optimised kernels of TFLite round otherwise",
        _optimised,
        "{name} ({operators}) of {reference} differs from the reference kernel by at most "
        "{largest} LSB with equal inputs (operator {worst}: {gap}), with delegates and without. "
        "That is so with any board.",
        "Evaluate with the reference kernels (--tflm-resolver=builtin_ref), or allow the "
        "difference (--tflm-tolerance).",
        "tensorflow/tflite-micro#3130, tensorflow/tensorflow#99072",
    ),
    Cause(
        "magnified",
        "an operator makes a small difference large",
        _magnified,
        "Operator {operator}, {name}, is equal of itself and makes a difference of {before} LSB "
        "before it one of {after} LSB behind it.",
        "Judge the outputs before it, or by what they are for (the largest class, say): a "
        "tolerance in LSB behind it says little.",
        "google-ai-edge/LiteRT#7441; MLPerf Tiny's ResNet: 5 LSB before SOFTMAX were 44 behind it",
        is_note=True,
    ),
    Cause(
        "observed-reference",
        "looking at inner tensors changes the reference's outputs",
        _observed,
        "With all tensors kept (experimental_preserve_all_tensors) {reference} gives other outputs "
        "than without ({gap}): the delegate then gets another graph.",
        "Read inner tensors with BUILTIN_REF or without delegates only.",
        "tensorflow/tensorflow#79355, google-ai-edge/LiteRT#413",
        is_note=True,
    ),
    Cause(
        "reference-crashed",
        "an interpreter on this machine crashed",
        _broke("InterpreterCrashed"),
        "{who} does not survive this model: {error}",
        "Compare with another interpreter (--tflm-runtime=tflm or litert) or resolver "
        "(--tflm-resolver).",
        "keyword_scrambled_8bit.tflite corrupts the heap under every TFLite resolver",
    ),
    Cause(
        "reference-refused",
        "an interpreter on this machine does not take the model",
        _broke("InterpreterRefused"),
        "{who} does not take this model: {error}",
        "Compare with another interpreter (--tflm-runtime=tflm or litert) or resolver "
        "(--tflm-resolver); convert the model with a newer converter.",
        "tensorflow/tflite-micro#2680 (refused by one and run by the other)",
    ),
    Cause(
        "quantised-otherwise",
        "the samples were quantised in another way than TFLite's",
        _quantised_otherwise,
        "The codes that were sent are the float samples {how}, and TFLite rounds halves away from "
        "zero and clamps: {gap} of the input differ.",
        "Give pytest-tflm the float samples, or quantise them as Model.quantize does.",
        "zephyrproject-rtos/zephyr#88638",
    ),
)
