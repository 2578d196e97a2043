"""Causes in a board's kernels: an operator that differs from host TFLM's with equal inputs.

In this order: what is proven by computing it, then what the places of the differences show.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_tflm.compare.distance import same
from pytest_tflm.model.arithmetic.accumulators import windows
from pytest_tflm.model.arithmetic.requantise import requantisation
from pytest_tflm.model.arithmetic.single import Single
from pytest_tflm.verdict import positions
from pytest_tflm.verdict.causes.cause import kernel_cause, seen_in_a_kernel
from pytest_tflm.verdict.kernel_faults import computed, keeps_parameters

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_tflm.verdict.evidence import Evidence, OperatorResult

_FEW = 8
"""So few differences may have one sign by chance."""
_REPORT = (
    "The reproducer (pytest-tflm diagnose --save DIR) is the operator as a model of its own,"
    " for a bug report."
)
_NEWER = f"Use a newer release of the kernel library. {_REPORT}"
_CONFIRM = (
    "Run another kernel library on the board (the reference kernels of TFLM) to confirm. " + _REPORT
)


def _computes(name: str, evidence: Evidence, result: OperatorResult) -> str | None:
    """What the operator computes exactly, if that is the cause ``name``."""
    index = result.operator.index
    found = (each for each in computed(evidence) if (each.operator, each.cause) == (index, name))
    return next((each.words for each in found), None)


@kernel_cause(
    "alignment",
    "a kernel reads its input from an aligned address",
    remedy=f"Update the kernel library, or make the depth a multiple of 16, which ESP-NN wants. "
    f"{_REPORT}",
    citation="espressif/esp-nn#34, #21",
)
def _alignment(evidence: Evidence, result: OperatorResult) -> str | None:
    return _computes("alignment", evidence, result)


@kernel_cause(
    "per-channel-ignored",
    "a kernel uses one scale for all channels",
    remedy=f"The kernel does not know quantisation per channel: use a newer release. {_REPORT}",
    citation="espressif/esp-tflite-micro PR#109 (FULLY_CONNECTED)",
)
def _per_channel(evidence: Evidence, result: OperatorResult) -> str | None:
    return _computes("per-channel-ignored", evidence, result)


@kernel_cause(
    "zero-point-ignored",
    "a kernel takes the input's zero point to be 0",
    remedy=_NEWER,
    citation="tensorflow/tensorflow PR#35461 (NEG), TFLite's int8 quantisation specification",
)
def _zero_point(evidence: Evidence, result: OperatorResult) -> str | None:
    return _computes("zero-point-ignored", evidence, result)


@kernel_cause(
    "activation-ignored",
    "a kernel leaves out the fused activation",
    remedy=_NEWER,
    citation="tensorflow/tflite-micro#875 (DEPTHWISE_CONV_2D with CMSIS-NN)",
)
def _activation(evidence: Evidence, result: OperatorResult) -> str | None:
    return _computes("activation-ignored", evidence, result)


@kernel_cause(
    "padding-value",
    "a kernel pads with 0 instead of the zero point",
    remedy=_NEWER,
    citation="pytorch/executorch PR#13576, tensorflow/tflite-micro#1646",
)
def _padding(evidence: Evidence, result: OperatorResult) -> str | None:
    return _computes("padding-value", evidence, result)


@kernel_cause(
    "accumulator-overflow",
    "a kernel's accumulator overflows",
    remedy=f"Use smaller layers or scales, or a kernel with wider accumulators. {_REPORT}",
    citation="tensorflow/tflite-micro PR#3598 (16x8 without bias)",
)
def _overflow(evidence: Evidence, result: OperatorResult) -> str | None:
    return _computes("accumulator-overflow", evidence, result)


@kernel_cause(
    "state-between-models",
    "a kernel keeps the parameters of another model",
    remedy="Data that a kernel sets up once belongs to one operator of one model: in TFLM it is "
    "allocated in Init and filled in Prepare (node->user_data), never in a static variable. "
    f"Restarting the board before each model avoids it. {_REPORT}",
)
def _between_models(evidence: Evidence, result: OperatorResult) -> str | None:
    is_computed = any(each.operator == result.operator.index for each in computed(evidence))
    if is_computed or result.operator.name not in keeps_parameters(evidence):
        return None
    return (
        "its outputs do not depend on its own parameters: with another scale of its input the "
        "board answers the same. It has kept those of a model that was loaded before"
    )


@kernel_cause(
    "scratch-overlap",
    "an operator's output is overwritten",
    remedy="A scratch buffer that is too small or overlaps the output: update the kernel library. "
    + _REPORT,
    citation="espressif/esp-tflite-micro#6, espressif/esp-nn#30",
)
def _scratch(evidence: Evidence, result: OperatorResult) -> str | None:
    mask = positions.difference_mask(result.pairs())
    found = None if mask is None else positions.one_run(mask)
    if found is None or found[1] - found[0] < 3 or positions.unfinished(result.pairs()):
        return None
    first, last = found
    flat = [ours.ravel()[first : last + 1] for ours, _ in result.pairs()]
    if any(part.min() != part.max() for part in flat):
        return None  # computed, however wrongly
    return f"only in elements {first} to {last} in memory's order, which hold one value"


@kernel_cause(
    "edge-positions",
    "a kernel is wrong at the edges",
    remedy=_CONFIRM,
    citation="espressif/esp-nn#31 (asymmetric padding: last row and column)",
)
def _edges(evidence: Evidence, result: OperatorResult) -> str | None:
    mask = positions.difference_mask(result.pairs())
    found = () if mask is None else positions.edges(mask)
    if not found:
        return None
    return f"only at the edges ({', '.join(found)}). Edges have padding, and the inside has none"


@kernel_cause(
    "one-channel",
    "a kernel is wrong in one channel",
    remedy="A kernel that works in blocks of channels and forgets the rest looks like this. "
    + _REPORT,
    citation="pulp-platform/Deeploy PR#187 (the neuron that is left over)",
)
def _one_channel(evidence: Evidence, result: OperatorResult) -> str | None:
    mask = positions.difference_mask(result.pairs())
    channel = None if mask is None else positions.one_channel(mask)
    if mask is None or channel is None:
        return None
    count = mask.shape[-1]
    last = ", the last" if channel == count - 1 else ""
    return f"only in channel {channel} of {count}{last}"


@seen_in_a_kernel("saturated-outputs")
def _clipped(evidence: Evidence, result: OperatorResult) -> str | None:
    found = positions.limits(result.pairs())
    if not found or found[0] == found[1]:
        return None
    return f"codes below {found[0]} and above {found[1]} are clipped, all others are right"


@kernel_cause(
    "rounding",
    "a kernel rounds differently",
    remedy="Allow 1 LSB (--tflm-tolerance=1): kernels that round once, or in float, are not wrong. "
    "A build of TFLM with TFLITE_SINGLE_ROUNDING is one.",
    citation="tensorflow/tensorflow#102943, ARM-software/CMSIS-NN#214",
)
def _rounding(evidence: Evidence, result: OperatorResult) -> str | None:
    gap = result.gap
    if gap is None or gap.shapes or gap.lsb > 1 or gap.real:
        return None
    known = _computes("rounding", evidence, result)
    if known is not None:
        return f"by one LSB ({known} does)"
    signs = {int(s) for ours, theirs in result.pairs() for s in _signs(ours, theirs)}
    if gap.elements > 0.25 * gap.total or len(signs) < 2:
        return None
    return "by one LSB, in few elements, at no special places"


def _signs(ours: NDArray[Any], theirs: NDArray[Any]) -> Any:
    signs = np.unique(np.sign(ours.astype(np.int64) - theirs.astype(np.int64)))
    return signs[signs != 0]


@kernel_cause(
    "kernel-differs",
    "an operator's kernel differs",
    remedy=_CONFIRM,
    citation="espressif/esp-nn#6, #22",
)
def _differs(evidence: Evidence, result: OperatorResult) -> str | None:
    known = _computes("kernel-differs", evidence, result)
    mask = positions.difference_mask(result.pairs())
    if known is not None or mask is None:
        return known or ""
    return _pattern(result, mask) or positions.whole_rows(mask)


def _pattern(result: OperatorResult, mask: NDArray[np.bool_]) -> str | None:
    """What all wrong elements have in common, beyond their places."""
    pairs = result.pairs()
    output = result.cut.model.outputs[0] if result.cut is not None else None
    if len(pairs) > 1 and all(same((ours,), (pairs[0][0],)) for ours, _ in pairs):
        return "its output does not depend on its input"
    if unfinished := positions.unfinished(pairs):
        return unfinished
    if (found := positions.channels(mask)) and (words := _channels(result, found)):
        return words
    if found and len(found) <= 16:
        return f"only in channels {', '.join(map(str, found))} of {mask.shape[-1]}"
    if by := positions.offset(pairs):
        return f"every element is {by:+d} LSB off"
    if output is not None and (share := positions.ratio(pairs, output.zero_point or 0)):
        return f"every element's distance from the zero point is {share:.3g} times the right one"
    if share := positions.ratio(pairs, 0):
        return f"every code is {share:.3g} times the right one (the zero point counts as a value)"
    if words := positions.permutation(pairs):
        return words
    return _by_sign(result) or _one_way(result)


def _one_way(result: OperatorResult) -> str | None:
    """Whether all wrong elements are one LSB off in the same direction."""
    gap, pairs = result.gap, result.pairs()
    if gap is None or gap.lsb != 1 or gap.real or gap.elements < _FEW:
        return None
    signs = {int(sign) for ours, theirs in pairs for sign in _signs(ours, theirs)}
    if len(signs) != 1:
        return None
    way, other = ("high", "low") if signs == {1} else ("low", "high")
    return f"one LSB too {way} in {gap.elements} of {gap.total} elements, and nowhere too {other}"


def _channels(result: OperatorResult, found: list[int]) -> str | None:
    """What the channels that are wrong have in common: a shift, a bias."""
    single = Single(result.cut.model) if result.cut is not None else None
    steps = None if single is None else requantisation(single)
    if single is None or steps is None:
        return None
    bias = single.inputs[2] if single.inputs[2:] else None
    stored = None if bias is None else single.model.constant(bias.index)
    for values, words in (
        (steps.shifts, "a shift to the right by"),
        (None if stored is None else -np.abs(stored), "a bias of a magnitude of"),
    ):
        if values is None or len(values) <= max(found):
            continue
        wrong = np.isin(np.arange(len(values)), found)
        if not wrong.all() and values[wrong].max() < values[~wrong].min():
            return (
                f"only in the {len(found)} of {len(values)} channels that have {words} "
                f"{-int(values[wrong].max())} or more"
            )
    return None


def _by_sign(result: OperatorResult) -> str | None:
    """Whether elements are wrong only where a code of the input is negative, the real value of an
    input, or that of the output."""
    single = Single(result.cut.model) if result.cut is not None else None
    if single is None or any(ours.dtype.kind not in "iu" for ours, _ in result.pairs()):
        return None
    zero, pairs = single.outputs[0].zero_point or 0, result.pairs()
    places: list[tuple[str, list[NDArray[np.bool_] | None]]] = [
        (
            "an input element (the first of a window or a row) has a negative code",
            [
                _first_is_negative(single, arrays[0], ours.shape)
                for arrays, (ours, _) in zip(result.inputs, pairs, strict=True)
            ],
        )
    ]
    for position, tensor in enumerate(single.model.inputs):
        given: list[NDArray[Any]] = [arrays[position] for arrays in result.inputs]
        below = [array < (tensor.zero_point or 0) for array in given]
        if all(b.shape == ours.shape for b, (ours, _) in zip(below, pairs, strict=True)):
            places.append((f"the real value of input {position} is negative", [*below]))
    places.append(("the output's real value is negative", [t < zero for _, t in pairs]))
    mask = np.concatenate([(ours != theirs).ravel() for ours, theirs in pairs])
    for words, each in places:
        known = [part.ravel() for part in each if part is not None]
        if len(known) < len(each):
            continue
        there = np.concatenate(known)
        # Where the output is at the end of its range, nothing may show.
        fits = there.any() and not there.all() and not (mask & ~there).any()
        if fits and mask[there].mean() >= 0.25:
            return f"only where {words}"
    return None


def _first_is_negative(
    single: Single, x: NDArray[Any], shape: tuple[int, ...]
) -> NDArray[np.bool_] | None:
    if x.shape == shape and single.window is None:
        return np.asarray(x < 0)
    if single.name == "FULLY_CONNECTED":
        rows = x.reshape(-1, x.size * shape[-1] // int(np.prod(shape)))
        return np.repeat(rows[:, :1] < 0, shape[-1], axis=1).reshape(shape)
    seen = windows(single, x)
    if seen is None:
        return None
    first = seen[0] < 0
    if single.name == "CONV_2D":
        first = np.repeat(first[..., :1], shape[-1], axis=-1)
    elif first.shape[-1] != shape[-1]:
        first = np.repeat(first, shape[-1] // first.shape[-1], axis=-1)
    return np.asarray(first)
