"""Small int8 models as the converter makes them, with the troubles that it makes.

``python tests/keras_models.py FOLDER`` writes them all: TensorFlow is loud, slow to import and can
crash, so it has a process of its own. Tests ask for :func:`keras_model` in conftest.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock

DONE = "done"
# Every model here has the batch size None, Keras' default.
NAMES = ("tcn_causal", "tcn_same", "conv_2d", "valid_2d", "classifier", "float_interface", "hybrid")


def made_models(folder: Path) -> Path:
    """The folder with the models, which are made if they are not there. Safe for several
    processes at once."""
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock"):
        if not (folder / DONE).exists():
            done = subprocess.run(
                [sys.executable, __file__, os.fspath(folder)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                env=os.environ | {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"},
            )
            assert done.returncode == 0, done.stderr[-3000:]
            (folder / DONE).touch()
    return folder


def _tcn(layers: Any, padding: str) -> tuple[Any, Any]:
    """(40, 1) → three convolutions of dilation 1, 2 and 4, with residuals → (2,)."""
    x = inputs = layers.Input((40, 1))
    for dilation in (1, 2, 4):
        y = layers.Conv1D(4, 3, dilation_rate=dilation, padding=padding, activation="relu")(x)
        x = y if dilation == 1 else layers.Add()([x, y])
    x = x[:, -1] if padding == "causal" else layers.GlobalAveragePooling1D()(x)
    return inputs, layers.Dense(2)(x)


def _conv_2d(layers: Any) -> tuple[Any, Any]:
    """(12, 10, 2) → dilated CONV_2D and DEPTHWISE_CONV_2D, same and valid → (3,)."""
    x = inputs = layers.Input((12, 10, 2))
    x = layers.Conv2D(4, 3, dilation_rate=2, padding="same", activation="relu")(x)
    x = layers.DepthwiseConv2D(3, dilation_rate=2, padding="same", activation="relu")(x)
    x = layers.Conv2D(4, 3, dilation_rate=3, padding="valid", activation="relu")(x)
    return inputs, layers.Dense(3)(layers.Flatten()(x))


def _valid_2d(layers: Any) -> tuple[Any, Any]:
    """(13, 10, 2) → a dilated CONV_2D with an even kernel and sizes that its blocks do not divide,
    whose outputs stay in two dimensions → (4,)."""
    x = inputs = layers.Input((13, 10, 2))
    x = layers.Conv2D(4, (2, 3), dilation_rate=3, padding="same", activation="relu6")(x)
    return inputs, layers.GlobalMaxPooling2D()(x)


def _classifier(layers: Any) -> tuple[Any, Any]:
    """(16,) → two dense layers → SOFTMAX of 4."""
    inputs = layers.Input((16,))
    x = layers.Dense(8, activation="relu")(inputs)
    return inputs, layers.Dense(4, activation="softmax")(x)


def _convert(tf: Any, model: Any, kind: str) -> bytes:
    import numpy as np

    rng = np.random.default_rng(0)
    shape = model.inputs[0].shape[1:]
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind != "hybrid":
        converter.representative_dataset = lambda: (
            [rng.normal(size=(1, *shape)).astype(np.float32)] for _ in range(16)
        )
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    if kind == "int8":
        converter.inference_input_type = converter.inference_output_type = tf.int8
    return bytes(converter.convert())


def _wide(layers: Any) -> tuple[Any, Any]:
    """(64,) → a dense layer with weights enough that dynamic-range quantisation takes them."""
    inputs = layers.Input((64,))
    return inputs, layers.Dense(32)(inputs)


def _main(folder: Path) -> None:
    import tensorflow as tf

    layers = tf.keras.layers
    makers: dict[str, tuple[Callable[[], tuple[Any, Any]], str]] = {
        "tcn_causal": (lambda: _tcn(layers, "causal"), "int8"),
        "tcn_same": (lambda: _tcn(layers, "same"), "int8"),
        "conv_2d": (lambda: _conv_2d(layers), "int8"),
        "valid_2d": (lambda: _valid_2d(layers), "int8"),
        "classifier": (lambda: _classifier(layers), "int8"),
        "float_interface": (lambda: _classifier(layers), "float"),
        "hybrid": (lambda: _wide(layers), "hybrid"),
    }
    assert tuple(makers) == NAMES
    for name, (make, kind) in makers.items():
        tf.keras.utils.set_random_seed(7)
        model = tf.keras.Model(*make())
        # Biases that are not 0, as in a trained model.
        for layer in model.layers:
            weights = layer.get_weights()
            if len(weights) == 2:
                layer.set_weights([weights[0], tf.random.normal(weights[1].shape, 0, 0.1).numpy()])
        (folder / f"{name}.tflite").write_bytes(_convert(tf, model, kind))


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
