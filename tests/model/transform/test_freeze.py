"""The shapes of a run, written into a model."""

from __future__ import annotations

from pytest_tflm.model import model_from_bytes, open_model
from pytest_tflm.model.transform.freeze import dynamic_tensors, freeze, wrong_shapes
from tests import model_builders as build
from tests.model.dilated import Dilated, dilated


def test_the_wrong_shapes_are_found_in_the_order_of_the_run(tcn_dynamic) -> None:
    model = open_model(tcn_dynamic)
    shapes = {75: (4, 252, 16), 67: (2, 502, 16), 66: (1, 1004, 16), 5: (7,)}
    first, second = wrong_shapes(model, shapes)
    assert (first.tensor, first.operator) == (67, 5)
    assert (first.stored, first.real) == ((1, 502, 16), (2, 502, 16))
    assert (second.tensor, second.operator) == (75, 13)


def test_an_input_may_be_wrong_too(tcn_dynamic) -> None:
    (wrong,) = wrong_shapes(open_model(tcn_dynamic), {0: (3, 1000, 1)})
    assert wrong.operator is None


def test_frozen() -> None:
    model = model_from_bytes(dilated(Dilated(size=(8, 6), dynamic=True)))
    batches = model.operators[0].outputs[0]
    assert dynamic_tensors(model)
    frozen = model_from_bytes(freeze(model, {batches: (4, 4, 3, 3)}))
    assert frozen.tensors[batches].shape == (4, 4, 3, 3)
    assert all(tensor.shape_signature is None for tensor in frozen.tensors)
    for old, new in zip(model.tensors, frozen.tensors, strict=True):
        assert (old.name, old.dtype, old.scales) == (new.name, new.dtype, new.scales)
        assert new.shape == old.shape or new.index == batches
    assert frozen.operators == model.operators


def test_constants_keep_their_shapes() -> None:
    model = model_from_bytes(build.conv_2d())
    frozen = model_from_bytes(freeze(model, {t.index: (1, 1, 1, 1) for t in model.tensors}))
    for old, new in zip(model.tensors, frozen.tensors, strict=True):
        assert new.shape == (old.shape if old.is_constant else (1, 1, 1, 1))


def test_a_memory_plan_for_the_old_shapes_is_dropped_and_other_metadata_stays() -> None:
    parts = build.unpack(build.chain(2))
    schema = build.schema
    parts.metadata = []
    for name, content in (
        ("OfflineMemoryAllocation", bytes([1, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0]) + b"\xff" * 12),
        ("min_runtime_version", b"1.14.0"),
    ):
        entry, buffer = schema.MetadataT(), schema.BufferT()
        entry.name, entry.buffer = name, len(parts.buffers)
        buffer.data = list(content)
        parts.buffers.append(buffer)
        parts.metadata.append(entry)
    model = model_from_bytes(build.pack(parts))
    after = build.unpack(freeze(model, {}))
    (entry,) = after.metadata
    assert entry.name == b"min_runtime_version"
    assert bytes(after.buffers[entry.buffer].data) == b"1.14.0"
