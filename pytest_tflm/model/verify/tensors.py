"""Does a tensor fit its type, its shape, its quantisation, its sparsity and its buffer?

See :mod:`.structure`.
"""

from __future__ import annotations

import math
import struct
from itertools import pairwise
from typing import Any

from pytest_tflm.model.accessors import (
    external_buffer,
    ints,
    is_behind,
    schema,
    stored_length,
    text,
)
from pytest_tflm.model.dtypes import DTYPES, DType

# Both runtimes compute sizes in 32-bit integers.
MAX_BYTES = 2**31 - 1
# Both keep shapes on the stack; TFLM in arrays of six dimensions, TFLite's kernels in up to eight.
_MAX_RANK = 8
_DENSE = 0  # of DimensionType
_INDEX_VECTORS = ("", "Int32Vector", "Uint16Vector", "Uint8Vector")


class Contradiction(ValueError):
    """The model says two things that cannot both be so, or one that cannot be."""


def label(tensor: Any, index: int) -> str:
    """How messages call a tensor: its index and its name, which may hold anything."""
    name = text(tensor.Name())
    shown = name if len(name) <= 60 else f"…{name[-59:]}"
    return f"tensor {index} ({shown!r})" if name else f"tensor {index}"


def dtype_of(tensor: Any) -> DType:
    number: int = tensor.Type()
    return DTYPES[number]


def stored_bytes(tensor: Any) -> int:
    """The size of a tensor in bytes by its stored shape."""
    return dtype_of(tensor).byte_count(math.prod(ints(tensor, "Shape")))


def check_tensor(root: Any, graph: Any, tensor: Any, where: str, data: bytes) -> bool:
    """Check a tensor; returns whether it is a constant. Raises :class:`Contradiction`."""
    if not 0 <= tensor.Type() < len(DTYPES):
        raise Contradiction(f"{where} has type {tensor.Type()}, which TFLite's schema 3 lacks")
    shape = ints(tensor, "Shape")
    if len(shape) > _MAX_RANK:
        raise Contradiction(f"{where} has {len(shape)} dimensions; the limit is {_MAX_RANK}")
    if any(size < 0 for size in shape):
        raise Contradiction(f"{where} has shape {shape}, and a size must not be negative")
    if math.prod(max(size, 1) for size in shape) * max(dtype_of(tensor).bits, 8) // 8 > MAX_BYTES:
        raise Contradiction(f"{where} has shape {shape}: more than 2 GiB")
    _check_quantization(graph, tensor, where)
    if external_buffer(tensor):
        raise Contradiction(
            f"{where} is stored in another file, which a microcontroller cannot read"
        )
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
    details = quantization.Details()
    for member in ("BlockwiseQuantization", "MultiAxisQuantization"):
        number = getattr(schema().QuantizationDetails, member, -1)
        if details is not None and quantization.DetailsType() == number:
            accessor = getattr(schema(), member)()
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
    low, high = dtype_of(tensor).code_range or (-(2**31), 2**31 - 1)
    for zero_point in zero_points:
        if not low <= zero_point <= high:
            raise Contradiction(
                f"{where} has the zero point {zero_point}, beyond the range of its type "
                f"({low} to {high})"
            )
    shape = ints(tensor, "Shape")
    if count > 1 and count not in shape:
        raise Contradiction(f"{where} has {count} scales, but its shape {shape} lacks that axis")


def _check_buffer(root: Any, tensor: Any, shape: list[int], where: str, data: bytes) -> bool:
    index, count = tensor.Buffer(), root.BuffersLength()
    if index >= count:
        raise Contradiction(f"{where} refers to buffer {index}, but there are {count} buffers")
    buffer = root.Buffers(index)
    offset, size = buffer.Offset(), buffer.Size()
    outside = is_behind(offset, size)
    length = stored_length(buffer)
    if not length:
        return False
    dtype = dtype_of(tensor)
    if tensor.Sparsity() is not None:
        needed = dtype.byte_count(_stored_elements(tensor.Sparsity(), shape, where))
    elif dtype.name == "string":
        _check_strings(bytes(data[offset : offset + size]) if outside else buffer, where)
        return True
    else:
        needed = dtype.byte_count(math.prod(shape))
    # TFLite wants equality and refuses by itself; TFLM runs with a buffer that is too large.
    if length < needed:
        raise Contradiction(
            f"{where} of shape {shape} needs {needed} bytes, but its buffer has {length}"
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


def _stored_elements(sparsity: Any, shape: list[int], where: str) -> int:
    """How many values a sparse tensor of ``shape`` stores. Raises :class:`Contradiction`.

    The rules are those of VerifyAndCountSparseElements in tensorflow/lite/core/tools/verifier.cc.
    """
    order = ints(sparsity, "TraversalOrder")
    block_map = ints(sparsity, "BlockMap")
    levels = [sparsity.DimMetadata(i) for i in range(sparsity.DimMetadataLength())]
    rank, blocks = len(shape), len(order) - len(shape)
    bad = Contradiction(f"{where} has sparsity parameters that contradict its shape {shape}")
    if blocks < 0 or len(levels) != len(order) or (blocks and len(block_map) != blocks):
        raise bad
    if sorted(order[:rank]) != list(range(rank)):
        raise bad
    if sorted(order[rank:]) != list(range(rank, len(order))):
        raise bad
    sizes = shape + [0] * blocks
    for i in range(blocks):
        size, mapped = levels[rank + i].DenseSize(), block_map[i]
        if size <= 0 or not 0 <= mapped < rank:
            raise bad
        sizes[order[rank + i]] = size
        sizes[mapped] //= size
    count = 1
    for level, axis in zip(levels, order, strict=False):
        if level.Format() == _DENSE:
            if level.DenseSize() != sizes[axis]:
                raise bad
            count *= level.DenseSize()
            continue
        segments = _index_vector(level.ArraySegmentsType(), level.ArraySegments())
        indices = _index_vector(level.ArrayIndicesType(), level.ArrayIndices())
        if segments is None or indices is None or len(segments) != count + 1:
            raise bad
        if segments[0] < 0 or any(a > b for a, b in pairwise(segments)):
            raise bad
        if segments[-1] != len(indices) or not all(0 <= i < sizes[axis] for i in indices):
            raise bad
        count = len(indices)
    return count


def _index_vector(kind: int, table: Any) -> list[int] | None:
    if table is None or not 0 < kind < len(_INDEX_VECTORS):
        return None
    vector = getattr(schema(), _INDEX_VECTORS[kind])()
    vector.Init(table.Bytes, table.Pos)
    return ints(vector, "Values")
