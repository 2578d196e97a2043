"""10 000 bent models through whatever reads models: model, lint, repairs, and a part of them
through the interpreters and the simulator.

Native code may die of such a model, or compute for ever: it does so in a process of its own, what
comes of it is a named error within the timeout, and the next model runs.
"""

from __future__ import annotations

import contextlib
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from pytest_tflm.compare.comparison import compare
from pytest_tflm.compare.words import comparison_lines
from pytest_tflm.errors import InterpreterCrashed, SampleError, TflmError
from pytest_tflm.record.samples import samples_for
from pytest_tflm.runtime.base import Outputs
from pytest_tflm.runtime.hosts import Hosts
from pytest_tflm.runtime.spec import Line, RuntimeSpec
from tests.model.bent_models import bent
from tests.model.test_fuzz import answer, use

if TYPE_CHECKING:
    from pytest_tflm.model import Model
    from pytest_tflm.runtime.base import Host

MODELS, AT_ONCE = 10_000, 250
RUN_EACH = 10
"""One of so many is run as well: a crash costs the start of another process."""
TIMEOUT = 5.0
LONGEST = 120
"""Seconds for one model, four runs with TIMEOUT among them, on a machine that does much besides."""
CPU_SECONDS = 10.0
"""For what needs no interpreter. It takes 0.02 s on average."""
RUNTIMES = ("litert:builtin_ref", "litert:auto", "tflm", "sim")


@contextlib.contextmanager
def within_its_bound(words: str) -> Iterator[None]:
    def too_long(*_: object) -> None:
        raise AssertionError(f"{words}: not done after {LONGEST} s")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(LONGEST)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def run(host: Host, model: Model, sample: object, words: str) -> tuple[str, Outputs | None]:
    """Run a model once, and put the host right again: what came of it, in a word."""
    try:
        (arrays,) = host.attempt(model, [sample]).outputs()
    except TflmError as error:
        told = host.note(error)
        if getattr(host, "broken", None) is not None:
            # Of a board that broke, native code's end is told by its signal: an exception in our
            # own code ends with a status.
            assert "exited with status" not in str(told), f"{words}: {told}"
            host.renew()
        if isinstance(told, InterpreterCrashed):
            assert re.search(r"died with SIG|did not answer within", str(told)), f"{words}: {told}"
        return type(told).__name__, None
    return "ran", Outputs(arrays, model.outputs, str(host.spec))


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, MODELS, AT_ONCE))
def test_no_bent_model_ends_a_process_or_takes_long(first, record_property):
    found: Counter[str] = Counter()
    with Hosts(Line(timeout=TIMEOUT), timeout=TIMEOUT) as hosts:
        for seed in range(first, first + AT_ONCE):
            words, data = bent(seed)
            with within_its_bound(words):
                began = time.process_time()
                try:
                    model = answer(data)
                    if model is not None:
                        use(model)
                except Exception as error:
                    raise AssertionError(f"{words}: {error!r}") from error
                assert time.process_time() - began < CPU_SECONDS, words
                found["refused" if model is None else "accepted"] += 1
                if model is None or seed % RUN_EACH:
                    continue
                try:
                    sample = samples_for(model, None, 0)[0]
                except SampleError:
                    found["no samples"] += 1
                    continue
                reference = None
                for runtime in RUNTIMES:
                    host = hosts.open(RuntimeSpec.parse(runtime))
                    what, got = run(host, model, sample, words)
                    found[f"{runtime}: {what}"] += 1
                    if got is not None and reference is not None:
                        try:
                            assert all(comparison_lines(compare(got, reference)))
                            found["compared"] += 1
                        except SampleError:  # TFLM has the shape that is stored
                            found["of other shapes"] += 1
                    reference = reference or got
    for what, count in sorted(found.items()):
        record_property(what, count)
    # Otherwise nothing behind the verifier is being tried.
    assert found["accepted"] > AT_ONCE // 4
    assert all(found[f"{runtime}: ran"] >= 2 for runtime in RUNTIMES), found
