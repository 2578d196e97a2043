"""From verified bytes to a :class:`Model`, through the accessors that flatc generated."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_tflm.errors import DamagedModel, ModelTooNew, NotAModel
from pytest_tflm.model import accessors, dtypes, files
from pytest_tflm.model.model import Model, Operator, Tensor
from pytest_tflm.model.verify import flatbuffer as verify
from pytest_tflm.model.verify import structure as check

if TYPE_CHECKING:
    from pytest_tflm.model.verify.structure import Checked

AGAIN = "Copy, download or convert it again."


def read_model(data: bytes, name: str, path: Path | None) -> Model:
    """Verify ``data`` and read it. Raises NotAModel, DamagedModel or ModelTooNew."""
    files.check_identifier(data, name)
    try:
        verify.verify(data)
    except verify.MalformedFlatbuffer as error:
        raise DamagedModel(_say(error, name, len(data))) from None
    root = accessors.schema().Model.GetRootAs(data, 0)
    version = root.Version()
    if version > 3:
        raise ModelTooNew(
            f"{name} is a TFLite model of schema version {version}; this package reads 3.\n"
            "Look for a newer pytest-tflm, or convert the model with an older converter."
        )
    if version < 3:
        raise NotAModel(
            f"{name} says it is of TFLite schema version {version}; this package reads 3.\n"
            "Convert the model again."
        )
    try:
        checked = check.check(root, data)
    except check.Contradiction as error:
        raise DamagedModel(f"{name} is damaged: {error}.\n{AGAIN}") from None
    return _model(root, checked, data, name, path)


def _say(error: verify.MalformedFlatbuffer, name: str, size: int) -> str:
    """Cut short, or damaged? A file that lost its end needs more bytes, in a believable number; an
    offset that was overwritten leads anywhere in 4 GiB."""
    where = error.where or "the root table"
    if error.needed is not None and error.needed <= 16 * size + 65536:
        return (
            f"{name} is cut short: it has {size} bytes, and {where} ends at byte "
            f"{error.needed} or later.\n{AGAIN}"
        )
    return f"{name} is damaged: {where}: {error.reason}.\n{AGAIN}"


def text(value: bytes | None) -> str:
    """A flatbuffer's string, whatever bytes it holds."""
    return (value or b"").decode("utf-8", "replace")


def _model(root: Any, checked: Checked, data: bytes, name: str, path: Path | None) -> Model:
    graph = root.Subgraphs(0)
    constants = checked.constants[0]
    tensors = tuple(
        _tensor(graph.Tensors(i), i, i in constants) for i in range(graph.TensorsLength())
    )
    operators = []
    for i in range(graph.OperatorsLength()):
        operator = graph.Operators(i)
        code = root.OperatorCodes(operator.OpcodeIndex())
        number = check.builtin_code(code)
        custom = number == check.CUSTOM
        operators.append(
            Operator(
                i,
                text(code.CustomCode())
                if custom
                else check.builtin_names().get(number, f"OP_{number}"),
                code.Version(),
                tuple(check.ints(operator, "Inputs")),
                tuple(check.ints(operator, "Outputs")),
            )
        )
    return Model(
        name=Path(name).name or name,
        path=path,
        data=data,
        inputs=tuple(tensors[i] for i in check.ints(graph, "Inputs")),
        outputs=tuple(tensors[i] for i in check.ints(graph, "Outputs")),
        operators=tuple(operators),
        tensors=tensors,
        subgraph_count=root.SubgraphsLength(),
        description=text(root.Description()),
    )


def _tensor(tensor: Any, index: int, is_constant: bool) -> Tensor:
    quantization = tensor.Quantization()
    scales: tuple[float, ...] = ()
    zero_points: tuple[int, ...] = ()
    dimension = 0
    if quantization is not None and quantization.ScaleLength():
        scales = tuple(quantization.ScaleAsNumpy().tolist())
        zero_points = tuple(check.ints(quantization, "ZeroPoint"))
        # One zero point may stand for all channels: weights have 0 everywhere.
        zero_points *= len(scales) if len(zero_points) == 1 else 1
        dimension = quantization.QuantizedDimension()
    signature = None
    if not tensor.ShapeSignatureIsNone():
        signature = tuple(check.ints(tensor, "ShapeSignature"))
    per_tensor = len(scales) == 1
    return Tensor(
        index=index,
        name=text(tensor.Name()),
        shape=tuple(check.ints(tensor, "Shape")),
        shape_signature=signature,
        dtype=dtypes.DTYPES[tensor.Type()].name,
        scale=scales[0] if per_tensor else None,
        zero_point=zero_points[0] if per_tensor else None,
        scales=scales,
        zero_points=zero_points,
        quantized_dimension=dimension,
        is_variable=bool(tensor.IsVariable()),
        is_constant=is_constant,
    )
