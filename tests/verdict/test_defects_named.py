"""Defects on purpose: each is named rightly, with the right operator where there is one; nothing
else is accused."""

from __future__ import annotations

import model_builders
import network_models
import numpy as np
import pytest
from judged import judged

from pytest_tflm.model import model_from_bytes
from pytest_tflm.model.graph import pack, unpack
from pytest_tflm.simulator.defects.catalogue import DEFECTS
from pytest_tflm.verdict.lines import verdict_lines
from tests.runtime.state_models import svdf
from tests.simulator.bad_boards import averaging, convolution, two_variables

FOUND_ELSEWHERE = {
    "crash": "an error with a name (tests/command), and no verdict",
}
"""Defects that are no verdict's to name."""

WHOLE = {
    "zeros": network_models.image_network,
    "constant": network_models.image_network,
    "output-stale": network_models.image_network,
    "input-stale": network_models.image_network,
    "input-truncated": network_models.image_network,
    "input-altered": network_models.image_network,
    "drift": network_models.image_network,
    "random": network_models.image_network,
    "saturation": network_models.image_network,
    "tail-stale": network_models.image_network,
    "tail-lost": network_models.image_network,
    "last-operator-lost": network_models.image_network,
    "input-requantised": network_models.image_network,
    "input-end-zeroed": network_models.image_network,
    "input-sign-flipped": network_models.image_network,
    "input-byte-swapped": lambda: convolution("CONV_2D", dtype="int16"),
    "tensors-overlap": network_models.image_network,
    "bias-bit": network_models.image_network,
    "outputs-swapped": network_models.two_outputs,
    "state-kept": svdf,
    "weight-changed": lambda: network_models.long_chain(12),
    "arena-overlap": network_models.image_network,
    "other-model": network_models.image_network,
    "input-line-stale": network_models.image_network,
    "input-dithered": network_models.image_network,
    "output-bit-stuck": network_models.image_network,
    "halves-exchanged": network_models.image_network,
    "outputs-misread": network_models.image_network,
    "not-a-number": network_models.float_dense,
    "first-run-lost": network_models.image_network,
    "invoke-twice": svdf,
    "interrupt": network_models.image_network,
    "accumulator-kept": network_models.image_network,
    "parameters-last": network_models.image_network,
    "variables-shared": two_variables,
    "variables-halved": two_variables,
}
"""What is seen in the outputs of the whole model."""

KERNELS = {
    # The operators of image_network: 0 CONV_2D, 1 DEPTHWISE_CONV_2D, 2 ADD, 3 CONV_2D,
    # 4 MAX_POOL_2D, 5 RESHAPE, 6 FULLY_CONNECTED.
    "off-by-one": ("ADD", (2,)),
    "one-code": ("ADD", (2,)),
    "last-row": ("DEPTHWISE_CONV_2D", (1,)),
    "first-row": ("DEPTHWISE_CONV_2D", (1,)),
    "last-channel": ("CONV_2D", (0, 3)),
    "float-requantised": ("CONV_2D", (0, 3)),
    "single-rounding": ("CONV_2D", (0, 3)),
    "padding-zero": ("CONV_2D", (0, 3)),
    "activation-lost": ("CONV_2D", (0, 3)),
    "per-channel-lost": ("CONV_2D", (0, 3)),
    "zero-point-lost": ("FULLY_CONNECTED", (6,)),
    "bias-lost": ("FULLY_CONNECTED", (6,)),
    "accumulator-overflow": ("CONV_2D", (0, 3)),
    "odd-stride-and-padding": ("CONV_2D", (0, 3)),
    "misaligned": ("CONV_2D", (0, 3)),
    "scratch-overlap": ("ADD", (2,)),
    "saturation": ("ADD", (2,)),
    "shift-below": ("CONV_2D", (0, 3)),
    "negative-codes": ("ADD", (2,)),
    "wrong-scale": ("ADD", (2,)),
    "permuted": ("CONV_2D", (0, 3)),
    "right-edge": ("DEPTHWISE_CONV_2D", (1,)),
    "padding-repeated": ("CONV_2D", (0, 3)),
    "activation-6": ("CONV_2D", (0, 3)),
}
"""Of one operator type in a network: the type, and which operators are of it."""

SINGLE = {
    "asymmetric-padding": network_models.strided,
    "minimum-lost": model_builders.conv_2d,
    "above-2^23": network_models.large_sums,
}
"""Of an operator that the network has not: seen with it alone."""


def named(name: str) -> str:
    return DEFECTS[name].cause


def level_samples(data: bytes, level: float) -> np.ndarray:
    """An input around one level: from the lowest codes to the highest, sums of every size."""
    (tensor,) = model_from_bytes(data).inputs
    noise = np.random.default_rng(int(level) + 128).normal(level, 20, tensor.shape)
    return np.clip(noise, -128, 127).astype(np.int8)


def large_biases() -> bytes:
    """A FULLY_CONNECTED whose biases need 17 bits and more."""
    table = unpack(convolution("FULLY_CONNECTED"))
    (graph,) = table.subgraphs
    bias = graph.tensors[graph.operators[0].inputs[2]]
    values = np.linspace(-90000, 90000, bias.shape[0]).astype(np.int32)
    table.buffers[bias.buffer].data = np.frombuffer(values.tobytes(), np.uint8)
    return pack(table)


ALIKE = {
    # The second input of a pair is answered like the first: what they have in common.
    "cached-by-prefix": ("begin with the same 100 bytes", lambda x: np.append(x[:100], ~x[100:])),
    "cached-by-sum": ("have the same sum", lambda x: x[::-1].copy()),
}
PATTERNS = {
    "undilated": (
        lambda: convolution("CONV_2D", dilation=(2, 2), stride=(1, 1)),
        "a dilation of 1",
    ),
    "bias-truncated": (large_biases, "the lowest 16 bits of its bias"),
    "max-for-average": (lambda: averaging("MEAN"), "the maximum instead of the average"),
    "negative-codes": (model_builders.add_int8, "an input element"),
    "wrong-scale": (model_builders.conv_2d, "times the right one"),
    "permuted": (model_builders.conv_2d, "its channels are rotated by one"),
    "off-by-one": (model_builders.conv_2d, "+1 LSB off"),
    "bias-lost": (lambda: convolution("CONV_2D"), "without its bias"),
    "output-wraps": (network_models.image_network, "beyond 8 bits wrapped around"),
    "next-bias": (network_models.image_network, "with the bias of the next channel"),
    "weights-shifted": (network_models.image_network, "read from +1 element on"),
    "operand-twice": (network_models.image_network, "its first input instead of the second"),
    "average-by-shift": (lambda: averaging("MEAN"), "0.562 times the right one"),
    "softmax-beta": (lambda: network_models.image_network(softmax=True), "with twice its beta"),
    "output-limited:100": (
        network_models.image_network,
        "only its first 100 of 320 elements are computed, all behind them hold -100",
    ),
    "copy-rounded-down:RESHAPE": (
        lambda: network_models.image_network(channels=5, size=6),
        "only its first 48 of 54 elements are computed",
    ),
}
"""What the wrong elements of a kernel have in common, in the words of the verdict."""


def test_there_is_a_case_for_every_defect() -> None:
    others = {"lost-version", "only-first-operator", "input-reused", "one-element"}
    others |= {"parameters-kept", "multiplier-truncated", *ALIKE}
    others |= {name.split(":")[0] for name in PATTERNS}
    assert set(DEFECTS) == {*WHOLE, *KERNELS, *SINGLE, *others, *FOUND_ELSEWHERE}


@pytest.mark.parametrize("name", ALIKE)
def test_outputs_that_are_kept_are_called_stale_and_when(name: str) -> None:
    when, change = ALIKE[name]
    drawn = np.random.default_rng(5).integers(-128, 128, (3, 192)).astype(np.int8)
    pairs = [each for x in drawn for each in (x, change(x))]
    samples = [x.reshape(1, 8, 8, 3) for x in pairs]
    port = f"sim?defect={name}"
    verdict = judged(network_models.image_network(), port, samples=samples, runtime="tflm")
    assert verdict.names == ("stale-outputs",), "\n".join(verdict_lines(verdict))
    assert when in verdict.accusations[0].sentence


@pytest.mark.slow
@pytest.mark.parametrize("name", PATTERNS)
def test_what_a_kernel_does_wrong_is_said(name: str) -> None:
    make, words = PATTERNS[name]
    verdict = judged(make(), f"sim?defect={name}", runtime="tflm")
    assert verdict.names == ("kernel-differs",), "\n".join(verdict_lines(verdict))
    assert words in verdict.accusations[0].sentence


def test_a_kernel_that_keeps_the_parameters_of_another_model_is_called_that() -> None:
    verdict = judged(
        network_models.image_network(),
        "sim?defect=parameters-kept:ADD",
        before=model_builders.add_int8(),
        runtime="tflm",
    )
    assert verdict.names == ("state-between-models",), "\n".join(verdict_lines(verdict))
    assert verdict.accusations[0].operators == (2,)
    alone = judged(network_models.image_network(), "sim?defect=parameters-kept:ADD", runtime="tflm")
    assert alone.is_equal


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("tensors-overlap", "tensor 3 ('first') then holds bytes of tensor 6 ('deep')"),
        ("bias-bit", "constant 'first bias' of CONV_2D (operator 0)"),
        ("input-requantised", "c becomes c / scale + zero point"),
        ("input-end-zeroed", "the last byte is 0"),
        ("tail-stale", "The last 3 of 10 elements of output 0"),
        ("tail-lost", "The last 3 of 10 elements of output 0 are the same in all runs (0, 0, 0)"),
        ("last-operator-lost", "operator 6, FULLY_CONNECTED, the model's outputs are right"),
    ],
)
def test_which_one_it_is_is_said(name: str, words: str) -> None:
    verdict = judged(network_models.image_network(), f"sim?defect={name}", runtime="tflm")
    assert words in verdict.accusations[0].sentence


@pytest.mark.parametrize("name", WHOLE)
def test_a_defect_of_the_board_is_named(name: str) -> None:
    verdict = judged(WHOLE[name](), f"sim?defect={name}", runtime="tflm")
    assert verdict.names == (named(name),), "\n".join(verdict_lines(verdict))


@pytest.mark.slow
@pytest.mark.parametrize("name", SINGLE)
def test_a_defect_of_a_single_operator_is_named(name: str) -> None:
    ramp = np.linspace(-128, 127, 8)
    verdict = judged(
        SINGLE[name](),
        f"sim?defect={name}",
        samples=[level_samples(SINGLE[name](), level) for level in ramp],
        runtime="tflm",
    )
    assert verdict.names == (named(name),), "\n".join(verdict_lines(verdict))
    assert verdict.accusations[0].operators == (0,)


@pytest.mark.slow
@pytest.mark.parametrize("name", KERNELS)
def test_a_defect_of_a_kernel_is_named_with_its_operators(name: str) -> None:
    operator, indices = KERNELS[name]
    verdict = judged(network_models.image_network(), f"sim?defect={name}:{operator}")
    causes = [each for each in verdict.accusations if not each.cause.is_note]
    text = "\n".join(verdict_lines(verdict))
    assert [each.name for each in causes] == [named(name)], text
    assert set(causes[0].operators) <= set(indices), text
    assert causes[0].operators, text
    assert operator in causes[0].sentence


def test_a_lost_version_is_told_from_a_lost_operator() -> None:
    verdict = judged(network_models.image_network(), "sim?defect=lost-version:ADD")
    assert verdict.names == ("operator-version",)
    assert verdict.accusations[0].operators == (2,)
    verdict = judged(network_models.image_network(), "sim?defect=only-first-operator")
    assert verdict.names == ("operator-missing",)
    assert verdict.accusations[0].operators == (1,)


def test_an_input_that_invoke_uses_again_is_a_note() -> None:
    model = network_models.image_network()
    verdict = judged(model, "sim?defect=input-reused,off-by-one:ADD")
    assert verdict.names == ("kernel-differs",)
    assert "input-reused" in [each.name for each in verdict.accusations]
    # Of itself it changes no output, since all inputs are written each time.
    assert judged(model, "sim?defect=input-reused").is_equal


def test_one_output_that_is_changed_is_no_kernels_fault() -> None:
    drawn = np.random.default_rng(5).integers(-128, 126, (7, 1, 8, 8, 3)).astype(np.int8)
    samples = [*drawn, drawn[0].copy()]
    samples[-1].ravel()[417 % samples[-1].size] = 127
    verdict = judged(network_models.image_network(), "sim?defect=one-element", samples=samples)
    assert verdict.names == ("input-changed",), "\n".join(verdict_lines(verdict))
    assert verdict.accusations[0].operators == ()


def test_what_is_unknown_names_what_was_excluded() -> None:
    # With the operators of a board that takes no models, nothing can be told of its kernels.
    verdict = judged(
        network_models.image_network(), "sim?defect=off-by-one:ADD", takes_models=False
    )
    assert verdict.names == ("unknown",), "\n".join(verdict_lines(verdict))
    assert {"constant-outputs", "stale-tail", "input-changed"} <= set(verdict.evidence.excluded)
    assert "Excluded: constant-outputs, stale-outputs, stale-tail" in (
        verdict.accusations[0].sentence
    )


def test_two_defects_at_once_are_both_named() -> None:
    verdict = judged(
        network_models.image_network(),
        "sim?defect=last-row:DEPTHWISE_CONV_2D,off-by-one:ADD",
    )
    assert verdict.names == ("edge-positions", "kernel-differs")
    assert [each.operators for each in verdict.accusations[:2]] == [(1,), (2,)]


@pytest.mark.slow
def test_a_defect_is_found_through_a_bad_line_too() -> None:
    verdict = judged(
        network_models.image_network(), "sim?defect=last-row:CONV_2D&faults=mixed&seed=5"
    )
    assert verdict.names == ("edge-positions",)
