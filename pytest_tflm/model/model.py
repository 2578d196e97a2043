"""A model as the rest of the project sees it: bytes, tensors, operators."""

from __future__ import annotations

import hashlib
import math
import zlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_tflm.model import dtypes

if TYPE_CHECKING:
    import os

    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Tensor:
    """One tensor of a subgraph.

    ``shape`` is the stored one, which TFLM computes with; ``shape_signature`` holds -1 where the
    size is unknown until run time, and is None where none is stored. ``dtype`` is numpy's name for
    the type (``int8``, ``float32``, ``bool``, …) or TFLite's, where numpy has no such type.

    A tensor quantised per tensor has ``scale`` and ``zero_point``: real = scale * (code - zero
    point). One quantised per channel has ``scales`` and ``zero_points`` along the axis
    ``quantized_dimension``, and its ``scale`` and ``zero_point`` are None, as for a tensor that is
    not quantised.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    shape_signature: tuple[int, ...] | None
    dtype: str
    scale: float | None = None
    zero_point: int | None = None
    scales: tuple[float, ...] = ()
    zero_points: tuple[int, ...] = ()
    quantized_dimension: int = 0
    is_variable: bool = False
    is_constant: bool = False

    @property
    def is_quantized(self) -> bool:
        """Scales are stored, for the whole tensor or per channel."""
        return bool(self.scales)

    @property
    def size(self) -> int:
        """Number of elements; 1 for a scalar."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Size in bytes; 0 for types whose elements differ in size (strings)."""
        return dtypes.byte_count(dtypes.BY_NAME[self.dtype], self.size)

    @property
    def code_range(self) -> tuple[int, int]:
        """Smallest and largest code of an integer type. TypeError for any other type."""
        limits = dtypes.code_range(dtypes.BY_NAME[self.dtype])
        if limits is None:
            raise TypeError(f"tensor '{self.name}' is {self.dtype}, which has no integer codes")
        return limits


@dataclass(frozen=True)
class Operator:
    """One operator of a subgraph. ``name`` is the builtin's (``CONV_2D``) or the custom code.
    ``inputs`` and ``outputs`` are tensor indices; an input of -1 is an optional one left out."""

    index: int
    name: str
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Model:
    """A verified .tflite file. Make one with :func:`open_model` or :func:`model_from_bytes`.

    ``inputs``, ``outputs``, ``operators`` and ``tensors`` are those of subgraph 0, which is what a
    runtime invokes. ``name`` is the file's name, for messages; ``path`` is None for a model that
    did not come from a file.
    """

    name: str
    path: Path | None
    data: bytes = field(repr=False)
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    operators: tuple[Operator, ...] = field(repr=False)
    tensors: tuple[Tensor, ...] = field(repr=False)
    subgraph_count: int = 1
    description: str = ""

    @property
    def size(self) -> int:
        """Size of the file in bytes."""
        return len(self.data)

    @cached_property
    def crc32(self) -> int:
        """CRC-32 of the file (zlib's), by which a board names the model it has loaded."""
        return zlib.crc32(self.data)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the file, in hexadecimal."""
        return hashlib.sha256(self.data).hexdigest()

    def quantize(self, sample: Any) -> tuple[NDArray[np.generic], ...]:
        """The input tensors for a sample: exact dtype and shape, C-contiguous.

        ``sample`` is one array for a model with one input, or a sequence of arrays in the model's
        order, or a mapping by tensor name. Floats for a quantised integer input are real values
        and are quantised as TFLite's QUANTIZE does (see :mod:`pytest_tflm.model.quantise`);
        integers are codes. The shape must be the tensor's, but a leading 1 may be missing.

        Raises :class:`~pytest_tflm.errors.SampleError`.
        """
        from pytest_tflm.model import quantise

        return quantise.quantize_sample(self, sample)

    def dequantize(self, arrays: Any) -> tuple[NDArray[np.generic], ...]:
        """The real values of output arrays, one for each output tensor, in its dtype and shape.

        Quantised outputs become float32, scale * (code - zero point) computed in float32 as
        TFLite's DEQUANTIZE does; others are returned as they are.

        Raises :class:`~pytest_tflm.errors.SampleError` if the arrays are not the outputs'.
        """
        from pytest_tflm.model import quantise

        return quantise.dequantize_outputs(self, arrays)


def open_model(path: str | os.PathLike[str]) -> Model:
    """Read and verify a .tflite file.

    Raises :class:`~pytest_tflm.errors.ModelNotFound`, :class:`~pytest_tflm.errors.NotAModel`,
    :class:`~pytest_tflm.errors.DamagedModel` or :class:`~pytest_tflm.errors.ModelTooNew`.
    """
    from pytest_tflm.model import files, read

    file = Path(path)
    return read.read_model(files.read_file(file), str(path), file)


def model_from_bytes(data: bytes, name: str = "model") -> Model:
    """Verify and read a model that is in memory. ``name`` is what messages call it.

    Raises what :func:`open_model` raises, except ModelNotFound.
    """
    from pytest_tflm.model import read

    return read.read_model(bytes(data), name, None)
