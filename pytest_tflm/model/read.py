"""From the bytes of a file to what a model is made of."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from pytest_tflm.errors import DamagedModel, ModelTooNew, NotAModel
from pytest_tflm.model.accessors import ints, operator_name, root_of, text
from pytest_tflm.model.dtypes import DTYPES
from pytest_tflm.model.files import check_identifier
from pytest_tflm.model.tensor import Operator, Tensor
from pytest_tflm.model.verify.flatbuffer import MalformedFlatbuffer, verify
from pytest_tflm.model.verify.structure import check
from pytest_tflm.model.verify.tensors import Contradiction

_AGAIN = "Copy, download or convert it again."


@dataclass(frozen=True, eq=False, kw_only=True)
class Contents:
    """What a .tflite file holds.

    ``inputs``, ``outputs``, ``operators`` and ``tensors`` are those of subgraph 0, which is what a
    runtime invokes. ``operator_names`` are those of all subgraphs, sorted, each once.
    ``has_hidden_variables``: it has variables that are no tensors of subgraph 0, namely resource
    variables (VAR_HANDLE) or variable tensors of other subgraphs.
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    operators: tuple[Operator, ...] = field(repr=False)
    tensors: tuple[Tensor, ...] = field(repr=False)
    operator_names: tuple[str, ...] = field(default=(), repr=False)
    has_hidden_variables: bool = field(default=False, repr=False)
    subgraph_count: int = 1
    description: str = ""


def read_model(data: bytes, name: str) -> Contents:
    """Verify ``data`` and read it. ``name`` is what messages call it.

    Raises NotAModel, DamagedModel or ModelTooNew.
    """
    check_identifier(data, name)
    try:
        verify(data)
    except MalformedFlatbuffer as error:
        raise DamagedModel(_say(error, name, len(data))) from None
    root = root_of(data)
    version = root.Version()
    if version > 3:
        raise ModelTooNew(
            f"{name} is a TFLite model of schema version {version}; this package reads 3.\n"
            "Look for a newer pytest-tflm, or convert the model with an older converter."
        )
    if version < 3:
        raise NotAModel(
            f"{name} claims TFLite schema version {version}; this package reads 3.\n"
            "Convert the model again."
        )
    try:
        constants = check(root, data)
    except Contradiction as error:
        raise DamagedModel(f"{name} is damaged: {error}.\n{_AGAIN}") from None
    return _contents(root, constants[0])


def _say(error: MalformedFlatbuffer, name: str, size: int) -> str:
    """Cut short, or damaged? A file that lost its end needs more bytes, in a believable number; an
    offset that was overwritten leads anywhere in 4 GiB."""
    where = error.where or "the root table"
    if error.needed is not None and error.needed <= 16 * size + 65536:
        return (
            f"{name} is cut short: it has {size} bytes, and {where} ends at byte "
            f"{error.needed} or later.\n{_AGAIN}"
        )
    return f"{name} is damaged: {where}: {error.reason}.\n{_AGAIN}"


def _contents(root: Any, constants: set[int]) -> Contents:
    names = [operator_name(root.OperatorCodes(i)) for i in range(root.OperatorCodesLength())]
    graphs = [root.Subgraphs(i) for i in range(root.SubgraphsLength())]
    main = graphs[0]
    used = {
        names[graph.Operators(i).OpcodeIndex()]
        for graph in graphs
        for i in range(graph.OperatorsLength())
    }
    tensors = tuple(
        _tensor(main.Tensors(i), i, i in constants) for i in range(main.TensorsLength())
    )
    operators = tuple(
        _operator(main.Operators(i), i, root, names) for i in range(main.OperatorsLength())
    )
    tensors = _with_steps(tensors, operators)
    return Contents(
        inputs=tuple(tensors[i] for i in ints(main, "Inputs")),
        outputs=tuple(tensors[i] for i in ints(main, "Outputs")),
        operators=operators,
        tensors=tensors,
        operator_names=tuple(sorted(used)),
        has_hidden_variables="VAR_HANDLE" in used
        or any(
            graph.Tensors(i).IsVariable()
            for graph in graphs[1:]
            for i in range(graph.TensorsLength())
        ),
        subgraph_count=len(graphs),
        description=text(root.Description()),
    )


def _operator(operator: Any, index: int, root: Any, names: list[str]) -> Operator:
    number = operator.OpcodeIndex()
    return Operator(
        index,
        names[number],
        root.OperatorCodes(number).Version(),
        tuple(ints(operator, "Inputs")),
        tuple(ints(operator, "Outputs")),
    )


def _tensor(tensor: Any, index: int, is_constant: bool) -> Tensor:
    quantization = tensor.Quantization()
    scales: tuple[float, ...] = ()
    zero_points: tuple[int, ...] = ()
    dimension = 0
    if quantization is not None and quantization.ScaleLength():
        scales = tuple(quantization.ScaleAsNumpy().tolist())
        zero_points = tuple(ints(quantization, "ZeroPoint"))
        # One zero point may stand for all channels: weights have 0 everywhere.
        zero_points *= len(scales) if len(zero_points) == 1 else 1
        dimension = quantization.QuantizedDimension()
    signature = None
    if not tensor.ShapeSignatureIsNone():
        signature = tuple(ints(tensor, "ShapeSignature"))
    per_tensor = len(scales) == 1
    return Tensor(
        index=index,
        name=text(tensor.Name()),
        shape=tuple(ints(tensor, "Shape")),
        shape_signature=signature,
        dtype=DTYPES[tensor.Type()].name,
        scale=scales[0] if per_tensor else None,
        zero_point=zero_points[0] if per_tensor else None,
        scales=scales,
        zero_points=zero_points,
        quantized_dimension=dimension,
        is_variable=bool(tensor.IsVariable()),
        is_constant=is_constant,
        is_sparse=is_constant and tensor.Sparsity() is not None,
    )


def _with_steps(tensors: tuple[Tensor, ...], operators: tuple[Operator, ...]) -> tuple[Tensor, ...]:
    """The float tensors that DEQUANTIZE makes of quantised codes know how large one LSB is."""
    steps = {
        operator.outputs[0]: tensors[operator.inputs[0]].scale
        for operator in operators
        if operator.name == "DEQUANTIZE"
        and operator.outputs
        and min(operator.inputs, default=-1) >= 0
    }
    return tuple(
        replace(tensor, step=steps[tensor.index]) if steps.get(tensor.index) else tensor
        for tensor in tensors
    )
