"""What is known to go wrong with a model on a microcontroller, found without running it.

A finding is data: what it is called, where it is, what it means and what to do. Checks that need
to know the shapes of a run or the arena take them as arguments, for a run is not made here.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_tflm.model.tflm_operators import TFLM_OPERATORS
from pytest_tflm.model.transform.dilation import find_chains
from pytest_tflm.model.transform.freeze import wrong_shapes

if TYPE_CHECKING:
    from pytest_tflm.model.model import Model
    from pytest_tflm.model.tensor import Operator, Tensor

    Shapes = Mapping[int, tuple[int, ...]]

ERROR = "error"  # TFLM refuses the model or computes something else
WARNING = "warning"  # it may
NOTE = "note"  # outputs are right, but something else than one may think
SEVERITIES = (ERROR, WARNING, NOTE)

# Causes of the verdict, each with a page in docs/causes/.
CAUSE_PAGES = frozenset({"stored-shapes", "space-to-batch-padding", "hybrid-model", "magnified"})

_FIXED = "convert with a fixed batch size (keras.Input(…, batch_size=1))"
_WEIGHED = {
    "BATCH_MATMUL",
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "FULLY_CONNECTED",
    "SVDF",
    "TRANSPOSE_CONV",
    "UNIDIRECTIONAL_SEQUENCE_LSTM",
}
# Which input is the bias of these.
_BIASES = {"CONV_2D": 2, "DEPTHWISE_CONV_2D": 2, "FULLY_CONNECTED": 2, "TRANSPOSE_CONV": 3}
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
) -> list[Finding]:
    """What there is to say about ``model``, the gravest first. It runs nothing.

    ``shapes``: the shape of each tensor in a run, by its index; without them, stored shapes are
    checked at SPACE_TO_BATCH_ND alone. ``arena`` and ``memory`` in bytes: what the model needs
    beside its own size, and what the board has for both. ``operators``: those that the board has.
    """
    findings = [
        *_missing_operators(model, operators),
        *_hybrid(model),
        *_stored_shapes(model, shapes),
        *_padding(model, shapes),
        *_memory(model, arena, memory),
        *_missing_bias(model),
        *_computed_shapes(model),
        *_dynamic_shapes(model),
        *_float_interface(model),
        *_softmax(model),
    ]
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
            yield Finding(
                "missing-operator",
                ERROR,
                f"{where}: there is no kernel for it",
                "change the model so that it is converted to other operators, or register a kernel "
                "of your own in the firmware",
                operator=users[0].index if users else None,
            )


def _hybrid(model: Model) -> Iterator[Finding]:
    found = []
    for operator in model.operators:
        if operator.name in _WEIGHED and len(operator.inputs) > 1 and min(operator.inputs[:2]) >= 0:
            given, weights = (model.tensors[i] for i in operator.inputs[:2])
            if given.dtype == "float32" and weights.is_constant and weights.dtype in _QUANTISED:
                found.append(operator)
    if found:
        weights = model.tensors[found[0].inputs[1]]
        yield Finding(
            "hybrid-model",
            ERROR,
            f"{_at(found[0])}{_and_more(len(found))}: float32 activations with {weights.dtype} "
            "weights (dynamic-range quantisation), which TFLM does not run",
            "convert to full int8, with converter.representative_dataset set",
            operator=found[0].index,
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
            f"{where}: the file stores the shape {list(tensor.shape)}, a run has {list(real)} (so "
            f"with {_count(len(wrong))} in all). TFLM computes with the stored one",
            _repair(model),
            operator=None if operator is None else operator.index,
            tensor=tensor.index,
        )


def _wrong_batches(model: Model) -> Iterator[tuple[Operator, Tensor, tuple[int, ...]]]:
    """Where SPACE_TO_BATCH_ND stores another batch than its block makes, by arithmetic alone."""
    for operator in model.operators:
        if operator.name == "SPACE_TO_BATCH_ND":
            given, block = model.tensors[operator.inputs[0]], model.constant(operator.inputs[1])
            made = model.tensors[operator.outputs[0]]
            if block is not None and given.shape and made.shape:
                batch = given.shape[0] * int(block.prod())
                if made.shape[0] != batch:
                    yield operator, made, (batch, *made.shape[1:])


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
            remedy = f"{_FIXED}; repair leaves operator {left} as it is: {reason}"
        yield Finding(
            "space-to-batch-padding",
            ERROR,
            f"{_at(model.operators[seen[0]])}{_and_more(len(seen))}: it pads, and TFLM's kernel "
            "pads with what the memory holds (tflite-micro#1646)",
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
            parts += f", arena {arena} in TFLM of this machine, a board's somewhat less"
        yield Finding(
            "memory",
            ERROR if least > memory else WARNING,
            f"it needs {needed} bytes ({parts}), and there are {memory}",
            "make the model smaller, or compile it in, so that it stays in flash: pytest-tflm "
            f"firmware BOARD --model {_file(model)} -o DIR",
        )


def _missing_bias(model: Model) -> Iterator[Finding]:
    found = []
    for operator in model.operators:
        place = _BIASES.get(operator.name)
        if place is None or not operator.inputs:
            continue
        # TRANSPOSE_CONV has the shape of its output first.
        given = operator.inputs[2 if operator.name == "TRANSPOSE_CONV" else 0]
        has_bias = len(operator.inputs) > place and operator.inputs[place] >= 0
        if given >= 0 and model.tensors[given].dtype == "int16" and not has_bias:
            found.append(operator)
    if found:
        yield Finding(
            "int16-without-bias",
            WARNING,
            f"{_at(found[0])}{_and_more(len(found))}: int16 activations without a bias, where "
            "TFLM's accumulator of 32 bits overflowed (tflite-micro PR 3598)",
            "give the layer a bias (zeros will do), or use a TFLM from after that change",
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
            f"{_at(found[0])}{_and_more(len(found))}: its shape is computed in the run, and TFLM "
            f"takes the stored one, {shape}",
            "nothing, if that is the shape of every run; otherwise convert with fixed sizes",
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
            f"{list(first.shape_signature or ())} is unknown until run time, and TFLM takes the "
            f"stored shape {list(first.shape)}",
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
                    f"{_at(operator)}: it ends the model, and differences of a few LSB before it "
                    "can be many behind it",
                    "choose --tflm-tolerance with that in mind, or compare the model without its "
                    "last layer",
                    operator=operator.index,
                    tensor=tensor.index,
                )
