"""What a verdict says where it once said something wrong: the model's state, its file, floats, and
models that somebody refuses."""

from __future__ import annotations

from pathlib import Path

import model_builders
import network_models
import numpy as np
import pytest
from judged import judged

from pytest_tflm.link import entries
from pytest_tflm.model import Model, model_from_bytes, open_model
from pytest_tflm.model.graph import Graph, pack
from pytest_tflm.record.samples import RandomSamples
from pytest_tflm.runtime.hosts import Hosts
from pytest_tflm.runtime.spec import RuntimeSpec
from pytest_tflm.verdict.lines import verdict_lines
from pytest_tflm.verdict.row import Row
from pytest_tflm.verdict.verdict import judge
from tests.model import odd_models
from tests.runtime import state_models

UINT32 = 15
"""schema.fbs: TensorType"""
EXAMPLES = Path(__file__).parents[2] / "examples"


def text_of(verdict) -> str:
    return "\n".join(verdict_lines(verdict))


def one_input(model: Model, count: int) -> list:
    drawn = RandomSamples(model, count, 0)
    return [drawn[i] for i in range(count)]


# State.


def test_a_difference_that_needs_frames_is_found_in_the_stream() -> None:
    port = "sim?defect=off-by-one:FULLY_CONNECTED"
    verdict = judged(state_models.delayed(), port, samples=12, runtime="tflm")
    assert verdict.names == ("kernel-differs",), text_of(verdict)
    assert verdict.accusations[0].operators == (0,)
    # From a reset before each frame, as with few frames, nothing shows.
    assert judged(state_models.delayed(), port, samples=4, runtime="tflm").is_equal


def test_a_verdict_leaves_the_boards_state_as_it_was() -> None:
    model = model_from_bytes(state_models.delayed())
    samples = one_input(model, 12)
    port = RuntimeSpec.of_board("sim?defect=off-by-one:FULLY_CONNECTED")

    def outputs(*, judged_after: int | None) -> list[bytes]:
        with Hosts() as hosts:
            row = Row.made(hosts, port, RuntimeSpec("tflm"))
            board = hosts.board(port).load(model)
            made = []
            for i, sample in enumerate(samples):
                made.append(board.run(sample)[0].tobytes())
                if i == judged_after:
                    verdict = judge(model, samples, row, history=board.history)
                    assert verdict.names == ("kernel-differs",), text_of(verdict)
            return made

    assert outputs(judged_after=8) == outputs(judged_after=None)


def test_the_stream_of_the_run_is_what_is_looked_at() -> None:
    model = model_from_bytes(state_models.delayed())
    with Hosts() as hosts:
        port = RuntimeSpec.of_board("sim")
        row = Row.made(hosts, port, RuntimeSpec("tflm"))
        board = hosts.board(port).load(model)
        for sample in one_input(model, 20):
            board.run(sample)
        assert len(board.history) == 20
        verdict = judge(model, one_input(model, 3), row, history=board.history)
        assert len(verdict.evidence.outputs["board"]) == 20
        assert len(board.history) == 20
        board.reset_state()
        assert board.history == ()


@pytest.mark.parametrize("resolver", ["builtin_ref", "auto"])
def test_observing_a_model_with_state_does_not_change_it(resolver: str) -> None:
    verdict = judged(odd_models.lstm(), None, samples=6, resolver=resolver)
    assert "observed-reference" not in [each.name for each in verdict.accusations]


def test_resource_variables_are_looked_at_without_their_handles() -> None:
    assert judged(state_models.running_sum(0.0), "sim", samples=5).is_equal
    # TFLM's Reset makes a variable 0, and not what the model begins with.
    verdict = judged(state_models.running_sum(5.0), "sim", samples=5)
    assert verdict.names == ("state-not-reset",), text_of(verdict)
    assert "CALL_ONCE" in verdict.accusations[0].sentence


SUBTRACTION = (
    b"alternate_one_minus_smoothing\x00alternate_smoothing\x00clamping\x00min_signal_remaining\x00"
    b"num_channels\x00one_minus_smoothing\x00smoothing\x00smoothing_bits\x00"
    b"spectral_subtraction_bits\x00\t\xa5\x88umYM:1#\t\x00\x01\x00\t\x00)<\xd7\x03\x00\x003\x03"
    b"\x08\x00g>\x99\x01\n\x00\x0e\x00\x05\x05i\x05\x05\x05\x05\x05\x05\x1b%\x01"
)
"""Eight channels; a flexbuffer."""


def estimating() -> bytes:
    """int16 (8) → CAST → SignalFilterBankSpectralSubtraction, which keeps an estimate → CAST →
    int32."""
    g = Graph()
    x, y = g.tensor("x", (8,), "int16"), g.tensor("y", (8,), "int32")
    between = [g.tensor(f"b{i}", (8,), "int32") for i in range(3)]
    for index in between:
        g.graph.tensors[index].type = UINT32
    g.operator("CAST", (x,), between[:1])
    g.operator("CUSTOM", between[:1], between[1:])
    g.model.operatorCodes[1].customCode = "SignalFilterBankSpectralSubtraction"
    g.graph.operators[1].customOptions = list(SUBTRACTION)
    g.operator("CAST", between[1:2], (y,))
    return g.finish((x,), (y,))


def test_an_operator_with_memory_of_its_own_repeats_itself_from_a_reset() -> None:
    rng = np.random.default_rng(2)
    samples = [rng.integers(0, 9000, 8).astype(np.int16) for _ in range(6)]
    verdict = judged(estimating(), "sim", samples=samples, runtime="tflm")
    assert verdict.is_equal, text_of(verdict)
    assert len({each[0].tobytes() for each in verdict.evidence.outputs["board"]}) == 6


def test_what_a_test_saw_and_is_not_there_any_more_is_never_called_equal() -> None:
    model = model_from_bytes(network_models.image_network())
    samples = one_input(model, 4)
    history = [model.quantize(sample) for sample in samples]
    verdict = judged(model, "sim", samples=samples, history=history, runtime="tflm")
    assert verdict.names == ("not-seen-again",)
    assert "give the same outputs for" not in text_of(verdict)
    assert judged(model, "sim", samples=samples, runtime="tflm").names == ()


# The model's file.


def test_stored_shapes_are_named_with_tflm_alone() -> None:
    model = open_model(EXAMPLES / "tcn_dynamic.tflite")
    samples = one_input(model, 2)
    verdict = judged(model, "sim", samples=samples, runtime="tflm")
    assert verdict.names == ("stored-shapes",), text_of(verdict)


@pytest.mark.parametrize("runtime", ["litert", "tflm"])
def test_sparse_weights_are_named(runtime: str) -> None:
    data, _ = odd_models.sparse_weights()
    verdict = judged(data, "sim", samples=4, runtime=runtime)
    # The file is to blame, and not FULLY_CONNECTED, which computes with what it is given.
    assert verdict.names == ("sparse-weights",), text_of(verdict)


# Floats and NaN.


def test_floats_are_never_told_in_lsb_and_small_differences_do_not_count() -> None:
    verdict = judged(network_models.float_dense(), None, samples=8, resolver="auto")
    assert verdict.is_equal, text_of(verdict)
    assert "LSB" not in text_of(verdict)


def test_a_nan_is_followed_to_where_it_comes_from() -> None:
    g = Graph()
    x = g.tensor("x", (1, 4), "float32")
    h = g.tensor("h", (1, 4), "float32")
    y = g.tensor("y", (1, 4), "float32")
    g.operator("NEG", (x,), (h,))
    g.operator("SQRT", (h,), (y,))
    samples = [np.full((1, 4), value, np.float32) for value in (-1, 4, -9)]
    verdict = judged(g.finish((x,), (y,)), "sim", samples=samples)
    assert verdict.is_equal, text_of(verdict)
    assert [each.name for each in verdict.accusations] == ["not-a-number"]
    assert "comes from operator 1, SQRT" in verdict.accusations[0].sentence
    samples[1][0, 2] = np.nan
    verdict = judged(
        network_models.float_dense(), "sim", samples=[np.full((1, 16), np.nan, np.float32)] * 2
    )
    assert "Sample 0 holds a NaN" in text_of(verdict)


def test_a_verdict_says_if_samples_do_not_fit_the_input() -> None:
    pixels = [np.full((1, 8, 8, 3), value, np.float32) for value in (30.0, 200.0)]
    verdict = judged(network_models.image_network(), None, samples=pixels)
    assert "100% of the values were clamped" in text_of(verdict)
    verdict = judged(network_models.image_network(), None, samples=[each / 255 for each in pixels])
    assert "clamped" not in text_of(verdict)


# Boards that answer the same.


def test_a_constant_board_is_called_that_whatever_the_reference_does() -> None:
    table = model_builders.unpack(network_models.image_network())
    graph = table.subgraphs[0]
    bias = graph.tensors[graph.operators[-1].inputs[2]]
    dead = np.full(bias.shape, 1 << 24, np.int32)  # all outputs at the end of their range
    table.buffers[bias.buffer].data = np.frombuffer(dead.tobytes(), np.uint8)
    for defect in ("constant", "zeros"):
        verdict = judged(pack(table), f"sim?defect={defect}", runtime="tflm")
        assert verdict.names == ("constant-outputs",), text_of(verdict)


def test_a_symptom_of_the_board_is_the_kernels_where_one_kernel_alone_shows_it() -> None:
    # The last operator clips, and so do the outputs of the board.
    verdict = judged(
        network_models.image_network(), "sim?defect=saturation:FULLY_CONNECTED", runtime="tflm"
    )
    assert verdict.accusations[0].operators == (6,), text_of(verdict)


# Who refuses.


def test_what_host_tflm_refuses_as_well_is_not_the_boards_fault() -> None:
    verdict = judged(uint8_dense(), "sim", samples=2)
    assert verdict.names == ("refused-by-tflm",), text_of(verdict)
    assert "uint8 kernels do not exist in TFLM" in verdict.accusations[0].sentence
    assert not verdict.is_equal


def uint8_dense() -> bytes:
    g = Graph()
    x = g.tensor("x", (1, 4), "uint8", 0.1, 128)
    w = g.tensor("w", (4, 4), "uint8", 0.1, 128, np.arange(16).reshape(4, 4))
    b = g.tensor("b", (4,), "int32", 0.01, 0, np.zeros(4))
    y = g.tensor("y", (1, 4), "uint8", 0.1, 128)
    g.operator("FULLY_CONNECTED", (x, w, b), (y,), "FullyConnectedOptions")
    return g.finish((x,), (y,))


def test_an_operator_that_is_in_no_tflm() -> None:
    verdict = judged(odd_models.custom(large=False), "sim", samples=2)
    assert verdict.names == ("no-kernel",), text_of(verdict)


def test_a_reference_that_did_not_run_is_not_named_and_never_equal() -> None:
    verdict = judged(state_models.svdf(activation=0), "sim", samples=2)
    assert not verdict.is_equal
    assert verdict.evidence.outcome("tflm") == "cannot"
    verdict = judged(state_models.svdf(), "sim", samples=2, runtime="tflm")
    assert verdict.is_equal
    assert "litert" not in text_of(verdict)


def test_types_that_no_kernel_computes_with_are_carried() -> None:
    g = Graph()
    x, y = g.tensor("x", (1, 4), "int32"), g.tensor("y", (1, 4), "int32")
    for index in (x, y):
        g.graph.tensors[index].type = UINT32
    shape = g.tensor("shape", (2,), "int32", data=np.array([1, 4]))
    g.operator("RESHAPE", (x, shape), (y,), "ReshapeOptions")
    verdict = judged(g.finish((x,), (y,)), "sim", samples=2, runtime="tflm")
    assert verdict.is_equal, text_of(verdict)
    assert verdict.evidence.outputs["board"][0][0].dtype == np.uint32


def test_a_type_that_the_link_does_not_carry_is_not_another_model(monkeypatch) -> None:
    # TensorType 9 is int8's: as if this side had never heard of it.
    monkeypatch.delitem(entries._TENSOR_TYPES, 9)
    verdict = judged(model_builders.add_int8(), "sim", samples=2, runtime="tflm")
    assert verdict.names == ("type-not-carried",), text_of(verdict)
    assert "has the type int8" in verdict.accusations[0].sentence
