"""State between samples.

A model with state is run as a *stream*: its samples in order, from one reset, on the board and on
the reference. Sample *i* is compared in the state that samples 0 to *i* - 1 have left, whichever
tests were selected and in whichever order they run: what is missing of the stream is run first.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_tflm.model import Model
    from pytest_tflm.record.samples import Sample, Samples
    from pytest_tflm.runtime.base import Outputs, Runtime


def stream_until(model: Model, samples: Samples, index: int) -> list[Sample]:
    """The samples that the outputs for sample ``index`` depend on, it the last of them."""
    first = 0 if model.is_stream else index
    return [samples[i] for i in range(first, index + 1)]


class Streams:
    """Where each runtime is in its stream."""

    def __init__(self) -> None:
        self._at: dict[int, _Position] = {}

    def run(
        self, runtime: Runtime, samples: Samples, index: int, following: Iterable[int] = ()
    ) -> Outputs:
        """The outputs for sample ``index``; ``following`` are the samples that will be asked for
        next. Raises what the runtime raises."""
        if not runtime.model.is_stream:
            return runtime.run(samples[index])
        at = self._position(runtime, samples)
        if at is None or at.next > index:
            runtime.reset_state()
            at = self._at[id(runtime)] = _Position(runtime, samples)
        if not runtime.ahead.is_under_way:
            coming = itertools.chain(range(at.next, index + 1), following)
            runtime.expect((samples[i] for i in coming), at.again)
        while at.next < index:
            at.step()
        return at.step()

    def _position(self, runtime: Runtime, samples: Samples) -> _Position | None:
        """Where a runtime is; None if something else was done since."""
        known = self._at.get(id(runtime))
        if known is None or known.samples is not samples or known.activity != runtime.activity:
            return None
        return known


class _Position:
    """``next`` samples of a stream have been run on ``runtime`` since its reset."""

    def __init__(self, runtime: Runtime, samples: Samples) -> None:
        self.runtime = runtime
        self.samples = samples
        self.next = 0
        self.activity: object = None

    def step(self) -> Outputs:
        """Run the next sample."""
        outputs = self.runtime.run(self.samples[self.next])
        self.next += 1
        self.activity = self.runtime.activity
        return outputs

    def again(self) -> None:
        """Bring the runtime's state back to here."""
        self.runtime.reset_state()
        for _ in self.runtime.run_many(self.samples[i] for i in range(self.next)):
            pass
