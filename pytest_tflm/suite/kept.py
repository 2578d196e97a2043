"""The outputs of each sample that were computed in this run, so that no test asks for them anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_tflm.record.samples import Samples
    from pytest_tflm.runtime.base import Outputs, Runtime
    from pytest_tflm.runtime.spec import RuntimeSpec

_OBJECT = 1024
"""Bytes of outputs besides those of their arrays, about."""
_MOST_BYTES = 1 << 28
"""Of outputs that are kept; those beyond are computed again."""


class KeptOutputs:
    """Outputs by runtime, samples and index."""

    def __init__(self) -> None:
        self._kept: dict[tuple[RuntimeSpec, str, int], dict[int, Outputs]] = {}
        self._samples: dict[int, Samples] = {}
        self._bytes = 0

    def keep(self, runtime: Runtime, samples: Samples, index: int, outputs: Outputs) -> None:
        """Remember ``outputs``, those of ``runtime`` for a sample; of a model with state in the
        stream of all samples."""
        size = _OBJECT + sum(array.nbytes for array in outputs.arrays)
        if self._bytes + size <= _MOST_BYTES:
            self._bytes += size
            self._of(runtime, samples)[index] = outputs

    def all(self, runtime: Runtime, samples: Samples) -> list[Outputs]:
        """The outputs for each sample, in order; computes those that are missing. Raises what the
        runtime raises."""
        kept = self._of(runtime, samples)
        missing = [index for index in range(len(samples)) if index not in kept]
        if missing and runtime.model.is_stream:
            missing = list(range(len(samples)))
            runtime.reset_state()
        made = {}
        if missing:
            outputs = runtime.run_many(samples[index] for index in missing)
            for index, each in zip(missing, outputs, strict=True):
                made[index] = each
                self.keep(runtime, samples, index, each)
        return [made.get(index) or kept[index] for index in range(len(samples))]

    def _of(self, runtime: Runtime, samples: Samples) -> dict[int, Outputs]:
        self._samples[id(samples)] = samples  # so that the id stays that of these
        key = (runtime.host.spec, runtime.model.sha256, id(samples))
        return self._kept.setdefault(key, {})
