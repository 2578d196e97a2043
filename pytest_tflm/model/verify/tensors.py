"""Does a tensor fit its type, its shape, its quantisation and its buffer? See :mod:`.structure`."""

from __future__ import annotations

import math
import struct
from itertools import pairwise
from typing import Any

from pytest_tflm.model import accessors, dtypes

# Both runtimes compute sizes in 32-bit integers.
MAX_BYTES = 2**31 - 1
# Both keep shapes on the stack; TFLM in arrays of six dimensions, TFLite's kernels in up to eight.
MAX_RANK = 8


class Contradiction(ValueError):
    """The model says two things that cannot both be so, or one that cannot be."""


def ints(table: Any, field: str) -> list[int]:
    """A vector of integers as a list; empty where it is not stored."""
    if getattr(table, f"{field}IsNone")():
        return []
    values: list[int] = getattr(table, f"{field}AsNumpy")().tolist()
    return values


def label(tensor: Any, index: int) -> str:
    """How messages call a tensor: its index and its name, which may hold anything."""
    name = (tensor.Name() or b"").decode("utf-8", "replace")
    shown = name if len(name) <= 60 else f"…{name[-59:]}"
    return f"tensor {index} ({shown!r})" if name else f"tensor {index}"


def dtype_of(tensor: Any) -> dtypes.DType:
    number: int = tensor.Type()
    return dtypes.DTYPES[number]


def stored_bytes(tensor: Any) -> int:
    """The size of a tensor in bytes by its stored shape."""
    return dtypes.byte_count(dtype_of(tensor), math.prod(ints(tensor, "Shape")))


def check_tensor(root: Any, graph: Any, tensor: Any, where: str, data: bytes) -> bool:
    """Check a tensor; returns whether it is a constant. Raises :class:`Contradiction`."""
    if not 0 <= tensor.Type() < len(dtypes.DTYPES):
        raise Contradiction(f"{where} has type {tensor.Type()}, which TFLite's schema 3 lacks")
    shape = ints(tensor, "Shape")
    if len(shape) > MAX_RANK:
        raise Contradiction(f"{where} has {len(shape)} dimensions; {MAX_RANK} is the most")
    if any(size < 0 for size in shape):
        raise Contradiction(f"{where} has shape {shape}, and a size below 0 cannot be")
    if math.prod(max(size, 1) for size in shape) * max(dtype_of(tensor).bits, 8) // 8 > MAX_BYTES:
        raise Contradiction(f"{where} has shape {shape}: more than 2 GiB")
    _check_quantization(graph, tensor, where)
    if tensor.ExternalBuffer():
        raise Contradiction(f"{where} is kept in another file, which no microcontroller can read")
    return _check_buffer(root, tensor, shape, where, data)


def _check_quantization(graph: Any, tensor: Any, where: str) -> None:
    """Lengths that agree, and numbers that a kernel can compute with.

    A ``quantized_dimension`` that names the wrong axis is let through: TFLM runs such models
    (tensorflow/tflite-micro#2680). So is a scale of 0: converters wrote it for tensors whose
    values are all equal.
    """
    quantization = tensor.Quantization()
    if quantization is None:
        return
    schema = accessors.schema()
    details = quantization.Details()
    for member in ("BlockwiseQuantization", "MultiAxisQuantization"):
        number = getattr(schema.QuantizationDetails, member, -1)
        if details is not None and quantization.DetailsType() == number:
            accessor = getattr(schema, member)()
            accessor.Init(details.Bytes, details.Pos)
            for index in (accessor.Scales(), accessor.ZeroPoints()):
                if not -1 <= index < graph.TensorsLength():
                    raise Contradiction(f"{where} has its scales or zero points in tensor {index}")
    count = quantization.ScaleLength()
    if not count:
        return
    scales = quantization.ScaleAsNumpy().tolist()
    if not all(math.isfinite(scale) and scale >= 0 for scale in scales):
        bad = next(scale for scale in scales if not (math.isfinite(scale) and scale >= 0))
        raise Contradiction(f"{where} has the scale {bad}")
    zero_points = ints(quantization, "ZeroPoint")
    if len(zero_points) not in (1, count):
        raise Contradiction(f"{where} has {count} scales and {len(zero_points)} zero points")
    low, high = dtypes.code_range(dtype_of(tensor)) or (-(2**31), 2**31 - 1)
    for zero_point in zero_points:
        if not low <= zero_point <= high:
            raise Contradiction(
                f"{where} has the zero point {zero_point}, beyond the range of its type "
                f"({low} to {high})"
            )
    shape = ints(tensor, "Shape")
    if count > 1 and count not in shape:
        raise Contradiction(f"{where} has {count} scales, and its shape {shape} has no such axis")


def is_behind(offset: int, size: int) -> bool:
    """Whether a buffer's data lies behind the flatbuffer, as in models above 2 GiB; 1 is a
    placeholder of the writer (tensorflow/lite/core/interpreter_builder.cc)."""
    return offset > 1 and size > 1


def stored_length(buffer: Any) -> int:
    """The bytes of a buffer, wherever they lie; 0 for one that only stands for no constant."""
    size: int = buffer.Size()
    return size if is_behind(buffer.Offset(), size) else int(buffer.DataLength())


def _check_buffer(root: Any, tensor: Any, shape: list[int], where: str, data: bytes) -> bool:
    index, count = tensor.Buffer(), root.BuffersLength()
    if index >= count:
        raise Contradiction(f"{where} is in buffer {index}, and there are {count} buffers")
    buffer = root.Buffers(index)
    offset, size = buffer.Offset(), buffer.Size()
    outside = is_behind(offset, size)
    if outside and offset + size > len(data):
        raise Contradiction(
            f"buffer {index} ends at byte {offset + size}, the file at {len(data)}: cut short"
        )
    length = stored_length(buffer)
    if not length:
        return False
    dtype = dtype_of(tensor)
    if tensor.Sparsity() is not None:
        from pytest_tflm.model.verify.sparsity import stored_elements

        needed = dtypes.byte_count(dtype, stored_elements(tensor.Sparsity(), shape, where))
    elif dtype.name == "string":
        _check_strings(bytes(data[offset : offset + size]) if outside else buffer, where)
        return True
    else:
        needed = dtypes.byte_count(dtype, math.prod(shape))
    # TFLite wants equality and refuses by itself; TFLM runs with a buffer that is too large.
    if length < needed:
        raise Contradiction(
            f"{where} of shape {shape} needs {needed} bytes, and its buffer holds {length}"
        )
    return True


def _check_strings(buffer: Any, where: str) -> None:
    """A string tensor's buffer: how many, where each begins and where the last ends
    (tensorflow/lite/string_util.h)."""
    text = buffer if isinstance(buffer, bytes) else buffer.DataAsNumpy().tobytes()
    count = struct.unpack_from("<i", text)[0] if len(text) >= 4 else -1
    if count < 0 or len(text) < 4 * (count + 2):
        raise Contradiction(f"{where}: its strings are cut short")
    offsets = struct.unpack_from(f"<{count + 1}i", text, 4)
    ordered = all(a <= b for a, b in pairwise(offsets))
    if offsets[0] != 4 * (count + 2) or offsets[-1] != len(text) or not ordered:
        raise Contradiction(f"{where}: its strings begin or end outside of its buffer")
