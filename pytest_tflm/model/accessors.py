"""What a verified file stores, read by the accessors that flatc generated.

The accessors read wherever an offset leads: use them on bytes that
:func:`pytest_tflm.model.verify.flatbuffer.verify` has passed, and on no others. They have no types,
hence ``Any``: a ``root`` is a schema ``Model``, a ``code`` an ``OperatorCode``, and so on.
"""

from __future__ import annotations

import importlib
from functools import cache
from typing import TYPE_CHECKING, Any

from pytest_tflm.printable import NAME, printable

if TYPE_CHECKING:
    from pytest_tflm.model.tensor import Tensor

SCHEMA = "ai_edge_litert.schema_py_generated"
CUSTOM = 32  # BuiltinOperator's number for an operator that has a name instead
_EXTERNAL_BUFFER = 10  # the number of this field of a Tensor in schema.fbs


@cache
def schema() -> Any:
    """The module ``ai_edge_litert.schema_py_generated``, imported when a model is first read: it
    imports numpy and flatbuffers."""
    return importlib.import_module(SCHEMA)


def root_of(data: bytes) -> Any:
    """The ``Model`` that a file is."""
    return schema().Model.GetRootAs(data, 0)


def text(value: bytes | None) -> str:
    """A flatbuffer's string, whatever bytes it holds, as it can be shown."""
    return printable((value or b"").decode("utf-8", "replace"), NAME)


def ints(table: Any, field: str) -> list[int]:
    """A vector of integers as a list; empty where it is not stored."""
    if getattr(table, f"{field}IsNone")():
        return []
    values: list[int] = getattr(table, f"{field}AsNumpy")().tolist()
    return values


@cache
def builtin_names() -> dict[int, str]:
    """``BuiltinOperator`` by number."""
    names = vars(schema().BuiltinOperator)
    return {number: name for name, number in names.items() if isinstance(number, int)}


def builtin_code(code: Any) -> int:
    """An OperatorCode's operator. There are two fields because the first had one byte; the larger
    one holds (GetBuiltinCode in tensorflow/lite/schema/schema_utils.cc)."""
    return max(int(code.BuiltinCode()), int(code.DeprecatedBuiltinCode()))


def operator_name(code: Any) -> str:
    """The builtin's name (``CONV_2D``), or the custom code."""
    number = builtin_code(code)
    if number == CUSTOM:
        return text(code.CustomCode())
    return builtin_names().get(number, f"OP_{number}")


def external_buffer(tensor: Any) -> int:
    """A Tensor's ``external_buffer``; 0 where it is not stored. The generated accessor exists only
    since ai-edge-litert 2.1."""
    from flatbuffers.number_types import Uint32Flags

    table = tensor._tab
    offset = table.Offset(4 + 2 * _EXTERNAL_BUFFER)  # a vtable begins with two sizes of 2 bytes
    return int(table.Get(Uint32Flags, table.Pos + offset)) if offset else 0


def is_behind(offset: int, size: int) -> bool:
    """Whether a buffer's data lies behind the flatbuffer, as in models above 2 GiB; 1 is a
    placeholder of the writer (tensorflow/lite/core/interpreter_builder.cc)."""
    return offset > 1 and size > 1


def stored_length(buffer: Any) -> int:
    """The bytes of a buffer, wherever they lie; 0 for one that only stands for no constant."""
    size: int = buffer.Size()
    return size if is_behind(buffer.Offset(), size) else int(buffer.DataLength())


def constant(data: bytes, tensor: Tensor) -> Any:
    """See :meth:`pytest_tflm.model.Model.constant`."""
    import numpy as np

    if not tensor.is_constant or tensor.is_sparse or not tensor.is_number:
        return None
    root = root_of(data)
    buffer = root.Buffers(root.Subgraphs(0).Tensors(tensor.index).Buffer())
    if is_behind(buffer.Offset(), buffer.Size()):
        raw = data[buffer.Offset() : buffer.Offset() + buffer.Size()]
    else:
        raw = buffer.DataAsNumpy().tobytes()
    return np.frombuffer(raw, np.dtype(tensor.dtype), tensor.size).reshape(tensor.shape)


def options(data: bytes, index: int) -> Any:
    """See :meth:`pytest_tflm.model.Model.options`."""
    stored = root_of(data).Subgraphs(0).Operators(index)
    return schema().BuiltinOptionsCreator(stored.BuiltinOptionsType(), stored.BuiltinOptions())
