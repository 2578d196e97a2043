"""Drop what nothing in a model mentions any more, after operators were replaced."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pytest_tflm.model.verify.structure import OFFLINE_PLAN


def prune(model: Any) -> None:
    """Drop unused tensors, buffers and operator codes of a ``ModelT``, and the metadata that tells
    TFLM where in the arena each tensor goes: it counts the tensors that were."""
    plan = (OFFLINE_PLAN, OFFLINE_PLAN.decode())
    model.metadata = [entry for entry in model.metadata or () if entry.name not in plan]
    for number, graph in enumerate(model.subgraphs):
        _prune_tensors(model, number, graph)
    _prune_buffers(model)
    _prune_codes(model)


def _prune_tensors(model: Any, number: int, graph: Any) -> None:
    signatures = [s for s in model.signatureDefs or () if s.subgraphIndex == number]
    entries = [e for s in signatures for e in (*(s.inputs or ()), *(s.outputs or ()))]
    used = {int(i) for i in (*graph.inputs, *graph.outputs)}
    used.update(entry.tensorIndex for entry in entries)
    for operator in graph.operators:
        for attribute in ("inputs", "outputs", "intermediates"):
            indices = getattr(operator, attribute)
            used.update(int(i) for i in (() if indices is None else indices) if i >= 0)
    # Block-wise scales are tensors, which nothing but a tensor mentions.
    details = [_details(graph.tensors[i]) for i in used]
    used.update(value for each in details for value in each.values() if value >= 0)

    places = _places(used)
    graph.tensors = [graph.tensors[i] for i in places]
    for owner, attributes in (
        (graph, ("inputs", "outputs")),
        *((operator, ("inputs", "outputs", "intermediates")) for operator in graph.operators),
    ):
        for attribute in attributes:
            indices = getattr(owner, attribute)
            if indices is not None:
                setattr(owner, attribute, [places[int(i)] if i >= 0 else -1 for i in indices])
    for entry in entries:
        entry.tensorIndex = places[entry.tensorIndex]
    for tensor in graph.tensors:
        for attribute, value in _details(tensor).items():
            setattr(tensor.quantization.details, attribute, places[value] if value >= 0 else value)


def _details(tensor: Any) -> dict[str, int]:
    """The tensors that a tensor's quantisation mentions, by attribute."""
    details = tensor.quantization.details if tensor.quantization is not None else None
    values = {name: getattr(details, name, None) for name in ("scales", "zeroPoints")}
    return {name: value for name, value in values.items() if isinstance(value, int)}


def _prune_buffers(model: Any) -> None:
    tensors = [tensor for graph in model.subgraphs for tensor in graph.tensors]
    old = () if model.metadataBuffer is None else [int(i) for i in model.metadataBuffer]
    used = {0, *(tensor.buffer for tensor in tensors), *(m.buffer for m in model.metadata), *old}
    places = _places(used)
    model.buffers = [model.buffers[i] for i in places]
    for owner in (*tensors, *model.metadata):
        owner.buffer = places[owner.buffer]
    model.metadataBuffer = [places[i] for i in old] or None


def _prune_codes(model: Any) -> None:
    operators = [operator for graph in model.subgraphs for operator in graph.operators]
    places = _places(operator.opcodeIndex for operator in operators)
    model.operatorCodes = [model.operatorCodes[i] for i in places]
    for operator in operators:
        operator.opcodeIndex = places[operator.opcodeIndex]


def _places(used: Iterable[int]) -> dict[int, int]:
    return {old: new for new, old in enumerate(sorted(set(used)))}
