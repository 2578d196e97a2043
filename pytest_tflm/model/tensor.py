"""Tensors and operators of a model: plain data."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pytest_tflm.model.dtypes import BY_NAME


@dataclass(frozen=True)
class Tensor:
    """One tensor of a subgraph.

    ``shape`` is the stored one, which TFLM computes with; ``shape_signature`` holds -1 where the
    size is unknown until run time, and is None where none is stored. ``dtype`` is numpy's name for
    the type (``int8``, ``float32``, ``bool``, …) or TFLite's, where numpy has no such type.

    A tensor quantised per tensor has ``scale`` and ``zero_point``: real = scale * (code - zero
    point). One quantised per channel has ``scales`` and ``zero_points`` along the axis
    ``quantized_dimension``, and its ``scale`` and ``zero_point`` are None, as for a tensor that is
    not quantised. ``is_variable``: it keeps its values from one Invoke to the next. ``is_sparse``:
    a constant whose zeros are not stored, which TFLM cannot read. ``step``, of a float output that
    DEQUANTIZE makes: the scale of the tensor before it, which is one LSB in real units.
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
    is_sparse: bool = False
    step: float | None = None

    @property
    def is_quantized(self) -> bool:
        """Scales are stored, for the whole tensor or per channel."""
        return bool(self.scales)

    @property
    def is_number(self) -> bool:
        """A numpy array can hold its values: real numbers of whole bytes, or booleans."""
        return BY_NAME[self.dtype].is_number

    @property
    def is_handle(self) -> bool:
        """A resource or a variant: it refers to something inside an interpreter, and has no memory
        of its own. Never read it: LiteRT's ``get_tensor`` crashes."""
        return BY_NAME[self.dtype].is_handle

    @property
    def has_unknown_size(self) -> bool:
        """The shape signature leaves a size open until run time."""
        return -1 in (self.shape_signature or ())

    @property
    def size(self) -> int:
        """Number of elements; 1 for a scalar."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Size in bytes; 0 for types whose elements differ in size (strings)."""
        return BY_NAME[self.dtype].byte_count(self.size)

    @property
    def code_range(self) -> tuple[int, int]:
        """Smallest and largest code of an integer type. TypeError for any other type."""
        limits = BY_NAME[self.dtype].code_range
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
