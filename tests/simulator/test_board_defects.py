"""Defects of whole models: what exactly they do."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import model_builders
import numpy as np
import pytest

from pytest_tflm.errors import InputAltered, OperatorMissing, PortVanished, TflmError, WrongModel
from pytest_tflm.link import Connection
from pytest_tflm.link.frame import Frame, encode
from pytest_tflm.link.message import Type
from pytest_tflm.model import model_from_bytes
from pytest_tflm.runtime.board import BoardHost

pytest.importorskip("tflite_micro")
from pytest_tflm.simulator.defects.link import Frames
from pytest_tflm.simulator.defects.memory import weights
from pytest_tflm.simulator.engine.base import Refusal
from simulator.bad_boards import MODELS, Bench, convolution, differs, samples_for
from simulator.raw_client import RESET_STATE, RawClient

if TYPE_CHECKING:
    from pytest_tflm.simulator.board.launch import Simulator

CONNECTED = MODELS["connected"]()
SAMPLES = samples_for(CONNECTED, 5)
GOOD = [outputs[0] for outputs in Bench().run_all(CONNECTED, SAMPLES)]
ZEROS = [np.zeros_like(SAMPLES[0][0])]


def bad(spec: str, seed: int = 0) -> list[np.ndarray]:
    return [outputs[0] for outputs in Bench(spec, seed).run_all(CONNECTED, SAMPLES)]


def same(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    np.testing.assert_array_equal(np.stack(found), np.stack(expected))


def test_constants() -> None:
    zero_point = model_from_bytes(CONNECTED).outputs[0].zero_point
    assert set(np.stack(bad("zeros")).flat) == {0}
    assert set(np.stack(bad("constant")).flat) == {zero_point}
    assert zero_point != 0


def test_saturation() -> None:
    same(bad("saturation"), [np.clip(each, -64, 63) for each in GOOD])


def test_stale_outputs_and_inputs() -> None:
    same(bad("output-stale"), [np.zeros_like(GOOD[0]), *GOOD[:-1]])
    of_zeros = Bench().run_all(CONNECTED, [ZEROS])[0][0]
    bench = Bench("input-stale")
    found = [outputs[0] for outputs in bench.run_all(CONNECTED, SAMPLES)]
    same(found, [of_zeros, *GOOD[:-1]])
    # What has arrived is still there: only Invoke does not see it.
    np.testing.assert_array_equal(bench.loaded.inputs[0].data, SAMPLES[-1][0])


def test_a_load_forgets_the_run_before() -> None:
    bench = Bench("output-stale")
    bench.run_all(CONNECTED, SAMPLES)
    same(bench.run_all(CONNECTED, SAMPLES)[0], [np.zeros_like(GOOD[0])])


def test_truncated_inputs() -> None:
    samples = []
    for (sample,) in SAMPLES:
        flat = sample.copy().reshape(-1)
        flat[-50:] = 0
        samples.append([flat.reshape(sample.shape)])
    same(bad("input-truncated"), [each[0] for each in Bench().run_all(CONNECTED, samples)])
    # At most half of it.
    bench = Bench("input-truncated")
    model = model_builders.identity("int8", (1, 6))
    (found,) = bench.run_all(model, [[np.arange(1, 7, dtype=np.int8)]])
    assert found[0].tolist() == [[1, 2, 3, 0, 0, 0]]


def test_stale_tails() -> None:
    expected = [each.copy() for each in GOOD]
    for each, before in zip(expected, [np.zeros_like(GOOD[0]), *GOOD[:-1]], strict=True):
        each.reshape(-1)[-7:] = before.reshape(-1)[-7:]  # of 27
    same(bad("tail-stale"), expected)


@pytest.mark.parametrize(
    ("spec", "changed", "is_seen"),
    [
        ("cached-by-prefix", {64: 1}, False),
        ("cached-by-prefix", {63: 1}, True),
        ("cached-by-sum", {0: 1, 110: -1}, False),
        ("cached-by-sum", {0: 1}, True),
    ],
)
def test_outputs_that_are_cached(spec: str, changed: dict[int, int], is_seen: bool) -> None:
    first = np.full((3, 37), 20, np.int8)
    second = first.copy()
    for at, by in changed.items():
        second.flat[at] += by * 20
    samples = [[first], [second], [first], [second]]
    good, found = (Bench(each).run_all(CONNECTED, samples) for each in ("", spec))
    assert differs(good[:1], good[1:2])
    assert not differs(found, good if is_seen else [good[0]] * 4)


def through(model: bytes, change: Callable[[np.ndarray], np.ndarray], spec: str) -> None:
    """A board with that defect computes what a good one does of changed inputs."""
    samples = samples_for(model)
    changed = [[change(each).astype(each.dtype) for each in sample] for sample in samples]
    bench = Bench(spec)
    assert not differs(bench.run_all(model, samples), Bench().run_all(model, changed))
    # What has arrived is still there.
    np.testing.assert_array_equal(bench.loaded.inputs[0].data, samples[-1][0])


def test_changed_inputs() -> None:
    (tensor,) = model_from_bytes(CONNECTED).inputs
    assert tensor.scale and tensor.zero_point
    through(
        CONNECTED,
        lambda x: np.clip(np.round(x / tensor.scale) + tensor.zero_point, -128, 127),
        "input-requantised",
    )
    through(CONNECTED, lambda x: (x.astype(int) & 0xFF ^ 0x80).astype(np.uint8).view(np.int8),
            "input-sign-flipped")  # fmt: skip
    wide = MODELS["connected16"]()
    through(wide, lambda x: x.byteswap(), "input-byte-swapped")
    zeroed = [x.copy() for (x,) in samples_for(wide)]
    for each in zeroed:
        each.view(np.uint8).reshape(-1)[-1] = 0
    assert not differs(
        Bench("input-end-zeroed").run_all(wide, samples_for(wide)),
        Bench().run_all(wide, [[each] for each in zeroed]),
    )


def test_a_part_of_the_inputs_of_the_run_before() -> None:
    mixed = [sample[0].copy() for sample in SAMPLES]
    for before, each in zip([*ZEROS, *(sample[0] for sample in SAMPLES)], mixed, strict=False):
        each.reshape(-1)[32:64] = before.reshape(-1)[32:64]
    same(
        bad("input-line-stale"),
        [outputs[0] for outputs in Bench().run_all(CONNECTED, [[each] for each in mixed])],
    )


def test_dithered_inputs() -> None:
    through(CONNECTED, lambda x: np.minimum(x.astype(int) + odd(x), 127), "input-dithered")


def odd(x: np.ndarray) -> np.ndarray:
    return np.arange(x.size).reshape(x.shape) % 2


def test_changed_outputs() -> None:
    same(bad("output-bit-stuck"), [each | 4 for each in GOOD])
    half = GOOD[0].size // 2
    flat = [each.reshape(-1) for each in GOOD]
    exchanged = [np.concatenate([each[-half:], each[:-half]]) for each in flat]
    same(bad("halves-exchanged"), [e.reshape(GOOD[0].shape) for e in exchanged])
    model = MODELS["mixed"]()
    (real,) = floats(Bench("not-a-number").run_all(model, samples_for(model, 1))[0])
    assert np.isnan(real.reshape(-1)).tolist() == [True] + [False] * (real.size - 1)


def test_outputs_read_from_the_inputs() -> None:
    size = GOOD[0].size
    expected = [sample[0].reshape(-1)[:size].reshape(GOOD[0].shape) for sample in SAMPLES]
    same(bad("outputs-misread"), expected)


def floats(outputs: list[np.ndarray]) -> list[np.ndarray]:
    found = [each for each in outputs if each.dtype == np.float32]
    assert found
    return found


def test_the_first_run_is_lost_after_each_load() -> None:
    bench = Bench("first-run-lost")
    for _ in range(2):
        outputs = [each[0] for each in bench.run_all(CONNECTED, SAMPLES)]
        same(outputs, [np.zeros_like(GOOD[0]), *GOOD[1:]])


def test_a_state_that_goes_two_steps() -> None:
    model, samples = MODELS["svdf"](), samples_for(MODELS["svdf"](), 5)
    twice = Bench().run_all(model, [each for each in samples for _ in range(2)])
    assert not differs(Bench("invoke-twice").run_all(model, samples), twice[1::2])


def test_drift_and_chance_of_floats() -> None:
    model, samples = MODELS["mixed"](), samples_for(MODELS["mixed"](), 3)
    good, drifting, random = (Bench(s).run_all(model, samples) for s in ("", "drift", "random"))
    for runs, (right, moved) in enumerate(zip(good, drifting, strict=True)):
        for one, other in zip(floats(right), floats(moved), strict=True):
            step = abs(one).max() / 128
            np.testing.assert_allclose(other - one, runs * step, rtol=1e-3, atol=1e-6)
    assert differs(good, random)


def test_reused_inputs() -> None:
    bench = Bench("input-reused")
    same([outputs[0] for outputs in bench.run_all(CONNECTED, SAMPLES)], GOOD)
    held = bench.loaded.inputs[0].data.reshape(-1)
    assert held[:27].tolist() == GOOD[-1].reshape(-1).tolist()
    np.testing.assert_array_equal(held[27:], SAMPLES[-1][0].reshape(-1)[27:])


def test_one_element() -> None:
    sample = [np.zeros((3, 37), np.int8)]
    sample[0][1, 2] = 127
    (good,), (found,) = (Bench(s).run_all(CONNECTED, [sample])[0] for s in ("", "one-element:39"))
    assert np.flatnonzero(found != good).tolist() == [0]
    assert found.flat[0] == min(127, int(good.flat[0]) + 40)
    sample[0][1, 2] = 126
    (good,), (found,) = (Bench(s).run_all(CONNECTED, [sample])[0] for s in ("", "one-element:39"))
    np.testing.assert_array_equal(found, good)


def test_drift() -> None:
    bench = Bench("drift")
    for _ in range(2):  # a load begins anew
        for runs, outputs in enumerate(bench.run_all(CONNECTED, [SAMPLES[0]] * 4)):
            expected = np.minimum(GOOD[0].astype(int) + runs, 127)
            np.testing.assert_array_equal(outputs[0], expected)


def test_random() -> None:
    found = bad("random", seed=4)
    same(found, bad("random", seed=4))
    assert any(not np.array_equal(a, b) for a, b in zip(found, bad("random", 5), strict=True))
    for one, other in zip(found, GOOD, strict=True):
        distance = abs(one.astype(int) - other)
        assert distance.sum() <= 1


def test_random_is_another_after_another_load() -> None:
    bench = Bench("random")
    first, second = (bench.run_all(CONNECTED, [SAMPLES[0]] * 8) for _ in range(2))
    assert any(not np.array_equal(a[0], b[0]) for a, b in zip(first, second, strict=True))


def test_swapped_outputs() -> None:
    model = MODELS["split"]()
    sample = [np.arange(8, dtype=np.int8).reshape(1, 8)]
    found = Bench("outputs-swapped").run_all(model, [sample])[0]
    assert [each.tolist() for each in found] == [[[4, 5, 6, 7]], [[0, 1, 2, 3]]]


def test_state() -> None:
    model = MODELS["svdf"]()

    def runs(spec: str) -> list[int]:
        bench = Bench(spec)
        bench.load(model)
        found = []
        for value in (1, 10, 100, 5):
            if value == 100:
                bench.engine.reset_state()
            found.append(int(bench.run([np.array([[value]], np.float32)])[0].item()))
        return found

    assert runs("") == [1, 11, 100, 105]
    assert runs("state-kept") == [1, 11, 110, 105]
    # An engine that runs a model in parts keeps and resets the state of each.
    assert runs("off-by-one:QUANTIZE") == [2, 12, 101, 106]


def test_a_weight_that_has_changed() -> None:
    model = MODELS["tcn"]()
    (tensor,) = [t for t in model_from_bytes(model).tensors if t.shape == (1, 16) and t.is_constant]
    assert tensor.dtype == "int8"
    last = weights(model)[-1]
    assert len(last) == 16 and last[0] > 4096
    changed = bytearray(model)
    changed[last[8]] ^= 0x80
    samples = samples_for(model, 2)
    bench = Bench("weight-changed")
    for _ in range(2):
        found = bench.run_all(model, samples)
        expected = Bench().run_all(bytes(changed), samples)
        same([each[0] for each in found], [each[0] for each in expected])
    # A model that does not reach so far is not touched.
    same([each[0] for each in bench.run_all(CONNECTED, SAMPLES)], GOOD)


def test_weights_lie_where_they_are_said_to() -> None:
    model = convolution("CONV_2D")
    (span,) = weights(model)
    stored = np.frombuffer(model[span.start : span.stop], np.int8)
    assert len(stored) == 3 * 3 * 3 * model_from_bytes(model).outputs[0].shape[3]
    assert abs(stored.astype(int)).max() == 127
    assert weights(b"no model") == []
    assert weights(model_builders.add_int8()) == []


def test_an_interrupt_in_each_third_run() -> None:
    model, samples = MODELS["mixed"](), samples_for(MODELS["mixed"](), 1) * 6
    good, found = (Bench(spec).run_all(model, samples) for spec in ("", "interrupt"))
    wrong = [differs([a], [b]) for a, b in zip(good, found, strict=True)]
    assert wrong == [False, False, True] * 2


def test_an_overlap_in_the_arena() -> None:
    model = model_builders.chain(2, 8)
    sample = [np.arange(-3, 5, dtype=np.int8).reshape(1, 8)]
    (found,) = Bench("arena-overlap").run_all(model, [sample])[0]
    assert found.tolist() == [[-12, -8, -4, 0, 4, 8, 0, 0]]
    # A model of one operator has nothing between two.
    assert not np.array_equal(found, Bench().run_all(model, [sample])[0][0])
    same(bad("arena-overlap"), GOOD)


def test_two_tensors_that_overlap() -> None:
    g = model_builders.Graph()
    x, a, b, y = (g.tensor(name, (1, 8), "int8", 1.0, 0) for name in "xaby")
    for inputs, output in (((x, x), a), ((a, a), b), ((a, b), y)):
        g.operator("ADD", inputs, (output,), "AddOptions", version=2, potScaleInt16=False)
    sample = [np.arange(8, dtype=np.int8).reshape(1, 8)]
    good, bad = (
        Bench(each).run_all(g.finish((x,), (y,)), [sample])[0][0]
        for each in ("", "tensors-overlap")
    )
    assert good.tolist() == [[0, 6, 12, 18, 24, 30, 36, 42]]
    assert bad.tolist() == [[0, 8, 12, 18, 24, 30, 36, 42]]  # 4 * 1 + 4 * 1 for 2 * 1 + 4 * 1


def test_a_bit_of_a_bias() -> None:
    bench = Bench("bias-bit")
    found = [outputs[0] for outputs in bench.run_all(CONNECTED, SAMPLES)]
    table = model_builders.unpack(CONNECTED)
    bias = table.buffers[table.subgraphs[0].tensors[2].buffer]
    codes = np.frombuffer(bias.data.tobytes(), np.int32).copy()
    assert len(codes) == 9
    codes[4] ^= 1 << 14
    bias.data = np.frombuffer(codes.tobytes(), np.uint8)
    same(found, [each[0] for each in Bench().run_all(model_builders.pack(table), SAMPLES)])
    assert any(not np.array_equal(a, b) for a, b in zip(found, GOOD, strict=True))
    # Only the first model with a bias is in the flash, and it has one bias.
    other = MODELS["conv"]()
    samples = samples_for(other)
    assert not differs(bench.run_all(other, samples), Bench().run_all(other, samples))
    same([each[0] for each in bench.run_all(CONNECTED, SAMPLES)], found)
    same(bad("bias-bit:1"), GOOD)


def test_lost_operators() -> None:
    with pytest.raises(Refusal, match="opcode 'FULLY_CONNECTED' version '4'"):
        Bench("lost-version").load(CONNECTED)
    Bench("lost-version:ADD").load(CONNECTED)
    Bench("lost-version").load(model_builders.identity("int8"))
    bench = Bench("only-first-operator")
    with pytest.raises(Refusal, match="opcode 'MUL'"):
        bench.load(model_builders.mixed())
    with pytest.raises(Refusal, match="opcode 'FULLY_CONNECTED'"):
        bench.load(CONNECTED)
    bench.load(model_builders.dequantize_op("int8", 0.1, 0))


@pytest.mark.parametrize(
    "spec", ["zeros", "weight-changed", "other-model", "arena-overlap", "off-by-one", "random"]
)
def test_what_is_no_model_is_refused_as_ever(spec: str) -> None:
    bench = Bench(spec)
    with pytest.raises(Refusal):
        bench.load(b"not a model at all")
    bench.load(CONNECTED)


# ---- Over the link ----


def test_an_input_that_is_altered_is_told_by_its_crc(client: Callable[..., RawClient]) -> None:
    board = client("sim?defect=input-altered")
    board.load(CONNECTED)
    altered = bytearray(SAMPLES[0][0].tobytes())
    result = board.run(bytes(altered))
    altered[len(altered) // 2] ^= 1
    assert result.input_crc == zlib.crc32(altered)
    board.write(3, 0, SAMPLES[0][0].tobytes())
    assert board.read(3) == bytes(altered)


def test_another_model_is_told_by_its_crc(client: Callable[..., RawClient]) -> None:
    board = client("sim?defect=other-model")
    board.load(CONNECTED)
    (span,) = weights(CONNECTED)
    other = bytearray(CONNECTED)
    for at in span:
        other[at] ^= 0xFF
    loaded = dict(board.entries(1))
    assert loaded[1] == len(CONNECTED).to_bytes(4, "little") + zlib.crc32(other).to_bytes(
        4, "little"
    )
    expected = Bench().run_all(bytes(other), SAMPLES[:1])[0][0]
    assert board.run(SAMPLES[0][0].tobytes()).outputs == expected.tobytes()
    board.ask(RESET_STATE)


@pytest.mark.parametrize(
    ("defect", "error", "said"),
    [
        ("input-altered", InputAltered, "CRC-32"),
        ("other-model", WrongModel, "has a model of"),
        ("crash", PortVanished, "SIGSEGV"),
        ("lost-version", OperatorMissing, "lacks version 4 of the operator FULLY_CONNECTED"),
        ("only-first-operator", OperatorMissing, "lacks the operator RESHAPE"),
    ],
)
def test_what_a_user_is_told(
    simulate: Callable[..., Simulator], defect: str, error: type[TflmError], said: str
) -> None:
    simulator = simulate(f"sim?defect={defect}")
    connection = Connection.open(simulator.port, name="sim")
    data = MODELS["tcn"]() if defect == "only-first-operator" else CONNECTED
    model = model_from_bytes(data)
    with pytest.raises(error) as caught:
        board = BoardHost.over(connection).load(model)
        board.run(samples_for(data, 1)[0])
        board.check_identity()
    died = simulator.exit_description(wait=5.0) if error is PortVanished else ""
    assert said in f"{caught.value}{died}"
    connection.close()


def test_bytes_that_are_no_frames_pass_unchanged() -> None:
    frames = Frames(lambda each: each._replace(payload=each.payload.upper()))
    noise = bytes(range(256)) * 3
    out = frames(noise[:100]) + frames(noise[100:]) + frames(b"\0")
    assert out == noise + b"\0"
    ping = encode(Type.PING, 1, 2, 0, b"abc")
    assert frames(ping[:3]) + frames(ping[3:]) == encode(*Frame(Type.PING, 1, 2, 0, b"ABC"))
    assert len(frames(b"x" * 200_000)) == 200_000
