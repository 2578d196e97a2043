"""Write the zeros of sparse weights into a model: TFLM reads every constant as a dense one.

The storage is a tree of levels, one for each axis and each axis of a block; the walk is Populate of
tensorflow/lite/kernels/internal/utils/sparsity_format_converter.cc, for all values at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_tflm.errors import CannotRepair
from pytest_tflm.model.accessors import builtin_names
from pytest_tflm.model.dtypes import DTYPES
from pytest_tflm.model.graph import pack, unpack
from pytest_tflm.model.transform.prune import prune

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_tflm.model.model import Model

_DENSE = 0  # of DimensionType


def sparse_tensors(model: Model) -> tuple[int, ...]:
    """The sparse tensors of subgraph 0 that :func:`densify` can write out: of types that numpy
    has."""
    return tuple(t.index for t in model.tensors if t.is_sparse and t.is_number)


def densify(model: Model) -> bytes:
    """``model`` with every sparse constant as a dense one, and without the DENSIFY operators that
    made such constants dense in a run. Raises :class:`~pytest_tflm.errors.CannotRepair`."""
    parts = unpack(model.data)
    for graph in parts.subgraphs:
        for tensor in graph.tensors:
            dtype = DTYPES[tensor.type]
            data = parts.buffers[tensor.buffer].data
            if tensor.sparsity is None or data is None or not len(data) or not dtype.is_number:
                continue
            stored = np.asarray(data, np.uint8).tobytes()  # perhaps with padding at its end
            values = np.frombuffer(stored, dtype.name, len(stored) * 8 // dtype.bits)
            dense = _dense(values, tensor.sparsity, [int(size) for size in tensor.shape])
            # A buffer of its own: another tensor may store something else in the old one.
            buffer = type(parts.buffers[0])()
            buffer.data = np.frombuffer(dense.tobytes(), np.uint8)
            tensor.buffer, tensor.sparsity = len(parts.buffers), None
            parts.buffers.append(buffer)
        _drop_densify(parts, graph)
    prune(parts)
    return pack(parts)


def _dense(values: NDArray[Any], sparsity: Any, shape: Sequence[int]) -> NDArray[Any]:
    """The array that ``values`` and a ``SparsityParametersT`` store."""
    rank, order = len(shape), [int(axis) for axis in sparsity.traversalOrder]
    levels = sparsity.dimMetadata
    places = np.zeros(1, np.int64)  # of the nodes of a level
    columns: list[NDArray[np.int64]] = []  # their indices in the levels so far
    for level in levels:
        if level.format == _DENSE:
            size = int(level.denseSize)
            parent = np.repeat(np.arange(len(places)), size)
            new = np.tile(np.arange(size), len(places))
            places = places[parent] * size + new
        else:
            segments = np.asarray(level.arraySegments.values, np.int64)
            begin = segments[places]
            counts = segments[places + 1] - begin
            parent = np.repeat(np.arange(len(places)), counts)
            first = np.cumsum(counts) - counts
            places = begin[parent] + np.arange(len(parent)) - first[parent]
            new = np.asarray(level.arrayIndices.values, np.int64)[places]
        columns = [*(column[parent] for column in columns), new]
    axes: list[Any] = [None] * rank
    for position, axis in enumerate(order):
        if axis < rank:
            axes[axis] = columns[position]
        else:
            mapped = int(sparsity.blockMap[axis - rank])
            size = int(levels[axis].denseSize)
            axes[mapped] = axes[mapped] * size + columns[position]
    dense = np.zeros(shape, values.dtype)
    try:
        dense[tuple(axes)] = values[: len(places)]
    except IndexError:
        raise CannotRepair(
            "the index structure of sparse weights contradicts their shape"
        ) from None
    return dense


def _drop_densify(parts: Any, graph: Any) -> None:
    """Let the users of what DENSIFY gives use the constant itself."""
    outputs = {int(i) for i in graph.outputs}
    instead: dict[int, int] = {}
    kept = []
    for operator in graph.operators:
        code = parts.operatorCodes[operator.opcodeIndex]
        number = max(int(code.builtinCode), int(code.deprecatedBuiltinCode))
        given, made = _indices(operator.inputs), _indices(operator.outputs)
        is_whole = len(given) == len(made) == 1 and given[0] >= 0
        if builtin_names().get(number) == "DENSIFY" and is_whole and made[0] not in outputs:
            source = graph.tensors[given[0]]
            if source.sparsity is None and source.buffer:
                instead[made[0]] = given[0]
                continue
        kept.append(operator)
    for operator in kept:
        operator.inputs = [instead.get(i, i) for i in _indices(operator.inputs)]
    graph.operators = kept


def _indices(tensors: Any) -> list[int]:
    """Those of an operator's inputs or outputs; a file may leave them out."""
    return [] if tensors is None else [int(i) for i in tensors]
