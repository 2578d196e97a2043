"""Does a sparse tensor's index structure stay inside its shape? See :mod:`.structure`.

The rules are those of VerifyAndCountSparseElements in tensorflow/lite/core/tools/verifier.cc.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from pytest_tflm.model import accessors
from pytest_tflm.model.verify.tensors import Contradiction, ints

DENSE = 0
INDEX_VECTORS = ("", "Int32Vector", "Uint16Vector", "Uint8Vector")


def stored_elements(sparsity: Any, shape: list[int], where: str) -> int:
    """How many values a sparse tensor of ``shape`` stores. Raises :class:`Contradiction`."""
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
        if level.Format() == DENSE:
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
    if table is None or not 0 < kind < len(INDEX_VECTORS):
        return None
    vector = getattr(accessors.schema(), INDEX_VECTORS[kind])()
    vector.Init(table.Bytes, table.Pos)
    return ints(vector, "Values")
