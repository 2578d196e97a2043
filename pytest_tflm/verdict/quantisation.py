"""How float samples become codes, and what quantising a model cost: the last step of the ladder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_tflm.compare.distance import gap_of
from pytest_tflm.errors import InterpreterError, ModelError, SampleError
from pytest_tflm.model.quantise import sample_values
from pytest_tflm.record.survey import CLAMPED_SHARE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_tflm.model import Model, Tensor
    from pytest_tflm.runtime.base import Arrays, Host
    from pytest_tflm.verdict.evidence import Evidence, Outcome

    Reals = list[tuple[NDArray[np.float32], ...]]


def real_samples(model: Model, samples: Sequence[object]) -> Reals | None:
    """The samples as float32 arrays in their tensors' shapes, if all of them are real values for a
    model with quantised integer inputs only; None else."""
    if not all(t.is_quantized and t.dtype != "float32" for t in model.inputs):
        return None
    found: Reals = []
    for sample in samples:
        arrays = [np.asarray(value) for value in sample_values(model.inputs, sample, model.name)]
        if any(array.dtype.kind != "f" for array in arrays):
            return None
        shaped = zip(arrays, model.inputs, strict=True)
        found.append(tuple(a.astype(np.float32).reshape(t.shape) for a, t in shaped))
    return found


def reals_of(model: Model, samples: Sequence[Arrays]) -> Reals:
    """The real values of codes, float32 (those of inputs that are not quantised: the numbers)."""
    from pytest_tflm.model.quantise import dequantize_array

    return [
        tuple(
            dequantize_array(tensor, array).astype(np.float32)
            for tensor, array in zip(model.inputs, sample, strict=True)
        )
        for sample in samples
    ]


def harness_step(
    evidence: Evidence, reals: Reals, ours: Sequence[Arrays], builtin_ref: Host
) -> None:
    """Whether ``ours``, the codes that were sent, are what TFLite's QUANTIZE makes of samples."""
    from pytest_tflm.model import model_from_bytes

    try:
        quantize = model_from_bytes(_quantize_model(evidence.model), "QUANTIZE of the inputs")
        wanted = builtin_ref.attempt(quantize, reals).outputs()
    except (InterpreterError, ModelError):
        return  # an input type that QUANTIZE does not make: nothing to compare with
    gap = gap_of(ours, wanted)
    text = f"the samples' codes are those of TFLite's QUANTIZE ({gap.total} elements)"
    if not gap.is_none:
        text = f"the samples' codes are not those of TFLite's QUANTIZE: {gap.describe()}"
    clamped = evidence.model.clamped([list(each) for each in reals])
    text += "".join(f"; {each}" for each in clamped if each.share > CLAMPED_SHARE)
    outcome: Outcome = "equal" if gap.is_none else "differs"
    evidence.add("samples", "from float samples to codes", outcome, text)


def _quantize_model(model: Model) -> bytes:
    from pytest_tflm.model.graph import Graph

    graph = Graph()
    inputs, outputs = [], []
    for tensor in model.inputs:
        inputs.append(graph.tensor(f"{tensor.name} real", tensor.shape, "float32"))
        outputs.append(
            graph.tensor(
                tensor.name, tensor.shape, tensor.dtype, tensor.scale, tensor.zero_point or 0
            )
        )
        graph.operator("QUANTIZE", (inputs[-1],), (outputs[-1],), "QuantizeOptions")
    return graph.finish(inputs, outputs)


_RULES: tuple[tuple[str, Callable[[Any, int, int, int], Any]], ...] = (
    ("rounded half to even (numpy.round)", lambda x, z, lo, hi: np.clip(np.rint(x) + z, lo, hi)),
    (
        "truncated toward zero (a cast to int)",
        lambda x, z, lo, hi: np.clip(np.trunc(x) + z, lo, hi),
    ),
    ("rounded down (floor)", lambda x, z, lo, hi: np.clip(np.floor(x) + z, lo, hi)),
    (
        "truncated after the zero point was added",
        lambda x, z, lo, hi: np.clip(np.trunc(x + z), lo, hi),
    ),
    (
        "rounded, and wrapped around where they should be clamped",
        lambda x, z, lo, hi: (_half_away(x) + z - lo) % (hi - lo + 1) + lo,
    ),
    ("rounded, without the zero point", lambda x, z, lo, hi: np.clip(_half_away(x), lo, hi)),
)
"""Other ways to quantise that are seen in the field: the scaled value, zero point, code range."""


def _half_away(x: Any) -> Any:
    return np.copysign(np.floor(np.abs(x) + 0.5), x)


def _quantised_by(tensor: Tensor, reals: NDArray[np.float32], codes: NDArray[Any]) -> str | None:
    """How ``codes`` were made of ``reals`` for ``tensor``, in words, by the first of :data:`_RULES`
    that makes them; ``""`` if as TFLite does it, None if by no rule that is known here."""
    from pytest_tflm.model.quantise import quantize_array

    if np.array_equal(quantize_array(tensor, reals), codes):
        return ""
    low, high = tensor.code_range
    scaled = (reals / np.float32(tensor.scale)).astype(np.float64)
    for words, rule in _RULES:
        made = rule(scaled, tensor.zero_point or 0, low, high)
        if np.array_equal(made.astype(np.int64), codes.astype(np.int64)):
            return words
    return None


def codes_step(
    evidence: Evidence, reals: Reals, ours: Sequence[Arrays], codes: Sequence[object]
) -> None:
    """How another program (the user's own) made ``codes`` of the same samples."""
    model = evidence.model
    theirs = [model.quantize(each) for each in codes[: len(reals)]]
    count = len(theirs)
    gap = gap_of(theirs, ours[:count])
    if gap.is_none:
        text = f"the codes given are those of TFLite's QUANTIZE ({gap.total} elements)"
        evidence.add("codes", "the codes that were given", "equal", text)
        return
    rules = set()
    for position, tensor in enumerate(model.inputs):
        values = np.stack([sample[position] for sample in reals[:count]])
        rules.add(_quantised_by(tensor, values, np.stack([each[position] for each in theirs])))
    how = " and ".join(sorted(rule for rule in rules if rule)) or "made by no rule known here"
    text = f"{how}: {gap.describe()}"
    evidence.add("codes", "the codes that were given", "differs", text)


def float_step(
    evidence: Evidence, reals: Reals, model: Model, builtin_ref: Host, outputs: list[Arrays]
) -> None:
    """What quantising cost: ``outputs`` of the quantised model, in real values, against a float
    model of the same graph."""
    title = "the quantised model against the float one"
    try:
        shaped = [
            tuple(a.reshape(t.shape) for a, t in zip(sample, model.inputs, strict=True))
            for sample in reals
        ]
        wanted = builtin_ref.attempt(model, shaped).outputs()
        wanted = [model.dequantize(arrays) for arrays in wanted]
        got = [evidence.model.dequantize(arrays) for arrays in outputs]
        apart = np.concatenate(
            [
                np.abs(g.astype(np.float64).ravel() - w.astype(np.float64).ravel())
                for a, b in zip(got, wanted, strict=True)
                for g, w in zip(a, b, strict=True)
            ]
        )
    except (ValueError, SampleError) as error:
        text = f"{model.name} does not take the same samples: {error}".splitlines()[0]
        evidence.add("float", title, "cannot", text)
        return
    except InterpreterError as error:
        evidence.add("float", title, "cannot", str(error).splitlines()[0])
        return
    scale = next((t.scale for t in evidence.model.outputs if t.scale), None)
    largest, mean = float(apart.max()), float(apart.mean())
    steps = f", {largest / scale:.0f} and {mean / scale:.1f} LSB" if scale else ""
    text = (
        f"largest difference {largest:.4g}, mean {mean:.4g} in real units{steps}: what quantising "
        "cost, on any machine"
    )
    evidence.add("float", title, "equal" if largest == 0 else "differs", text)
