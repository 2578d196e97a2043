"""The flatbuffer verifier: good buffers pass, and each rule of flatbuffers::Verifier bites."""

from __future__ import annotations

import struct

import model_builders as builders
import pytest

from pytest_tflm.model.verify import flatbuffer as verify
from pytest_tflm.model.verify.flatbuffer import MalformedFlatbuffer


def u32(data: bytes, position: int) -> int:
    return int(struct.unpack_from("<I", data, position)[0])


def put(data: bytes, position: int, value: int, form: str = "<I") -> bytes:
    changed = bytearray(data)
    struct.pack_into(form, changed, position, value)
    return bytes(changed)


def slot(data: bytes, table: int, number: int) -> int:
    """Where a table stores its slot, or 0."""
    vtable = table - struct.unpack_from("<i", data, table)[0]
    size = struct.unpack_from("<H", data, vtable)[0]
    if 4 + 2 * number >= size:
        return 0
    offset = struct.unpack_from("<H", data, vtable + 4 + 2 * number)[0]
    return table + offset if offset else 0


def child(data: bytes, table: int, number: int, index: int | None = None) -> int:
    """Where the offset in a slot leads; with an index, where the vector's element leads."""
    position = slot(data, table, number)
    target = position + u32(data, position)
    if index is None:
        return target
    element = target + 4 + 4 * index
    return element + u32(data, element)


@pytest.fixture
def data() -> bytes:
    return builders.fully_connected()


# Slots, by schema.fbs.
OPERATOR_CODES, SUBGRAPHS, DESCRIPTION = 1, 2, 3
TENSORS = 0
SHAPE, NAME, QUANTIZATION = 0, 3, 4
ZERO_POINT = 3


@pytest.mark.parametrize("name", sorted(builders.ALL))
def test_models_pass(name: str) -> None:
    verify.verify(builders.ALL[name]())


@pytest.mark.parametrize("size", [0, 1, 3, 4, 7, 8, 9])
def test_too_short_for_a_table(data: bytes, size: int) -> None:
    with pytest.raises(MalformedFlatbuffer):
        verify.verify(data[:size])


def test_every_truncation_is_noticed(data: bytes) -> None:
    """Whatever is cut off was needed: flatbuffers builds from the end, nothing is slack."""
    for size in range(len(data)):
        with pytest.raises(MalformedFlatbuffer):
            verify.verify(data[:size])


@pytest.mark.parametrize("offset", [0, 0x80000000, 0xFFFFFFFF, 0x7FFFFFFF, 100_000])
def test_root_offset_leads_nowhere(data: bytes, offset: int) -> None:
    with pytest.raises(MalformedFlatbuffer, match="root"):
        verify.verify(put(data, 0, offset))


def test_error_says_where(data: bytes) -> None:
    tensor = child(data, child(data, u32(data, 0), SUBGRAPHS, 0), TENSORS, 2)
    with pytest.raises(MalformedFlatbuffer) as caught:
        verify.verify(put(data, slot(data, tensor, NAME), 0xFFFFFFF0))
    assert caught.value.where == "subgraphs[0].tensors[2].name"


def test_vector_longer_than_the_file(data: bytes) -> None:
    tensor = child(data, child(data, u32(data, 0), SUBGRAPHS, 0), TENSORS, 0)
    vector = child(data, tensor, SHAPE)
    with pytest.raises(MalformedFlatbuffer, match=r"tensors\[0\].shape: it ends at byte") as caught:
        verify.verify(put(data, vector, 0x40000001))  # times 4 it is 4 in 32 bits
    assert caught.value.needed == vector + 4 + 4 * 0x40000001


def test_vector_that_ends_with_the_file_passes_and_one_more_does_not() -> None:
    table = struct.pack("<IIi", 8, 0, 4)  # root, its table at 8
    # vtable at 4: size 4, no fields; table at 8 refers back by 4
    minimal = struct.pack("<IHHi", 8, 4, 4, 4)
    assert len(table) == len(minimal)
    verify.verify(minimal)
    with pytest.raises(MalformedFlatbuffer):
        verify.verify(minimal[:-1])


def test_string_without_end(data: bytes) -> None:
    text = child(data, u32(data, 0), DESCRIPTION)
    with pytest.raises(MalformedFlatbuffer, match="description: the text is not terminated"):
        verify.verify(put(data, text + 4 + u32(data, text), 65, "<B"))


def test_string_at_the_very_end_needs_room_for_its_end() -> None:
    # Model with only a description (slot 3) that fills the buffer up to its last byte.
    vtable = struct.pack("<HHHHHH", 12, 8, 0, 0, 0, 4)
    buffer = struct.pack("<I", 16) + vtable + struct.pack("<iII", 12, 4, 3) + b"abc"
    with pytest.raises(MalformedFlatbuffer, match="description"):
        verify.verify(buffer)
    verify.verify(buffer + b"\0")


def test_vtable_before_the_file(data: bytes) -> None:
    root = u32(data, 0)
    with pytest.raises(MalformedFlatbuffer, match="begins before"):
        verify.verify(put(data, root, root + 2, "<i"))


def test_vtable_behind_the_file(data: bytes) -> None:
    root = u32(data, 0)
    with pytest.raises(MalformedFlatbuffer, match="ends at byte"):
        verify.verify(put(data, root, -(len(data) - root), "<i"))


def test_vtable_of_odd_size(data: bytes) -> None:
    root = u32(data, 0)
    vtable = root - struct.unpack_from("<i", data, root)[0]
    with pytest.raises(MalformedFlatbuffer, match="odd size"):
        verify.verify(put(data, vtable, 11, "<H"))


def test_vtable_larger_than_the_file(data: bytes) -> None:
    root = u32(data, 0)
    vtable = root - struct.unpack_from("<i", data, root)[0]
    with pytest.raises(MalformedFlatbuffer, match="ends at byte"):
        verify.verify(put(data, vtable, 0xFFFE, "<H"))


def test_field_outside_the_file(data: bytes) -> None:
    root = u32(data, 0)
    vtable = root - struct.unpack_from("<i", data, root)[0]
    with pytest.raises(MalformedFlatbuffer, match=r"version: it (ends|is) at byte"):
        verify.verify(put(data, vtable + 4, 0xFFFC, "<H"))


@pytest.mark.parametrize("by", [1, 2, 3])
def test_misaligned_table(data: bytes, by: int) -> None:
    with pytest.raises(MalformedFlatbuffer, match="not a multiple of 4"):
        verify.verify(put(data, 0, u32(data, 0) + by))


def test_misaligned_scalar(data: bytes) -> None:
    root = u32(data, 0)
    vtable = root - struct.unpack_from("<i", data, root)[0]
    offset = struct.unpack_from("<H", data, vtable + 4)[0]
    with pytest.raises(MalformedFlatbuffer, match="version: it is at byte"):
        verify.verify(put(data, vtable + 4, offset + 1, "<H"))


def test_union_is_followed_and_an_unknown_member_is_not(data: bytes) -> None:
    operator = child(data, child(data, u32(data, 0), SUBGRAPHS, 0), 3, 0)
    options = child(data, operator, 4)
    broken = put(data, options, 1, "<i")  # the options' vtable is now at an odd place
    with pytest.raises(MalformedFlatbuffer, match=r"operators\[0\].builtin_options"):
        verify.verify(broken)
    verify.verify(put(broken, slot(data, operator, 3), 255, "<B"))


def test_ten_thousand_tables_are_few() -> None:
    verify.verify(builders.chain(2000))


def nest(levels: int) -> bytes:
    """Three levels of vectors, each with ``levels`` references to one and the same table."""
    b = bytearray(struct.pack("<I", 0))
    positions = []
    for number in (2, 0, 9):  # subgraphs, tensors, variant_tensors
        b += b"\0" * (-len(b) % 4)
        vtable = len(b)
        slots = [0] * (number + 1)
        slots[number] = 4
        b += struct.pack(f"<HH{len(slots)}H", 4 + 2 * len(slots), 8, *slots)
        b += b"\0" * (-len(b) % 4)
        table = len(b)
        positions.append(table)
        b += struct.pack("<iI", table - vtable, 4)
        length = len(b)
        b += struct.pack("<I", levels)
        b += struct.pack("<I", 0) * levels
        positions.append(length)
    vtable = len(b)
    b += struct.pack("<HH", 4, 4)
    table = len(b)
    b += struct.pack("<i", 4)
    positions.append(table)
    struct.pack_into("<I", b, 0, positions[0])
    for vector, target in zip(positions[1::2], [*positions[2::2], positions[-1]], strict=False):
        for i in range(levels):
            at = vector + 4 + 4 * i
            struct.pack_into("<I", b, at, target - at)
    return bytes(b)


def test_tables_that_fan_out_are_counted_without_being_walked() -> None:
    """90 * 90 * 90 tables pass, 110 * 110 * 110 are more than a million; who walked the last one's
    8 * 10^12 would not come back."""
    verify.verify(nest(90))
    with pytest.raises(MalformedFlatbuffer, match="more than 1000000 tables"):
        verify.verify(nest(110))
    with pytest.raises(MalformedFlatbuffer, match="more than 1000000 tables"):
        verify.verify(nest(20_000))


def test_depth_is_limited(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "MAX_DEPTH", 4)
    verify.verify(data)  # Model, SubGraph, Tensor, QuantizationParameters
    monkeypatch.setattr(verify, "MAX_DEPTH", 3)
    with pytest.raises(MalformedFlatbuffer, match="nests deeper than 3"):
        verify.verify(data)
