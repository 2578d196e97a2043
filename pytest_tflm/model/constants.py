"""The values of constant tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_tflm.model import accessors
from pytest_tflm.model.verify.tensors import is_behind

if TYPE_CHECKING:
    from pytest_tflm.model.model import Model


# Types of whole bytes that numpy has.
NUMBERS = {"bool", "float16", "float32", "float64"} | {
    f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)
}


def constant(model: Model, index: int) -> Any:
    """The values of a constant of subgraph 0, in its dtype and shape: a numpy array.

    None for what is no constant or is sparse, and for types other than numbers of whole bytes.
    """
    import numpy as np

    tensor = model.tensors[index]
    if not tensor.is_constant:
        return None
    if tensor.dtype not in NUMBERS:
        return None
    dtype = np.dtype(tensor.dtype)
    root = accessors.schema().Model.GetRootAs(model.data, 0)
    stored = root.Subgraphs(0).Tensors(index)
    if stored.Sparsity() is not None:
        return None
    buffer = root.Buffers(stored.Buffer())
    if is_behind(buffer.Offset(), buffer.Size()):
        raw = model.data[buffer.Offset() : buffer.Offset() + buffer.Size()]
    else:
        raw = buffer.DataAsNumpy().tobytes()
    return np.frombuffer(raw, dtype, tensor.size).reshape(tensor.shape)


def options(model: Model, index: int) -> Any:
    """The options of operator ``index`` of subgraph 0: the schema's own object (``Conv2DOptionsT``
    and the like), None where none are stored."""
    schema = accessors.schema()
    stored = schema.Model.GetRootAs(model.data, 0).Subgraphs(0).Operators(index)
    return schema.BuiltinOptionsCreator(stored.BuiltinOptionsType(), stored.BuiltinOptions())
