"""The interpreters of this machine as runtimes: their answers, their state, their refusals."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from pytest_tflm.errors import (
    InterpreterCrashed,
    InterpreterMissing,
    InterpreterRefused,
    SampleError,
    SettingsError,
)
from pytest_tflm.model import Model, model_from_bytes, open_model
from pytest_tflm.runtime import packages
from pytest_tflm.runtime.arena import _smallest, arena_needed
from pytest_tflm.runtime.interpreter import MAX_CHUNK, InterpreterRuntime, interpreter
from pytest_tflm.runtime.spec import INTERPRETERS as KINDS
from pytest_tflm.runtime.spec import RESOLVERS
from pytest_tflm.runtime.worker import Worker
from tests import model_builders as build
from tests.runtime import state_models

Make = Callable[..., InterpreterRuntime]
EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def shared() -> Iterator[Worker]:
    """One process for all that does not crash: TensorFlow takes seconds to start."""
    worker = Worker("shared")
    yield worker
    worker.close()


@pytest.fixture
def make(shared: Worker) -> Iterator[Make]:
    made: list[InterpreterRuntime] = []

    def make(kind: str, model: Model, **settings: object) -> InterpreterRuntime:
        settings.setdefault("worker", shared)
        made.append(interpreter(kind, **settings).load(model))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for runtime in made:
        runtime.close()
        if runtime.host.worker is not shared:
            runtime.host.close()


def models() -> list[Model]:
    found = [
        model_from_bytes(build.fully_connected(), "fully_connected"),
        model_from_bytes(build.conv_2d(), "conv_2d"),
        model_from_bytes(build.add_int8(), "add"),
        model_from_bytes(build.chain(), "chain"),
        model_from_bytes(build.mixed(), "mixed"),
        model_from_bytes(build.while_loop(), "while_loop"),
    ]
    return found + [open_model(path) for path in sorted(EXAMPLES.glob("*.tflite"))]


MODELS = models()
TINY = MODELS[0]
by_name = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)


def samples(model: Model, count: int, seed: int = 0) -> list[tuple[np.ndarray, ...]]:
    rng = np.random.default_rng(seed)

    def one(tensor: object) -> np.ndarray:
        dtype = np.dtype(tensor.dtype)  # type: ignore[attr-defined]
        if dtype.kind == "f":
            return rng.normal(size=tensor.shape).astype(dtype)  # type: ignore[attr-defined]
        return rng.integers(-128, 128, tensor.shape).astype(dtype)  # type: ignore[attr-defined]

    return [tuple(one(t) for t in model.inputs) for _ in range(count)]


def lists(outputs: object) -> list[object]:
    return [array.tolist() for array in outputs.arrays]  # type: ignore[attr-defined]


def test_names_and_versions(make: Make) -> None:
    assert make("litert", TINY).name == "litert builtin_ref"
    assert make("tensorflow", TINY, resolver="auto").name == "tensorflow auto"
    runtime = make("tflm", TINY, resolver="auto")
    assert runtime.name == "tflm"
    assert runtime.model is TINY
    (package,) = runtime.host.versions()
    assert package == "tflite-micro"
    assert make("litert", TINY).host.versions()["ai-edge-litert"][0].isdigit()


@pytest.mark.parametrize("kind", KINDS)
def test_outputs_in_the_models_order_with_its_types(make: Make, kind: str) -> None:
    """Two inputs, three outputs of three types, checked against plain arithmetic."""
    model = model_from_bytes(build.mixed(), "mixed")
    signal_, gain = np.arange(-6, 6, dtype=np.int8), np.linspace(-2, 2, 12).astype(np.float32)
    outputs = make(kind, model).run((signal_, gain))
    real = np.float32(0.02) * (signal_.astype(np.float32) - 4) * gain
    assert [a.dtype.name for a in outputs.arrays] == ["int8", "float32", "bool"]
    assert [a.shape for a in outputs.arrays] == [(1, 12)] * 3
    np.testing.assert_allclose(outputs[1][0], real, rtol=1e-5)
    assert outputs[2][0].tolist() == (real > 0.5).tolist()
    expected = ((signal_ - 4) * 0.02 + real) / 0.04 - 5
    assert np.abs(outputs[0][0] - expected).max() <= 1.1
    assert outputs.tensors == model.outputs
    assert isinstance(outputs.invoke_microseconds, int)
    assert len(outputs) == 3
    by_name = make(kind, model).run({"gain": gain, "signal": signal_})
    assert lists(by_name) == lists(outputs)


@by_name
@pytest.mark.parametrize("resolver", RESOLVERS)
def test_litert_and_tensorflow_give_the_same_bits(make: Make, model: Model, resolver: str) -> None:
    inputs = samples(model, 20)
    litert = make("litert", model, resolver=resolver).run_many(inputs)
    tensorflow = make("tensorflow", model, resolver=resolver).run_many(inputs)
    assert [lists(o) for o in litert] == [lists(o) for o in tensorflow]


@pytest.mark.parametrize("model", MODELS[1:6], ids=lambda model: model.name)
def test_tflm_gives_the_bits_of_the_reference_kernels(make: Make, model: Model) -> None:
    inputs = samples(model, 20)
    reference = [lists(o) for o in make("litert", model).run_many(inputs)]
    assert [lists(o) for o in make("tflm", model).run_many(inputs)] == reference
    assert len({str(o) for o in reference}) > 1 or model.name == "while_loop"


def test_each_resolver_is_the_one_that_was_asked_for(make: Make) -> None:
    """Their kernels round differently somewhere in a convolution, so a wrong one shows."""
    model = model_from_bytes(build.conv_2d(height=32, channels=16, filters=4), "conv")
    inputs = samples(model, 8)
    found = {
        r: [lists(o) for o in make("litert", model, resolver=r).run_many(inputs)] for r in RESOLVERS
    }
    assert found["auto"] == found["builtin"]
    assert found["builtin_ref"] != found["auto"]


@by_name
@pytest.mark.parametrize("kind", KINDS)
def test_run_and_run_many_agree(make: Make, model: Model, kind: str) -> None:
    if kind == "tflm" and model.name == "tcn_dynamic.tflite":
        pytest.skip("TFLM reads memory that it has not written in this model, so runs differ")
    inputs = samples(model, 5)
    runtime = make(kind, model)
    assert [lists(o) for o in runtime.run_many(inputs)] == [lists(runtime.run(x)) for x in inputs]


# Samples on their way.


def test_many_samples_keep_their_order(make: Make) -> None:
    runtime = make("litert", TINY)
    inputs = samples(TINY, 1000)
    once = [lists(o) for o in runtime.run_many(inputs)]
    assert len(once) == 1000
    backwards = [lists(o) for o in runtime.run_many(reversed(inputs))]
    assert backwards == once[::-1]
    assert list(runtime.run_many([])) == []


def test_a_generator_may_fill_one_array_again_and_again(make: Make) -> None:
    runtime = make("litert", TINY)
    inputs = samples(TINY, 100)
    buffer = np.zeros((1, 8), np.int8)

    def refilled() -> Iterator[np.ndarray]:
        for (array,) in inputs:
            buffer[:] = array
            yield buffer

    assert [lists(o) for o in runtime.run_many(refilled())] == [
        lists(o) for o in runtime.run_many(inputs)
    ]


def test_samples_are_read_only_a_little_ahead(make: Make) -> None:
    taken = 0

    def endless() -> Iterator[np.ndarray]:
        nonlocal taken
        while True:
            taken += 1
            yield np.zeros((1, 8), np.int8)

    outputs = make("litert", TINY).run_many(endless())
    assert taken == 0
    next(outputs)
    assert taken == 2
    for given in range(2, 2000):
        next(outputs)
        assert taken - given <= 2 * MAX_CHUNK
    outputs.close()  # type: ignore[attr-defined]


def test_a_bad_sample_is_told_after_the_outputs_before_it(make: Make) -> None:
    runtime = make("litert", TINY)
    outputs = runtime.run_many([*samples(TINY, 30), np.zeros(7, np.int8), *samples(TINY, 30)])
    given = [next(outputs) for _ in range(30)]
    assert len(given) == 30
    with pytest.raises(SampleError):
        next(outputs)
    assert len(list(runtime.run_many(samples(TINY, 3)))) == 3


def test_runs_may_interleave_and_be_left_unfinished(make: Make) -> None:
    inputs = samples(TINY, 200)
    runtime, other = make("litert", TINY), make("tflm", TINY)
    expected = [lists(o) for o in runtime.run_many(inputs)]
    left = runtime.run_many(inputs)
    for _ in range(10):
        next(left)
    runs = (r.run_many(inputs) for r in (runtime, runtime, other))
    pairs = zip(*runs, strict=True)
    found = [(lists(a), lists(b), len(c)) for a, b, c in pairs]
    assert found == [(e, e, 1) for e in expected]
    assert lists(next(left)) == expected[10]


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
@pytest.mark.parametrize("kind", ["litert", "tflm"])
def test_memory_stays_flat(make: Make, kind: str) -> None:
    model = model_from_bytes(build.add_int8((1, 8192)), "add")
    runtime = make(kind, model, worker=None)
    sample = samples(model, 1)[0]

    def resident() -> int:
        pages = [
            Path(f"/proc/{p}/statm").read_text().split()[1] for p in (os.getpid(), runtime.pid)
        ]
        return sum(map(int, pages)) * os.sysconf("SC_PAGE_SIZE")

    for _ in runtime.run_many(sample for _ in range(500)):
        pass
    before = resident()
    for _ in runtime.run_many(sample for _ in range(5000)):  # 120 MB of tensors
        pass
    assert resident() - before < 8_000_000


# Models with variables.


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "data", [state_models.svdf(), state_models.running_sum()], ids=["svdf", "running_sum"]
)
def test_after_a_reset_a_run_repeats_itself(make: Make, kind: str, data: bytes) -> None:
    model = model_from_bytes(data, "stateful")
    inputs = samples(model, 6)
    runtime = make(kind, model)
    first = [lists(runtime.run(x)) for x in inputs]
    again = [lists(runtime.run(x)) for x in inputs]
    assert again != first, "the model has no state: the test shows nothing"
    for _ in range(2):
        runtime.reset_state()
        assert [lists(runtime.run(x)) for x in inputs] == first
    runtime.reset_state()
    assert [lists(o) for o in runtime.run_many(inputs)] == first


def test_a_resource_variable_begins_with_its_own_value(make: Make) -> None:
    """TFLM's reset() alone would make it 0, and LiteRT's would leave it."""
    model = model_from_bytes(state_models.running_sum(5.0), "running_sum")
    one = np.ones((1, 4), np.float32)
    for kind in KINDS:
        runtime = make(kind, model)
        for _ in range(2):
            assert runtime.run(one)[0].tolist() == [[6.0] * 4]
            assert runtime.run(one)[0].tolist() == [[7.0] * 4]
            runtime.reset_state()


@pytest.mark.parametrize("kind", KINDS)
def test_a_variable_begins_at_its_zero_point_and_returns_there(make: Make, kind: str) -> None:
    model = model_from_bytes(state_models.unwritten_variable(), "variable")
    runtime = make(kind, model)
    x = np.array([[3, 5, 13, -7]], np.int8)
    for _ in range(2):
        assert runtime.run(x)[0].tolist() == [[-7, -5, 3, -17]]
        runtime.reset_state()


# What is refused.


@pytest.mark.parametrize(("kind", "resolver"), [("torch", None), ("litert", "fast")])
def test_unknown_settings_list_what_there_is(kind: str, resolver: str | None) -> None:
    with pytest.raises(SettingsError) as caught:
        interpreter(kind, resolver)
    assert ", ".join(KINDS if kind == "torch" else RESOLVERS) in str(caught.value)
    with pytest.raises(SettingsError):
        interpreter("litert", timeout=0)


@pytest.mark.parametrize(
    ("kind", "remedy"),
    [
        ("litert", "pip install ai-edge-litert"),
        ("tensorflow", 'pip install "pytest-tflm[tensorflow]"'),
        ("tflm", "pip install --pre tflite-micro"),
    ],
)
def test_a_missing_package_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, kind: str, remedy: str
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InterpreterMissing) as caught:
        interpreter(kind)
    assert remedy in str(caught.value)
    assert "not installed" in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_a_package_that_cannot_be_imported_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    module = packages._PACKAGES[kind].module
    (tmp_path / f"{module}.py").write_text("raise OSError('libfoo.so.1 is too old')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with interpreter(kind) as host:
        runtime = host.load(TINY)
        for _ in range(2):
            with pytest.raises(InterpreterMissing, match=r"libfoo\.so\.1 is too old.*pip install"):
                runtime.run(np.zeros(8, np.int8))


def custom_operator() -> Model:
    g = build.Graph()
    x, y = g.tensor("x", (1, 4), "float32"), g.tensor("y", (1, 4), "float32")
    g.operator("CUSTOM", (x,), (y,))
    g.model.operatorCodes[0].customCode = "Frobnicate"
    return model_from_bytes(g.finish((x,), (y,)), "custom.tflite")


@pytest.mark.parametrize("kind", KINDS)
def test_an_operator_that_nobody_has_is_a_refusal_that_names_it(make: Make, kind: str) -> None:
    runtime = make(kind, custom_operator())
    texts = []
    for _ in range(2):
        with pytest.raises(InterpreterRefused) as caught:
            runtime.run(np.zeros((1, 4), np.float32))
        texts.append(str(caught.value))
    assert ("CUSTOM" if kind == "tflm" else "Frobnicate") in texts[0]
    assert texts[0] == texts[1]
    assert texts[0].startswith(f"{runtime.name} failed while loading custom.tflite: ")
    assert "try another" in texts[0]
    assert len(texts[0].splitlines()) == 1


def test_tflm_names_the_operator_that_it_lacks(make: Make) -> None:
    g = build.Graph()
    x, y = g.tensor("x", (1, 4), "bool"), g.tensor("y", (1, 2), "int64")
    g.operator("WHERE", (x,), (y,), "WhereOptions")
    runtime = make("tflm", model_from_bytes(g.finish((x,), (y,)), "where.tflite"))
    with pytest.raises(InterpreterRefused, match="'WHERE'"):
        runtime.run(np.ones((1, 4), np.bool_))


def test_a_shape_of_run_time_is_kept(make: Make) -> None:
    """WHERE's output has as many rows as there are true elements, whatever is stored."""
    g = build.Graph()
    x, y = g.tensor("x", (4,), "bool"), g.tensor("y", (2, 1), "int64")
    g.operator("WHERE", (x,), (y,), "WhereOptions")
    runtime = make("litert", model_from_bytes(g.finish((x,), (y,)), "where.tflite"))
    assert runtime.run(np.array([1, 0, 1, 1], np.bool_))[0].tolist() == [[0], [2], [3]]


def test_a_refusal_of_invoke_says_so_and_the_next_sample_is_run(make: Make) -> None:
    """LiteRT notices in Invoke alone that this SVDF has the wrong activation."""
    runtime = make("litert", model_from_bytes(state_models.svdf(activation=0), "svdf.tflite"))
    for _ in range(2):
        with pytest.raises(InterpreterRefused, match=r"failed in Invoke on svdf\.tflite.*SVDF"):
            runtime.run(np.zeros((1, 3), np.int8))
    with pytest.raises(InterpreterRefused):
        list(runtime.run_many([np.zeros((1, 3), np.int8)] * 5))


# What dies.


def test_a_killed_interpreter_is_an_error_and_the_run_goes_on(make: Make) -> None:
    model = model_from_bytes(build.conv_2d(), "conv.tflite")
    runtime = make("litert", model, worker=None, resolver="auto")
    inputs = samples(model, 500)
    expected = [lists(o) for o in runtime.run_many(inputs)]
    outputs = runtime.run_many(inputs)
    for _ in range(20):
        next(outputs)
    assert runtime.pid is not None
    os.kill(runtime.pid, signal.SIGSEGV)
    with pytest.raises(InterpreterCrashed) as caught:
        list(outputs)
    litert = metadata.version("ai-edge-litert")
    assert str(caught.value) == (
        "litert auto died with SIGSEGV in Invoke on conv.tflite; try another resolver "
        f"(--tflm-resolver) or interpreter (--tflm-runtime=tflm) (ai-edge-litert {litert})"
    )
    assert [lists(o) for o in runtime.run_many(inputs)] == expected
    assert runtime.pid is not None
    os.kill(runtime.pid, signal.SIGKILL)
    with pytest.raises(InterpreterCrashed, match="SIGKILL"):
        runtime.run(inputs[0])
    assert lists(runtime.run(inputs[0])) == expected[0]
    runtime.close()
    runtime.close()
    runtime.host.close()
    assert runtime.pid is None


def test_runtimes_that_share_a_process_all_survive_its_crash() -> None:
    with Worker("shared") as worker:
        runtimes = [interpreter(k, worker=worker).load(TINY) for k in ("litert", "tflm")]
        (sample,) = samples(TINY, 1)
        expected = [lists(r.run(sample)) for r in runtimes]
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGSEGV)
        with pytest.raises(InterpreterCrashed):
            runtimes[0].run(sample)
        assert [lists(r.run(sample)) for r in runtimes] == expected
        assert worker.starts == 2
        runtimes[0].close()
        assert lists(runtimes[1].run(sample)) == expected[1]


def test_a_crash_in_native_code_while_loading() -> None:
    """TFLM really dies in an arena of some hundred bytes; we refuse those, so ask it directly."""
    worker = Worker("tflm", "tests.runtime.direct:Direct")
    with pytest.raises(InterpreterCrashed, match=r"SIGSEGV|SIGABRT") as caught:
        worker.call("tflm_in", build.conv_2d(), 200, doing="while loading conv.tflite")
    assert "Failed to allocate" in caught.value.details
    assert worker.call("tflm_in", build.conv_2d(), 100_000) is True
    worker.close()


# TFLM's arena.


@pytest.mark.parametrize("needed", [1024, 1040, 1056, 5008, 90_000 // 16 * 16, 10**8])
@pytest.mark.parametrize("guess", [0, 1, 1024, 5000, 89_000, 10**9])
def test_the_smallest_arena_is_found_from_any_guess(needed: int, guess: int) -> None:
    tried: list[int] = []

    def fits(arena: int) -> bool:
        tried.append(arena)
        return arena >= needed

    assert _smallest(fits, guess) == needed
    assert min(tried) >= 1024
    assert len(tried) < 60


def test_an_arena_that_was_asked_for_is_kept_to(make: Make) -> None:
    model = model_from_bytes(build.conv_2d(), "conv.tflite")
    needed = arena_needed(model)
    assert needed % 16 == 0
    assert lists(make("tflm", model, arena=needed).run(samples(model, 1)[0]))
    with pytest.raises((InterpreterRefused, InterpreterCrashed), match="arena larger than"):
        make("tflm", model, arena=needed - 16, worker=None).run(samples(model, 1)[0])
    for arena in (1024, 100, 0):
        with pytest.raises(InterpreterRefused, match=f"arena of {arena} bytes"):
            make("tflm", model, arena=arena).run(samples(model, 1)[0])


def test_the_arena_grows_until_the_model_fits(make: Make) -> None:
    model = model_from_bytes(build.add_int8((1, 6_000_000)), "large")  # begins with 16 MiB
    inputs = samples(model, 2)
    outputs = [lists(o) for o in make("tflm", model).run_many(inputs)]
    assert outputs == [lists(o) for o in make("litert", model).run_many(inputs)]


def test_the_arena_of_a_model_that_tflm_does_not_take() -> None:
    with pytest.raises(InterpreterRefused, match=r"measuring the arena of custom\.tflite"):
        arena_needed(custom_operator())


@pytest.mark.parametrize("kind", ["litert", "tflm"])
def test_a_model_without_an_end_is_stopped_after_the_timeout(kind: str) -> None:
    """Two thousand million rounds. Also in the first call, whose process has just been started."""
    model = model_from_bytes(build.while_loop(2**31 - 1), "endless.tflite")
    with interpreter(kind, timeout=1.0) as host:
        runtime = host.load(model)
        for _ in range(2):
            with pytest.raises(InterpreterCrashed, match="did not answer within 1 s"):
                runtime.run([np.zeros(1, np.int32)])
