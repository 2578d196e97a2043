"""Defects on purpose: each is named rightly, with the right operator where there is one; nothing
else is accused."""

from __future__ import annotations

import model_builders
import network_models
import numpy as np
import pytest
from judged import judged

from pytest_tflm.model import model_from_bytes
from pytest_tflm.simulator.defects.catalogue import DEFECTS
from pytest_tflm.verdict.lines import verdict_lines
from tests.runtime.state_models import svdf

FOUND_ELSEWHERE = {
    "crash": "an error with a name (tests/command), and no verdict",
    "one-element": "shows with one input code in one place: for the fuzzer to find",
}
"""Defects that are no verdict's to name."""

NOT_NAMED_YET = {
    "bias-bit", "bias-truncated", "cached-by-prefix", "cached-by-sum", "input-byte-swapped",
    "input-end-zeroed", "input-requantised", "input-sign-flipped", "max-for-average",
    "parameters-kept", "shift-below", "tail-stale",
    "tensors-overlap", "undilated",
}  # fmt: skip
"""Defects that the verdict cannot name so far, or that nobody has tried."""

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
    "outputs-swapped": network_models.two_outputs,
    "state-kept": svdf,
    "weight-changed": lambda: network_models.long_chain(12),
    "arena-overlap": network_models.image_network,
    "other-model": network_models.image_network,
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
    "negative-codes": ("ADD", (2,)),
    "wrong-scale": ("ADD", (2,)),
    "permuted": ("CONV_2D", (0, 3)),
    "right-edge": ("DEPTHWISE_CONV_2D", (1,)),
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


def test_there_is_a_case_for_every_defect() -> None:
    others = {"lost-version", "only-first-operator", "input-reused"}
    assert set(DEFECTS) == {*WHOLE, *KERNELS, *SINGLE, *others, *FOUND_ELSEWHERE, *NOT_NAMED_YET}
    assert len(DEFECTS) >= 25


@pytest.mark.parametrize("name", WHOLE)
def test_a_defect_of_the_board_is_named(name: str) -> None:
    verdict = judged(WHOLE[name](), f"sim?defect={name}", runtime="tflm")
    assert verdict.names == (named(name),), "\n".join(verdict_lines(verdict))


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


def test_what_shows_with_one_input_alone_is_unknown() -> None:
    drawn = np.random.default_rng(5).integers(-128, 126, (7, 1, 8, 8, 3)).astype(np.int8)
    samples = [*drawn, drawn[0].copy()]
    samples[-1].ravel()[417 % samples[-1].size] = 127
    verdict = judged(network_models.image_network(), "sim?defect=one-element", samples=samples)
    assert verdict.names == ("unknown",), "\n".join(verdict_lines(verdict))


def test_two_defects_at_once_are_both_named() -> None:
    verdict = judged(
        network_models.image_network(),
        "sim?defect=last-row:DEPTHWISE_CONV_2D,off-by-one:ADD",
    )
    assert verdict.names == ("edge-positions", "kernel-differs")
    assert [each.operators for each in verdict.accusations[:2]] == [(1,), (2,)]


def test_a_defect_is_found_through_a_bad_line_too() -> None:
    verdict = judged(
        network_models.image_network(), "sim?defect=last-row:CONV_2D&faults=mixed&seed=5"
    )
    assert verdict.names == ("edge-positions",)
