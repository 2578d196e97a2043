"""What is known to go wrong with a model on a microcontroller, found without running it.

A finding is data: what it is called, where it is, what it means and what to do. Checks that need
to know the shapes of a run or the arena take them as arguments, for a run is not made here.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_tflm.model.refusal import (
    activations,
    interface_reason,
    known_reason,
    lacks_kernel,
    reason_for,
)
from pytest_tflm.model.tflm_operators import TFLM_OPERATORS
from pytest_tflm.model.transform.dilation import find_chains
from pytest_tflm.model.transform.freeze import wrong_shapes

if TYPE_CHECKING:
    from pytest_tflm.model.model import Model
    from pytest_tflm.model.refusal import Reason, Refusal
    from pytest_tflm.model.tensor import Operator, Tensor

    Shapes = Mapping[int, tuple[int, ...]]

ERROR = "error"  # TFLM refuses the model or computes something else
WARNING = "warning"  # it may
NOTE = "note"  # outputs are right, but something else than one may think
SEVERITIES = (ERROR, WARNING, NOTE)

# Causes of the verdict, each with a page in docs/causes/.
CAUSE_PAGES = frozenset({"stored-shapes", "space-to-batch-padding", "hybrid-model", "magnified"})

_FIXED = "convert with a fixed batch size (keras.Input(…, batch_size=1))"
# Which input is the bias of these.
_BIASES = {"CONV_2D": 2, "DEPTHWISE_CONV_2D": 2, "FULLY_CONNECTED": 2, "TRANSPOSE_CONV": 3}
# What stands between SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND, and leaves the batch as it is.
_KEEPS_BATCH = {
    "ADD",
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "EXPAND_DIMS",
    "RELU",
    "RELU6",
    "RESHAPE",
    "SQUEEZE",
}
_QUANTISED = {"int4", "int8", "uint8", "int16"}


@dataclass(frozen=True)
class Finding:
    """Something about a model that its user should know.

    ``severity`` is one of :data:`SEVERITIES`. ``operator`` and ``tensor`` are indices in subgraph
    0 where it is about one, of several the first. ``sentence`` says what is so, ``remedy`` what to
    do.
    """

    name: str
    severity: str
    sentence: str
    remedy: str
    operator: int | None = None
    tensor: int | None = None

    @property
    def page(self) -> str | None:
        """The page of the documentation on this cause, if there is one."""
        return f"docs/causes/{self.name}.md" if self.name in CAUSE_PAGES else None


def lint(
    model: Model,
    *,
    shapes: Shapes | None = None,
    arena: int | None = None,
    memory: int | None = None,
    operators: Collection[str] = TFLM_OPERATORS,
    refusal: Refusal | None = None,
) -> list[Finding]:
    """What there is to say about ``model``, the gravest first. It runs nothing.

    ``shapes``: the shape of each tensor in a run, by its index; without them, stored shapes are
    checked from SPACE_TO_BATCH_ND to BATCH_TO_SPACE_ND alone. ``arena`` and ``memory`` in bytes:
    what the model needs beside its own size, and what the board has for both. ``operators``: those
    that the board has.
    ``refusal``: what TFLM said when it was tried, if it said anything.
    """
    findings = [
        *_missing_operators(model, operators),
        *_interface(model),
        *_refused(model),
        *_stored_shapes(model, shapes),
        *_padding(model, shapes),
        *_memory(model, arena, memory),
        *_missing_bias(model),
        *_computed_shapes(model),
        *_dynamic_shapes(model),
        *_float_interface(model),
        *_softmax(model),
    ]
    known = {finding.name for finding in findings}
    findings += [each for each in _trial(model, refusal, operators) if each.name not in known]
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))


def _repair(model: Model, words: str = "write a model without it", only: str = "") -> str:
    return f"{words}: pytest-tflm model repair {_file(model)}{only} -o OUT"


def _file(model: Model) -> str:
    """The model's file as a shell takes it."""
    return shlex.quote(str(model.path or model.name))


def _at(operator: Operator) -> str:
    return f"operator {operator.index}, {operator.name}"


def _count(number: int) -> str:
    return f"{number} tensor{'' if number == 1 else 's'}"


def _and_more(count: int) -> str:
    return f", and {count - 1} more" if count > 1 else ""


def _missing_operators(model: Model, operators: Collection[str]) -> Iterator[Finding]:
    for name in model.operator_names:
        if name not in operators:
            users = [operator for operator in model.operators if operator.name == name]
            where = f"{_at(users[0])}{_and_more(len(users))}" if users else f"{name} in a subgraph"
            sentence, remedy = no_kernel(name)
            yield Finding(
                "missing-operator",
                ERROR,
                f"{where}: {sentence}",
                remedy,
                operator=users[0].index if users else None,
            )


def no_kernel(name: str) -> tuple[str, str]:
    """What it means that there is no kernel for this operator, and what to do."""
    if name == "ethos-u":
        return (
            "Vela compiled the model for Ethos-U; it needs that NPU and its driver",
            "give the model from before Vela",
        )
    if name.startswith("Flex"):
        return (
            "a TensorFlow operator, for which no microcontroller has a kernel",
            "convert without tf.lite.OpsSet.SELECT_TF_OPS in converter.target_spec.supported_ops, "
            "and replace the operators that the converter then names",
        )
    return (
        "there is no kernel for it",
        "change the model so that the converter writes other operators, or register a kernel of"
        " your own in the firmware",
    )


def _interface(model: Model) -> Iterator[Finding]:
    reason = interface_reason(model)
    if reason is not None:
        yield Finding(reason.name, ERROR, reason.sentence, reason.remedy)


def _refused(model: Model) -> Iterator[Finding]:
    """What TFLM does not run as it should, as the file tells: one finding for each kind."""
    found: dict[str, list[tuple[Operator, Reason]]] = {}
    for operator in model.operators:
        reason = known_reason(model, operator)
        if reason is not None:
            found.setdefault(reason.name, []).append((operator, reason))
    for name, places in found.items():
        operator, reason = places[0]
        yield Finding(
            name,
            ERROR,
            f"{_at(operator)}{_and_more(len(places))}: {reason.sentence}",
            reason.remedy
            or _repair(model, "convert without sparsity, or store the weights as a dense array"),
            operator=operator.index,
        )


def _trial(model: Model, refusal: Refusal | None, operators: Collection[str]) -> Iterator[Finding]:
    """What TFLM said when it was tried."""
    if refusal is None or (
        lacks_kernel(refusal) and not set(model.operator_names) <= set(operators)
    ):
        return
    reason = reason_for(model, refusal)
    place = "host TFLM"
    if refusal.operator is not None:
        place = _at(model.operators[refusal.operator])
    yield Finding(
        reason.name, ERROR, f"{place}: {reason.sentence}", reason.remedy, operator=refusal.operator
    )


def _stored_shapes(model: Model, shapes: Shapes | None) -> Iterator[Finding]:
    wrong: list[tuple[Operator | None, Tensor, tuple[int, ...]]]
    if shapes is None:
        wrong = list(_wrong_batches(model))
    else:
        wrong = [
            (
                None if each.operator is None else model.operators[each.operator],
                model.tensors[each.tensor],
                each.real,
            )
            for each in wrong_shapes(model, shapes)
        ]
    if wrong:
        operator, tensor, real = wrong[0]
        where = f"input '{tensor.name}'" if operator is None else _at(operator)
        yield Finding(
            "stored-shapes",
            ERROR,
            f"{where}: the file stores the shape {list(tensor.shape)}, the actual shape is"
            f" {list(real)} ({_count(len(wrong))} in all). TFLM uses the stored one",
            _repair(model),
            operator=None if operator is None else operator.index,
            tensor=tensor.index,
        )


def _wrong_batches(model: Model) -> Iterator[tuple[Operator, Tensor, tuple[int, ...]]]:
    """Where SPACE_TO_BATCH_ND stores another batch than its block makes, by arithmetic alone, and
    what then has another batch behind it, up to BATCH_TO_SPACE_ND."""
    batches: dict[int, int] = {}  # in a run, where that is not the stored one
    for operator in model.operators:
        if not (operator.inputs and operator.outputs and operator.inputs[0] >= 0):
            continue
        given, made = model.tensors[operator.inputs[0]], model.tensors[operator.outputs[0]]
        if not given.shape or not made.shape:
            continue
        batch = batches.get(given.index, given.shape[0])
        if operator.name in ("SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND"):
            block = model.constant(operator.inputs[1])
            if block is None or not (count := int(block.prod())):
                continue
            real = batch * count if operator.name == "SPACE_TO_BATCH_ND" else batch // count
        elif given.index in batches and operator.name in _KEEPS_BATCH:
            real = batch
        else:
            continue
        if made.shape[0] != real:
            batches[made.index] = real
            yield operator, made, (real, *made.shape[1:])


def _padding(model: Model, shapes: Shapes | None) -> Iterator[Finding]:
    if not any(operator.name == "SPACE_TO_BATCH_ND" for operator in model.operators):
        return
    chains, others = find_chains(model, shapes)
    reasons = {other.operator: other.reason for other in others if other.pads}
    seen = sorted([*(c.space_to_batch for c in chains if c.sees_padding), *reasons])
    if seen:
        remedy = _repair(model)
        if reasons:
            left, reason = min(reasons.items())
            remedy = f"{_FIXED}; repair does not change operator {left}: {reason}"
        yield Finding(
            "space-to-batch-padding",
            ERROR,
            f"{_at(model.operators[seen[0]])}{_and_more(len(seen))}: it pads, and TFLM's kernel"
            " pads with uninitialised memory (tflite-micro#1646)",
            remedy,
            operator=seen[0],
        )


def _memory(model: Model, arena: int | None, memory: int | None) -> Iterator[Finding]:
    if memory is None:
        return
    # Host TFLM's pointers have twice the size of a board's: its arena is not the board's.
    needed, least = model.size + (arena or 0), model.size + (arena or 0) // 2
    if needed > memory:
        parts = f"model {model.size}"
        if arena is not None:
            parts += f", arena {arena} in host TFLM, somewhat less on a board"
        yield Finding(
            "memory",
            ERROR if least > memory else WARNING,
            f"it needs {needed} bytes ({parts}); the board has {memory}",
            "make the model smaller, or compile it into the firmware, so that it stays in flash:"
            " pytest-tflm "
            f"firmware BOARD --model {_file(model)} -o DIR",
        )


def _missing_bias(model: Model) -> Iterator[Finding]:
    found = []
    for operator in model.operators:
        place = _BIASES.get(operator.name)
        if place is None or not operator.inputs:
            continue
        given = activations(model, operator)
        has_bias = len(operator.inputs) > place and operator.inputs[place] >= 0
        if given is not None and given.dtype == "int16" and not has_bias:
            found.append(operator)
    if found:
        yield Finding(
            "int16-without-bias",
            WARNING,
            f"{_at(found[0])}{_and_more(len(found))}: int16 activations without a bias, for which"
            " TFLM's 32-bit accumulator overflowed (tflite-micro PR 3598)",
            "give the layer a bias (zeros are enough), or use TFLM from after that change",
            operator=found[0].index,
        )


def _computed_shapes(model: Model) -> Iterator[Finding]:
    found = [
        operator
        for operator in model.operators
        if operator.name == "RESHAPE"
        and len(operator.inputs) > 1
        and operator.inputs[1] >= 0
        and not model.tensors[operator.inputs[1]].is_constant
    ]
    if found:
        shape = list(model.tensors[found[0].outputs[0]].shape)
        yield Finding(
            "computed-shape",
            NOTE,
            f"{_at(found[0])}{_and_more(len(found))}: its shape is computed at run time, and TFLM"
            f" uses the stored one, {shape}",
            "nothing, if every run has that shape; otherwise convert with fixed sizes",
            operator=found[0].index,
        )


def _dynamic_shapes(model: Model) -> Iterator[Finding]:
    dynamic = [tensor for tensor in model.tensors if tensor.has_unknown_size]
    if dynamic:
        first = dynamic[0]
        yield Finding(
            "dynamic-shapes",
            NOTE,
            f"tensor {first.index}, '{first.name}'{_and_more(len(dynamic))}: its size "
            f"{list(first.shape_signature or ())} is unknown until run time, and TFLM uses the"
            f" stored shape {list(first.shape)}",
            _repair(model, f"{_FIXED}, or", " --only freeze"),
            tensor=first.index,
        )


def _float_interface(model: Model) -> Iterator[Finding]:
    has_codes = any(
        t.dtype in _QUANTISED and t.is_quantized and not t.is_constant for t in model.tensors
    )
    for what, tensors in (("input", model.inputs), ("output", model.outputs)):
        floats = [tensor for tensor in tensors if tensor.dtype == "float32"]
        if has_codes and floats:
            yield Finding(
                f"float-{what}",
                NOTE,
                f"{what} '{floats[0].name}'{_and_more(len(floats))} is float32 in a quantised "
                "model: four times the bytes, and the board converts it",
                f"convert with converter.inference_{what}_type = tf.int8",
                tensor=floats[0].index,
            )


def _softmax(model: Model) -> Iterator[Finding]:
    makers = {i: operator for operator in model.operators for i in operator.outputs}
    for tensor in model.outputs:
        operator = makers.get(tensor.index)
        if operator is not None and operator.name == "DEQUANTIZE":
            operator = makers.get(operator.inputs[0])
        if operator is not None and operator.name == "SOFTMAX":
            given = model.tensors[operator.inputs[0]]
            if given.dtype in _QUANTISED:
                yield Finding(
                    "magnified",
                    NOTE,
                    f"{_at(operator)}: it ends the model, and can turn a few LSB before it into"
                    " many after it",
                    "choose --tflm-tolerance accordingly, or compare the model without its last"
                    " layer",
                    operator=operator.index,
                    tensor=tensor.index,
                )
