"""State between samples.

A model with state is run as a *stream*: its samples in order, from one reset, on the board and on
the reference. Sample *i* is compared in the state that samples 0 to *i* - 1 have left, whichever
tests were selected and in whichever order they run: what is missing of the stream is run first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
        self._at: dict[int, tuple[Runtime, Samples, int, object]] = {}

    def run(self, runtime: Runtime, samples: Samples, index: int) -> Outputs:
        """The outputs for sample ``index``. Raises what the runtime raises."""
        if not runtime.model.is_stream:
            return runtime.run(samples[index])
        start = self._position(runtime, samples)
        if start is None or start > index:
            runtime.reset_state()
            start = 0
        for _ in runtime.run_many(samples[i] for i in range(start, index)):
            pass
        outputs = runtime.run(samples[index])
        self._at[id(runtime)] = (runtime, samples, index + 1, runtime.activity)
        return outputs

    def _position(self, runtime: Runtime, samples: Samples) -> int | None:
        """The sample that comes next; None if something else was done since."""
        known = self._at.get(id(runtime))
        if known is None or known[1] is not samples or known[3] != runtime.activity:
            return None
        return known[2]
