"""Operators with a state: UNIDIRECTIONAL_SEQUENCE_LSTM and SVDF. A sample's output depends on the
samples before it."""

from __future__ import annotations

import math

import numpy as np

from pytest_tflm.fuzz.kernels.operators.case import ACTIVATIONS, Drawing, OperatorCase

_TANH = 4
_GATES = ("input", "forget", "cell", "output")
_NONE = -1
# Small: TFLM wants the scale of SVDF's bias right within 1e-5, which of a large scale none is.
_SCALES = (0.5, 1 / 127, 0.05, 0.001, 1 / 64)


def lstm(d: Drawing) -> OperatorCase:
    """No peephole, projection or layer normalisation, which TFLM has not. Scales as TFLite's
    quantisation specification fixes them: the cell's a power of two, the output's at most that of
    what tanh reaches; the output's state is the output."""
    batch, steps = d.whole(1, 2), d.whole(1, 4)
    depth, units = d.whole(1, 6), d.whole(1, 4)
    major = d.flag("time major")
    shape = (steps, batch) if major else (batch, steps)
    source = (
        "int8",
        float(np.float32(d.pick((0.5, 0.05, 1 / 127, 1.0, 6 / 255)))),
        d.zero_point("int8"),
    )
    target = ("int8", float(np.float32(d.pick((1 / 128, 1 / 255, 1 / 512)))), d.zero_point("int8"))
    cell = 2.0 ** -d.pick((11, 12, 10, 13))
    x = d.input("x", (*shape, depth), source)
    scales = [np.float32(d.pick((1 / 127, 0.05, 0.001, 1 / 64))) for _ in range(2)]
    operands = [x]
    for name, size, scale in (("w", depth, scales[0]), ("r", units, scales[1])):
        for gate in _GATES:
            codes = d.weights((units, size))
            operands.append(d.constant(f"{name} {gate}", codes, "int8", float(scale)))
    operands += [_NONE] * 3
    limit = d.pick((2**8, 2**12, 2**16))
    for gate in _GATES:
        bias = d.codes("int32", (units,), (-limit, limit))
        operands.append(
            d.constant(f"b {gate}", bias, "int32", float(np.float32(source[1]) * scales[0]))
        )
    operands += [_NONE] * 2
    operands.append(d.variable("h", (batch, units), target))
    operands.append(d.variable("c", (batch, units), ("int16", cell, 0)))
    operands += [_NONE] * 4
    inner = [d.graph.tensor(f"inner{n}", (0,), "int16", 2.0**-12) for n in range(4)]
    inner.append(d.graph.tensor("inner4", (0,), *target))
    y = d.output("y", (*shape, units), target)
    index = d.graph.operator(
        "UNIDIRECTIONAL_SEQUENCE_LSTM", operands, (y,), "UnidirectionalSequenceLSTMOptions",
        version=2, fusedActivationFunction=_TANH, timeMajor=major,
        cellClip=float(d.pick((0.0, 10.0, 1.0), "cell clip")), projClip=0.0,
    )  # fmt: skip
    d.graph.graph.operators[index].intermediates = inner
    return d.finish("int8")


def svdf(d: Drawing) -> OperatorCase:
    """int8 with a state of int16. The fused activation is RELU, the one that TFLM takes."""
    batch, depth = d.whole(1, 2), d.whole(1, 6)
    rank, units, memory = d.whole(1, 2), d.whole(1, 3), d.whole(1, 5)
    d.note(f"rank {rank}")
    filters = rank * units
    source = ("int8", float(np.float32(d.pick((0.5, *_SCALES)))), d.zero_point("int8"))
    feature, time = (float(np.float32(d.pick(_SCALES))) for _ in range(2))
    limit = source[1] * feature * 255 * 127 * math.sqrt(depth)
    state = d.output_scale(source[1] * feature, limit, "int16")
    reach = 32767 * state * 127 * time * math.sqrt(memory * rank)
    step = d.output_scale(state * time, reach, "int8")
    operands = [
        d.input("x", (batch, depth), source),
        d.constant("feature", d.weights((filters, depth)), "int8", feature),
        d.constant("time", d.weights((filters, memory)).astype(np.int16), "int16", time),
    ]
    if not d.rare():
        bound = d.pick((2**10, 2**20))
        bias = d.codes("int32", (units,), (-bound, bound))
        scale = float(np.float32(state) * np.float32(time))
        operands.append(d.constant("b", bias, "int32", scale))
    else:
        d.note("no bias")
        operands.append(_NONE)
    operands.append(d.variable("state", (batch, memory * filters), ("int16", state, 0)))
    y = d.output("y", (batch, units), ("int8", step, d.zero_point("int8")))
    d.graph.operator(
        "SVDF", operands, (y,), "SVDFOptions", version=3, rank=rank,
        fusedActivationFunction=ACTIVATIONS["RELU"],
    )  # fmt: skip
    return d.finish("int8")
