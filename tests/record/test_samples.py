"""Samples come from files in the shapes people have, or from a seed, and errors name the file."""

from __future__ import annotations

import model_builders
import numpy as np
import pytest

from pytest_tflm.errors import SampleError
from pytest_tflm.fuzz.inputs.strategies import range_of
from pytest_tflm.model import model_from_bytes, open_model
from pytest_tflm.model.dtypes import DTYPES
from pytest_tflm.model.lint import lint
from pytest_tflm.record.samples import RandomSamples, Recent, samples_for


@pytest.fixture
def model():
    return model_from_bytes(model_builders.conv_2d(), "conv.tflite")


@pytest.fixture
def mixed():
    return model_from_bytes(model_builders.mixed(), "mixed.tflite")


def stack(model, count=3):
    return np.zeros((count, *model.inputs[0].shape), np.int8)


def test_random_samples_are_the_same_for_a_seed_and_index_however_many_there_are(mixed):
    few, many = samples_for(mixed, "3", 7), samples_for(mixed, "300", 7)
    for i in range(3):
        for a, b in zip(few[i], many[i], strict=True):
            assert np.array_equal(a, b)
    assert not np.array_equal(samples_for(mixed, "3", 8)[0][0], few[0][0])


def test_random_samples_have_the_inputs_dtype_and_shape_and_use_its_range(mixed):
    samples = samples_for(mixed, "200", 0)
    for i in range(3):
        for tensor, array in zip(mixed.inputs, samples[i], strict=True):
            assert (array.dtype, array.shape) == (np.dtype(tensor.dtype), tensor.shape)
    codes = np.concatenate([samples[i][0].ravel() for i in range(200)])
    assert (codes.min(), codes.max()) == (-128, 127)


def test_unquantised_integers_are_small_since_they_are_mostly_indices():
    model = model_from_bytes(model_builders.identity("int32", (1, 50)), "index.tflite")
    array = samples_for(model, "1", 0)[0]
    assert 0 <= array.min() <= array.max() <= 9


def test_thirty_two_random_samples_unless_a_file_lies_beside_the_model(tmp_path):
    path = tmp_path / "conv.tflite"
    path.write_bytes(model_builders.conv_2d())
    model = open_model(path)
    assert len(samples_for(model, None, 0)) == 32
    np.savez(tmp_path / "conv_samples.npz", inputs=stack(model, 5), labels=np.arange(5))
    found = samples_for(model, None, 0)
    assert len(found) == 5
    assert "conv_samples.npz" in found.source


@pytest.mark.parametrize("key", ["inputs", "x", "image", "serving_default_image", "input_0"])
def test_one_input_goes_by_several_names(tmp_path, model, key):
    data = {key: stack(model), "labels": np.arange(3)}
    if key == "serving_default_image":
        data["image"] = data.pop(key)
    np.savez(tmp_path / "s.npz", **data)
    assert len(samples_for(model, tmp_path / "s.npz", 0)) == 3


def test_a_npy_file_holds_one_stack(tmp_path, model):
    np.save(tmp_path / "s.npy", stack(model, 2))
    samples = samples_for(model, tmp_path / "s.npy", 0)
    assert len(samples) == 2
    assert samples[1].shape == model.inputs[0].shape
    with pytest.raises(IndexError):
        samples[2]


def test_several_inputs_go_by_tensor_name(tmp_path, mixed):
    signal = np.zeros((4, *mixed.inputs[0].shape), np.int8)
    gain = np.ones((4, *mixed.inputs[1].shape), np.float32)
    np.savez(tmp_path / "s.npz", gain=gain, signal=signal)
    sample = samples_for(mixed, tmp_path / "s.npz", 0)[0]
    assert [a.dtype for a in sample] == [np.int8, np.float32]
    np.savez(tmp_path / "s.npz", signal=signal)
    with pytest.raises(SampleError, match="no array for input 'gain' of mixed"):
        samples_for(mixed, tmp_path / "s.npz", 0)
    np.savez(tmp_path / "s.npz", gain=gain[:2], signal=signal)
    with pytest.raises(SampleError, match=r"different numbers of samples \(2, 4\)"):
        samples_for(mixed, tmp_path / "s.npz", 0)


def test_all_integers_of_a_file_are_codes_or_none_are(tmp_path, model):
    codes = stack(model, 3).astype(np.int64)
    codes.flat[-1] = 200  # in the last sample
    np.save(tmp_path / "s.npy", codes)
    with pytest.raises(SampleError, match=r"s\.npy does not fit conv.tflite: .*200 at \[2, ") as e:
        samples_for(model, tmp_path / "s.npy", 0)
    assert "integers are codes" in str(e.value)
    np.save(tmp_path / "s.npy", codes.astype(np.float32))
    assert len(samples_for(model, tmp_path / "s.npy", 0)) == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no file"),
        (b"text", "neither a .npy nor a .npz file"),
        (b"", "neither a .npy nor a .npz file"),
        (np.zeros((2, 5, 5, 3), np.int8), "does not fit conv.tflite"),
        (np.zeros((0, 6, 6, 3), np.int8), "holds no samples"),
        (np.int8(3), "single number"),
        (np.array([{}], dtype=object), "save it as an array of numbers"),
    ],
)
def test_a_file_that_does_not_fit_is_named(tmp_path, model, content, message):
    path = tmp_path / "wrong.npy"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        np.save(path, content)
    with pytest.raises(SampleError, match=message) as raised:
        samples_for(model, path, 0)
    assert "wrong.npy" in str(raised.value)


@pytest.mark.parametrize("count", ["0", "100000000"])
def test_a_count_has_limits(model, count):
    with pytest.raises(SampleError, match="from 1 to"):
        samples_for(model, count, 0)


@pytest.mark.parametrize("number", [n for n, dtype in enumerate(DTYPES) if not dtype.is_number])
def test_inputs_of_a_type_without_numbers_are_a_named_error(number):
    bent = model_builders.unpack(model_builders.identity("int8", (1, 4)))
    for tensor in bent.subgraphs[0].tensors[:2]:
        tensor.type = number
    odd = model_from_bytes(model_builders.pack(bent), "odd.tflite")
    name = DTYPES[number].name
    with pytest.raises(SampleError, match=f"input 'input' is {name}, and samples"):
        samples_for(odd, "2", 0)[0]
    with pytest.raises(SampleError, match=name):
        range_of(odd.inputs[0])
    with pytest.raises(SampleError, match=name):
        odd.quantize(np.zeros((1, 4), np.int8))
    assert lint(odd)[0].name == "input-type"


def test_recent_samples_are_the_same_and_nobody_else_s():
    made = model_from_bytes(model_builders.add_int8(), "m")
    random = RandomSamples(made, 1000, 3)
    recent = Recent(random)
    for index in (0, 999, 0, 500, 1, 0):
        for ours, theirs in zip(recent[index], random[index], strict=True):
            assert np.array_equal(ours, theirs)
            ours[...] = 1  # a test may change what it was given
    assert len(recent) == 1000
    assert len([sample for sample in recent]) == 1000
    with pytest.raises(IndexError):
        recent[1000]
