"""What is checked of every model: collected once for each ``--tflm-model``."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pytest_tflm.errors import NotSupported, OutputMismatch
from pytest_tflm.verdict.within import within

if TYPE_CHECKING:
    from pytest_tflm.model import Model
    from pytest_tflm.options import Settings
    from pytest_tflm.record.samples import Sample, Samples
    from pytest_tflm.runtime.base import Runtime
    from pytest_tflm.runtime.board import BoardRuntime

_SAMPLES_OF_STATE_CHECKS = 8


def test_model_identity(device: BoardRuntime, tflm_model: Model) -> None:
    """The model that the board has prepared is the file."""
    device.check_identity()


def test_input_read_back(device: BoardRuntime, tflm_model: Model, tflm_samples: Samples) -> None:
    """Inputs written to the board read back as they were sent."""
    import numpy as np

    sample = tflm_model.quantize(tflm_samples[0])
    for tensor, sent, found in zip(
        tflm_model.inputs, sample, device.read_back(sample), strict=True
    ):
        if sent.tobytes() != found.tobytes():
            wrong = np.flatnonzero(
                np.frombuffer(sent.tobytes(), np.uint8) != np.frombuffer(found.tobytes(), np.uint8)
            )
            raise OutputMismatch(
                f"input {tensor.name!r} reads back with {len(wrong)} of {sent.nbytes} bytes "
                f"changed, the first at byte {wrong[0]}"
            )


def test_outputs(
    device: Runtime,
    reference: Runtime,
    tflm_model: Model,
    tflm_sample: Sample,
    tflm_settings: Settings,
    record_property: Callable[[str, object], None],
) -> None:
    """Outputs differ from the reference's by at most the tolerance."""
    expected = reference.run(tflm_sample)
    got = device.run(tflm_sample)
    allowed = within(
        expected, lsb=tflm_settings.tolerance, float_tolerance=tflm_settings.float_tolerance
    )
    comparison = allowed.compare(got)
    record_property("tflm_model", tflm_model.name)
    record_property("tflm_runtimes", f"{got.runtime} against {expected.runtime}")
    record_property("tflm_within", comparison.passed)
    record_property("tflm_largest_lsb", comparison.largest_lsb)
    if comparison.largest_float is not None:
        record_property("tflm_largest_float", comparison.largest_float)
    allowed.check(got)


def test_same_input_same_output(
    device: BoardRuntime,
    tflm_samples: Samples,
    record_property: Callable[[str, object], None],
) -> None:
    """The same input, run twice from the same state, gives the same output."""
    device.reset_state()
    first = device.run(tflm_samples[0])
    device.reset_state()
    second = device.run(tflm_samples[0])
    with contextlib.suppress(NotSupported):
        times = [(each.index, each.name, each.microseconds) for each in device.operator_times()]
        record_property("tflm_operator_times", [device.model.name, times])
    _same(second, first, "the same input run a second time")


def test_order_does_not_matter(device: Runtime, tflm_samples: Samples) -> None:
    """Outputs do not depend on which inputs came before, with the state reset between."""
    count = min(len(tflm_samples), _SAMPLES_OF_STATE_CHECKS)
    forward = [_run_from_reset(device, tflm_samples[i]) for i in range(count)]
    for i in reversed(range(count)):
        again = _run_from_reset(device, tflm_samples[i])
        _same(again, forward[i], f"sample {i}, after other inputs than the first time,")


def _run_from_reset(device: Runtime, sample: Sample) -> Any:
    device.reset_state()
    return device.run(sample)


def _same(got: Any, expected: Any, what: str) -> None:
    try:
        within(expected.arrays, lsb=0, float_tolerance=0.0).check(got.arrays)
    except OutputMismatch as error:
        raise OutputMismatch(f"{what} gives another output\n{error}") from None
