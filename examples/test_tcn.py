"""What a user writes: the example TCN on a board, against the TFLite interpreter.

pytest --tflm-port=sim examples/test_tcn.py
"""

from pathlib import Path

import numpy as np
import pytest

from pytest_tflm import within

HERE = Path(__file__).parent
pytestmark = pytest.mark.tflm(
    model=HERE / "tcn.tflite", samples=HERE / "tcn_samples.npz", tolerance=1
)


def test_outputs(device, reference, tflm_sample, tflm_tolerance):
    """Every window: the board's code is the interpreter's, within 1 LSB."""
    assert device.run(tflm_sample) == within(reference.run(tflm_sample), lsb=tflm_tolerance)


def test_speed_is_right_to_two_hertz(device, tflm_model, tflm_samples):
    """The board does the job that the model was trained for: mean error below 2 Hz."""
    labels = np.load(HERE / "tcn_samples.npz")["labels"]
    outputs = device.run_many(tflm_samples)
    speeds = [tflm_model.dequantize(out.arrays)[0].item() for out in outputs]
    assert np.abs(np.array(speeds) - labels).mean() < 2.0
