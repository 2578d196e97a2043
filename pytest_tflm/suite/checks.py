"""What is checked of every model: collected once for each ``--tflm-model``."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_tflm.compare.within import within
from pytest_tflm.errors import NotSupported, OutputMismatch
from pytest_tflm.runtime.base import check_read_back
from pytest_tflm.suite.judgement import judge
from pytest_tflm.suite.pipeline import DEVICE, PIPELINE, REFERENCE
from pytest_tflm.suite.similar import similar_inputs
from pytest_tflm.suite.state import STATE
from pytest_tflm.suite.streams import stream_until

if TYPE_CHECKING:
    import pytest

    from pytest_tflm.model import Model
    from pytest_tflm.options import Settings
    from pytest_tflm.record.samples import Sample, Samples
    from pytest_tflm.replay.format import Replay
    from pytest_tflm.runtime.base import Outputs, Runtime
    from pytest_tflm.suite.judgement import Judgement
    from pytest_tflm.suite.subject import Subject

_SAMPLES_OF_STATE_CHECKS = 8


def test_model_identity(_tflm_device: Runtime, tflm_model: Model) -> None:
    """The model that the board has prepared is the file."""
    _tflm_device.check_identity()


def test_input_read_back(_tflm_device: Runtime, tflm_model: Model, tflm_samples: Samples) -> None:
    """Inputs written to the board read back as they were sent."""
    check_read_back(_tflm_device, tflm_model.quantize(tflm_samples[0]))


def test_outputs(
    request: pytest.FixtureRequest,
    _tflm_device: Runtime,
    _tflm_reference: Runtime,
    tflm_model: Model,
    tflm_sample: Sample,
    tflm_samples: Samples,
    tflm_settings: Settings,
    tflm_keep: Callable[[Replay], Path | None],
    record_property: Callable[[str, object], None],
) -> None:
    """Outputs differ from the reference's by at most the tolerance."""
    state = request.config.stash[STATE]
    index = request.node.callspec.params["tflm_sample"]

    def outputs(runtime: Runtime, role: str) -> Outputs:
        following = request.config.stash[PIPELINE].indices(request.node, role)
        return state.streams.run(runtime, tflm_samples, index, following)

    expected = outputs(_tflm_reference, REFERENCE)
    got = outputs(_tflm_device, DEVICE)
    if state.keeps(tflm_settings, tflm_samples):
        state.kept.keep(_tflm_reference, tflm_samples, index, expected)
        state.kept.keep(_tflm_device, tflm_samples, index, got)
    found = judge(
        state,
        tflm_settings,
        tflm_model,
        lambda: stream_until(tflm_model, tflm_samples, index),
        got,
        expected,
    )
    comparison = found.comparison
    state.facts.sample(
        request.node.nodeid,
        tflm_model,
        tflm_settings,
        tflm_samples,
        index,
        got,
        expected,
        comparison,
        found.passed,
    )
    record_property("tflm_model", tflm_model.name)
    record_property("tflm_runtimes", f"{got.runtime} against {expected.runtime}")
    record_property("tflm_within", comparison.passed)
    record_property("tflm_largest_lsb", comparison.largest_lsb)
    for note in state.survey(tflm_model, tflm_settings).notes:
        record_property("tflm_note", note)
    if comparison.largest_float is not None:
        record_property("tflm_largest_float", comparison.largest_float)
    if found.passed:
        if found.carried is not None:
            record_property("tflm_rounding", found.carried.text)
        return
    error = found.error()
    if tflm_settings.save is None:
        raise error
    raise found.error(
        _kept(
            _tflm_device, _tflm_reference, tflm_samples, index, got, expected, str(error),
            tflm_settings, tflm_keep,
        )
    )  # fmt: skip


def test_all_outputs(
    request: pytest.FixtureRequest,
    _tflm_device: Runtime,
    _tflm_reference: Runtime,
    tflm_model: Model,
    tflm_samples: Samples,
    tflm_settings: Settings,
    tflm_keep: Callable[[Replay], Path | None],
    record_property: Callable[[str, object], None],
) -> None:
    """What test_outputs checks, for all samples in one test. The first that fail are subtests."""
    from pytest_tflm.record.facts import finite
    from pytest_tflm.suite.streamed import tallied
    from pytest_tflm.suite.subtests import each_as_subtest

    state = request.config.stash[STATE]
    single = f"{request.node.nodeid.rpartition('::')[0]}::test_outputs"
    board = f"{tflm_settings.board_name}-" if tflm_settings.board_name else ""
    facts = state.facts.of_many(f"{single}[{board}", tflm_model, tflm_settings, tflm_samples)

    def each(number: int, got: Outputs, expected: Outputs, found: Judgement | None) -> None:
        if state.keeps(tflm_settings, tflm_samples):
            state.kept.keep(_tflm_reference, tflm_samples, number, expected)
            state.kept.keep(_tflm_device, tflm_samples, number, got)
        facts(number, got, expected, found)

    tally = tallied(
        _tflm_device,
        _tflm_reference,
        tflm_samples,
        functools.partial(judge, state, tflm_settings, tflm_model),
        each,
    )
    state.facts.add(
        "tally",
        {
            "samples": tally.samples,
            "equal": tally.equal,
            "within": tally.within,
            "rounding": tally.carried,
            "beyond": tally.differing.count,
            "largest_lsb": tally.largest_lsb,
            "largest_float": finite(tally.largest_float),
        },
        tflm_model,
        tflm_settings,
    )
    record_property("tflm_model", tflm_model.name)
    record_property("tflm_runtimes", " against ".join(tally.runtimes))
    record_property("tflm_tally", [tally.samples, tally.equal, tally.within, tally.carried])
    record_property("tflm_largest_lsb", tally.largest_lsb)
    for note in state.survey(tflm_model, tflm_settings).notes:
        record_property("tflm_note", note)
    if tally.largest_float is not None:
        record_property("tflm_largest_float", tally.largest_float)
    if tally.rounding:
        record_property("tflm_rounding", tally.rounding)
    if not tally.differing.count:
        return
    record_property("tflm_differing", tally.differing.text())
    print(f"samples beyond the tolerance: {tally.differing.text()}")

    def error(number: int, found: Judgement, more: str = "") -> OutputMismatch:
        alone = f"{single}[{board}{number}]"
        made = found.error(f"{more}\nto run only this sample, give pytest this test: {alone}")
        made.sample = None if tflm_model.is_stream else tflm_samples[number]
        return made

    errors = []
    for number, got, expected, found in tally.shown:
        kept = ""
        if tflm_settings.save is not None:
            kept = _kept(
                _tflm_device, _tflm_reference, tflm_samples, number, got, expected,
                str(error(number, found)), tflm_settings, tflm_keep,
            )  # fmt: skip
        errors.append((f"sample {number}", error(number, found, kept)))
    if each_as_subtest(request, errors):
        some = "" if len(errors) == tally.differing.count else f"; the first {len(errors)} are"
        raise OutputMismatch(f"{tally.headline()}{some or '; they are'} subtests")
    first = str(errors[0][1])
    rest = "\n".join(f"{name}: {str(each).splitlines()[0]}" for name, each in errors[1:])
    raise OutputMismatch(
        f"{tally.headline()}\nthe first of them, {errors[0][0]}: {first}\n{rest}".rstrip(),
        sample=errors[0][1].sample,
    )


def _kept(
    device: Runtime,
    reference: Runtime,
    samples: Samples,
    index: int,
    got: Outputs,
    expected: Outputs,
    text: str,
    settings: Settings,
    keep: Callable[[Replay], Path | None],
) -> str:
    """Save what failed; a line that says how to run it again."""
    from pytest_tflm.replay.record import again, differing

    def replay() -> Replay:
        model = device.model
        *before, sample = map(model.quantize, stream_until(model, samples, index))
        return differing(
            device,
            reference,
            [*((each, None, None) for each in before), (sample, got, expected)],
            text,
            lsb=settings.lsb,
            float_tolerance=settings.float_tolerance,
        )

    return f"\n{again(keep, replay)}"


def test_same_input_same_output(
    _tflm_subject: Subject, record_property: Callable[[str, object], None]
) -> None:
    """The same input, run twice from the same state, gives the same output."""
    device, sample = _tflm_subject.device, _tflm_subject.samples[0]
    first = _run_from_reset(device, sample)
    second = _run_from_reset(device, sample)
    with contextlib.suppress(NotSupported):
        times = [(each.index, each.name, each.microseconds) for each in device.operator_times()]
        record_property("tflm_operator_times", [_tflm_subject.title, times])
        _tflm_subject.note(
            "operator_times",
            [{"index": i, "name": name, "microseconds": time} for i, name, time in times],
        )
    _same(second, first, "the same input, run a second time")


def test_order_does_not_matter(_tflm_device: Runtime, tflm_samples: Samples) -> None:
    """Outputs do not depend on which inputs came before, with the state reset between."""
    count = min(len(tflm_samples), _SAMPLES_OF_STATE_CHECKS)
    forward = [_run_from_reset(_tflm_device, tflm_samples[i]) for i in range(count)]
    for i in reversed(range(count)):
        again = _run_from_reset(_tflm_device, tflm_samples[i])
        _same(again, forward[i], f"sample {i}, after other inputs than the first time,")


def test_similar_inputs(
    request: pytest.FixtureRequest,
    _tflm_device: Runtime,
    _tflm_reference: Runtime,
    tflm_model: Model,
    tflm_samples: Samples,
    tflm_settings: Settings,
) -> None:
    """Outputs are right for inputs that begin alike, that differ in their last element alone, and
    that come again after others: a board that keeps outputs by a part of the input gives old
    ones."""
    state = request.config.stash[STATE]
    inputs = similar_inputs(
        [tflm_model.quantize(tflm_samples[i]) for i in (0, len(tflm_samples) - 1)]
    )
    for number, sample in enumerate(inputs):
        expected = _run_from_reset(_tflm_reference, sample)
        got = _run_from_reset(_tflm_device, sample)
        found = judge(
            state, tflm_settings, tflm_model, functools.partial(list, [sample]), got, expected
        )
        if not found.passed:
            what = f"input {number} of {len(inputs)} similar ones, each from a reset"
            text = f"{what}: {found.error()}"
            raise OutputMismatch(text, sample=sample, comparison=found.comparison)


def test_accuracy(
    _tflm_subject: Subject,
    _tflm_reference: Runtime,
    record_property: Callable[[str, object], None],
) -> None:
    """The board is as accurate as is asked for, and gives the reference's classes often enough."""
    from pytest_tflm.record.metrics import figure_rows
    from pytest_tflm.suite.measures import accuracy

    metrics = accuracy(_tflm_subject, _tflm_reference)
    figures = [f"{name} {words}" for name, words in figure_rows(metrics.runtimes)]
    if figures:
        record_property("tflm_metrics", f"{_tflm_subject.title}: {'; '.join(figures)}")


def test_latency(_tflm_subject: Subject, record_property: Callable[[str, object], None]) -> None:
    """Invoke takes no longer than is allowed, by the board's clock, and so do the operators."""
    from pytest_tflm.suite.measures import check_budgets

    check_budgets(_tflm_subject.with_settings(max_arena=None))
    record_property("tflm_latency", f"{_tflm_subject.title}: {_tflm_subject.device.latency}")


def test_memory(_tflm_subject: Subject) -> None:
    """The model uses no more of the arena than is allowed."""
    from pytest_tflm.suite.measures import check_budgets

    check_budgets(_tflm_subject.with_settings(max_latency=None, max_operator_latency={}))


def test_baseline(
    _tflm_subject: Subject,
    _tflm_reference: Runtime,
    record_property: Callable[[str, object], None],
) -> None:
    """Outputs, latency, arena and accuracy are those of the baseline."""
    from pytest_tflm.suite.measures import compared_with_baseline

    changes = compared_with_baseline(_tflm_subject, _tflm_reference)
    if changes:
        words = "; ".join(change.text for change in changes)
        record_property("tflm_baseline", f"{_tflm_subject.title}: {words}")


def test_fuzz(
    request: pytest.FixtureRequest,
    _tflm_device: Runtime,
    _tflm_reference: Runtime,
    tflm_model: Model,
    tflm_samples: Samples,
    tflm_settings: Settings,
    tflm_keep: Callable[[Replay], Path | None],
) -> None:
    """Outputs differ by at most the tolerance for generated inputs too."""
    from pytest_tflm.fuzz.inputs.decorator import search

    state = request.config.stash[STATE]
    progress = state.progress
    count = tflm_settings.fuzz
    # What is carried through a model with state depends on the samples before, which are not known.
    settings = tflm_settings
    if tflm_model.is_stream:
        settings = settings._replace(tolerance=settings.lsb)

    def check(sample: object, got: Outputs, expected: Outputs) -> None:
        found = judge(state, settings, tflm_model, lambda: [sample], got, expected)
        if not found.passed:
            raise found.error()

    try:
        search(
            _tflm_device,
            _tflm_reference,
            check,
            real=tflm_samples,
            examples=count,
            settings=tflm_settings,
            keep=tflm_keep,
            tried=lambda done: progress(f"fuzzing {tflm_model.name}", done, count),
        )
    finally:
        progress("", 1, 1)


def test_kernel(
    request: pytest.FixtureRequest,
    tflm_board: str,
    tflm_model: Model,
    tflm_kernel: str,
    tflm_settings: Settings,
    tflm_keep: Callable[[Replay], Path | None],
) -> None:
    """The board's kernel gives what TFLM on this machine gives, bit for bit, for generated models
    of this operator alone."""
    import pytest

    from pytest_tflm.fuzz.kernels.check import check_kernel

    # Not a parameter of this test: what its verdict is about is the model, and not this kernel.
    board = request.getfixturevalue("_tflm_device").host
    if not board.takes_models:
        pytest.skip("the board takes no models: it has one compiled in")
    state = request.config.stash[STATE]
    check_kernel(tflm_kernel, board, state.hosts, tflm_settings, tflm_keep, state.progress)


def _run_from_reset(device: Runtime, sample: Sample) -> Any:
    device.reset_state()
    return device.run(sample)


def _same(got: Any, expected: Any, what: str) -> None:
    try:
        within(expected.arrays, lsb=0, float_tolerance=0.0).check(got.arrays)
    except OutputMismatch as error:
        raise OutputMismatch(f"{what} gives another output\n{error}") from None
