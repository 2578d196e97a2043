"""Write a dilated convolution that is three operators as one, with a dilation factor.

Why: TFLM trusts the stored batch of what SPACE_TO_BATCH_ND gives, which is wrong where the batch
size was unknown (:mod:`.freeze`), and its SPACE_TO_BATCH_ND pads with whatever the memory holds
(tensorflow/tflite-micro#1646). TFLM's convolutions have dilation factors, and less to do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_tflm.model.accessors import builtin_names, schema
from pytest_tflm.model.dtypes import DTYPES
from pytest_tflm.model.graph import pack, unpack
from pytest_tflm.model.transform.dilation import Chain, NotFoldable, find_chains
from pytest_tflm.model.transform.prune import prune

if TYPE_CHECKING:
    from pytest_tflm.model.model import Model

    Shapes = Mapping[int, tuple[int, ...]]

# The version that a kernel's int8, int16 form has (tensorflow/lite/tools/versioning/op_version.cc).
_VERSIONS = {"PAD": {"int8": 2, "int16": 3}, "SLICE": {"int8": 2, "int16": 4}}


@dataclass(frozen=True)
class Folded:
    """``data`` is the new model, None if nothing could be folded. ``chains`` are what was replaced,
    by the indices of the old model; ``left`` what was not, and why."""

    data: bytes | None
    chains: tuple[Chain, ...]
    left: tuple[NotFoldable, ...]


def fold_dilation(model: Model, shapes: Shapes | None = None) -> Folded:
    """Fold every dilated convolution of subgraph 0 that can be folded.

    ``shapes`` gives the shapes of a run, by tensor, where the stored ones are wrong. Shape
    signatures stay: what had an unknown batch size still has it.
    """
    chains, left = find_chains(model, shapes)
    if not chains:
        return Folded(None, chains, left)
    folder = _Folder(model, shapes or {})
    for chain in chains:
        folder.fold(chain)
    return Folded(folder.finish(), chains, left)


class _Folder:
    def __init__(self, model: Model, shapes: Shapes) -> None:
        self.model = model
        self.shapes = shapes
        self.schema = schema()
        self.parts = unpack(model.data)
        self.graph = self.parts.subgraphs[0]
        # What stands in an operator's place; an operator that is not in it stays.
        self.instead: dict[int, list[Any]] = {}

    def finish(self) -> bytes:
        operators = []
        for index, operator in enumerate(self.graph.operators):
            operators += self.instead.get(index, [operator])
        self.graph.operators = operators
        prune(self.parts)
        return pack(self.parts)

    def fold(self, chain: Chain) -> None:
        axes = (chain.height, chain.width)
        self.instead[chain.space_to_batch] = []
        self.instead[chain.batch_to_space] = []
        convolution = self.graph.operators[chain.convolution]
        options = convolution.builtinOptions
        options.dilationHFactor, options.dilationWFactor = (axis.dilation for axis in axes)
        is_same = chain.padding == "SAME"
        options.padding = self.schema.Padding.SAME if is_same else self.schema.Padding.VALID
        source = self._with_borders(chain) if chain.padding == "explicit" else chain.source
        if self._name(convolution) == "DEPTHWISE_CONV_2D":
            self._raise_version(convolution, 2)  # the first that has dilation
        if chain.expand is None or chain.squeeze is None:
            self._connect(convolution, source, chain.target)
            return
        expand, squeeze = (self.graph.operators[i] for i in (chain.expand, chain.squeeze))
        middle, dense = int(expand.outputs[0]), int(convolution.outputs[0])
        at = 1 if chain.places[0] is None else 2
        self._add_axis(middle, source, at)
        self._add_axis(dense, chain.target, at)
        self._connect(expand, source)
        self._connect(convolution, middle)
        self._connect(squeeze, dense, chain.target)
        for operator in (expand, squeeze):
            name = self._name(operator)
            if name == "RESHAPE":
                self._reshape_to_output(operator)
            elif name == "SQUEEZE":
                operator.builtinOptions.squeezeDims = [at]
            else:
                axis = self.model.constant(int(operator.inputs[1]))
                if axis is None or axis.item() % 4 != at:
                    operator.inputs = [source, self._int32(at, "axis")]

    def _with_borders(self, chain: Chain) -> int:
        """The source with explicit padding, or cropped: a SLICE, a PAD or both."""
        source = chain.source
        shape = self._shape(source)
        begin, end = [0] * len(shape), [0] * len(shape)
        for place, axis in zip(chain.places, (chain.height, chain.width), strict=True):
            if place is not None:
                begin[place], end[place] = axis.before, axis.after
        added = []
        if min(*begin, *end) < 0:
            cut = [(max(-b, 0), max(-e, 0)) for b, e in zip(begin, end, strict=True)]
            size = [n - b - e if b or e else -1 for n, (b, e) in zip(shape, cut, strict=True)]
            sizes = [n - b - e for n, (b, e) in zip(shape, cut, strict=True)]
            result = self._like(source, sizes, "cropped")
            starts = self._int32([b for b, _ in cut], "crop_begin")
            added.append(
                self._operator("SLICE", (source, starts, self._int32(size, "crop_size")), result)
            )
            source, shape = result, tuple(sizes)
        if max(*begin, *end) > 0:
            pads = [(max(b, 0), max(e, 0)) for b, e in zip(begin, end, strict=True)]
            sizes = [n + b + e for n, (b, e) in zip(shape, pads, strict=True)]
            result = self._like(source, sizes, "padded")
            # PAD pads a quantised tensor with its zero point, as a convolution's padding does.
            added.append(self._operator("PAD", (source, self._int32(pads, "paddings")), result))
            source = result
        self.instead[chain.space_to_batch] = added
        return source

    def _shape(self, index: int) -> tuple[int, ...]:
        """The real shape of a tensor of the old model."""
        return tuple(self.shapes.get(index, self.model.tensors[index].shape))

    def _connect(self, operator: Any, source: int, target: int | None = None) -> None:
        operator.inputs = [source, *(int(i) for i in operator.inputs[1:])]
        if target is not None:
            operator.outputs = [target]

    def _add_axis(self, index: int, given: int, at: int) -> None:
        """Give tensor ``index`` the shape of ``given`` with an axis of 1 more. The convolution's
        own number of channels is already the last of ``given``."""
        tensor, like = self.graph.tensors[index], self.graph.tensors[given]
        shape = list(like.shape)
        if given < len(self.model.tensors):
            shape = list(self._shape(given))
        tensor.shape = [*shape[:at], 1, *shape[at:]]
        signature = like.shapeSignature
        if signature is not None and len(signature):
            signature = [int(i) for i in signature]
            tensor.shapeSignature = [*signature[:at], 1, *signature[at:]]
        else:
            tensor.shapeSignature = None

    def _reshape_to_output(self, operator: Any) -> None:
        tensor = self.graph.tensors[int(operator.outputs[0])]
        signature = tensor.shapeSignature
        sizes = tensor.shape if signature is None or not len(signature) else signature
        sizes = [int(i) for i in sizes]
        if operator.builtinOptions is not None:
            operator.builtinOptions.newShape = sizes
        operator.inputs = [int(operator.inputs[0]), self._int32(sizes, "new_shape")]

    def _like(self, index: int, shape: Sequence[int], suffix: str) -> int:
        """A tensor of the same type and quantisation, of another shape."""
        old = self.graph.tensors[index]
        tensor = self.schema.TensorT()
        name = old.name.decode("utf-8", "replace") if isinstance(old.name, bytes) else old.name
        tensor.name = f"{name}/{suffix}"
        tensor.type, tensor.quantization, tensor.hasRank = old.type, old.quantization, old.hasRank
        tensor.shape, tensor.buffer = list(shape), 0
        signature = old.shapeSignature
        if signature is not None and len(signature):
            pairs = zip(signature, shape, strict=True)
            tensor.shapeSignature = [-1 if known == -1 else n for known, n in pairs]
        return self._append(tensor)

    def _int32(self, values: Any, name: str) -> int:
        array = np.asarray(values, np.int32)
        buffer = self.schema.BufferT()
        buffer.data = np.frombuffer(array.tobytes(), np.uint8)
        tensor = self.schema.TensorT()
        tensor.name, tensor.type, tensor.shape = name, self.schema.TensorType.INT32, array.shape
        tensor.hasRank = True
        tensor.buffer = len(self.parts.buffers)
        self.parts.buffers.append(buffer)
        return self._append(tensor)

    def _append(self, tensor: Any) -> int:
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def _operator(self, name: str, inputs: Sequence[int], output: int) -> Any:
        dtype = DTYPES[self.graph.tensors[inputs[0]].type].name
        operator = self.schema.OperatorT()
        operator.inputs, operator.outputs = list(inputs), [output]
        table = f"{name.title()}Options"
        operator.builtinOptionsType = getattr(self.schema.BuiltinOptions, table)
        operator.builtinOptions = getattr(self.schema, f"{table}T")()
        number = getattr(self.schema.BuiltinOperator, name)
        operator.opcodeIndex = self._code(number, _VERSIONS[name].get(dtype, 1))
        return operator

    def _name(self, operator: Any) -> str:
        code = self.parts.operatorCodes[operator.opcodeIndex]
        return builtin_names().get(_number(code), "")

    def _raise_version(self, operator: Any, least: int) -> None:
        code = self.parts.operatorCodes[operator.opcodeIndex]
        if code.version < least:
            operator.opcodeIndex = self._code(_number(code), least)

    def _code(self, number: int, version: int) -> int:
        for index, code in enumerate(self.parts.operatorCodes):
            if (_number(code), code.version) == (number, version):
                return index
        code = self.schema.OperatorCodeT()
        code.builtinCode, code.deprecatedBuiltinCode = number, min(number, 127)
        code.version = version
        self.parts.operatorCodes.append(code)
        return len(self.parts.operatorCodes) - 1


def _number(code: Any) -> int:
    """An ``OperatorCodeT``'s operator: see :func:`pytest_tflm.model.accessors.builtin_code`."""
    return max(int(code.builtinCode), int(code.deprecatedBuiltinCode))
