"""Write a model: tensors and operators one by one, without TensorFlow.

``Graph`` builds a model of one subgraph; :func:`pack` and :func:`unpack` turn the schema's own
objects (``ModelT``, whose fields are those of TFLite's ``schema.fbs``) into a file and back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from pytest_tflm.model.accessors import is_behind
from pytest_tflm.model.model import Model
from pytest_tflm.model.tensor import Operator, Tensor

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

TYPES = {
    "float32": schema.TensorType.FLOAT32,
    "int8": schema.TensorType.INT8,
    "uint8": schema.TensorType.UINT8,
    "int16": schema.TensorType.INT16,
    "int32": schema.TensorType.INT32,
    "int64": schema.TensorType.INT64,
    "bool": schema.TensorType.BOOL,
}


class Graph:
    """A model of one subgraph under construction: add tensors, add operators, ``finish()``.

    ``model`` is the schema's own object (``ModelT``), for tests that want to bend it first.
    """

    def __init__(self, description: str = "made by pytest-tflm") -> None:
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.description = description
        self.model.operatorCodes = []
        self.model.buffers = [schema.BufferT()]  # buffer 0 is empty by convention
        self.graph = schema.SubGraphT()
        self.graph.name = "main"
        self.graph.tensors, self.graph.operators = [], []
        self.model.subgraphs = [self.graph]
        self._names: list[str] = []

    def tensor(
        self,
        name: str,
        shape: Sequence[int],
        dtype: str,
        scale: float | Sequence[float] | None = None,
        zero_point: int = 0,
        data: ArrayLike | None = None,
        axis: int = 0,
    ) -> int:
        """Add a tensor, constant if it has ``data``; returns its index."""
        tensor = schema.TensorT()
        tensor.name, tensor.type, tensor.shape = name, TYPES[dtype], list(shape)
        tensor.buffer = 0
        tensor.hasRank = True
        if scale is not None:
            scales = [scale] if isinstance(scale, int | float) else list(scale)
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = [float(s) for s in scales]
            tensor.quantization.zeroPoint = [zero_point] * len(scales)
            tensor.quantization.quantizedDimension = axis
        if data is not None:
            buffer = schema.BufferT()
            raw = np.ascontiguousarray(data, np.dtype(dtype)).tobytes()
            buffer.data = np.frombuffer(raw, np.uint8)
            tensor.buffer = len(self.model.buffers)
            self.model.buffers.append(buffer)
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def operator(
        self,
        name: str,
        inputs: Sequence[int],
        outputs: Sequence[int],
        options: str | None = None,
        version: int = 1,
        **fields: Any,
    ) -> int:
        """Add an operator; ``options`` is the table's name, ``fields`` its fields as in ``…T``."""
        number = getattr(schema.BuiltinOperator, name)
        code = schema.OperatorCodeT()
        code.builtinCode, code.deprecatedBuiltinCode = number, min(number, 127)
        code.version = version
        self.model.operatorCodes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex = len(self.model.operatorCodes) - 1
        operator.inputs, operator.outputs = list(inputs), list(outputs)
        if options is not None:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, options)
            operator.builtinOptions = getattr(schema, f"{options}T")()
            for field, value in fields.items():
                assert hasattr(operator.builtinOptions, field), field
                setattr(operator.builtinOptions, field, value)
        self.graph.operators.append(operator)
        self._names.append(name)
        return len(self.graph.operators) - 1

    def finish(self, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        """The file."""
        self.graph.inputs, self.graph.outputs = list(inputs), list(outputs)
        return pack(self.model)

    def model_of(self, inputs: Sequence[int], outputs: Sequence[int], name: str) -> Model:
        """The same as ``model_from_bytes(self.finish(…))``, made of what was put in: verifying and
        reading a small file takes milliseconds."""
        data = self.finish(inputs, outputs)
        tensors = tuple(map(_tensor, range(len(self.graph.tensors)), self.graph.tensors))
        operators = (
            Operator(i, self._names[i], code.version, tuple(each.inputs), tuple(each.outputs))
            for i, (each, code) in enumerate(
                zip(self.graph.operators, self.model.operatorCodes, strict=True)
            )
        )
        return Model(
            name=name,
            path=None,
            data=data,
            inputs=tuple(tensors[i] for i in inputs),
            outputs=tuple(tensors[i] for i in outputs),
            operators=tuple(operators),
            tensors=tensors,
            operator_names=tuple(sorted(set(self._names))),
            description=self.model.description,
        )


_DTYPES = {number: name for name, number in TYPES.items()}


def _tensor(index: int, tensor: Any) -> Tensor:
    quantization, signature = tensor.quantization, tensor.shapeSignature
    scales = () if quantization is None else tuple(np.float32(quantization.scale).tolist())
    zero_points = () if quantization is None else tuple(quantization.zeroPoint)
    is_single = len(scales) == 1
    return Tensor(
        index=index,
        name=tensor.name,
        shape=tuple(tensor.shape),
        shape_signature=None if signature is None else tuple(signature),
        dtype=_DTYPES[tensor.type],
        scale=scales[0] if is_single else None,
        zero_point=zero_points[0] if is_single else None,
        scales=scales,
        zero_points=zero_points,
        quantized_dimension=quantization.quantizedDimension if scales else 0,
        is_variable=bool(tensor.isVariable),
        is_constant=bool(tensor.buffer),
    )


class _Builder(flatbuffers.Builder):  # type: ignore[misc]  # it has no types
    """Bytes begin at a multiple of 16, as ``force_align`` in schema.fbs has it for a buffer's data.

    Python's builder does not know of that, and kernels read such bytes as int32, int64 or float.
    """

    def StartVector(self, elemSize: int, numElems: int, alignment: int) -> int:  # noqa: N802, N803
        return int(super().StartVector(elemSize, numElems, 16 if elemSize == 1 else alignment))


def pack(model: Any) -> bytes:
    """A ``ModelT`` as the bytes of a .tflite file."""
    builder = _Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def unpack(data: bytes) -> Any:
    """The bytes of a .tflite file as a ``ModelT``, to bend and pack again.

    What lies behind the flatbuffer (data of buffers, custom options) is taken into it, for packing
    would move it. Lists that are not stored are empty.
    """
    model = schema.ModelT.InitFromPackedBuf(bytearray(data), 0)
    model.buffers = model.buffers or []
    model.operatorCodes = model.operatorCodes or []
    for buffer in model.buffers:
        take_in_buffer(buffer, data)
    for graph in model.subgraphs:
        graph.operators = graph.operators or []
        for operator in graph.operators:
            take_in_options(operator, data)
    return model


def take_in_buffer(buffer: Any, data: bytes) -> None:
    """Give a ``BufferT`` of the file ``data`` the bytes that lie behind the flatbuffer."""
    if is_behind(buffer.offset, buffer.size):
        buffer.data = np.frombuffer(data, np.uint8, buffer.size, buffer.offset)
    buffer.offset = buffer.size = 0


def take_in_options(operator: Any, data: bytes) -> None:
    """Give an ``OperatorT`` of the file ``data`` its custom options from behind the flatbuffer."""
    size = operator.largeCustomOptionsSize
    if size:
        offset = operator.largeCustomOptionsOffset
        operator.customOptions = np.frombuffer(data, np.uint8, size, offset)
    operator.largeCustomOptionsOffset = operator.largeCustomOptionsSize = 0
