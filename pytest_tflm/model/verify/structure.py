"""Does a verified flatbuffer make sense as a model?

The verifier proves that every offset stays inside the file. Native code goes on to use numbers as
indices and shapes as sizes, and TFLM does so without looking: a tensor index of 1000 in a model of
ten tensors is a read beyond its arena. What can be known without running a kernel is checked here:
indices, sizes, the order of subgraphs. TFLite's own list is tensorflow/lite/core/tools/verifier.cc;
where TFLM is looser than that list and runs the model safely, so is this.

What kernels compute from constants (an axis, a permutation, a stride) is not checked. For that, an
interpreter runs in a process of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pytest_tflm.model.accessors import (
    CUSTOM,
    builtin_code,
    builtin_names,
    ints,
    is_behind,
    schema,
)
from pytest_tflm.model.verify.kernels import check_kernel
from pytest_tflm.model.verify.tensors import (
    MAX_BYTES,
    Contradiction,
    check_tensor,
    label,
    stored_bytes,
)

# Where an operator's options name subgraphs: by member of BuiltinOptions / BuiltinOptions2.
SUBGRAPH_FIELDS = {
    "CallOptions": ("Subgraph",),
    "IfOptions": ("ThenSubgraphIndex", "ElseSubgraphIndex"),
    "WhileOptions": ("CondSubgraphIndex", "BodySubgraphIndex"),
    "CallOnceOptions": ("InitSubgraphIndex",),
    "StablehloWhileOptions": ("CondSubgraphIndex", "BodySubgraphIndex"),
    "StablehloReduceOptions": ("BodySubgraphIndex",),
    "StablehloReduceWindowOptions": ("BodySubgraphIndex",),
    "StablehloScatterOptions": ("UpdateComputationSubgraphIndex",),
    "StablehloSortOptions": ("ComparatorSubgraphIndex",),
    "StableHLOCompositeOptions": ("DecompositionSubgraphIndex",),
}
# TFLM reads these operators' options without asking whether they are there.
_NEEDS_OPTIONS = {
    31: "CallOptions",  # by the number in BuiltinOperator
    118: "IfOptions",
    119: "WhileOptions",
    129: "CallOnceOptions",
}
# A subgraph that is called is planned (and run) once for each call: this many is not a model.
_MAX_CALLS = 100_000
OFFLINE_PLAN = b"OfflineMemoryAllocation"


def check(root: Any, data: bytes) -> list[set[int]]:
    """Check a model's meaning. ``root`` is a schema ``Model`` over verified ``data``.

    Returns the indices of the constant tensors of each subgraph. Raises :class:`Contradiction`,
    whose text says what contradicts what.
    """
    graphs = root.SubgraphsLength()
    if not graphs:
        raise Contradiction("it has no subgraph")
    _check_operator_codes(root)
    _check_buffers(root, data)
    constants = [_check_graph(root, number, data) for number in range(graphs)]
    calls = [_check_operators(root, number, constants[number]) for number in range(graphs)]
    if not root.Subgraphs(0).OutputsLength():
        raise Contradiction("it has no outputs")
    _check_calls(calls)
    _check_metadata(root)
    _check_signatures(root)
    return constants


def _where(root: Any, number: int) -> str:
    return "" if root.SubgraphsLength() == 1 else f"subgraph {number}: "


def _check_graph(root: Any, number: int, data: bytes) -> set[int]:
    """Tensors, inputs and outputs of a subgraph; returns which tensors are constants."""
    graph, where = root.Subgraphs(number), _where(root, number)
    if graph.TensorsIsNone() or graph.InputsIsNone() or graph.OutputsIsNone():
        raise Contradiction(f"{where}the list of tensors, inputs or outputs is missing")
    constants = set()
    for index in range(graph.TensorsLength()):
        tensor = graph.Tensors(index)
        if check_tensor(root, graph, tensor, f"{where}{label(tensor, index)}", data):
            constants.add(index)
    _check_indices(graph, "input", ints(graph, "Inputs"), where)
    _check_indices(graph, "output", ints(graph, "Outputs"), where)
    return constants


def _check_operators(root: Any, number: int, constants: set[int]) -> list[int]:
    """The operators of a subgraph, when all tensors of all subgraphs have been checked; returns
    the subgraphs that they call."""
    graph, where = root.Subgraphs(number), _where(root, number)
    calls: list[int] = []
    for index in range(graph.OperatorsLength()):
        operator = graph.Operators(index)
        calls += _check_operator(root, graph, operator, constants, f"{where}operator {index}")
    return calls


def _check_operator_codes(root: Any) -> None:
    for index in range(root.OperatorCodesLength()):
        code = root.OperatorCodes(index)
        number = builtin_code(code)
        if number < 0:
            raise Contradiction(f"operator code {index} is {number}")
        if number == CUSTOM and not code.CustomCode():
            raise Contradiction(f"operator code {index} is a custom operator without a name")


def _check_indices(
    graph: Any, what: str, indices: list[int], where: str, *, optional: bool = False
) -> None:
    count = graph.TensorsLength()
    for position, index in enumerate(indices):
        if not 0 <= index < count and not (optional and index == -1):
            raise Contradiction(
                f"{where}{what} {position} refers to tensor {index}, but there are {count} tensors"
            )


def _check_operator(
    root: Any, graph: Any, operator: Any, constants: set[int], where: str
) -> list[int]:
    """Returns the subgraphs that the operator calls."""
    code_index = operator.OpcodeIndex()
    if code_index >= root.OperatorCodesLength():
        raise Contradiction(
            f"{where} refers to operator code {code_index}, but there are"
            f" {root.OperatorCodesLength()}"
        )
    if operator.InputsIsNone() or operator.OutputsIsNone():
        raise Contradiction(f"{where} has no list of inputs or of outputs")
    where += ": "
    # -1 is an input that is left out. TFLM has no such thing for outputs.
    _check_indices(graph, "input", ints(operator, "Inputs"), where, optional=True)
    _check_indices(graph, "output", ints(operator, "Outputs"), where)
    _check_indices(graph, "intermediate tensor", ints(operator, "Intermediates"), where)
    written = constants.intersection(ints(operator, "Outputs"))
    if written:
        raise Contradiction(f"{where}output tensor {min(written)} is a constant")
    name = builtin_names().get(builtin_code(root.OperatorCodes(code_index)), "")
    check_kernel(graph, operator, name, where)
    size = operator.LargeCustomOptionsSize()
    if size and operator.LargeCustomOptionsOffset() + size > len(root._tab.Bytes):
        raise Contradiction(f"{where}its custom options end beyond the end of the file")
    return list(_called(root, graph, operator, where))


def _called(root: Any, graph: Any, operator: Any, where: str) -> Iterator[int]:
    code = root.OperatorCodes(operator.OpcodeIndex())
    found = set()
    for options, name in _options(operator):
        found.add(name)
        for accessor in SUBGRAPH_FIELDS.get(name, ()):
            index = getattr(options, accessor)()
            if not 0 <= index < root.SubgraphsLength():
                raise Contradiction(
                    f"{where}{name} refers to subgraph {index}, but there are"
                    f" {root.SubgraphsLength()}"
                )
            _check_handover(root, graph, operator, name, accessor, int(index), where)
            yield int(index)
        if name == "StablehloCaseOptions":
            for index in ints(options, "BranchSubgraphIndices"):
                if not 0 <= index < root.SubgraphsLength():
                    raise Contradiction(f"{where}{name} names subgraph {index}")
                yield index
    # TFLM asks for both fields of the operator code, in different places.
    for number in {builtin_code(code), int(code.BuiltinCode())}:
        if number in _NEEDS_OPTIONS and _NEEDS_OPTIONS[number] not in found:
            raise Contradiction(f"{where}its {_NEEDS_OPTIONS[number]} are missing")


def _options(operator: Any) -> Iterator[tuple[Any, str]]:
    """The options that may name subgraphs, as (accessor, member of the union)."""
    module = schema()
    for table, number, union in (
        (operator.BuiltinOptions(), operator.BuiltinOptionsType(), module.BuiltinOptions),
        (operator.BuiltinOptions2(), operator.BuiltinOptions2Type(), module.BuiltinOptions2),
    ):
        for name in (*SUBGRAPH_FIELDS, "StablehloCaseOptions"):
            if table is not None and number == getattr(union, name, -1):
                options = getattr(module, name)()
                options.Init(table.Bytes, table.Pos)
                yield options, name


def _check_handover(
    root: Any, graph: Any, operator: Any, name: str, accessor: str, index: int, where: str
) -> None:
    """TFLM copies an operator's inputs into the subgraph's, and its outputs back, by the size of
    the source: the target must be as large (CopyOpInputsToSubgraphInputs and the like in
    micro_graph.cc and micro_common.cc)."""
    called = root.Subgraphs(index)
    own_inputs, own_outputs = ints(operator, "Inputs"), ints(operator, "Outputs")
    inputs, outputs = ints(called, "Inputs"), ints(called, "Outputs")
    pairs = []  # (size of the source, size of the target)
    if name == "IfOptions":
        pairs.append((graph, own_inputs[1:], called, inputs))
        pairs.append((called, outputs, graph, own_outputs))
    elif name == "WhileOptions":
        pairs.append((graph, own_inputs, called, inputs))
        if accessor == "BodySubgraphIndex":
            pairs.append((called, outputs, called, inputs))
            pairs.append((called, outputs, graph, own_outputs))
    for source, sources, target, targets in pairs:
        for a, b in zip(sources, targets, strict=False):
            if not (0 <= a < source.TensorsLength() and 0 <= b < target.TensorsLength()):
                continue  # reported, or an input left out
            if _nbytes(source, a) > _nbytes(target, b):
                raise Contradiction(
                    f"{where}a tensor of {_nbytes(source, a)} bytes is passed to or from subgraph "
                    f"{index} as one of {_nbytes(target, b)}"
                )


def _nbytes(graph: Any, index: int) -> int:
    return stored_bytes(graph.Tensors(index))


def _check_calls(calls: list[list[int]]) -> None:
    """No subgraph calls itself, even by way of others: planning its memory would not end.

    Counts how often each subgraph is reached; iterative, for a chain may be long.
    """
    waiting = [0] * len(calls)
    for targets in calls:
        for target in targets:
            waiting[target] += 1
    ready = [i for i, count in enumerate(waiting) if not count]
    times = [1] * len(calls)
    done = 0
    while ready:
        current = ready.pop()
        done += 1
        for target in calls[current]:
            times[target] += times[current]
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
        if times[current] > _MAX_CALLS:
            raise Contradiction(f"subgraph {current} is called more than {_MAX_CALLS} times")
    if done < len(calls):
        cycle = next(i for i, count in enumerate(waiting) if count)
        raise Contradiction(f"subgraph {cycle} calls itself, directly or through others")


def _check_buffers(root: Any, data: bytes) -> None:
    """Those of no tensor too: whoever writes the model anew takes them all in."""
    for index in range(root.BuffersLength()):
        buffer = root.Buffers(index)
        offset, size = buffer.Offset(), buffer.Size()
        if is_behind(offset, size) and offset + size > len(data):
            raise Contradiction(
                f"buffer {index} ends at byte {offset + size}, the file at {len(data)}: cut short"
            )


def _check_metadata(root: Any) -> None:
    for index in range(root.MetadataLength()):
        entry = root.Metadata(index)
        name = entry.Name()
        if name is None:
            raise Contradiction(f"metadata entry {index} has no name")
        if entry.Buffer() >= root.BuffersLength():
            raise Contradiction(
                f"metadata entry {index} refers to buffer {entry.Buffer()}, but there are"
                f" {root.BuffersLength()} buffers"
            )
        if name == OFFLINE_PLAN:
            _check_offline_plan(root, root.Buffers(entry.Buffer()))


def _check_offline_plan(root: Any, buffer: Any) -> None:
    """Metadata that tells TFLM where in the arena each tensor goes: version, subgraph, number of
    tensors, then an offset for each, -1 for "wherever" (GetOfflinePlannedOffsets in
    micro_allocation_info.cc, which believes all of it)."""
    plan = b"" if buffer.DataIsNone() else buffer.DataAsNumpy().tobytes()
    if len(plan) < 12:
        raise Contradiction("its offline memory plan is cut short")
    count = int.from_bytes(plan[8:12], "little")
    tensors = sum(root.Subgraphs(i).TensorsLength() for i in range(root.SubgraphsLength()))
    if count != tensors or len(plan) < 12 + 4 * count:
        raise Contradiction(
            f"its offline memory plan is for {count} tensors, but there are {tensors}"
        )
    sizes = [
        _nbytes(root.Subgraphs(i), j)
        for i in range(root.SubgraphsLength())
        for j in range(root.Subgraphs(i).TensorsLength())
    ]
    for index, size in enumerate(sizes):
        offset = int.from_bytes(plan[12 + 4 * index : 16 + 4 * index], "little", signed=True)
        if offset < -1 or offset + size > MAX_BYTES:
            raise Contradiction(f"its offline memory plan puts tensor {index} at byte {offset}")


def _check_signatures(root: Any) -> None:
    for index in range(root.SignatureDefsLength()):
        signature = root.SignatureDefs(index)
        if signature.SignatureKey() is None:
            raise Contradiction(f"signature {index} has no name")
        graph_index = signature.SubgraphIndex()
        if graph_index >= root.SubgraphsLength():
            raise Contradiction(
                f"signature {index} is for subgraph {graph_index}, which is missing"
            )
        count = root.Subgraphs(graph_index).TensorsLength()
        entries = [signature.Inputs(i) for i in range(signature.InputsLength())]
        entries += [signature.Outputs(i) for i in range(signature.OutputsLength())]
        for entry in entries:
            if entry.Name() is None:
                raise Contradiction(f"signature {index} has a tensor without a name")
            if entry.TensorIndex() >= count:
                raise Contradiction(
                    f"signature {index} refers to tensor {entry.TensorIndex()}, but there are"
                    f" {count}"
                )
