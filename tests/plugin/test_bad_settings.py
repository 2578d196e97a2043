"""Models, samples and options that make no sense: what is wrong with them, and what to try."""

from __future__ import annotations

import model_builders
import numpy as np
import pytest

SIM = "--tflm-port=sim"
USAGE_ERROR = 4


def says(done, *parts):
    """One of the output's lines holds all parts, and there is no traceback."""
    assert "Traceback" not in done.output
    assert any(all(part in line for part in parts) for line in done.output.splitlines()), (
        f"no line with {parts} in\n{done.output}"
    )


@pytest.mark.parametrize(
    ("name", "content", "parts"),
    [
        ("/dev/zero", None, ("/dev/zero", "a device or a pipe")),
        ("nothing.tflite", None, ("nothing.tflite", "there is no model")),
        ("text.tflite", b"This is not a model.\n" * 20, ("text.tflite", "text")),
        ("empty.tflite", b"", ("empty.tflite", "empty")),
        ("cut.tflite", model_builders.conv_2d()[:-100], ("cut.tflite", "cut short")),
    ],
)
def test_a_model_file_that_is_none(inner, tmp_path, name, content, parts):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    done = inner.pytest(SIM, f"--tflm-model={path}")
    assert done.status == USAGE_ERROR, done.output
    says(done, "ERROR", *parts[:1])
    for part in parts[1:]:
        assert part in done.output.lower()


@pytest.mark.parametrize(
    ("shape", "dtype", "parts"),
    [
        ((4, 999, 1), "float32", ("999",)),
        ((4, 1000, 1), "complex64", ("complex64",)),
        ((0, 1000, 1), "float32", ("no samples",)),
    ],
)
def test_samples_of_the_wrong_shape_or_dtype(inner, tcn, tmp_path, shape, dtype, parts):
    path = tmp_path / "wrong.npy"
    np.save(path, np.zeros(shape, dtype))
    done = inner.pytest(SIM, f"--tflm-model={tcn}", f"--tflm-samples={path}")
    assert done.status != 0
    says(done, "wrong.npy", *parts)


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        ("none.npz", ("there is no file none.npz",)),
        ("-3", ("a count of random samples is from 1",)),
        ("0", ("a count of random samples is from 1",)),
        ("9" * 5000, ("cannot be read: File name too long",)),
    ],
    ids=["file", "negative", "zero", "digits"],
)
def test_samples_that_are_not_there(inner, tcn, given, parts):
    done = inner.pytest(SIM, f"--tflm-model={tcn}", f"--tflm-samples={given}")
    assert done.status != 0
    says(done, *parts)


@pytest.mark.parametrize(
    ("marker", "words"),
    [
        ("2", "test_mine: @pytest.mark.tflm takes keywords only, tolerance=2 for example."),
        (
            "tolerence=2",
            "test_mine: @pytest.mark.tflm does not take tolerence=; did you mean toler",
        ),
        ("port='sim'", "test_mine: @pytest.mark.tflm does not take port=; it takes model, runtime"),
        ("tolerance='x'", "test_mine: @pytest.mark.tflm(tolerance=…): 'x' is not a whole number"),
    ],
    ids=["positional", "misspelt", "another", "value"],
)
def test_a_marker_that_makes_no_sense_names_its_test(inner, tcn, marker, words):
    (inner.directory / "test_other.py").write_text(
        f"import pytest\n@pytest.mark.tflm({marker})\ndef test_mine(tflm_sample): pass\n"
    )
    done = inner.pytest(f"--tflm-model={tcn}", "--tflm-suite=off", "test_other.py")
    assert done.status != 0
    says(done, words)


@pytest.mark.parametrize(
    ("word", "parts"),
    [
        ("--tflm-resolver=fast", ("--tflm-resolver", "'fast'", "builtin_ref")),
        ("--tflm-runtime=onnx", ("--tflm-runtime", "'onnx'", "litert")),
        ("--tflm-tolerance=some", ("--tflm-tolerance", "'some'")),
        ("--tflm-baud=1200", ("--tflm-baud", "bootloader")),
        ("--tflm-port=sim?arean=64k", ("arean", "arena")),
    ],
)
def test_an_option_that_makes_no_sense(inner, tcn, word, parts):
    words = [word] if "port" in word else [SIM, word]
    done = inner.pytest(*words, f"--tflm-model={tcn}", "--tflm-samples=1")
    assert done.status != 0
    says(done, *parts)
