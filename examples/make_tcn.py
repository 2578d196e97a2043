"""Make the example model: a temporal convolutional network (TCN) that reads a shaft's speed.

The task. A 12-bit accelerometer on a motor is sampled at 1 kHz. A window holds its last 1000
readings in g: the shaft's vibration and its second harmonic, gravity, drift and noise, while the
motor runs up or down. The model tells the shaft's speed **at the window's last sample**, in Hz.
All signals are synthetic; `windows` is their definition.

Files written to `--out`:

- `tcn.tflite`          int8 in, int8 out, batch 1: each dilated convolution is one CONV_2D.
- `tcn_dynamic.tflite`  the same weights, unknown batch size (Keras' default): the converter emits
  SPACE_TO_BATCH_ND, CONV_2D, BATCH_TO_SPACE_ND and stores batch 1 for every tensor, also where
  SPACE_TO_BATCH_ND makes it the dilation. TFLM trusts the stored shapes and computes nonsense.
- `tcn_samples.npz`     held-out windows: `inputs` (N, 1000, 1) float32 in g, `labels` (N,) float32
  in Hz, spread evenly over the range of speeds.

Reproducible: with one `--seed`, all three files byte for byte on one machine with the same package
versions. Elsewhere the windows stay the same (unless NumPy changes its random stream or a sine
rounds across a step of the accelerometer), but training adds in another order: the model is then
equivalent, by its score, and not equal.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from pytest_tflm import model_from_bytes
from pytest_tflm.runtime.interpreter import interpreter

WINDOW = 1000  # samples in a window
SAMPLE_RATE = 1000.0  # Hz
SPEED = (5.0, 50.0)  # Hz, slowest and fastest shaft
FULL_SCALE = 4.0  # g, the accelerometer reads -4 g to 4 g
RESOLUTION = 2 * FULL_SCALE / 2**12  # g, one step of its 12 bits
CHANNELS = 16
KERNEL = 3
DILATIONS = (1, 2, 4, 8, 16, 32, 64, 128, 256)  # receptive field: 1 + 2 * 511 = 1023 samples
TRAINING_WINDOWS = 4000
BATCH = 8  # many small steps learn this faster than few large ones


def windows(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw windows, float32 (count, 1000, 1) in g, and their labels, float32 (count,) in Hz.

    The labels are one draw from each of `count` equal parts of `SPEED`, in random order.
    """

    def uniform(low: float, high: float) -> np.ndarray:
        return rng.uniform(low, high, (count, 1))

    low, high = SPEED
    last = low + (high - low) * (rng.permutation(count)[:, None] + uniform(0, 1)) / count
    first = np.maximum(last + uniform(-10, 10), low)
    time = np.linspace(-1, 0, WINDOW)  # 0 at the last sample, in windows
    phase = np.cumsum(2 * np.pi / SAMPLE_RATE * (last + (last - first) * time), axis=1)
    shaft = np.sin(phase + uniform(0, 2 * np.pi))
    harmonic = uniform(0, 0.5) * np.sin(2 * phase + uniform(0, 2 * np.pi))
    drift = uniform(-1, 1) + uniform(-0.5, 0.5) * np.sin(2 * np.pi * time + uniform(0, 2 * np.pi))
    noise = uniform(0.05, 0.3) * rng.standard_normal((count, WINDOW))
    signal = uniform(0.5, 1.5) * (shaft + harmonic) + drift + noise
    read = RESOLUTION * np.round(signal / RESOLUTION)
    read = np.clip(read, -FULL_SCALE, FULL_SCALE - RESOLUTION)
    return read[..., None].astype(np.float32), last[:, 0].astype(np.float32)


def build(batch_size: int | None) -> keras.Model:
    """Return the untrained TCN: float32 (batch, 1000, 1) in, float32 (batch, 1) out.

    Every block is a causal dilated convolution, the later ones with a residual connection. Only
    the last time step, which sees the whole window, reaches the output.
    """
    inputs = keras.Input((WINDOW, 1), batch_size=batch_size)
    x = inputs
    for dilation in DILATIONS:
        y = keras.layers.Conv1D(
            CHANNELS, KERNEL, dilation_rate=dilation, padding="causal", activation="relu"
        )(x)
        x = y if x is inputs else keras.layers.Add()([x, y])
    return keras.Model(inputs, keras.layers.Dense(1)(x[:, -1, :]))


def train(model: keras.Model, inputs: np.ndarray, labels: np.ndarray, epochs: int) -> None:
    """Fit `model` to the labels in standard deviations, then make its last layer answer in Hz."""
    mean, deviation = labels.mean(), labels.std()
    steps = epochs * -(-len(inputs) // BATCH)
    rate = keras.optimizers.schedules.CosineDecay(3e-3, steps)
    model.compile(keras.optimizers.Adam(rate), loss="mse", jit_compile=False)
    model.fit(inputs, (labels - mean) / deviation, BATCH, epochs, verbose=2)
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([kernel * deviation, bias * deviation + mean])


def to_int8(model: keras.Model, representative: np.ndarray) -> bytes:
    """Convert to a .tflite with int8 weights, activations, input and output.

    `representative`, (N, 1000, 1) in g, sets the range of every tensor.
    """
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([window[None]] for window in representative)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    tflite: bytes = converter.convert()
    return tflite


def predict_int8(name: str, tflite: bytes, inputs: np.ndarray) -> np.ndarray:
    """Run `inputs`, (N, 1000, 1) in g, with the reference kernels; return float32 (N,) in Hz."""
    model = model_from_bytes(tflite, name)
    with interpreter("litert", "builtin_ref") as host:
        outputs = host.load(model).run_many(inputs)
        return np.array([model.dequantize(out.arrays)[0].item() for out in outputs], np.float32)


def spectral_peak(inputs: np.ndarray) -> np.ndarray:
    """Return the frequency of each window's largest spectral line within `SPEED`, (N,) in Hz."""
    spectrum = np.abs(np.fft.rfft(inputs[..., 0] * np.hanning(WINDOW)))
    frequency = np.fft.rfftfreq(WINDOW, 1 / SAMPLE_RATE)
    inside = (frequency >= SPEED[0]) & (frequency <= SPEED[1])
    peak: np.ndarray = frequency[inside][spectrum[:, inside].argmax(axis=1)]
    return peak


def score(name: str, predicted: np.ndarray, labels: np.ndarray) -> None:
    """Print the coefficient of determination R² and the mean absolute error in Hz."""
    error = predicted - labels
    r2 = 1 - np.mean(error**2) / labels.var()
    print(f"{name:24} R² {r2:7.4f}   mean absolute error {np.abs(error).mean():6.3f} Hz")


def main() -> None:
    """Train, convert, write the three files and print the scores."""
    parser = argparse.ArgumentParser(
        description="Train, quantise and score the example TCN.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="output folder")
    parser.add_argument("--epochs", type=int, default=10, help="passes over the training windows")
    parser.add_argument("--samples", type=int, default=256, help="windows in tcn_samples.npz")
    parser.add_argument("--seed", type=int, default=1, help="of the windows and the first weights")
    arguments = parser.parse_args()

    keras.utils.set_random_seed(arguments.seed)
    tf.config.experimental.enable_op_determinism()
    training_rng, held_out_rng = np.random.default_rng(arguments.seed).spawn(2)
    inputs, labels = windows(TRAINING_WINDOWS, training_rng)
    held_out, speeds = windows(arguments.samples, held_out_rng)

    dynamic = build(batch_size=None)
    train(dynamic, inputs, labels, arguments.epochs)
    fixed = build(batch_size=1)
    fixed.set_weights(dynamic.get_weights())

    arguments.out.mkdir(parents=True, exist_ok=True)
    models = {"tcn.tflite": fixed, "tcn_dynamic.tflite": dynamic}
    tflite = {name: to_int8(model, inputs[:200]) for name, model in models.items()}
    for name, content in tflite.items():
        (arguments.out / name).write_bytes(content)
    np.savez_compressed(arguments.out / "tcn_samples.npz", inputs=held_out, labels=speeds)

    print(f"\n{arguments.samples} held-out windows")
    score("mean of training labels", np.full_like(speeds, labels.mean()), speeds)
    score("largest spectral line", spectral_peak(held_out), speeds)
    score("Keras, float32", dynamic.predict(held_out, verbose=0)[:, 0], speeds)
    for name, content in tflite.items():
        score(f"{name}, int8", predict_int8(name, content, held_out), speeds)


if __name__ == "__main__":
    main()
