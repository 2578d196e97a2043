"""Operators cut out as models: fed with what a whole run had, they give what it had."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from pytest_tflm.errors import CannotCut
from pytest_tflm.model import Model, model_from_bytes, open_model
from pytest_tflm.model.transform.cut import Cut, cut_operator, cut_operators
from pytest_tflm.runtime.interpreter import interpreter
from tests import model_builders as build
from tests.model import odd_models as odd
from tests.runtime import state_models

Arrays = tuple[np.ndarray[Any, Any], ...]
Run = Callable[..., list[Arrays]]
EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """Runs a model over samples in one process for all of them."""
    with interpreter("litert") as litert, interpreter("tflm") as tflm:

        def run(model: Model, *samples: Arrays, kind: str = "litert") -> list[Arrays]:
            return (litert if kind == "litert" else tflm).attempt(model, samples).outputs()

        yield run


def models() -> dict[str, Model]:
    found = {name: make() for name, make in (build.ALL | odd.ALL).items()}
    whole = {name: model_from_bytes(data, name) for name, data in found.items()}
    return whole | {path.name: open_model(path) for path in sorted(EXAMPLES.glob("*.tflite"))}


MODELS = models()


def sample(model: Model, seed: int) -> Arrays:
    rng = np.random.default_rng(seed)

    def one(tensor: Any) -> np.ndarray[Any, Any]:
        dtype = np.dtype(tensor.dtype)
        if dtype.kind == "f":
            return rng.normal(size=tensor.shape).astype(dtype)
        low, high = {"b": (0, 1), "i": (-128, 127)}[dtype.kind] if dtype.itemsize < 2 else (-4, 5)
        return rng.integers(low, high + 1, tensor.shape).astype(dtype)

    return tuple(one(tensor) for tensor in model.inputs)


def chained(
    model: Model, cuts: list[Cut], samples: list[Arrays], run: Run, kind: str
) -> list[Arrays]:
    """The model's outputs, computed cut by cut."""
    known = [dict(zip((t.index for t in model.inputs), arrays, strict=True)) for arrays in samples]
    for cut in cuts:
        feeds = [tuple(tensors[i] for i in cut.inputs) for tensors in known]
        for tensors, arrays in zip(known, run(cut.model, *feeds, kind=kind), strict=True):
            tensors.update(zip(cut.outputs, arrays, strict=True))
    return [tuple(tensors[t.index] for t in model.outputs) for tensors in known]


def real_shapes(model: Model, arrays: Arrays, run: Run) -> dict[int, tuple[int, ...]]:
    """The shape of every tensor in a run, learned cut by cut."""
    known = dict(zip((t.index for t in model.inputs), arrays, strict=True))
    for operator in model.operators:
        shapes = {i: known[i].shape for i in operator.inputs if i in known}
        cut = cut_operator(model, operator.index, shapes=shapes)
        (outputs,) = run(cut.model, tuple(known[i] for i in cut.inputs))
        known.update(zip(cut.outputs, outputs, strict=True))
    return {index: array.shape for index, array in known.items()}


def equal(a: list[Arrays], b: list[Arrays]) -> None:
    for left, right in zip(a, b, strict=True):
        for x, y in zip(left, right, strict=True):
            assert x.dtype == y.dtype
            np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_the_chain_of_all_cuts_is_the_model(run: Run, name: str) -> None:
    """Bit for bit, in LiteRT, and in TFLM where TFLM runs the model."""
    model = MODELS[name]
    samples = [sample(model, seed) for seed in range(3)]
    shapes = real_shapes(model, samples[0], run)
    cuts = [cut_operator(model, o.index, shapes=shapes) for o in model.operators]
    whole = run(model, *samples)
    equal(chained(model, cuts, samples, run, "litert"), whole)
    if name not in odd.NOT_IN_TFLM:
        equal(chained(model, cuts, samples, run, "tflm"), whole)


@pytest.mark.parametrize("length", [2, 7])
@pytest.mark.parametrize("name", ["tcn.tflite", "mixed", "many_outputs"])
def test_runs_of_neighbours_chain_too(run: Run, name: str, length: int) -> None:
    model = MODELS[name]
    samples = [sample(model, seed) for seed in range(2)]
    last = len(model.operators) - 1
    starts = range(0, last + 1, length)
    cuts = [cut_operators(model, k, min(k + length - 1, last)) for k in starts]
    assert [cut.operator.index for cut in cuts] == [min(k + length - 1, last) for k in starts]
    equal(chained(model, cuts, samples, run, "litert"), run(model, *samples))


def test_a_cut_of_all_operators_is_the_model(run: Run) -> None:
    model = MODELS["mixed"]
    cut = cut_operators(model, 0, len(model.operators) - 1)
    assert cut.inputs == tuple(t.index for t in model.inputs)
    assert set(cut.outputs) == {t.index for t in model.outputs}


def test_a_cut_has_what_the_operator_needs_and_no_more() -> None:
    model = MODELS["tcn.tflite"]
    cut = cut_operator(model, 6)
    assert cut.model.name == "tcn.tflite#6-CONV_2D"
    assert cut.operator is model.operators[6]
    assert (cut.inputs, cut.outputs) == ((48,), (49,))
    (operator,) = cut.model.operators
    assert (operator.name, operator.version) == ("CONV_2D", model.operators[6].version)
    for own, old in zip(operator.inputs, model.operators[6].inputs, strict=True):
        a, b = cut.model.tensors[own], model.tensors[old]
        assert (a.name, a.shape, a.dtype, a.scales, a.zero_points, a.is_constant) == (
            b.name, b.shape, b.dtype, b.scales, b.zero_points, b.is_constant,
        )  # fmt: skip
    parts = build.unpack(cut.model.data)
    assert (len(parts.buffers), len(parts.operatorCodes), len(parts.subgraphs)) == (3, 1, 1)
    assert not parts.metadata and not parts.signatureDefs
    assert cut.model.size < 3000


def test_stored_shapes_stay_unless_others_are_given() -> None:
    model = MODELS["tcn_dynamic.tflite"]
    cut = cut_operator(model, 5)
    assert cut.model.outputs[0].shape == (1, 502, 16)
    assert cut.model.outputs[0].shape_signature == (-1, 502, 16)
    cut = cut_operator(model, 5, shapes={67: (2, 502, 16), 5: (9, 9)})
    assert cut.model.outputs[0].shape == (2, 502, 16)
    assert cut.model.outputs[0].shape_signature is None
    assert cut.model.inputs[0].shape_signature == (-1, 1004, 16)
    constant = cut.model.operators[0].inputs[1]
    assert cut.model.tensors[constant].shape == (1,)


def test_what_tflm_gets_wrong_shows_in_one_operator(run: Run) -> None:
    """The TCN's SPACE_TO_BATCH_ND: wrong as stored, right with the shapes of the run."""
    model = MODELS["tcn_dynamic.tflite"]
    shapes = real_shapes(model, sample(model, 0), run)
    for index, same in ((5, False), (4, True)):
        stored, real = cut_operator(model, index), cut_operator(model, index, shapes=shapes)
        fed = sample(real.model, 3)
        (reference,) = run(real.model, fed)
        equal(run(real.model, fed, kind="tflm"), [reference])
        (got,) = run(stored.model, fed, kind="tflm")
        assert (got[0].shape == reference[0].shape) == same


def test_an_input_used_twice_is_one_input() -> None:
    cut = cut_operator(MODELS["chain"], 3)
    assert len(cut.inputs) == len(cut.model.inputs) == 1
    assert cut.model.operators[0].inputs == (0, 0)


def test_inputs_left_out_stay_so() -> None:
    model = model_from_bytes(build.fully_connected(bias=False))
    assert cut_operator(model, 0).model.operators[0].inputs[2] == -1


def test_several_outputs_also_those_that_nobody_uses() -> None:
    model = MODELS["many_outputs"]
    cut = cut_operator(model, 0)
    assert model.operators[0].name == "SPLIT" and len(cut.outputs) == 4
    used = {i for o in model.operators for i in o.inputs} | {t.index for t in model.outputs}
    assert not set(cut.outputs) <= used


@pytest.mark.parametrize(
    ("data", "variables", "writes"),
    [
        (state_models.svdf(), 1, True),
        (odd.lstm(), 2, True),
        (state_models.unwritten_variable(), 1, False),
    ],
    ids=["svdf", "lstm", "unwritten"],
)
def test_variables_begin_anew_and_keep_state(
    run: Run, data: bytes, variables: int, writes: bool
) -> None:
    """Inputs in a row: the cut's state goes where the model's goes."""
    model = model_from_bytes(data, "state")
    samples = [sample(model, seed) for seed in range(4)]
    cut = cut_operators(model, 0, len(model.operators) - 1)
    assert len(cut.inputs) == 1
    assert sum(tensor.is_variable for tensor in cut.model.tensors) == variables
    for kind in ("litert", "tflm"):
        found = run(cut.model, *samples, kind=kind)
        equal(found, run(model, *samples, kind=kind))
        backwards = run(cut.model, *reversed(samples), kind=kind)[::-1]
        pairs = zip(found, backwards, strict=True)
        assert any((a[0] != b[0]).any() for a, b in pairs) == writes


def test_an_lstm_keeps_its_intermediates_and_optional_inputs() -> None:
    model = MODELS["lstm"]
    cut = cut_operator(model, 0)
    assert cut.model.operators[0].inputs.count(-1) == 9
    old, new = (build.unpack(m.data).subgraphs[0] for m in (model, cut.model))
    names = [
        [graph.tensors[i].name for i in graph.operators[0].intermediates] for graph in (old, new)
    ]
    assert names[0] == names[1] and len(names[0]) == 5


def test_what_nobody_uses_is_an_output_of_a_run_too() -> None:
    model = MODELS["many_outputs"]
    split, concatenation = model.operators[:2]
    cut = cut_operators(model, 0, 1)
    # The first part is used inside alone; the last inside and outside; two by nobody.
    assert cut.outputs == (*split.outputs[1:], *concatenation.outputs)


def test_subgraphs_come_along() -> None:
    """Also those that a subgraph calls, under new numbers."""
    cut = cut_operator(MODELS["nested_if"], 1)
    assert cut.model.subgraph_count == 4 < MODELS["nested_if"].subgraph_count
    names = [graph.name for graph in build.unpack(cut.model.data).subgraphs]
    assert names[0] == b"main" and sorted(names[1:]) == [b"inner else", b"inner if", b"outer else"]


def test_data_behind_the_flatbuffer_comes_into_it(run: Run) -> None:
    data = odd.behind(build.conv_2d())
    model = model_from_bytes(data, "behind")
    cut = cut_operator(model, 0)
    assert all(not b.offset for b in build.unpack(cut.model.data).buffers)
    fed = sample(model, 1)
    equal(run(cut.model, fed), run(model_from_bytes(build.conv_2d()), fed))


def test_shared_buffers_are_shared() -> None:
    model = MODELS["shared_constant"]
    cut = cut_operators(model, 0, 1)
    tensors = build.unpack(cut.model.data).subgraphs[0].tensors
    assert len({t.buffer for t in tensors if t.buffer}) == 1
    assert sum(t.buffer > 0 for t in tensors) == 2


def test_custom_operators_and_their_options() -> None:
    for large in (False, True):
        model = model_from_bytes(odd.custom(large), "custom")
        cut = cut_operator(model, 1)
        assert cut.operator.name == cut.model.operators[0].name == "MyOwn"
        (operator,) = build.unpack(cut.model.data).subgraphs[0].operators
        assert bytes(operator.customOptions) == odd.CUSTOM_OPTIONS
        assert operator.largeCustomOptionsSize == 0


def test_intermediate_tensors_and_sparsity_come_along() -> None:
    def bend(model: Any) -> None:
        graph = model.subgraphs[0]
        graph.operators[0].intermediates = [len(graph.tensors)]
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.buffer = "hidden", [0], 0
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale, tensor.quantization.zeroPoint = [0.25], [7]
        graph.tensors.append(tensor)

    parts = build.unpack(build.fully_connected())
    bend(parts)
    model = model_from_bytes(build.pack(parts), "intermediate")
    graph = build.unpack(cut_operator(model, 0).model.data).subgraphs[0]
    (index,) = graph.operators[0].intermediates
    assert graph.tensors[index].name == b"hidden"
    assert graph.tensors[index].quantization.scale[0] == 0.25

    model = model_from_bytes(odd.sparse(), "sparse")
    graph = build.unpack(cut_operator(model, 0).model.data).subgraphs[0]
    (sparsity,) = [t.sparsity for t in graph.tensors if t.sparsity]
    assert list(sparsity.traversalOrder) == [0, 1]
    assert list(sparsity.dimMetadata[1].arrayIndices.values) == [0, 2, 1]


def test_bytes_of_a_buffer_are_aligned_as_the_schema_says() -> None:
    """force_align: 16. Kernels read them as int32, int64 or float."""
    for model in (MODELS["conv_2d"], MODELS["tcn.tflite"]):
        for k in range(len(model.operators)):
            data = cut_operator(model, k).model.data
            root = schema.Model.GetRootAs(data, 0)
            for i in range(root.BuffersLength()):
                if not root.Buffers(i).DataIsNone():
                    vector = root.Buffers(i)._tab.Vector(root.Buffers(i)._tab.Offset(4))
                    assert vector % 16 == 0


def test_what_a_cut_costs_does_not_grow_with_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many tables are read from a model of 60 operators and a megabyte as from a small one."""
    read: list[str] = []
    for name in ("ModelT", "SubGraphT", "TensorT", "BufferT", "OperatorT", "OperatorCodeT"):
        table = getattr(schema, name)
        original = table.InitFromObj

        def counting(part: Any, original: Any = original, name: str = name) -> Any:
            read.append(name)
            return original(part)

        monkeypatch.setattr(table, "InitFromObj", counting)
    counts = []
    for layers in (3, 60):
        model = model_from_bytes(odd.large(layers), "large")
        read.clear()
        cut_operator(model, 1)
        counts.append(sorted(read))
    assert model.size > 900_000
    assert counts[0] == counts[1] and len(counts[0]) < 10


@pytest.mark.parametrize(
    ("model", "index", "words"),
    [
        ("chain", 10, "chain has no operator 10: its operators are 0 to 9"),
        ("chain", -1, "chain has no operator -1"),
        ("running_sum", 0, "CALL_ONCE (operator 0 of running_sum) has no outputs"),
        ("running_sum", 1, "VAR_HANDLE (operator 1 of running_sum) uses a resource"),
        ("running_sum", 4, "ASSIGN_VARIABLE (operator 4 of running_sum) uses a resource"),
        ("empty", 0, "empty has no operators"),
    ],
)
def test_what_cannot_be_cut_is_named(model: str, index: int, words: str) -> None:
    made = {"running_sum": state_models.running_sum, "empty": odd.empty, "chain": build.chain}
    with pytest.raises(CannotCut) as caught:
        cut_operator(model_from_bytes(made[model](), model), index)
    assert words in str(caught.value)


def test_a_subgraph_that_works_on_a_shared_variable_cannot_be_cut() -> None:
    with pytest.raises(CannotCut, match="calls subgraph 1, which uses a variable"):
        cut_operator(model_from_bytes(odd.loop_with_variable(), "loop"), 0)


def test_the_order_of_a_run_is_checked() -> None:
    with pytest.raises(CannotCut, match="operators 3 to 2 of chain: invalid range"):
        cut_operators(MODELS["chain"], 3, 2)
