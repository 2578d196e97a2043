"""Model.quantize and dequantize: TFLite's own kernels are the judge; errors name what is wrong."""

from __future__ import annotations

import re
from typing import Any

import model_builders as builders
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_tflm.errors import SampleError
from pytest_tflm.model import Model, model_from_bytes
from pytest_tflm.model.quantise import input_names, quantize_array


def litert(data: bytes, value: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    interpreter = Interpreter(
        model_content=data, experimental_op_resolver_type=OpResolverType.BUILTIN_REF
    )
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], value)
    interpreter.invoke()
    result: np.ndarray[Any, Any] = interpreter.get_tensor(
        interpreter.get_output_details()[0]["index"]
    )
    return result


def trial_values(scale: np.float32) -> np.ndarray[Any, Any]:
    """Codes, halves between them, the floats beside the halves, extremes: within int32's range,
    beyond which TFLite's cast overflows."""
    codes = np.arange(-600, 600).astype(np.float32)
    with np.errstate(over="ignore", under="ignore"):
        halves = (codes + np.float32(0.5)) * scale
        rng = np.random.default_rng(0)
        noise = rng.normal(0, 1, 2000).astype(np.float32) * scale * np.float32(150)
        wide = rng.uniform(-40000, 40000, 2000).astype(np.float32) * scale
        extremes = np.array([0.0, -0.0, 2e9, -2e9, 0.49999997, -0.49999997], np.float32)
        values = np.concatenate(
            [
                codes * scale,
                halves,
                np.nextafter(halves, np.float32(0)),
                np.nextafter(halves, halves * np.float32(2)),
                noise,
                wide,
                extremes * scale,
            ]
        )
    return values[np.isfinite(values)].astype(np.float32)


@pytest.mark.parametrize("scale", [0.1, 1 / 127, 0.0039215689, 1e-7, 1e-30, 3.0, 1e20])
@pytest.mark.parametrize(
    ("dtype", "zero_point"),
    [("int8", 0), ("int8", -128), ("int8", 127), ("uint8", 0), ("uint8", 131), ("int16", 0)],
)
def test_quantise_equals_tflite(dtype: str, zero_point: int, scale: float) -> None:
    values = trial_values(np.float32(scale))
    data = builders.quantize_op(dtype, scale, zero_point, len(values))
    ours = quantize_array(model_from_bytes(data).outputs[0], values)
    theirs = litert(data, values)
    assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(ours, theirs)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(-1e6, 1e6, width=32), min_size=16, max_size=16),
    st.floats(2.0**-12, 1e3, width=32),
    st.integers(-128, 127),
)
def test_quantise_equals_tflite_on_any_value(
    values: list[float], scale: float, zero_point: int
) -> None:
    data = builders.quantize_op("int8", scale, zero_point, 16)
    array = np.asarray(values, np.float32)
    if np.abs(array / np.float32(scale)).max() > 2e9:
        return
    ours = quantize_array(model_from_bytes(data).outputs[0], array)
    np.testing.assert_array_equal(ours, litert(data, array))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16"])
@pytest.mark.parametrize("scale", [0.1, 1e-7, 3.3, 1e30])
def test_dequantise_equals_tflite(dtype: str, scale: float) -> None:
    limits = np.iinfo(dtype)
    codes = np.linspace(limits.min, limits.max, 256).astype(dtype)
    zero_point = 0 if dtype == "int16" else 17
    real = litert(builders.dequantize_op(dtype, scale, zero_point, 256), codes)
    model = model_from_bytes(builders.quantize_op(dtype, scale, zero_point, 256))
    (ours,) = model.dequantize([codes])
    assert ours.dtype == np.float32
    np.testing.assert_array_equal(ours, real)


@pytest.fixture(scope="module")
def fc() -> Model:
    return model_from_bytes(builders.fully_connected(8, 4), "fc.tflite")  # scale 0.05, zero -3


@pytest.fixture(scope="module")
def mixed() -> Model:
    return model_from_bytes(builders.mixed(4), "mixed.tflite")


def of(dtype: str, shape: tuple[int, ...] = (1, 4), scale: float | None = None) -> Model:
    return model_from_bytes(builders.identity(dtype, shape, scale))


def test_halves_go_away_from_zero(fc: Model) -> None:
    """numpy.round would give -2, -1, 1, 2 and one LSB of difference."""
    model = of("int8", (1, 4), 1.0)
    (codes,) = model.quantize(np.array([[-2.5, -0.5, 0.5, 2.5]]))
    assert codes.tolist() == [[-3, -1, 1, 3]]


def test_infinities_and_what_float32_cannot_hold_clamp() -> None:
    (codes,) = of("int16", (1, 4), 0.5).quantize(np.array([[np.inf, -np.inf, 1e300, -1e300]]))
    assert codes.tolist() == [[32767, -32768, 32767, -32768]]
    assert codes.dtype == np.int16


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_floats_of_any_width_are_real_values(fc: Model, kind: type) -> None:
    (codes,) = fc.quantize(np.full((1, 8), 0.25, kind))
    assert codes.tolist() == [[2] * 8]


def test_python_numbers(fc: Model) -> None:
    assert fc.quantize([[0.25] * 8])[0].tolist() == [[2] * 8]
    assert fc.quantize([[1, 2, 3, 4, 5, 6, 7, 8]])[0].tolist() == [[1, 2, 3, 4, 5, 6, 7, 8]]


def test_own_dtype_is_codes(fc: Model) -> None:
    sample = np.arange(-4, 4, dtype=np.int8).reshape(1, 8)
    (codes,) = fc.quantize(sample)
    assert codes.dtype == np.int8
    np.testing.assert_array_equal(codes, sample)


def test_result_is_contiguous_and_exact(fc: Model) -> None:
    sample = np.zeros((8, 2), np.int8).T[:1]
    assert not sample.flags.c_contiguous or sample.strides != (8, 1)
    (codes,) = fc.quantize(sample)
    assert codes.flags.c_contiguous and codes.shape == (1, 8) and codes.dtype == np.int8


def test_other_integers_are_codes_if_they_fit(fc: Model) -> None:
    (codes,) = fc.quantize(np.array([[-128, 127, 0, 1, 2, 3, 4, 5]], np.int64))
    assert codes.dtype == np.int8
    assert codes[0, :2].tolist() == [-128, 127]


@pytest.mark.parametrize("kind", [np.int16, np.int64, np.uint8, np.uint64])
def test_other_integers_that_do_not_fit(fc: Model, kind: type) -> None:
    sample = np.zeros((1, 8), kind)
    sample[0, 5] = 200
    with pytest.raises(SampleError, match=r"(?s)'input': 200 at \[0, 5\] .*-128 to 127"):
        fc.quantize(sample)


def test_nan_says_where(fc: Model) -> None:
    sample = np.zeros((1, 8))
    sample[0, 3] = np.nan
    with pytest.raises(SampleError, match=r"'input': the value at \[0, 3\] is NaN"):
        fc.quantize(sample)


def test_leading_batch_may_be_missing() -> None:
    model = of("int8", (1, 10, 1), 0.1)
    assert model.quantize(np.zeros((10, 1)))[0].shape == (1, 10, 1)


@pytest.mark.parametrize("shape", [(10,), (1, 10), (10, 1, 1), (2, 10, 1), (1, 1, 10, 1), ()])
def test_no_other_shape_is_taken(shape: tuple[int, ...]) -> None:
    with pytest.raises(
        SampleError, match=r"'input': got shape .*; expected \(1, 10, 1\)"
    ) as caught:
        of("int8", (1, 10, 1), 0.1).quantize(np.zeros(shape))
    assert str(shape) in str(caught.value)


def test_a_batch_of_two_may_not_be_missing() -> None:
    with pytest.raises(SampleError, match=r"expected \(2, 3\)\.$"):
        of("int8", (2, 3), 0.1).quantize(np.zeros(3))


@pytest.mark.parametrize("value", [1, 1.5, True, np.int8(3), np.float16(0.5)])
def test_float_inputs_take_any_real_number(value: Any) -> None:
    (array,) = of("float32").quantize(np.full((1, 4), value))
    assert array.dtype == np.float32 and (array == np.float32(value)).all()


def test_float_inputs_take_nan() -> None:
    (array,) = of("float32").quantize(np.full((1, 4), np.nan))
    assert np.isnan(array).all()


def test_plain_integers_take_integers_and_bools_only() -> None:
    model = of("int32")
    assert model.quantize(np.full((1, 4), -(2**31), np.int64))[0].dtype == np.int32
    assert model.quantize(np.ones((1, 4), bool))[0].tolist() == [[1, 1, 1, 1]]
    with pytest.raises(SampleError, match=r"got float64, but the input is int32"):
        model.quantize(np.zeros((1, 4)))
    with pytest.raises(SampleError, match=r"2147483648 at \[0, 0\]"):
        model.quantize(np.full((1, 4), 2**31))


def test_bool_inputs() -> None:
    model = of("bool")
    assert model.quantize(np.array([[0, 1, 1, 0]]))[0].dtype == np.bool_
    with pytest.raises(SampleError, match="2 at"):
        model.quantize(np.array([[0, 1, 2, 0]]))
    with pytest.raises(SampleError, match="got float64; expected bool"):
        model.quantize(np.zeros((1, 4)))


@pytest.mark.parametrize("sample", ["text", [["a"] * 8], None, {1, 2}, [[1j] * 8], [[1], [2, 3]]])
def test_no_numbers(fc: Model, sample: object) -> None:
    with pytest.raises(SampleError, match="'input'"):
        fc.quantize(sample)


def test_scale_of_zero() -> None:
    with pytest.raises(SampleError, match="scale of 0"):
        of("int8", scale=0.0).quantize(np.zeros((1, 4)))
    of("int8", scale=0.0).quantize(np.zeros((1, 4), np.int8))


def test_several_inputs(mixed: Model) -> None:
    signal, gain = np.zeros((1, 4)), np.ones((1, 4))
    for sample in (
        (signal, gain),
        [signal, gain],
        {"gain": gain, "signal": signal},
        [[[0.0] * 4], [[1.0] * 4]],
    ):
        codes, real = mixed.quantize(sample)
        assert codes.tolist() == [[4] * 4] and codes.dtype == np.int8
        assert real.tolist() == [[1.0] * 4] and real.dtype == np.float32


@pytest.mark.parametrize(
    ("sample", "words"),
    [
        ((np.zeros((1, 4)),), "a sample of 1 arrays"),
        (np.zeros((2, 1, 4)), "Got one ndarray"),
        (3, "Got one int"),
        ({"signal": np.zeros((1, 4))}, "names signal"),
        ({"signal": 0, "gain": 0, "x": 0}, "names signal, gain, x"),
        ({}, r"\(none\)"),
        ((np.zeros((1, 4)), np.zeros((1, 5))), "'gain': got shape"),
    ],
)
def test_several_inputs_refused(mixed: Model, sample: object, words: str) -> None:
    with pytest.raises(SampleError, match=words):
        mixed.quantize(sample)


def test_one_input_by_name_and_in_a_sequence(fc: Model) -> None:
    sample = np.zeros((1, 8), np.int8)
    assert fc.quantize({"input": sample})[0].shape == (1, 8)
    assert fc.quantize([sample])[0].shape == (1, 8)
    assert fc.quantize((sample,))[0].shape == (1, 8)


def test_dequantise_leaves_what_is_not_quantised(mixed: Model) -> None:
    arrays = (np.zeros((1, 4), np.int8), np.ones((1, 4), np.float32), np.ones((1, 4), bool))
    total, real, loud = mixed.dequantize(arrays)
    np.testing.assert_allclose(total, 0.2, rtol=1e-6)
    assert real.dtype == np.float32 and loud.dtype == np.bool_


def test_dequantise_refuses_what_is_no_output(mixed: Model) -> None:
    good = [np.zeros((1, 4), np.int8), np.ones((1, 4), np.float32), np.ones((1, 4), bool)]
    with pytest.raises(SampleError, match="got 2 output arrays; the model has 3"):
        mixed.dequantize(good[:2])
    with pytest.raises(SampleError, match=r"'total': got int16 .* expected int8"):
        mixed.dequantize([good[0].astype(np.int16), *good[1:]])
    with pytest.raises(SampleError, match=r"'real': got float32 of shape \(4,\)"):
        mixed.dequantize([good[0], good[1][0], good[2]])
    with pytest.raises(SampleError, match="as a sequence of 3"):
        mixed.dequantize(np.zeros((3, 1, 4)))


def test_dequantise_per_channel() -> None:
    g = builders.Graph()
    x = g.tensor("x", (2, 3), "int8", [0.5, 1.0, 2.0], axis=1)
    model = model_from_bytes(g.finish((x,), (x,)))
    (real,) = model.dequantize([np.ones((2, 3), np.int8)])
    assert real.tolist() == [[0.5, 1.0, 2.0]] * 2
    with pytest.raises(SampleError, match="quantised per channel"):
        model.quantize(np.zeros((2, 3)))


@pytest.mark.parametrize(
    ("names", "keys"),
    [
        (("serving_default_voltage:0", "serving_default_current:0"), ("voltage", "current")),
        (("serving_default_voltage:0", "current"), ("serving_default_voltage:0", "input_1")),
        # The first is named as the second is counted: the name counts.
        (("input_1", "input_2"), ("input_1", "input_2")),
        (("x", "serving_default_x:0"), ("x", "serving_default_x:0")),
        (("same", "same"), ("input_0", "input_1")),
    ],
)
def test_inputs_by_name(names: tuple[str, str], keys: tuple[str, str]) -> None:
    g = builders.Graph()
    a, b = (g.tensor(name, (2,), "int8") for name in names)
    model = model_from_bytes(g.finish((a, b), (a,)))
    sample = {keys[1]: np.array([3, 4]), keys[0]: np.array([1, 2])}
    assert [array.tolist() for array in model.quantize(sample)] == [[1, 2], [3, 4]]
    for more in ({"third": 0}, {"input_7": 0}):
        with pytest.raises(SampleError, match="Got a sample with the names"):
            model.quantize(sample | more)


def test_a_plain_name_of_two_inputs_means_neither() -> None:
    g = builders.Graph()
    a, b = (g.tensor(name, (2,), "int8") for name in ("x:0", "serving_default_x:0"))
    model = model_from_bytes(g.finish((a, b), (a,)))
    assert input_names(model.inputs, ["x", "x:0"]) == ["x:0", None]


@pytest.mark.parametrize("dtype", ["STRING", "RESOURCE", "VARIANT", "INT4", "UINT4", "COMPLEX64"])
@pytest.mark.parametrize("value", [np.zeros((1, 4)), np.zeros((1, 4), np.int8), ["a"] * 4, b"abc"])
def test_types_that_samples_cannot_have_are_named(dtype: str, value: object) -> None:
    parts = builders.unpack(builders.identity("int8"))
    for tensor in parts.subgraphs[0].tensors[:2]:
        tensor.type = getattr(schema.TensorType, dtype)
    with pytest.raises(SampleError, match=dtype.lower()):
        model_from_bytes(builders.pack(parts)).quantize(value)


def test_the_end_of_int64_is_not_passed() -> None:
    (codes,) = of("int64", (1, 4), 1.0).quantize(np.array([[-1e30, -1.0, 1.0, 1e30]]))
    assert codes.tolist() == [[-(2**63), -1, 1, 2**63 - 1]]


def test_clamped() -> None:
    model = of("int8", (1, 4), 2 / 255)
    assert model.clamped([[[-1.0, 0.0, 128 * 2 / 255, 0.5]]]) == (), "one step is no matter"
    (one,) = model.clamped([[[-1.0, 0.0, 129 * 2 / 255, 0.5]]])
    assert (one.clamped, one.likely_reason) == (1, "samples that were not scaled as in training")
    assert model.clamped([np.full((1, 4), 100, np.int64)]) == (), "codes"
    (found,) = model.clamped([np.array([[0, 1, 200, 255.0]]), np.array([[0, 0, 0, np.nan]])])
    assert (found.clamped, found.count, found.share) == (2, 8, 0.25)
    assert (found.least, found.most) == (0, 255)
    assert found.low == pytest.approx(-128 * 2 / 255) and found.high == pytest.approx(127 * 2 / 255)
    assert "divide by 127.5, subtract 1" in str(found) and "25% of the values" in str(found)
    assert of("float32").clamped([np.full((1, 4), 1e9)]) == ()


@pytest.mark.parametrize(
    ("scale", "zero_point", "values", "words"),
    [
        (1 / 255, -128, [0.0, 10, 20, 240], "pixels from 0 to 255 .*divide by 255"),
        (1 / 128, 0, [-20000.0, 0, 5, 12000], "16-bit samples"),
        (1 / 128, 0, [-20.0, 0, 5, 12], "not scaled as in training"),
    ],
)
def test_why_values_are_clamped(
    scale: float, zero_point: int, values: list[float], words: str
) -> None:
    g = builders.Graph()
    x = g.tensor("x", (4,), "int8", scale, zero_point)
    (found,) = model_from_bytes(g.finish((x,), (x,))).clamped([np.array(values)])
    assert re.search(words, found.likely_reason)
