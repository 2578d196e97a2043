"""Causes on this side of the cable: in the interpreters that the board is compared with, and in how
the samples became codes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_tflm.verdict import experiments
from pytest_tflm.verdict.causes.cause import Match, Stage, cause
from pytest_tflm.verdict.causes.chain import is_hidden, magnifiers
from pytest_tflm.verdict.evidence import Evidence, OperatorResult, listed, worst_of

_REFERENCE_KERNELS = (
    "Evaluate with the reference kernels (--tflm-resolver=builtin_ref), or allow the difference "
    "(--tflm-tolerance)."
)


def _by_type(evidence: Evidence, key: str) -> dict[str, list[OperatorResult]]:
    step = evidence.step(key)
    return step.localisation.by_type if step is not None and step.localisation else {}


def _is_rounding(result: OperatorResult) -> bool:
    gap = result.gap
    return gap is not None and gap.lsb == 1 and not gap.real and not gap.shapes


def _sized(results: Sequence[OperatorResult]) -> str:
    """The largest difference, with its unit."""
    gap = worst_of(results).gap
    if gap is None:
        return ""
    return f"{gap.lsb} LSB" if gap.lsb else f"{gap.real:.3g}"


def _worst(results: Sequence[OperatorResult]) -> str:
    worst = worst_of(results)
    return f"operator {worst.operator.index}: {worst.gap.describe() if worst.gap else ''}"


def _indices(results: Sequence[OperatorResult]) -> tuple[int, ...]:
    return tuple(result.operator.index for result in results)


@cause(
    "fully-connected-in-float",
    "TFLite requantises FULLY_CONNECTED in float",
    Stage.HOSTS,
    remedy="Compare at a tolerance of 1 LSB, or with host TFLM, which is exact: "
    "--tflm-runtime=tflm",
    citation="google-ai-edge/LiteRT#8567",
)
def _float_requantised(evidence: Evidence) -> Iterator[Match]:
    found = [r for r in _by_type(evidence, "tflm").get("FULLY_CONNECTED", []) if _is_rounding(r)]
    if found:
        version = evidence.versions.get("ai-edge-litert", "")
        yield Match(
            f"FULLY_CONNECTED ({listed(found)}) differs between host TFLM and BUILTIN_REF by 1 LSB "
            f"at most, with equal inputs: LiteRT from 1.3 on ({version} here) requantises it in "
            "float, TFLM in fixed point. That is so with any board.",
            _indices(found),
            "tflm",
        )


@cause(
    "tflm-and-tflite-differ",
    "TFLM and TFLite compute an operator differently",
    Stage.HOSTS,
    remedy="Compare with host TFLM, which is what a correct board computes: --tflm-runtime=tflm",
    citation="tensorflow/tensorflow#66358, tensorflow/tflite-micro#3046",
)
def _kernels_of_tflm(evidence: Evidence) -> Iterator[Match]:
    for name, results in _by_type(evidence, "tflm").items():
        found = [r for r in results if not _is_rounding(r)]
        if found and name != "SPACE_TO_BATCH_ND":
            yield Match(
                f"{name} ({listed(found)}) differs between host TFLM and BUILTIN_REF by at most "
                f"{_sized(found)} with equal inputs ({_worst(found)}): the gap between the two, on "
                "any board. The board is not to blame.",
                _indices(found),
                "tflm",
            )


def _of_resolver(evidence: Evidence, *, is_delegate: bool) -> Iterator[Match]:
    by_type = _by_type(evidence, "resolver")
    alike = experiments.differs_without_delegates(evidence) if by_type else frozenset()
    for name, results in by_type.items():
        found = [r for r in results if (r.operator.index not in alike) == is_delegate]
        if not found:
            continue
        how = (
            "without delegates it does not. That is XNNPACK, which rounds differently."
            if is_delegate
            else "with delegates and without."
        )
        joint = ";" if is_delegate else ","
        yield Match(
            f"{name} ({listed(found)}) of {evidence.names['reference']} differs from the reference "
            f"kernel by at most {_sized(found)} with equal inputs ({_worst(found)}){joint} {how} "
            "That is so with any board.",
            _indices(found),
            "resolver",
        )


@cause(
    "delegate-kernels",
    "the delegate (XNNPACK) uses different kernels",
    Stage.HOSTS,
    remedy=_REFERENCE_KERNELS,
    citation="google-ai-edge/LiteRT#7441, tensorflow/tflite-micro#960",
)
def _delegate(evidence: Evidence) -> Iterator[Match]:
    return _of_resolver(evidence, is_delegate=True)


@cause(
    "optimised-kernels",
    "the optimised kernels of TFLite round differently",
    Stage.HOSTS,
    remedy=_REFERENCE_KERNELS,
    citation="tensorflow/tflite-micro#3130, tensorflow/tensorflow#99072",
)
def _optimised(evidence: Evidence) -> Iterator[Match]:
    return _of_resolver(evidence, is_delegate=False)


def _broken(evidence: Evidence, kind: str, words: str) -> Iterator[Match]:
    told = set()
    for each in evidence.broken:
        if each.who == "board" or each.kind != kind or each.error in told:
            continue
        if each.who == "tflm" and any(other.who == "board" for other in evidence.broken):
            continue  # the model is refused everywhere
        told.add(each.error)
        name = evidence.names.get(each.who, each.who)
        yield Match(f"{name} {words} this model: {each.error}", step=each.step)


@cause(
    "reference-crashed",
    "a host interpreter crashed",
    Stage.HOSTS,
    remedy="Compare with another interpreter (--tflm-runtime=tflm or litert) or resolver "
    "(--tflm-resolver).",
    citation="keyword_scrambled_8bit.tflite corrupts the heap under every TFLite resolver",
)
def _crashed(evidence: Evidence) -> Iterator[Match]:
    return _broken(evidence, "InterpreterCrashed", "does not survive")


@cause(
    "reference-refused",
    "the host interpreter rejects the model",
    Stage.HOSTS,
    remedy="Compare with another interpreter (--tflm-runtime=tflm or litert) or resolver "
    "(--tflm-resolver); convert the model with a newer converter.",
    citation="tensorflow/tflite-micro#2680 (refused by one and run by the other)",
)
def _refused(evidence: Evidence) -> Iterator[Match]:
    return _broken(evidence, "InterpreterRefused", "does not take")


@cause(
    "quantised-otherwise",
    "the samples were quantised differently from TFLite",
    Stage.HOSTS,
    remedy="Give pytest-tflm the float samples, or quantise them as Model.quantize does.",
    citation="zephyrproject-rtos/zephyr#88638",
)
def _quantised_otherwise(evidence: Evidence) -> Iterator[Match]:
    step = evidence.step("codes")
    if step is not None and step.outcome == "differs":
        yield Match(
            f"The codes that were sent are the float samples {step.text}. TFLite rounds halves "
            "away from zero and clamps.",
            step="codes",
        )


@cause(
    "magnified",
    "an operator makes a small difference large",
    Stage.NOTE,
    remedy="Judge the outputs before it, or by what they are for (the largest class, say): a "
    "tolerance in LSB behind it says little.",
    citation="google-ai-edge/LiteRT#7441; MLPerf Tiny's ResNet: 5 LSB before SOFTMAX were 44 "
    "behind it",
)
def _magnified(evidence: Evidence) -> Iterator[Match]:
    found = [
        (after, before, result, step.key)
        for step in evidence.steps
        if step.localisation is not None
        for result, before, after in magnifiers(step.localisation)
    ]
    found.sort(key=lambda each: -each[0])
    for after, before, result, key in found[:2]:
        yield Match(
            f"Operator {result.operator.index}, {result.operator.name}, is equal in isolation and"
            f" turns a difference of {before:g} LSB before it into {after:g} LSB after it.",
            (result.operator.index,),
            key,
        )


@cause(
    "not-a-number",
    "a NaN or an infinity arises in the model",
    Stage.NOTE,
    remedy="Look at the operator's inputs there (a division by 0, a square root or logarithm of a "
    "negative number, an overflow), and at the samples: one NaN there can make all outputs NaN.",
)
def _not_a_number(evidence: Evidence) -> Iterator[Match]:
    found = experiments.first_nan(evidence)
    if found is None:
        return
    if found.operator < 0:
        yield Match(f"Sample {found.sample} holds a NaN or an infinity itself, in input 0.")
        return
    yield Match(
        f"The first NaN or infinity on {found.who} comes from operator {found.operator}, "
        f"{found.name}, whose inputs have none (sample {found.sample}).",
        (found.operator,),
    )


@cause(
    "hidden-difference",
    "difference masked by later operators",
    Stage.NOTE,
    remedy="Nothing to do for this model; another model with this operator may show it.",
    citation="tensorflow/tflite-micro#1646 in a causal TCN",
)
def _hidden(evidence: Evidence) -> Iterator[Match]:
    for step in evidence.steps:
        where = step.localisation
        # Where the chain of operators is not what the model computes, nobody knows what is hidden.
        if where is None or where.explains is False:
            continue
        found = [r for r in where.differing if is_hidden(where, r)]
        if found:
            names = ", ".join(dict.fromkeys(r.operator.name for r in found))
            yield Match(
                f"{names} ({listed(found)}) of {where.suspect} differs from {where.trusted} in"
                f" isolation ({_worst(found)}), and later operators crop, mask or saturate it "
                "away.",
                _indices(found),
                step.key,
            )


@cause(
    "observed-reference",
    "reading intermediate tensors changes the reference's outputs",
    Stage.NOTE,
    remedy="Read inner tensors with BUILTIN_REF or without delegates only.",
    citation="tensorflow/tensorflow#79355, google-ai-edge/LiteRT#413",
)
def _observed(evidence: Evidence) -> Iterator[Match]:
    gap = experiments.changed_by_observing(evidence) if evidence.differs("resolver") else ""
    if gap:
        yield Match(
            f"With all tensors kept (experimental_preserve_all_tensors) "
            f"{evidence.names['reference']} gives other outputs than without ({gap}): the delegate "
            "then gets another graph.",
            step="resolver",
        )
