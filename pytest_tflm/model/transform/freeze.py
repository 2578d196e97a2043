"""Write the shapes that a run has into a model.

A model with an unknown batch size stores every shape as for batch 1, also where SPACE_TO_BATCH_ND
makes it 2 or more. TFLite infers shapes anew when it runs; TFLM computes with the stored ones, and
what it computes then is something else (tensorflow/tflite-micro#2319, #3185).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_tflm.model.graph import pack, unpack
from pytest_tflm.model.transform.prune import prune

if TYPE_CHECKING:
    from pytest_tflm.model.model import Model

    Shapes = Mapping[int, tuple[int, ...]]


@dataclass(frozen=True)
class WrongShape:
    """A tensor whose stored shape is not the one that it has in a run. ``operator`` is the one that
    computes it, None for an input of the graph."""

    tensor: int
    operator: int | None
    stored: tuple[int, ...]
    real: tuple[int, ...]


def wrong_shapes(model: Model, shapes: Shapes) -> tuple[WrongShape, ...]:
    """The tensors of subgraph 0 whose stored shape is not the run's, in the order in which they are
    computed. ``shapes``: the shape that each tensor had in a run, by its index."""
    makers = {i: operator.index for operator in model.operators for i in operator.outputs}
    found = []
    for tensor in model.tensors:
        real = shapes.get(tensor.index, tensor.shape)
        if not tensor.is_constant and tuple(real) != tensor.shape:
            maker = makers.get(tensor.index)
            found.append(WrongShape(tensor.index, maker, tensor.shape, tuple(real)))
    return tuple(sorted(found, key=lambda w: -1 if w.operator is None else w.operator))


def dynamic_tensors(model: Model) -> tuple[int, ...]:
    """The tensors of subgraph 0 whose size is unknown until run time by their shape signature."""
    return tuple(tensor.index for tensor in model.tensors if tensor.has_unknown_size)


def freeze(model: Model, shapes: Shapes) -> bytes:
    """``model`` with the shapes of a run, without shape signatures.

    ``shapes`` gives the shape that each tensor of subgraph 0 had, by its index; a tensor that is
    not in it keeps the stored one. Subgraphs that operators call keep theirs.
    """
    parts = unpack(model.data)
    for index, tensor in enumerate(parts.subgraphs[0].tensors):
        tensor.shapeSignature = None
        if index in shapes and not model.tensors[index].is_constant:
            tensor.shape = list(shapes[index])
    prune(parts)
    return pack(parts)
