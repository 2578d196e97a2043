"""What you see, and which causes look like it: the way into the catalogue from a symptom.

The site's page of symptoms and ``pytest-tflm explain --search`` are made of this table. Each cause
is in it at least once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_tflm.verdict.causes import CATALOGUE
from pytest_tflm.verdict.pages import page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_tflm.verdict.causes.cause import Cause

SYMPTOMS: dict[str, tuple[str, ...]] = {
    "The board or TFLM rejects the model (AllocateTensors fails)": (
        "operator-missing",
        "operator-version",
        "no-kernel",
        "hybrid-model",
        "sparse-weights",
        "refused-by-tflm",
        "type-not-carried",
    ),
    "The board crashes, resets or does not reply": ("board-broke", "memory-altered"),
    "Python crashes or rejects the model": ("reference-crashed", "reference-refused"),
    "Every board is wrong, and Python is right": (
        "stored-shapes",
        "space-to-batch-padding",
        "tflm-and-tflite-differ",
        "quantised-otherwise",
    ),
    "Most outputs are wrong by many LSBs": (
        "wrong-model",
        "input-changed",
        "all-operators-differ",
        "quantised-otherwise",
        "constant-changed",
        "zero-point-ignored",
        "per-channel-ignored",
        "kernel-differs",
        "last-operator-lost",
        "parameters-shared",
    ),
    "Outputs differ by 1 to 3 LSB": (
        "rounding",
        "fully-connected-in-float",
        "delegate-kernels",
        "optimised-kernels",
        "quantised-otherwise",
        "tflm-and-tflite-differ",
        "magnified",
    ),
    "A small difference becomes large at the end of the model (SOFTMAX)": ("magnified",),
    "The output is the same for every input": ("constant-outputs", "input-truncated"),
    "The output belongs to an earlier input": (
        "stale-outputs",
        "stale-tail",
        "input-not-rewritten",
    ),
    "Part of the output is wrong: its end, an edge or a channel": (
        "stale-tail",
        "constant-tail",
        "edge-positions",
        "one-channel",
        "padding-value",
        "input-truncated",
    ),
    "Outputs are in the wrong order": ("outputs-swapped",),
    "Outputs look like the input": ("outputs-elsewhere",),
    "Outputs saturate, at -128 or 127 for example": (
        "saturated-outputs",
        "accumulator-overflow",
        "activation-ignored",
    ),
    "Outputs contain NaN or infinity": ("not-a-number",),
    "Negative values appear after a RELU, or values above 6 after a RELU6": ("activation-ignored",),
    "Large inputs give wrong outputs, and small inputs are right": (
        "accumulator-overflow",
        "saturated-outputs",
    ),
    "The same input gives different outputs": (
        "nondeterministic-board",
        "drifting-outputs",
        "state-not-reset",
        "first-run",
        "not-seen-again",
    ),
    "The first inference is wrong, and later ones are right": ("first-run",),
    "A model with state is wrong, and others are right": (
        "state-advances",
        "state-not-reset",
        "state-operators",
        "tflm-and-tflite-differ",
    ),
    "The first inference is right, and later ones are wrong": (
        "set-up-once",
        "state-not-reset",
        "drifting-outputs",
        "input-not-rewritten",
        "input-reused",
    ),
    "The model is wrong after another model was loaded": (
        "state-between-models",
        "set-up-once",
    ),
    "The input tensor is not what was sent": ("input-altered", "input-changed", "input-reused"),
    "Only some shapes or sizes are wrong, odd ones for example": (
        "alignment",
        "edge-positions",
        "one-channel",
        "scratch-overlap",
        "kernel-differs",
    ),
    "Each operator is right by itself, and the model is wrong": (
        "memory-altered",
        "tensors-overlap",
        "constant-changed",
        "last-operator-lost",
        "parameters-shared",
        "set-up-once",
        "state-operators",
    ),
    "An operator differs, and the model's outputs are right": ("hidden-difference",),
    "The result changes with the arena's size or with what else the board does": (
        "memory-altered",
        "tensors-overlap",
        "scratch-overlap",
        "nondeterministic-board",
    ),
    "The result changes when you read inner tensors in Python": ("observed-reference",),
    "The mismatch no longer occurs": ("not-seen-again", "nondeterministic-board"),
    "The verdict finds no cause": ("unknown", "outputs-alone"),
}
"""Symptoms, and the names of their causes, the likely ones first."""


def search(words: Sequence[str]) -> list[Cause]:
    """The causes whose name, title, symptoms or page contain all words, in any case. Those where
    name, title or symptoms do come first."""
    wanted = [word.casefold() for word in words]
    near, far = [], []
    for name, cause in CATALOGUE.items():
        symptoms = [symptom for symptom, causes in SYMPTOMS.items() if name in causes]
        short = " ".join([name, cause.title, *symptoms]).casefold()
        if all(word in short for word in wanted):
            near.append(cause)
        elif all(word in f"{short} {page(name).casefold()}" for word in wanted):
            far.append(cause)
    return near + far
