"""From samples to input tensors, and from output tensors to real values, as TFLite computes them.

Quantising is AffineQuantize of tensorflow/lite/kernels/internal/reference/quantize.h::

    code = clamp(round(value / scale) + zero_point)     in float32

``round`` rounds halves away from zero (std::round), where numpy.round rounds them to even; the
range is the type's own, -32768 included for int16. Past the range of int32 TFLite's result is what
its compiler makes of an overflowing cast; here, and for infinities, it is the end of the range.

Which arrays are real values and which are codes: floats are real values for an integer input that
is quantised; integers and booleans are codes, whatever their dtype, and it is an error if one of
them lies outside of the input's type. For a float input all are real values.

Dequantising is Dequantize of tensorflow/lite/kernels/internal/reference/dequantize.h::

    value = scale * (code - zero_point)                 in float32
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_tflm.errors import SampleError
from pytest_tflm.model.dtypes import BY_NAME
from pytest_tflm.printable import NAME, printable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_tflm.model.tensor import Tensor

    Array = NDArray[Any]


def quantize_sample(
    inputs: Sequence[Tensor], sample: Any, model: str
) -> tuple[NDArray[np.generic], ...]:
    """See :meth:`pytest_tflm.model.Model.quantize`. ``model`` is its name, for messages."""
    given = sample if type(sample) is tuple else (sample,)
    if len(given) == len(inputs) and all(map(_fits, inputs, given)):
        return given  # most samples are codes already
    values = sample_values(inputs, sample, model)
    return tuple(_fit(tensor, value) for tensor, value in zip(inputs, values, strict=True))


def dequantize_outputs(
    outputs: Sequence[Tensor], arrays: Any, model: str
) -> tuple[NDArray[np.generic], ...]:
    """See :meth:`pytest_tflm.model.Model.dequantize`. ``model`` is its name, for messages."""
    if isinstance(arrays, np.ndarray):
        raise SampleError(
            f"{model}: give the outputs as a sequence of {len(outputs)} arrays, not as one array."
        )
    found = [np.asarray(array) for array in arrays]
    if len(found) != len(outputs):
        raise SampleError(f"{model}: got {len(found)} output arrays; the model has {len(outputs)}.")
    for tensor, array in zip(outputs, found, strict=True):
        if array.dtype != _numpy_dtype(tensor) or array.shape != tensor.shape:
            raise SampleError(
                f"{_name('output', tensor)}: got {array.dtype} of shape {array.shape}; expected"
                f" {tensor.dtype} of shape {tensor.shape}."
            )
    return tuple(dequantize_array(tensor, a) for tensor, a in zip(outputs, found, strict=True))


def quantize_array(tensor: Tensor, values: Array) -> Array:
    """Codes of real values, by the tensor's scale and zero point. ``values``: float32, any shape,
    no NaN. Returns the tensor's dtype."""
    low, high = tensor.code_range
    zero_point = tensor.zero_point or 0
    with np.errstate(over="ignore", invalid="ignore"):
        unlimited = _rounded(tensor, values) + zero_point
        codes: Array = np.clip(unlimited, low, high).astype(_numpy_dtype(tensor))
    if abs(low) > 2**53 or high > 2**53:  # float64 lacks such an end, and the cast overflows
        codes[unlimited >= high] = high
    return codes


def _rounded(tensor: Tensor, values: Array) -> NDArray[np.float64]:
    """``round(value / scale)``, computed in float32, as float64."""
    scaled = values.astype(np.float32) / np.float32(tensor.scale)
    # std::round: halves away from zero. In float64, where adding 0.5 to a float32 is exact.
    rounded: NDArray[np.float64] = np.copysign(
        np.floor(np.abs(scaled.astype(np.float64)) + 0.5), scaled
    )
    return rounded


def dequantize_array(tensor: Tensor, codes: Array) -> Array:
    """Real values (float32) of codes; what is not quantised stays as it is. Per channel too."""
    if not tensor.is_quantized or BY_NAME[tensor.dtype].signed is None:
        return codes
    shape = [1] * codes.ndim
    if len(tensor.scales) > 1:
        axis = tensor.quantized_dimension
        if not 0 <= axis < codes.ndim or tensor.shape[axis] != len(tensor.scales):
            axis = tensor.shape.index(len(tensor.scales))  # the file names the wrong one
        shape[axis] = len(tensor.scales)
    scales = np.asarray(tensor.scales, np.float32).reshape(shape)
    zero_points = np.asarray(tensor.zero_points, np.int64).reshape(shape)
    return scales * (codes.astype(np.int64) - zero_points).astype(np.float32)


def sample_values(inputs: Sequence[Tensor], sample: Any, model: str) -> list[Any]:
    """The sample's arrays, as they are, in the order of the model's inputs. Raises SampleError."""
    names = [tensor.name for tensor in inputs]
    wanted = f"{model} has {len(inputs)} inputs ({', '.join(names)})"
    if isinstance(sample, Mapping):
        found = input_names(inputs, sample)
        if None in found or len(found) < len(sample):
            raise SampleError(
                f"Got a sample with the names {', '.join(map(str, sample)) or '(none)'}; {wanted}."
            )
        return [sample[name] for name in found]
    if len(inputs) == 1:
        # A sequence of one array is as good as the array; a nested list of numbers is an array.
        if isinstance(sample, tuple | list) and len(sample) == 1 and _is_array(sample[0]):
            return [sample[0]]
        return [sample]
    if isinstance(sample, np.ndarray) or not isinstance(sample, Sequence):
        raise SampleError(
            f"Got one {type(sample).__name__} as a sample; {wanted}. "
            "Give a sequence of arrays, or a mapping by name."
        )
    if len(sample) != len(inputs):
        raise SampleError(f"Got a sample of {len(sample)} arrays; {wanted}.")
    return list(sample)


def input_names(inputs: Sequence[Tensor], names: Collection[Any]) -> list[Any]:
    """Which of ``names`` means each input, None where none does. No name means two inputs.

    In this order: the tensor's name; that name without what TensorFlow's converter puts around it
    (``voltage`` for ``serving_default_voltage:0``); ``input_0``, ``input_1``, … by position. For a
    model with one input also ``inputs``, ``input``, ``x``, or the only name there is.
    """
    exact = [tensor.name for tensor in inputs]
    plain = [_plain(name) for name in exact]
    found: list[Any] = []
    # A tensor's name is as it can be shown, and so must be what it is compared with.
    given = {printable(name, NAME) if isinstance(name, str) else name: name for name in names}
    for position in range(len(inputs)):
        candidates: list[Any] = [exact[position]]
        if plain.count(plain[position]) == 1:
            candidates.append(plain[position])
        if f"input_{position}" not in (*exact, *plain):
            candidates.append(f"input_{position}")
        if len(inputs) == 1:
            candidates += ["inputs", "input", "x", *(given if len(given) == 1 else ())]
        left = (given[name] for name in candidates if name in given and given[name] not in found)
        found.append(next(left, None))
    return found


def _plain(name: str) -> str:
    return re.sub(r":\d+$", "", name.removeprefix("serving_default_"))


@dataclass(frozen=True)
class Clamped:
    """Real values of an input that its codes cannot express: ``clamped`` of ``count``.

    ``least`` and ``most`` are the smallest and the largest value of all, infinities included;
    ``low`` and ``high`` are the real values of the smallest and the largest code. A value that
    misses the range by one step is not counted: the range of an input trained on -1 to 1 often ends
    one step early.
    """

    tensor: Tensor
    clamped: int
    count: int
    least: float
    most: float
    low: float
    high: float

    @property
    def share(self) -> float:
        """Clamped values among all, 0 to 1."""
        return self.clamped / self.count if self.count else 0.0

    @property
    def likely_reason(self) -> str:
        """Why so many values lie outside, as far as their range tells; empty if it does not."""
        if self.least >= 0 and 64 <= self.most <= 255 and max(-self.low, self.high) <= 16:
            how = "divide by 255" if self.low >= -self.high / 4 else "divide by 127.5, subtract 1"
            return f"pixels from 0 to 255 that were not scaled as in training ({how}?)"
        if 256 <= max(-self.least, self.most) <= 32768 and max(-self.low, self.high) <= 16:
            return "16-bit samples that were not scaled as in training (divide by 32768?)"
        if self.share > 0.01:
            return "samples that were not scaled as in training"
        return ""

    def __str__(self) -> str:
        reason = f": {self.likely_reason}" if self.likely_reason else ""
        return (
            f"{_name('input', self.tensor)}: {self.share:.0%} of the values were clamped "
            f"({self.clamped} of {self.count}). The samples range from {self.least:g} to "
            f"{self.most:g}, the input from {self.low:g} to {self.high:g}{reason}"
        )


def clamped_values(
    inputs: Sequence[Tensor], samples: Iterable[Any], model: str
) -> tuple[Clamped, ...]:
    """See :meth:`pytest_tflm.model.Model.clamped`. ``model`` is its name, for messages."""
    found: dict[int, Clamped] = {}
    for sample in samples:
        for tensor, value in zip(inputs, sample_values(inputs, sample, model), strict=True):
            array = np.asarray(value)
            if array.dtype.kind == "f" and array.size and tensor.scale and _has_codes(tensor):
                one = _clamped(tensor, array)
                old = found.get(tensor.index)
                found[tensor.index] = one if old is None else _sum(old, one)
    return tuple(each for each in found.values() if each.clamped)


def _clamped(tensor: Tensor, values: Array) -> Clamped:
    low, high = tensor.code_range
    zero_point = tensor.zero_point or 0
    with np.errstate(over="ignore", invalid="ignore"):
        real = values.astype(np.float32)
        codes = _rounded(tensor, real) + zero_point
    scale = float(np.float32(tensor.scale))
    return Clamped(
        tensor,
        int(((codes < low - 1) | (codes > high + 1)).sum()),
        values.size,
        float(np.nanmin(real, initial=np.inf)),
        float(np.nanmax(real, initial=-np.inf)),
        scale * (low - zero_point),
        scale * (high - zero_point),
    )


def _sum(a: Clamped, b: Clamped) -> Clamped:
    return replace(
        a,
        clamped=a.clamped + b.clamped,
        count=a.count + b.count,
        least=min(a.least, b.least),
        most=max(a.most, b.most),
    )


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray | np.generic) or hasattr(value, "__array__")


def _fits(tensor: Tensor, value: Any) -> bool:
    """Whether it is the input array as it has to be."""
    return (
        type(value) is np.ndarray
        and value.shape == tensor.shape
        and value.dtype is _numpy_dtype(tensor)
        and value.flags.c_contiguous
    )


def _fit(tensor: Tensor, value: Any) -> Array:
    """One input array: shape first, then dtype."""
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, OverflowError) as error:
        raise SampleError(f"{_name('input', tensor)}: not an array of numbers: {error}.") from None
    dtype = _numpy_dtype(tensor)
    if array.dtype.kind not in "biuf":
        raise SampleError(
            f"{_name('input', tensor)}: got {array.dtype}, which is not an array of numbers;"
            " expected"
            f" {tensor.dtype} of shape {tensor.shape}."
        )
    if array.shape != tensor.shape:
        if tensor.shape[:1] != (1,) or array.shape != tensor.shape[1:]:
            raise SampleError(
                f"{_name('input', tensor)}: got shape {array.shape}; expected {tensor.shape}"
                + (f" or {tensor.shape[1:]}." if tensor.shape[:1] == (1,) else ".")
            )
        array = array.reshape(tensor.shape)
    if array.dtype != dtype:
        array = _convert(tensor, array, dtype)
    # A copy in any case would be dear for large samples; what is right already is passed on.
    return np.ascontiguousarray(array, dtype).reshape(tensor.shape)


def _convert(tensor: Tensor, array: Array, dtype: np.dtype[Any]) -> Array:
    is_float = array.dtype.kind == "f"
    if dtype.kind == "f":
        return array.astype(dtype)
    if dtype.kind == "c":
        raise SampleError(
            f"{_name('input', tensor)}: got {array.dtype}; expected {dtype}, which samples cannot"
            " have."
        )
    if is_float and dtype.kind == "b":
        raise SampleError(f"{_name('input', tensor)}: got {array.dtype}; expected bool.")
    if is_float:
        return _quantize_checked(tensor, array)
    check_codes(tensor, array)
    return array.astype(dtype)


def check_codes(tensor: Tensor, array: Array) -> None:
    """Integers for an integer or bool input are its codes, whatever their dtype, if every one of
    them is. Raises SampleError with the first that lies outside of the type's range. ``array``: any
    shape; one that holds no integers, or is for a float input, passes."""
    dtype = _numpy_dtype(tensor)
    if array.dtype.kind not in "iu" or dtype.kind not in "iub":
        return
    low, high = (0, 1) if dtype.kind == "b" else tensor.code_range
    outside = (array < low) | (array > high)
    if outside.any():
        where = _where(outside)
        raise SampleError(
            f"{_name('input', tensor)}: {array[where]}{_at(where)} is not a valid {tensor.dtype}"
            f" ({low} to {high}); integers are codes.\n"
            "Give real values as floats, or codes within the range."
        )


def _quantize_checked(tensor: Tensor, array: Array) -> Array:
    if tensor.scale is None:
        kind = "per channel" if tensor.is_quantized else "nowhere"
        raise SampleError(
            f"{_name('input', tensor)}: got {array.dtype}, but the input is {tensor.dtype} and "
            f"quantised {kind}.\nGive {tensor.dtype} values."
        )
    if tensor.scale == 0:
        raise SampleError(
            f"{_name('input', tensor)}: the model stores a scale of 0, so real values "
            f"have no codes.\nGive {tensor.dtype} codes."
        )
    bad = np.isnan(array)
    if bad.any():
        raise SampleError(
            f"{_name('input', tensor)}: the value{_at(_where(bad))} is NaN, which has no code."
        )
    with np.errstate(over="ignore"):  # beyond float32 is infinite, and that clamps
        return quantize_array(tensor, array.astype(np.float32))


def _where(mask: Array) -> tuple[int, ...]:
    """The first place where the mask holds."""
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(mask)), mask.shape))


def _at(where: tuple[int, ...]) -> str:
    return f" at [{', '.join(map(str, where))}]" if where else ""


def _name(what: str, tensor: Tensor) -> str:
    return f"{what} '{tensor.name}'" if tensor.name else f"{what} (tensor {tensor.index})"


def _has_codes(tensor: Tensor) -> bool:
    return BY_NAME[tensor.dtype].signed is not None


def _numpy_dtype(tensor: Tensor) -> np.dtype[Any]:
    # By its name alone: with ml_dtypes imported, numpy also takes int4 and bfloat16 for a dtype.
    if tensor.is_number or tensor.dtype.startswith("complex"):
        return np.dtype(tensor.dtype)
    raise SampleError(f"tensor '{tensor.name}' is {tensor.dtype}, which numpy arrays cannot hold.")
