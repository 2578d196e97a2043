"""The blocking connection over a virtual line: models, samples, failures, all in virtual time."""

from __future__ import annotations

import itertools
import tracemalloc
import zlib

import pytest
from scripted_board import Board, Refused, TensorSpec, VectorEngine
from virtual_line import VirtualPort, World

from pytest_tflm.errors import (
    ArenaTooSmall,
    BoardReset,
    ForeignPeer,
    InputAltered,
    InvokeFailed,
    LinkError,
    ModelRejected,
    ModelTooLarge,
    NoAnswer,
    OperatorMissing,
    ProtocolMismatch,
    SampleError,
)
from pytest_tflm.link.connection import Connection
from pytest_tflm.link.session import Session
from pytest_tflm.simulator.line.faults import Faults

CLEAN = Faults()
MIXED = Faults(flip=1e-4, lose=1e-4, lose_run=2e-3, repeat_run=2e-3, prints=0.02)


class SizedEngine(VectorEngine):
    """One input of ``n`` bytes, outputs of ``m`` bytes each: made from the CRC-32 of the input."""

    def __init__(self, n: int, *m: int, memory: int = 1 << 20) -> None:
        super().__init__(memory)
        self.inputs = (TensorSpec(9, (n,), n, 0.5, -3),)
        self.outputs = tuple(TensorSpec(9, (size,), size, 0.1, 7) for size in m)

    def invoke(self, inputs):
        sample = bytes(inputs[0])
        self.invoked.append(sample)
        self.state += 1
        inputs[0][:] = b"\xee" * len(sample)
        stream = expected(sample, sum(output.nbytes for output in self.outputs))
        found, at = [], 0
        for output in self.outputs:
            found.append(stream[at : at + output.nbytes])
            at += output.nbytes
        return found


def expected(sample: bytes, size: int) -> bytes:
    seed = zlib.crc32(sample).to_bytes(4, "little")
    return (seed * (size // 4 + 1))[:size]


def connect(
    engine=None, *, faults=CLEAN, model=None, timeout=10.0, largest=None, refuses=None, **settings
):
    sizes = {"largest_frame": 512, "window": 2048, "reply_store": 1500}
    line = {key: settings.pop(key) for key in ("baud", "delay", "compute") if key in settings}
    engine = engine or VectorEngine()
    line_baud = settings.pop("line_baud", 0)
    seed = settings.pop("seed", 1)
    rated = "largest_baud" in settings
    if rated:
        settings["opening_baud"] = line["baud"]
    board = Board(engine, **{**sizes, **settings}, model=model)
    world = World(
        board,
        seed=seed,
        faults=faults,
        ring=board.window + 64,
        invoked=lambda: len(engine.invoked),
        boot=board.boot,
        rated=rated,
        **line,
    )
    port = VirtualPort(world)
    port.refuses = refuses
    numbers = itertools.count(1000)
    session = Session(
        timeout=timeout,
        baud=line.get("baud"),
        nonce=lambda: next(numbers),
        **({"largest_frame": largest} if largest else {}),
    )
    connection = Connection(port, session=session, line_baud=line_baud, clock=port.clock)
    connection.world, connection.board, connection.engine = world, board, engine
    return connection


def samples(count: int, size: int) -> list[bytes]:
    return [index.to_bytes(4, "little").ljust(size, b"\x55")[:size] for index in range(count)]


def test_who_the_board_is():
    connection = connect()
    identity = connection.identity
    assert identity.describe() == "scripted, vectors 1, kernels none"
    assert (identity.boot_id, identity.largest_frame, identity.window) == (0x1BADB002, 512, 2048)
    assert identity.takes_models
    assert connection.loaded() is None
    assert connection.read_error() == ""


@pytest.mark.parametrize("faults", [CLEAN, MIXED])
@pytest.mark.parametrize("size", [1, 16, 3000])
def test_load_run_and_look(size, faults):
    connection = connect(faults=faults)
    model = bytes(index % 7 for index in range(1, size + 1))
    seen = []
    loaded = connection.load(model, lambda done, total: seen.append((done, total)))
    assert (loaded.size, loaded.crc32) == (size, zlib.crc32(model))
    assert (loaded.arena_used, loaded.arena_size) == (640, 4096 - size)
    assert [tensor.dtype for tensor in loaded.inputs] == ["int8", "int16"]
    assert loaded.outputs[1].shape == ()
    assert seen[-1] == (size, size)
    assert seen == sorted(seen)
    sample = b"\x01\x02\x03\x04\x0a\x00\x14\x00"
    result = connection.run(sample)
    assert result.outputs == b"\x02\x03\x04\x05" + (1030).to_bytes(4, "little")
    assert result.input_crc32 == zlib.crc32(sample)
    assert result.microseconds == 1500
    assert connection.run(sample).outputs[4:] == (2030).to_bytes(4, "little")
    connection.reset_state()
    assert connection.run(sample).outputs[4:] == (1030).to_bytes(4, "little")
    assert connection.run(sample, reset=True).outputs[4:] == (1030).to_bytes(4, "little")
    connection.write_inputs(sample)
    assert connection.read_inputs() == sample
    assert connection.loaded() == loaded


LARGE = {"largest_frame": 2048, "window": 4096, "reply_store": 4096}
SHAPES = [
    pytest.param(8, (4,), {}, id="several in a frame"),
    pytest.param(300, (10,), {}, id="one in a frame"),
    pytest.param(3, (200,), {}, id="outputs larger than inputs"),
    pytest.param(1500, (10,), {}, id="input in parts"),
    pytest.param(20, (600, 3, 600), {}, id="outputs read"),
    pytest.param(2000, (600, 1), {}, id="both"),
    pytest.param(40, (30,), {"largest_frame": 64, "window": 67, "reply_store": 67}, id="tiny"),
    pytest.param(1000, (1,), {**LARGE, "baud": 115200}, id="uart"),
    pytest.param(1000, (1,), {**LARGE, "largest": 128}, id="capped frames"),
]


@pytest.mark.parametrize(("size", "outputs", "settings"), SHAPES)
@pytest.mark.parametrize("faults", [CLEAN, MIXED])
def test_every_result_is_its_input_s(size, outputs, settings, faults):
    connection = connect(
        SizedEngine(size, *outputs), faults=faults, model=b"m", timeout=60, **settings
    )
    inputs = samples(60, size)
    results = list(connection.run_many(iter(inputs)))
    total = sum(outputs)
    assert [result.outputs for result in results] == [expected(each, total) for each in inputs]
    assert connection.engine.invoked == inputs  # each once, in order
    if faults == CLEAN:
        assert connection.world.overflowed == 0
        counters = connection.counters
        assert (counters.gaps, counters.requests_resent) == (0, 0)


def test_samples_travel_while_the_board_computes():
    connection = connect(SizedEngine(100, 1), model=b"m", baud=115200, compute=0.05, delay=0.016)
    connection.model()
    before = connection.world.now
    assert len(list(connection.run_many(samples(100, 100)))) == 100
    assert connection.world.now - before < 100 * 0.05 * 1.02 + 0.2


@pytest.mark.parametrize("delay", [0.0005, 0.008])
@pytest.mark.parametrize("baud", [115200, 921600])
def test_the_line_is_full(baud, delay):
    engine = SizedEngine(1000, 1)
    connection = connect(engine, model=b"m", baud=baud, delay=delay, compute=0, **LARGE)
    connection.model()
    before = connection.world.now
    list(connection.run_many(samples(500, 1000)))
    assert 500 * 1000 / ((connection.world.now - before) * baud / 10) > 0.95


def test_few_are_held():
    """An endless iterable: what is taken and not yet given back stays within the window."""
    connection = connect(SizedEngine(100, 1), model=b"m", compute=0.01)
    taken = most = 0

    def endless():
        nonlocal taken
        while True:
            taken += 1
            yield taken.to_bytes(4, "little").ljust(100, b"\0")

    stream = connection.run_many(endless())
    for given in range(2000):
        next(stream)
        most = max(most, taken - given)
    assert most * 100 < 2 * 2048
    stream.close()


@pytest.mark.parametrize("slow", [False, True])
def test_memory_stays_flat(slow):
    connection = connect(SizedEngine(50, 40), model=b"m", compute=0)
    connection.engine.invoked = _Count()
    stream = connection.run_many(itertools.cycle(samples(7, 50)))
    for _ in range(500):
        next(stream)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(5000):
        next(stream)
        if slow:
            connection.world.now += 0.01
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert after - before < 30_000
    stream.close()


class _Count(list):
    def append(self, _):
        self.n = getattr(self, "n", 0) + 1

    def __len__(self):
        return getattr(self, "n", 0)


def test_a_single_sample_is_not_waited_for():
    connection = connect(SizedEngine(4, 4), model=b"m", delay=0.001, compute=0)
    connection.model()
    before = connection.world.now
    connection.run(b"abcd")
    assert connection.world.now - before < 0.0025


def test_an_iterable_that_blocks():
    """A minute between two samples, with one under way, is nobody's fault."""
    connection = connect(SizedEngine(8, 4), model=b"m", timeout=5)

    def slow():
        for sample in samples(5, 8):
            connection.world.now += 60
            yield sample

    assert len(list(connection.run_many(slow()))) == 5


def test_a_caller_that_takes_its_time():
    connection = connect(SizedEngine(8, 4), model=b"m", timeout=5)
    count = 0
    for _ in connection.run_many(samples(300, 8)):
        connection.world.now += 7
        count += 1
    assert count == 300


def test_abandoned_half_way():
    connection = connect(SizedEngine(1500, 700), model=b"m", faults=MIXED, compute=0.01)
    inputs = samples(200, 1500)
    for _ in range(3):
        for index, result in enumerate(connection.run_many(inputs)):
            assert result.outputs == expected(inputs[index], 700)
            if index == 3:
                break
        assert connection.run(inputs[50]).outputs == expected(inputs[50], 700)
    assert connection.loaded() is not None


def test_calls_between_results():
    connection = connect(SizedEngine(600, 700), model=b"m")
    inputs = samples(20, 600)
    outputs = []
    for result in connection.run_many(inputs):
        outputs.append(result.outputs)
        connection.reset_state()
        assert connection.loaded() is not None
    assert outputs == [expected(each, 700) for each in inputs]


def test_two_streams_at_once():
    connection = connect(SizedEngine(600, 700), model=b"m")
    inputs = samples(20, 600)
    both = zip(connection.run_many(inputs), connection.run_many(inputs[::-1]), strict=True)
    for (one, two), sample, other in zip(both, inputs, inputs[::-1], strict=True):
        assert (one.outputs, two.outputs) == (expected(sample, 700), expected(other, 700))


def test_nothing_to_run():
    assert list(connect(SizedEngine(8, 4), model=b"m").run_many([])) == []


def test_a_sample_of_another_size():
    connection = connect(SizedEngine(8, 4), model=b"m")
    with pytest.raises(SampleError, match="7 bytes; the board's model takes 8"):
        list(connection.run_many([b"1234567"]))
    with pytest.raises(SampleError):
        connection.write_inputs(b"")
    assert connection.run(b"12345678").outputs == expected(b"12345678", 4)


@pytest.mark.parametrize(
    ("model", "error", "words"),
    [
        (b"A" * 50, ArenaTooSmall, ["at least 9999 bytes are needed, the board has 2048"]),
        (b"O" * 50, OperatorMissing, ["SPACE_TO_BATCH_ND"]),
        (b"R" * 50, ModelRejected, ["rejected"]),
        (b"m" * 5000, ModelTooLarge, ["it has 5000 bytes", "memory for model and arena 4096"]),
    ],
)
def test_a_model_that_does_not_go(model, error, words):
    connection = connect()
    with pytest.raises(error) as raised:
        connection.load(model)
    assert str(raised.value).startswith("virtual: ")
    assert all(word in str(raised.value) for word in words)
    assert "link: sent" in raised.value.details
    assert connection.loaded() is None
    with pytest.raises(ModelRejected, match="no model"):
        connection.run(b"12345678")
    assert connection.load(b"good").size == 4  # and the board goes on
    assert connection.run(bytes(8)).outputs[:4] == b"\x01" * 4


def test_a_board_that_takes_no_models():
    connection = connect(takes_models=False, model=b"built in")
    with pytest.raises(ModelRejected, match="does not support"):
        connection.load(b"another")
    assert connection.loaded().size == 8


@pytest.mark.parametrize("count", [1, 30])
def test_invoke_fails(count):
    connection = connect(model=b"m")
    inputs = [bytes(8)] * count
    inputs[count // 2] = b"\x7f" + bytes(7)
    with pytest.raises(InvokeFailed, match=rf"sample {count // 2}\b.*scripted failure"):
        list(connection.run_many(inputs))
    assert connection.read_error() == "scripted failure"
    assert connection.run(bytes(8)).outputs[:4] == b"\x01" * 4


def test_input_altered():
    class Altering(SizedEngine):
        pass

    connection = connect(Altering(1000, 4), model=b"m")
    board = connection.board
    write = board._write

    def altered(region, index, offset, data):
        write(region, index, offset, data)
        board._inputs[0][17] ^= 4
        return b""

    board._write = altered
    sample = samples(1, 1000)[0]
    with pytest.raises(InputAltered) as raised:
        connection.run(sample)
    assert f"{zlib.crc32(sample):08x}" in str(raised.value)
    assert connection.broken is None


def test_outputs_that_change_under_the_reader():
    class Changing(SizedEngine):
        def invoke(self, inputs):
            return [bytearray(each) for each in super().invoke(inputs)]

    connection = connect(Changing(20, 1000), model=b"m")
    board = connection.board
    region = board._region

    def changing(number, index):
        if number == 4:
            board._outputs[0][0] = (board._outputs[0][0] + 1) & 0xFF
        return bytes(region(number, index))

    board._region = changing
    with pytest.raises(ProtocolMismatch, match="not those that Invoke left"):
        connection.run(bytes(20))


def test_a_restart_in_the_middle_breaks_the_connection_for_good():
    connection = connect(SizedEngine(8, 4), model=b"m")
    stream = connection.run_many(samples(500, 8))
    next(stream)
    connection.world.reset()
    with pytest.raises(BoardReset) as raised:
        list(stream)
    assert "POWERON_RESET" in raised.value.details
    assert "virtual: the board restarted" in str(raised.value)
    for call in (connection.loaded, connection.reset_state, lambda: connection.run(bytes(8))):
        with pytest.raises(BoardReset) as again:
            call()
        assert again.value is raised.value
    connection.close()
    connection.close()
    assert connection.broken is raised.value


def test_silence():
    connection = connect(SizedEngine(8, 4), model=b"m")
    connection.world.print_text(b"last words\n\0")
    connection.run(bytes(8))
    connection.world.dead = True
    before = connection.world.now
    with pytest.raises(NoAnswer, match="hangs or crashed in Invoke") as raised:
        connection.run(bytes(8))
    assert connection.world.now - before < 11
    assert "last words" in raised.value.details
    assert "PINGs" in raised.value.details


class Babbler:
    """Not a board."""

    def __init__(self, text: bytes) -> None:
        self.text = text

    def receive(self, data: bytes) -> None:
        pass

    def poll(self) -> None:
        pass

    def transmit(self) -> bytes:
        return self.text


def _greet(board) -> None:
    port = VirtualPort(World(board))
    Connection(port, timeout=3, clock=port.clock)


def test_nobody_and_somebody_else():
    with pytest.raises(NoAnswer, match=r"virtual: no answer within 3\.0 s"):
        _greet(Babbler(b""))
    with pytest.raises(ForeignPeer, match="temperature 21"):
        _greet(Babbler(b"temperature 21.5 C\r\n"))
    with pytest.raises(ForeignPeer, match="none of this protocol"):
        _greet(Babbler(bytes(300)))


def test_nonsense_of_who_it_is():
    with pytest.raises(ProtocolMismatch, match="virtual: the board does not say its firmware"):
        connect(texts=((2, "board"),))


def test_ctrl_c_at_any_moment():
    for moment in range(1, 60):
        connection = connect(SizedEngine(1500, 700), model=b"m")
        port = connection.channel._port
        original, left = port.exchange, moment

        def interrupted(out, timeout, original=original):
            nonlocal left
            left -= 1
            if left == 0:
                raise KeyboardInterrupt
            return original(out, timeout)

        port.exchange = interrupted
        with pytest.raises(KeyboardInterrupt):
            list(connection.run_many(samples(200, 1500)))
        with pytest.raises(LinkError, match="interrupted"):
            connection.run(bytes(1500))
        connection.close()
        assert port.closed


def test_closed():
    connection = connect(model=b"m")
    connection.close()
    with pytest.raises(LinkError, match="closed"):
        connection.run(bytes(8))


@pytest.mark.parametrize("missing", [1, 4])
def test_a_region_that_is_shorter_than_it_must_be(missing):
    """Also of no bytes at all, which must not be asked for again for ever."""
    connection = connect(model=b"m")
    whole = connection.board._region
    connection.board._region = lambda region, index: whole(region, index)[:-missing]
    with pytest.raises(ProtocolMismatch, match="of the 4 bytes of region INPUT"):
        connection.read_inputs()
    assert connection.broken is not None


def test_the_log_is_bounded_and_readable():
    connection = connect(model=b"m")
    for index in range(400):
        connection.board.log(f"line {index}")
    connection.board.log("\x1b[31mred\x1b[0m\r\n\n")
    connection.board.log("x" * 490)
    connection.reset_state()
    assert len(connection.channel.log) == 200
    assert connection.channel.log[-2] == "red"
    assert len(connection.channel.log[-1]) == 300


def test_a_failing_engine_is_not_a_broken_link():
    class Failing(SizedEngine):
        def reset(self):
            raise Refused(11)

    connection = connect(Failing(8, 4), model=b"m")
    with pytest.raises(ModelRejected, match="reset the model's state"):
        connection.reset_state()
    assert connection.broken is None


def test_a_model_that_was_loaded_since_the_greeting():
    connection = connect(model=b"old")
    connection.load(b"a new one")
    assert connection.current().size == 9
    assert connect(model=b"old").current().size == 3


@pytest.mark.parametrize("settings", [{}, {"largest_frame": 64, "window": 140, "reply_store": 67}])
@pytest.mark.parametrize("count", [0, 1, 60, 115, 400])
def test_a_board_with_any_number_of_operators(count, settings):
    """One round trip reads three pieces of the description; it may be shorter, and longer."""
    names = [f"OPERATOR_{number}" for number in range(count)]
    texts = ((1, "vectors 1"), (2, "scripted"), (7, " ".join(names)))
    connection = connect(model=b"m", texts=texts, **settings)
    assert list(connection.identity.operators or ()) == names
    assert connection.current().size == 1
    assert connection.counters.gaps == connection.counters.requests_resent == 0


def test_a_model_that_was_refused_since_the_greeting():
    connection = connect(model=b"old")
    with pytest.raises(ModelRejected):
        connection.load(b"R")
    assert connection.current() is None
