"""The tensor types of the TFLite schema: their names, their sizes, the range of their codes."""

from __future__ import annotations

from typing import NamedTuple


class DType(NamedTuple):
    """``name`` is numpy's where numpy has the type, else TFLite's in small letters. ``bits`` is an
    element's size, 0 where elements differ in size. ``signed`` is None for what has no integer
    codes."""

    name: str
    bits: int
    signed: bool | None = None

    @property
    def code_range(self) -> tuple[int, int] | None:
        """Smallest and largest code of an integer type, None for any other type."""
        if self.signed is None:
            return None
        if self.signed:
            return -(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1
        return 0, (1 << self.bits) - 1

    @property
    def is_number(self) -> bool:
        """Elements are real numbers of whole bytes, or booleans: numpy can hold them."""
        return self.name in _NUMBERS

    @property
    def is_handle(self) -> bool:
        """Elements refer to something inside an interpreter. They have no memory to read."""
        return self.name in ("resource", "variant")

    def byte_count(self, elements: int) -> int:
        """Size of a tensor in bytes. Types below a byte are packed, as TFLite packs them."""
        return (elements * self.bits + 7) // 8


# In the order of TensorType in schema.fbs.
DTYPES: tuple[DType, ...] = (
    DType("float32", 32),
    DType("float16", 16),
    DType("int32", 32, True),
    DType("uint8", 8, False),
    DType("int64", 64, True),
    DType("string", 0),
    DType("bool", 8),
    DType("int16", 16, True),
    DType("complex64", 64),
    DType("int8", 8, True),
    DType("float64", 64),
    DType("complex128", 128),
    DType("uint64", 64, False),
    DType("resource", 0),
    DType("variant", 0),
    DType("uint32", 32, False),
    DType("uint16", 16, False),
    DType("int4", 4, True),
    DType("bfloat16", 16),
    DType("int2", 2, True),
    DType("uint4", 4, False),
    DType("float8_e4m3fn", 8),
    DType("float8_e5m2", 8),
)

BY_NAME = {dtype.name: dtype for dtype in DTYPES}

_NUMBERS = {"bool", "float16", "float32", "float64"} | {
    f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)
}
