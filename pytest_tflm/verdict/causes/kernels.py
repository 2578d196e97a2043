"""Causes in a board's kernels: an operator that differs of itself from host TFLM's.

Each operator *type* that differs gets one cause: the first of the catalogue that fits (nearly) all
operators of the type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from pytest_tflm.verdict.causes.cause import Cause, Match
from pytest_tflm.verdict.causes.reference import listed

if TYPE_CHECKING:
    from pytest_tflm.verdict.evidence import Evidence, OperatorResult

Test = Callable[["Evidence", "OperatorResult"], "dict[str, Any] | None"]

MOST = 0.75
"""Which part of the differing operators of a type a cause must fit: a rare position may not show
in each of them."""


def _computes(name: str) -> Test:
    """The board's outputs are exactly what a kernel with this fault computes."""

    def test(evidence: Evidence, result: OperatorResult) -> dict[str, Any] | None:
        for found in evidence.facts_of("computes"):
            if found.operator == result.operator.index and found.values["as"] == name:
                return found.values
        return None

    return test


def _edges(evidence: Evidence, result: OperatorResult) -> dict[str, Any] | None:
    from pytest_tflm.verdict.positions import difference_mask, edges

    mask = difference_mask(result.pairs())
    found = () if mask is None else edges(mask)
    return {"where": ", ".join(found)} if found else None


def _channel(evidence: Evidence, result: OperatorResult) -> dict[str, Any] | None:
    from pytest_tflm.verdict.positions import difference_mask, one_channel

    mask = difference_mask(result.pairs())
    channel = None if mask is None else one_channel(mask)
    if mask is None or channel is None:
        return None
    count = mask.shape[-1]
    last = ", the last" if channel == count - 1 else ""
    return {"where": f"channel {channel} of {count}{last}"}


def _clipped(evidence: Evidence, result: OperatorResult) -> dict[str, Any] | None:
    from pytest_tflm.verdict.positions import limits

    found = limits(result.pairs())
    return {"where": f"codes below {found[0]} and above {found[1]}"} if found else None


def _run(evidence: Evidence, result: OperatorResult) -> dict[str, Any] | None:
    from pytest_tflm.verdict.positions import difference_mask, one_run

    mask = difference_mask(result.pairs())
    found = None if mask is None else one_run(mask)
    if mask is None or found is None or found[1] - found[0] < 3:
        return None
    first, last = found
    flat = [ours.ravel()[first : last + 1] for ours, _ in result.pairs()]
    if any(part.min() != part.max() for part in flat):
        return None  # computed, however wrongly
    return {"where": f"elements {first} to {last} in memory's order"}


def _rounding(evidence: Evidence, result: OperatorResult) -> dict[str, Any] | None:
    gap = result.gap
    if gap is None or gap.shapes or gap.largest > 1 or gap.elements > 0.25 * gap.total:
        return None
    signs = {int(s) for ours, theirs in result.pairs() for s in _signs(ours, theirs)}
    known = _computes("single-rounding")(evidence, result) or _computes("float-requantised")(
        evidence, result
    )
    if known is None and len(signs) < 2:
        return None
    how = f" (exactly as {known['words']} does)" if known else ""
    return {"how": how}


def _signs(ours: Any, theirs: Any) -> Any:
    import numpy as np

    signs = np.unique(np.sign(ours.astype(np.int64) - theirs.astype(np.int64)))
    return signs[signs != 0]


def _always(evidence: Evidence, result: OperatorResult) -> dict[str, Any] | None:
    from pytest_tflm.verdict.positions import difference_mask, whole_rows

    mask = difference_mask(result.pairs())
    return {"where": "" if mask is None else whole_rows(mask)}


_IN_ORDER: tuple[tuple[str, Test], ...] = (
    ("alignment", _computes("alignment")),
    ("per-channel-ignored", _computes("per-channel-ignored")),
    ("zero-point-ignored", _computes("zero-point-ignored")),
    ("activation-ignored", _computes("activation-ignored")),
    ("padding-value", _computes("padding-value")),
    ("accumulator-overflow", _computes("accumulator-overflow")),
    ("scratch-overlap", _run),
    ("edge-positions", _edges),
    ("one-channel", _channel),
    ("saturated-outputs", _clipped),
    ("rounding", _rounding),
    ("kernel-differs", _always),
)


def _of(name: str) -> Callable[[Evidence], Iterable[Match]]:
    def match(evidence: Evidence) -> Iterable[Match]:
        return [found for cause, found in accused_kernels(evidence) if cause == name]

    return match


def accused_kernels(evidence: Evidence) -> list[tuple[str, Match]]:
    """For each operator type that differs on the board: the cause's name and its match."""
    rung = evidence.rung("board")
    if rung is None or rung.localisation is None or evidence.fact("clipped"):
        return []
    if rung.localisation.explains is False:
        return []  # not in the operators, whatever they do alone
    by_name: dict[str, list[OperatorResult]] = {}
    for result in rung.localisation.differing:
        if result.operator.name == "SPACE_TO_BATCH_ND":
            continue  # host TFLM's is not defined: it has a cause of its own
        by_name.setdefault(result.operator.name, []).append(result)
    found = []
    for name, results in by_name.items():
        for cause, test in _IN_ORDER:
            fits = [(r, v) for r in results if (v := test(evidence, r)) is not None]
            if len(fits) >= MOST * len(results) and fits:
                found.append((cause, _match(name, results, fits)))
                break
    return found


def _match(
    name: str, results: list[OperatorResult], fits: list[tuple[OperatorResult, dict[str, Any]]]
) -> Match:
    worst = max(results, key=lambda r: (r.gap.largest, r.gap.elements) if r.gap else (0, 0))
    values = next((v for r, v in fits if r is worst), fits[0][1])
    indices = tuple(r.operator.index for r in results)
    return Match(
        {
            "where": "",
            "how": "",
            **values,
            "name": name,
            "operators": listed(indices),
            "count": len(results),
            "worst": worst.operator.index,
            "gap": worst.gap.describe() if worst.gap else "",
        },
        indices,
        "board",
    )


def _clipped_outputs(evidence: Evidence) -> Iterable[Match]:
    fact = evidence.fact("clipped")
    if fact is None:
        return _of("saturated-outputs")(evidence)
    where = f"codes below {fact.values['low']} and above {fact.values['high']}"
    rung = evidence.rung("board")
    if rung is not None and rung.localisation is not None:
        differing = rung.localisation.differing
        names = {result.operator.name for result in differing}
        if len(names) == 1:
            return [_match(names.pop(), list(differing), [(differing[0], {"where": where})])]
    values = {
        "name": "the model",
        "operators": "all operators",
        "worst": "any",
        "gap": "",
        "where": where,
    }
    return [Match(values, (), "board")]


_WITH_BOARD = "Run another kernel library on the board (the reference kernels of TFLM) to confirm. "
_SAVED = "The reproducer (pytest-tflm diagnose --save DIR) is the operator alone, for a bug report."
_ALONE = (
    "{name} ({operators}) on {board} differs from host TFLM with equal inputs, {gap} in operator "
    "{worst}"
)
"operator {worst}"

CAUSES = (
    Cause(
        "alignment",
        "a kernel reads its input from an aligned address",
        _of("alignment"),
        _ALONE
        + ": only where the innermost dimension is no multiple of 4; widened to a multiple of 4 "
        "the same operator is equal.",
        "Update the kernel library, or make the depth a multiple of 16, which ESP-NN wants. "
        + _SAVED,
        "espressif/esp-nn#34, #21",
    ),
    Cause(
        "per-channel-ignored",
        "a kernel uses one scale for all channels",
        _of("per-channel-ignored"),
        _ALONE + ": exactly what it would compute with the scale of channel 0 for all channels.",
        "The kernel does not know quantisation per channel: use a newer release. " + _SAVED,
        "espressif/esp-tflite-micro PR#109 (FULLY_CONNECTED)",
    ),
    Cause(
        "zero-point-ignored",
        "a kernel takes the input's zero point to be 0",
        _of("zero-point-ignored"),
        _ALONE + ": exactly what it would compute with an input zero point of 0.",
        "Use a newer release of the kernel library. " + _SAVED,
        "tensorflow/tensorflow PR#35461 (NEG), TFLite's int8 quantisation specification",
    ),
    Cause(
        "activation-ignored",
        "a kernel leaves out the fused activation",
        _of("activation-ignored"),
        _ALONE + ": exactly what it would compute without its fused activation.",
        "Use a newer release of the kernel library. " + _SAVED,
        "tensorflow/tflite-micro#875 (DEPTHWISE_CONV_2D with CMSIS-NN)",
    ),
    Cause(
        "padding-value",
        "a kernel pads with 0 and not with the zero point",
        _of("padding-value"),
        _ALONE
        + ": exactly what it would compute if it padded with code 0, where the zero point is "
        "meant.",
        "Use a newer release of the kernel library. " + _SAVED,
        "pytorch/executorch PR#13576, tensorflow/tflite-micro#1646",
    ),
    Cause(
        "accumulator-overflow",
        "a kernel's accumulator overflows",
        _of("accumulator-overflow"),
        _ALONE + ": {where}.",
        "Use smaller layers or scales, or a kernel with wider accumulators. " + _SAVED,
        "tensorflow/tflite-micro PR#3598 (16x8 without bias)",
    ),
    Cause(
        "edge-positions",
        "a kernel is wrong at the edges alone",
        _of("edge-positions"),
        _ALONE
        + ": only at the edges ({where}). Padding is what edges have and the inside has not.",
        _WITH_BOARD + _SAVED,
        "espressif/esp-nn#31 (asymmetric padding: last row and column)",
    ),
    Cause(
        "one-channel",
        "a kernel is wrong in one channel",
        _of("one-channel"),
        _ALONE + ": only in {where}.",
        "A kernel that works in blocks of channels and forgets the rest looks like this. " + _SAVED,
        "pulp-platform/Deeploy PR#187 (the neuron that is left over)",
    ),
    Cause(
        "saturated-outputs",
        "outputs saturate too early",
        _clipped_outputs,
        "{name} ({operators}) on {board}: equal to a correct board but for {where}, which "
        "are clipped.",
        "The activation's range is computed wrongly, or outputs are narrowed in the firmware. "
        + _SAVED,
        "pytorch/executorch PR#18462, espressif/esp-nn#23",
    ),
    Cause(
        "scratch-overlap",
        "something is written over an operator's output",
        _of("scratch-overlap"),
        _ALONE + ": only in {where}, which hold one value.",
        "A scratch buffer that is too small or overlaps the output: update the kernel library. "
        + _SAVED,
        "espressif/esp-tflite-micro#6, espressif/esp-nn#30",
    ),
    Cause(
        "rounding",
        "a kernel rounds otherwise",
        _of("rounding"),
        _ALONE + ": by one LSB, in few elements, at no special places{how}.",
        "Allow 1 LSB (--tflm-tolerance=1): kernels that round once, or in float, are not wrong. A "
        "build of TFLM with TFLITE_SINGLE_ROUNDING is one.",
        "tensorflow/tensorflow#102943, ARM-software/CMSIS-NN#214",
    ),
    Cause(
        "kernel-differs",
        "an operator's kernel differs",
        _of("kernel-differs"),
        _ALONE + ": {where}.",
        _WITH_BOARD + _SAVED,
        "espressif/esp-nn#6, #22",
    ),
)
