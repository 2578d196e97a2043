"""Defects of kernels: what exactly they do, and to which operators."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import model_builders
import network_models
import numpy as np
import pytest

from pytest_tflm.model import model_from_bytes
from pytest_tflm.model.arithmetic.accumulators import accumulators
from pytest_tflm.model.arithmetic.requantise import Requantisation, requantisation
from pytest_tflm.model.arithmetic.single import Single
from pytest_tflm.model.transform.cut import cut_operator

pytest.importorskip("tflite_micro")
from pytest_tflm.simulator.engine.base import Refusal
from simulator.bad_boards import (
    MODELS,
    Bench,
    averaging,
    convolution,
    differs,
    pad,
    running_sum,
    samples_for,
    softmax,
    split,
    two_variables,
)


def pairs(model: bytes, spec: str, count: int = 4) -> list[tuple[Any, Any, Any]]:
    """For each sample: itself, a good board's first output, and a bad one's."""
    samples = samples_for(model, count)
    good, bad = (Bench(each).run_all(model, samples) for each in ("", spec))
    return [
        (sample, one[0].astype(int), other[0].astype(int))
        for sample, one, other in zip(samples, good, bad, strict=True)
    ]


def clipped(array: np.ndarray) -> np.ndarray:
    return np.clip(array, -128, 127)


def of_sums(model: bytes) -> tuple[Single, Requantisation]:
    single = Single(model_from_bytes(model))
    how = requantisation(single)
    assert how is not None
    return single, how


@pytest.mark.parametrize("name", ["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"])
def test_off_by_one(name: str) -> None:
    for _, good, bad in pairs(convolution(name), f"off-by-one:{name}"):
        np.testing.assert_array_equal(bad, clipped(good + 1))


def test_edges_and_channels() -> None:
    model = convolution("CONV_2D", activation=0)
    for spec, at in (
        ("last-row", (slice(-1, None), slice(-1, None))),
        ("first-row", (slice(0, 1), slice(0, 1))),
    ):
        for _, good, bad in pairs(model, spec):
            expected = good.copy()
            expected[:, at[0], :] = clipped(good + 3)[:, at[0], :]
            expected[:, :, at[1]] = clipped(good + 3)[:, :, at[1]]
            np.testing.assert_array_equal(bad, expected)
    for _, good, bad in pairs(model, "last-channel"):
        expected = good.copy()
        expected[..., -1] = clipped(good + 2)[..., -1]
        np.testing.assert_array_equal(bad, expected)


def test_the_end_of_a_sequence() -> None:
    for _, good, bad in pairs(pad(), "last-row:PAD"):
        assert {*np.argwhere(good != bad)[:, 1]} == {6}


def test_one_code() -> None:
    for sample, good, bad in pairs(model_builders.add_int8((1, 64)), "one-code:ADD:5", 12):
        np.testing.assert_array_equal(bad, clipped(good + (sample[0] == 5)))
    model = convolution("FULLY_CONNECTED", batch=3)
    sample = samples_for(model)[0]
    sample[0][1, 0], sample[0][2, 1] = 17, 17
    ((good,), (bad,)) = (Bench(s).run_all(model, [sample])[0] for s in ("", "one-code"))
    changed = clipped(good.astype(int) + 1)
    np.testing.assert_array_equal(bad[1], changed[1])
    np.testing.assert_array_equal(bad[[0, 2]], good[[0, 2]])
    model = convolution("CONV_2D", size=(2, 2), stride=(1, 1), activation=0, same=False)
    sample = [np.zeros((1, 8, 8, 3), np.int8)]
    sample[0][0, 3, 4, 0] = 17
    sample[0][0, 6, 6, 1] = 17
    ((good,), (bad,)) = (Bench(s).run_all(model, [sample])[0] for s in ("", "one-code"))
    assert {tuple(at[:3]) for at in np.argwhere(good != bad)} == {(0, 3, 4)}
    # Of an operator whose output is no window: anywhere.
    sample = [np.array([[0, 0, 0, 0, 0, 0, 0, 17]], np.int8)]
    good2, bad2 = (Bench(s).run_all(split(), [sample])[0] for s in ("", "one-code:SPLIT"))
    assert [(b - g).tolist() for g, b in zip(good2, bad2, strict=True)] == [[[1] * 4]] * 2


def test_rounding() -> None:
    for name in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
        for spec in ("float-requantised", "single-rounding"):
            changed = 0
            for _, good, bad in pairs(convolution(name, activation=0), spec, 60):
                assert abs(good - bad).max() <= 1
                changed += np.count_nonzero(good != bad)
                assert np.count_nonzero(good != bad) < good.size / 4
            assert changed, (name, spec)


def test_accumulators_that_wrap() -> None:
    for spec, bits in (("accumulator-overflow:15", 15), ("accumulator-overflow", 16)):
        model = convolution("FULLY_CONNECTED")
        single, _ = of_sums(model)
        for sample, good, bad in pairs(model, spec):
            sums = accumulators(single, sample)
            assert sums is not None
            within = (-(1 << (bits - 1)) <= sums) & (sums < 1 << (bits - 1))
            assert 0 < np.count_nonzero(within) < within.size
            np.testing.assert_array_equal(good[within], bad[within])
            assert (good != bad)[~within].any()


@pytest.mark.parametrize("example", ["tcn", "conv", "depthwise", "connected", "connected16"])
def test_accumulators_of_32_bits_do_not_wrap_and_parts_are_the_whole(example: str) -> None:
    """All sums computed anew, the model run in parts: not one bit differs."""
    spec = ",".join(
        f"accumulator-overflow:{name}:32"
        for name in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
    )
    model = MODELS[example]()
    bench = Bench(spec)
    bench.load(model)
    assert bench.engine._plan is not None
    for _, good, bad in pairs(model, spec, 2):
        np.testing.assert_array_equal(good, bad)


def test_above_2_23() -> None:
    model = convolution("FULLY_CONNECTED", channels=2048, batch=1)
    single, _ = of_sums(model)
    weights = single.operands([np.zeros((1, 2048), np.int8)])[1]
    assert weights is not None
    for row, sign in ((0, 1), (1, -1)):
        # The largest sum of one output: every product positive, or every one negative.
        sample = [np.where(weights[row : row + 1] * sign > 0, 127, -128).astype(np.int8)]
        sums = accumulators(single, sample)
        assert sums is not None and np.count_nonzero(abs(sums) > 1 << 23) == 1
        good, bad = (Bench(s).run_all(model, [sample])[0][0] for s in ("", "above-2^23"))
        by = abs(sums) > 1 << 23
        np.testing.assert_array_equal(bad, clipped(good.astype(int) + by))


def test_padding() -> None:
    # 8 wide, stride 2, 3 seen: one more at the end, of zero point 7. 8 high, stride 1: one each.
    model = convolution("CONV_2D", activation=0)
    for spec, edges in (
        ("padding-zero", [(0, slice(-1)), (-1, slice(-1)), (slice(1, -1), -1)]),
        ("asymmetric-padding", [(slice(1, -1), -1)]),
    ):
        inside = np.ones((8, 4), np.bool_)
        for edge in [*edges, (0, -1), (-1, -1)]:
            inside[edge] = False
        for _, good, bad in pairs(model, spec):
            np.testing.assert_array_equal(good[:, inside], bad[:, inside])
            assert (good != bad)[:, ~inside].any()
            for edge in edges:
                assert (good != bad)[0][edge].any()
    for _, good, bad in pairs(pad(), "padding-zero:PAD"):
        np.testing.assert_array_equal(bad[:, 2:6], good[:, 2:6])
        assert set(bad[:, [0, 1, 6]].flat) == {0} and set(good[:, [0, 1, 6]].flat) == {5}


@pytest.mark.parametrize("spec", ["padding-zero", "asymmetric-padding"])
@pytest.mark.parametrize("fixed", [{"zero_point": 0}, {"same": False}])
def test_padding_that_cannot_be_seen(spec: str, fixed: dict[str, Any]) -> None:
    for _, good, bad in pairs(convolution("CONV_2D", **fixed), spec):
        np.testing.assert_array_equal(good, bad)


def test_what_of_a_convolution_is_lost() -> None:
    model = convolution("CONV_2D", same=False, activation=1)
    single, how = of_sums(model)
    _, without = of_sums(convolution("CONV_2D", same=False, activation=0))
    _, x_weights, bias = single.operands([np.zeros((1, 8, 8, 3), np.int8)])
    assert x_weights is not None and bias is not None
    first = Requantisation(
        how.reals[:1], how.multipliers[:1], how.shifts[:1],
        how.zero_point, how.lowest, how.highest, how.dtype,
    )  # fmt: skip
    offsets = 7 * x_weights.astype(np.int64).sum(axis=(1, 2, 3))
    for spec, expected in (
        ("activation-lost", lambda sums: without.codes(sums)),
        ("bias-lost", lambda sums: how.codes(sums - bias)),
        ("zero-point-lost", lambda sums: how.codes(sums + offsets)),
        ("per-channel-lost", lambda sums: first.codes(sums)),
    ):
        for sample, good, bad in pairs(model, spec):
            sums = accumulators(single, sample)
            assert sums is not None
            np.testing.assert_array_equal(how.codes(sums), good)
            np.testing.assert_array_equal(expected(sums), bad)
            assert not np.array_equal(good, bad), spec


def test_odd_stride_and_padding() -> None:
    for stride, size, odd in (((1, 2), (3, 3), True), ((2, 2), (3, 3), False)):
        model = convolution("CONV_2D", stride=stride, size=size)
        for _, good, bad in pairs(model, "odd-stride-and-padding"):
            np.testing.assert_array_equal(bad, clipped(good + 1) if odd else good)


def test_misaligned() -> None:
    model = convolution("FULLY_CONNECTED", batch=8)  # of 37 inputs each
    differ = np.zeros((8, 9), np.bool_)
    for _, good, bad in pairs(model, "misaligned"):
        differ |= good != bad
    aligned = np.arange(9) * 37 % 4 == 0
    rows = np.arange(8) * 37 % 4 == 0
    assert not differ[rows][:, aligned].any()
    assert differ[~rows][:, aligned].any(axis=1).all()
    assert differ[rows][:, ~aligned].any(axis=0).all()
    for _, good, bad in pairs(convolution("CONV_2D", channels=4), "misaligned"):
        np.testing.assert_array_equal(good, bad)
    for _, good, bad in pairs(convolution("CONV_2D", size=(1, 1), stride=(1, 1)), "misaligned"):
        # 3 channels: every fourth pixel begins at a multiple of 4.
        good, bad = good.reshape(64, -1), bad.reshape(64, -1)
        np.testing.assert_array_equal(good[::4], bad[::4])
        assert (good != bad)[1::4].any()


def test_outputs_that_are_overwritten_or_cut_off() -> None:
    model = convolution("CONV_2D", activation=0)
    for _, good, bad in pairs(model, "scratch-overlap"):
        assert set(bad.reshape(-1)[:16]) == {0}
        np.testing.assert_array_equal(bad.reshape(-1)[16:], good.reshape(-1)[16:])
    for _, good, bad in pairs(model, "saturation:CONV_2D"):
        np.testing.assert_array_equal(bad, np.clip(good, -64, 63))
    for _, good, bad in pairs(model, "minimum-lost"):
        np.testing.assert_array_equal(bad, np.maximum(good, -127))


def test_one_type_of_operator_in_a_model_and_alone() -> None:
    model = MODELS["tcn"]()
    (_, good, bad), *_ = pairs(model, "off-by-one:ADD", 1)
    assert not np.array_equal(good, bad)
    read = model_from_bytes(model)
    for operator in (1, 2, 8, 45):
        cut = cut_operator(read, operator).model.data
        for _, alone, bad in pairs(cut, "off-by-one:ADD", 1):
            differs = not np.array_equal(alone, bad)
            assert differs == (read.operators[operator].name == "ADD")


def test_the_first_model_decides_which_kernels_are_bad() -> None:
    def differs(bench: Bench, model: bytes) -> bool:
        samples = samples_for(model, 2)
        good = Bench().run_all(model, samples)
        found = bench.run_all(model, samples)
        return any(not np.array_equal(a[0], b[0]) for a, b in zip(good, found, strict=True))

    conv, connected = MODELS["conv"](), MODELS["connected"]()
    bench = Bench("off-by-one")
    assert not differs(bench, model_builders.identity("int32"))  # decides nothing
    assert differs(bench, connected)
    assert not differs(bench, conv) and not differs(bench, model_builders.add_int8())
    assert differs(bench, connected)
    bench = Bench("off-by-one")
    tcn = model_from_bytes(MODELS["tcn"]())
    assert differs(bench, tcn.data)
    assert not differs(bench, cut_operator(tcn, 8).model.data)  # an ADD
    assert differs(bench, cut_operator(tcn, 11).model.data)  # a CONV_2D


def test_negative_codes() -> None:
    model = model_builders.add_int8((1, 64))
    for sample, good, bad in pairs(model, "negative-codes:ADD"):
        np.testing.assert_array_equal(bad, clipped(good + 3 * (sample[0] < 0)))


def test_channels_of_a_large_shift() -> None:
    model = convolution("CONV_2D", activation=0)
    _, how = of_sums(model)
    assert len(set(how.shifts)) > 1
    least = int(how.shifts.max())
    for _, good, bad in pairs(model, f"shift-below:{least}"):
        np.testing.assert_array_equal(bad, clipped(good + 2 * (how.shifts < least)))
    for _, good, bad in pairs(model, f"shift-below:{how.shifts.min()}"):
        np.testing.assert_array_equal(bad, good)


def test_a_truncated_bias() -> None:
    model = convolution("FULLY_CONNECTED", channels=2048, batch=1)
    single, how = of_sums(model)
    assert single.inputs[2] is not None
    bias = single.model.constant(single.inputs[2].index)
    assert bias is not None and (abs(bias) > 1 << 15).any()
    lost = bias - bias.astype(np.int16)
    for sample, good, bad in pairs(model, "bias-truncated"):
        sums = accumulators(single, sample)
        assert sums is not None
        np.testing.assert_array_equal(bad, how.codes(sums - lost))
        assert (good != bad).any()


def test_codes_that_wrap_around() -> None:
    model = convolution("FULLY_CONNECTED")
    single, how = of_sums(model)
    wrapped = 0
    for sample, good, bad in pairs(model, "output-wraps"):
        sums = accumulators(single, sample)
        assert sums is not None
        wide = replace(how, lowest=-(1 << 20), highest=1 << 20, dtype=np.dtype(np.int32))
        codes = np.maximum(wide.codes(sums), -128)
        np.testing.assert_array_equal(bad, codes.astype(np.int8))
        wrapped += int((good != bad).sum())
    assert wrapped


def test_a_multiplier_of_16_bits() -> None:
    model = convolution("FULLY_CONNECTED", channels=2048, batch=1)
    single, how = of_sums(model)
    narrow = replace(how, multipliers=how.multipliers >> 15 << 15)
    for sample, _, bad in pairs(model, "multiplier-truncated"):
        sums = accumulators(single, sample)
        assert sums is not None
        np.testing.assert_array_equal(bad, narrow.codes(sums))


def test_constants_of_neighbours() -> None:
    model = convolution("FULLY_CONNECTED", channels=2048, batch=1)
    for spec, place in (("next-bias", 2), ("weights-shifted", 1)):
        table = model_builders.unpack(model)
        graph = table.subgraphs[0]
        buffer = table.buffers[graph.tensors[graph.operators[0].inputs[place]].buffer]
        width = 4 if place == 2 else 1
        buffer.data = np.roll(np.asarray(buffer.data, np.uint8), -width)
        samples = samples_for(model)
        right = Bench().run_all(model_builders.pack(table), samples)
        assert not differs(Bench(spec).run_all(model, samples), right)


def test_an_operand_twice() -> None:
    for sample, _, bad in pairs(model_builders.add_int8((1, 64)), "operand-twice"):
        twice = Bench().run_all(model_builders.add_int8((1, 64)), [[sample[0], sample[0]]])
        np.testing.assert_array_equal(bad, twice[0][0])


def test_padding_that_is_repeated() -> None:
    model = convolution("CONV_2D", zero_point=0)
    valid = model_builders.unpack(model)
    graph = valid.subgraphs[0]
    window = Single(model_from_bytes(model)).window
    assert window is not None
    edges = [(0, 0), *zip(window.before, window.after, strict=True), (0, 0)]
    valid.subgraphs[0].operators[0].builtinOptions.padding = 1
    x = graph.tensors[graph.operators[0].inputs[0]]
    x.shape = [size + sum(edge) for size, edge in zip(x.shape, edges, strict=True)]
    for sample, good, bad in pairs(model, "padding-repeated"):
        wide = [[np.pad(sample[0], edges, "edge")]]
        (right,) = Bench().run_all(model_builders.pack(valid), wide)
        np.testing.assert_array_equal(bad, right[0])
        assert (good != bad).any()


def test_other_activations_and_betas() -> None:
    model, other = convolution("CONV_2D", activation=1), convolution("CONV_2D", activation=3)
    samples = samples_for(model)
    assert not differs(
        Bench("activation-6").run_all(model, samples), Bench().run_all(other, samples)
    )
    samples = samples_for(softmax(0.1))
    assert not differs(
        Bench("softmax-beta").run_all(softmax(0.1), samples),
        Bench().run_all(softmax(0.1, beta=2.0), samples),
    )


def test_outputs_that_are_not_complete() -> None:
    for _, good, bad in pairs(convolution("CONV_2D"), "output-limited:50"):
        zero_point = of_sums(convolution("CONV_2D"))[1].zero_point
        np.testing.assert_array_equal(bad.ravel()[:50], good.ravel()[:50])
        assert (bad.ravel()[50:] == zero_point).all()


def test_an_average_by_shift() -> None:
    for _, good, bad in pairs(averaging("MEAN"), "average-by-shift"):
        np.testing.assert_array_equal(bad, np.rint((good + 7) * 36 / 64) - 7)


def test_what_a_kernel_keeps_of_its_run_before() -> None:
    model = model_builders.add_int8((1, 64))
    samples = samples_for(model)
    good, found = (Bench(s).run_all(model, samples) for s in ("", "accumulator-kept"))
    np.testing.assert_array_equal(found[0][0], good[0][0])
    for before, right, bad in zip(good, good[1:], found[1:], strict=False):
        kept = (before[0].astype(int) - 1) >> 2  # the zero point is 1
        np.testing.assert_array_equal(bad[0], clipped(right[0].astype(int) + kept))


def test_operators_with_the_parameters_of_the_last() -> None:
    model = network_models.image_network()
    samples = samples_for(model)
    good, found = (Bench(s).run_all(model, samples) for s in ("", "parameters-last:CONV_2D"))
    assert differs(good, found)
    one = convolution("CONV_2D")
    assert not differs(
        Bench("parameters-last:CONV_2D").run_all(one, samples_for(one)),
        Bench().run_all(one, samples_for(one)),
    )


def test_variables_in_one_memory_and_half_of_them() -> None:
    rows = [[np.full((1, 4), value, np.int8)] for value in (1, 2, 4, 8)]
    sums = {
        "": [1, 3, 7, 14],
        "variables-shared": [1, 2, 4, 8],  # the second is assigned last, and was 0
        "variables-halved": [1, 3, 7, 14],
    }
    for spec, expected in sums.items():
        found = [
            outputs[0].ravel().tolist() for outputs in Bench(spec).run_all(two_variables(), rows)
        ]
        firsts = [each[0] for each in found]
        assert firsts == expected, spec
        seconds = [1, 2, 4, 8] if spec == "variables-halved" else expected
        assert [each[3] for each in found] == seconds, spec


def test_a_wrong_scale() -> None:
    for _, good, bad in pairs(model_builders.add_int8((1, 64)), "wrong-scale"):
        levels = good - 1  # the zero point
        assert (abs(bad - 1 - levels * 7 / 8) <= 0.5).all() and (bad != good).any()


def test_permuted_channels() -> None:
    for _, good, bad in pairs(convolution("DEPTHWISE_CONV_2D"), "permuted"):
        np.testing.assert_array_equal(bad[..., 1:], good[..., :-1])
        np.testing.assert_array_equal(bad[..., 0], good[..., -1])


@pytest.mark.parametrize("name", ["CONV_2D", "DEPTHWISE_CONV_2D"])
def test_a_dilation_that_is_ignored(name: str) -> None:
    model = convolution(name, dilation=(2, 2), stride=(1, 1), activation=0)
    table = model_builders.unpack(model)
    options = table.subgraphs[0].operators[0].builtinOptions
    options.dilationHFactor = options.dilationWFactor = 1
    undilated = Single(model_from_bytes(model_builders.pack(table)))
    _, how = of_sums(model)
    for sample, good, bad in pairs(model, "undilated"):
        sums = accumulators(undilated, sample)
        assert sums is not None
        np.testing.assert_array_equal(bad, how.codes(sums))
        assert (good != bad).any()


def test_a_maximum_for_an_average() -> None:
    for sample, good, bad in pairs(averaging("AVERAGE_POOL_2D"), "max-for-average"):
        largest = sample[0].reshape(1, 3, 2, 3, 2, 3).max(axis=(2, 4))
        np.testing.assert_array_equal(bad, largest)
        assert (good != bad).any()
    for sample, good, bad in pairs(averaging("MEAN"), "max-for-average"):
        largest = sample[0].astype(int).max(axis=(1, 2))
        np.testing.assert_array_equal(bad, clipped((largest - 5) * 2 - 7))
        assert (good != bad).any()


def test_the_right_edge_of_one_size_of_window() -> None:
    for _, good, bad in pairs(convolution("DEPTHWISE_CONV_2D"), "right-edge:DEPTHWISE_CONV_2D"):
        np.testing.assert_array_equal(bad[:, :, :-1], good[:, :, :-1])
        np.testing.assert_array_equal(bad[:, :, -1], clipped(good + 3)[:, :, -1])
    for spec, fixed in (("right-edge", {"size": (3, 2)}), ("right-edge:5", {})):
        for _, good, bad in pairs(convolution("DEPTHWISE_CONV_2D", **fixed), spec):
            np.testing.assert_array_equal(bad, good)


def test_a_kernel_keeps_the_parameters_of_its_first_model() -> None:
    first, second = softmax(0.1), softmax(0.02, beta=0.5)
    samples = samples_for(first)
    good = [Bench().run_all(model, samples) for model in (first, second)]
    bench = Bench("parameters-kept:SOFTMAX")
    found = [bench.run_all(model, samples) for model in (first, second, first)]
    np.testing.assert_array_equal(found[0], good[0])
    np.testing.assert_array_equal(found[1], good[0])  # as the first model computes it
    np.testing.assert_array_equal(found[2], good[0])
    assert not np.array_equal(good[0], good[1])
    # By the order of loading; and the n-th operator of a type keeps what the n-th had.
    bench = Bench("parameters-kept:SOFTMAX")
    np.testing.assert_array_equal(bench.run_all(second, samples), good[1])
    tcn = model_from_bytes(MODELS["tcn"]())
    bench = Bench("parameters-kept")
    samples = samples_for(tcn.data, 1)
    np.testing.assert_array_equal(
        bench.run_all(tcn.data, samples), Bench().run_all(tcn.data, samples)
    )
    convolutions = [each.index for each in tcn.operators if each.name == "CONV_2D"]
    alone = [cut_operator(tcn, index).model.data for index in convolutions[:2]]
    for model, is_bad in zip(alone, (False, True), strict=True):
        samples = samples_for(model, 1)
        assert differs(bench.run_all(model, samples), Bench().run_all(model, samples)) == is_bad


@pytest.mark.parametrize("begins", [None, 9])
def test_resource_variables_of_a_model_that_is_run_in_parts(begins: int | None) -> None:
    model = running_sum(begins=begins)

    def runs(spec: str) -> list[int]:
        bench = Bench(spec)
        bench.load(model)
        found = []
        for value in (6, 7, 8, 9):
            if value == 8:
                bench.engine.reset_state()
            found.append(int(bench.run([np.full((1, 4), value, np.int8)])[0].flat[0]))
        return found

    good = runs("")
    start = 0 if begins is None else begins - 5
    assert good == [start + 6, start + 8, 8, 12]  # a reset is to the zero point, as in TFLM
    assert runs("minimum-lost:ADD") == good  # in parts, and nothing to be seen
    assert runs("off-by-one:ADD") == [start + 7, start + 10, 9, 14]
    assert runs("off-by-one:MUL") == good


@pytest.mark.parametrize(
    ("spec", "model", "said"),
    [
        ("off-by-one:ADD", model_builders.while_loop(), "ADD is in a subgraph that another"),
        ("off-by-one:READ_VARIABLE", running_sum(), "READ_VARIABLE .* uses a resource"),
        ("off-by-one:ADD,last-channel:READ_VARIABLE", running_sum(), "defect=off-by-one:ADD,last"),
    ],
)
def test_a_model_that_a_defect_cannot_be_applied_to_is_refused(
    spec: str, model: bytes, said: str
) -> None:
    bench = Bench(spec)
    with pytest.raises(Refusal, match=said) as caught:
        bench.load(model)
    assert f"sim: defect={spec} cannot be applied to this model" in str(caught.value)
    assert f"{model_from_bytes(model).crc32:08x}" in str(caught.value)
    bench.load(MODELS["pad"]())
