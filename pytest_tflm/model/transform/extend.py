"""Models that compute what others do, with more in them: planned otherwise in memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pytest_tflm.model.accessors import schema
from pytest_tflm.model.graph import TYPES, pack, unpack
from pytest_tflm.model.model import Model, model_from_bytes


def keep_tensors(model: Model, tensors: Sequence[int]) -> Model:
    """``model`` with the tensors (indices) as outputs behind its own: they keep their memory until
    the end. Raises ModelError."""
    table = unpack(model.data)
    graph = table.subgraphs[0]
    outputs = [*map(int, graph.outputs)]
    graph.outputs = [*outputs, *(i for i in dict.fromkeys(tensors) if i not in outputs)]
    table.signatureDefs = []
    return model_from_bytes(pack(table), f"{model.name}, tensors kept")


def copy_tensor(model: Model, index: int) -> Model:
    """``model`` with one more operator at its end, a RESHAPE that copies the tensor ``index``; the
    copy is its last output. Raises ModelError."""
    made = schema()
    table = unpack(model.data)
    graph = table.subgraphs[0]
    source = graph.tensors[index]
    shape = made.TensorT()
    shape.name, shape.type, shape.shape = "shape of the copy", TYPES["int32"], [len(source.shape)]
    data = made.BufferT()
    data.data = np.frombuffer(np.array(source.shape, np.int32).tobytes(), np.uint8)
    shape.buffer = len(table.buffers)
    table.buffers.append(data)
    copy = made.TensorT()
    copy.name, copy.type, copy.shape = "copy", source.type, list(source.shape)
    copy.quantization, copy.buffer = source.quantization, 0
    graph.tensors = [*graph.tensors, shape, copy]
    code = made.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = made.BuiltinOperator.RESHAPE
    code.version = 1
    table.operatorCodes.append(code)
    operator = made.OperatorT()
    operator.opcodeIndex = len(table.operatorCodes) - 1
    operator.inputs = [index, len(graph.tensors) - 2]
    operator.outputs = [len(graph.tensors) - 1]
    operator.builtinOptionsType = made.BuiltinOptions.ReshapeOptions
    operator.builtinOptions = made.ReshapeOptionsT()
    graph.operators.append(operator)
    graph.outputs = [*map(int, graph.outputs), len(graph.tensors) - 1]
    table.signatureDefs = []
    return model_from_bytes(pack(table), f"{model.name} with a copy")


def beside(first: Model, second: Model) -> Model:
    """Two models in one, which share nothing: the inputs, operators and outputs of ``first``, then
    those of ``second``. For models of one subgraph. Raises ModelError."""
    table, other = unpack(first.data), unpack(second.data)
    graph, added = table.subgraphs[0], other.subgraphs[0]
    tensors, buffers = len(graph.tensors), len(table.buffers)
    codes = len(table.operatorCodes)

    def moved(places: Sequence[int] | None) -> list[int]:
        return [int(i) + tensors if i >= 0 else -1 for i in ([] if places is None else places)]

    for tensor in added.tensors:
        tensor.buffer += buffers
    for operator in added.operators:
        operator.opcodeIndex += codes
        operator.inputs, operator.outputs = moved(operator.inputs), moved(operator.outputs)
        operator.intermediates = moved(operator.intermediates)
    table.buffers += other.buffers
    table.operatorCodes += other.operatorCodes
    graph.tensors = [*graph.tensors, *added.tensors]
    graph.operators = [*graph.operators, *added.operators]
    graph.inputs = [*map(int, graph.inputs), *moved(added.inputs)]
    graph.outputs = [*map(int, graph.outputs), *moved(added.outputs)]
    table.signatureDefs = []
    return model_from_bytes(pack(table), f"{first.name} beside {second.name}")
