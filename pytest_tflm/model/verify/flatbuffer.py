"""Does a buffer hold a flatbuffer of a given schema, all of it inside the buffer?

Python's ``flatbuffers`` reads wherever an offset leads, and TFLM trusts a model without looking.
So every byte that a reader of the schema could follow is checked here first, by the rules of
``flatbuffers::Verifier`` (include/flatbuffers/verifier.h in google/flatbuffers), with its limits:
64 levels, a million tables, 2 GiB.

Two things differ, neither in what is accepted. A table that is reached twice is checked once and
counted twice, so a buffer whose offsets fan out again and again costs no time. And offsets lead
forward only, which rules out cycles, so recursion is bounded by the depth limit.
"""

from __future__ import annotations

import functools
import struct
from dataclasses import dataclass, field

MAX_DEPTH = 64
_MAX_TABLES = 1_000_000
MAX_SIZE = 2**31 - 1

_U16 = struct.Struct("<H").unpack_from
_I32 = struct.Struct("<i").unpack_from
_U32 = struct.Struct("<I").unpack_from


class MalformedFlatbuffer(ValueError):
    """The buffer breaks a rule.

    ``where`` is the path of fields that led there, for example ``subgraphs[0].tensors[3].shape``;
    ``reason`` says what is wrong; ``needed`` is the size in bytes that the buffer would need, where
    that is what is wrong.
    """

    def __init__(self, reason: str, *, needed: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.needed = needed
        self.path: list[str] = []

    @property
    def where(self) -> str:
        return "".join(reversed(self.path)).lstrip(".")

    def __str__(self) -> str:
        return f"{self.where or 'root'}: {self.reason}"


@dataclass(frozen=True)
class _Field:
    """One slot: ``width`` is the scalar's or the vector element's size; 4 for offsets."""

    name: str
    kind: str  # scalar, str, table, union, scalars, strs, tables
    width: int = 4
    table: _Table | None = None
    members: tuple[_Table | None, ...] = ()


@dataclass(eq=False)
class _Table:
    name: str
    slots: list[tuple[int, _Field]] = field(default_factory=list)  # (vtable offset, field)


@functools.cache
def _schema() -> _Table:
    """The root of the TFLite schema. Tables refer to each other, hence the two passes."""
    from pytest_tflm.model.verify import schema_table

    tables = {name: _Table(name) for name in schema_table.TABLES}
    unions = {
        name: tuple(tables.get(member) for member in members.split())
        for name, members in schema_table.UNIONS.items()
    }
    for name, text in schema_table.TABLES.items():
        for number, slot in enumerate(text.split()):
            if slot != "-":
                field_name, _, kind = slot.partition(":")
                tables[name].slots.append(
                    (4 + 2 * number, _parse(field_name, kind, tables, unions))
                )
    return tables[schema_table.ROOT]


def _parse(
    name: str,
    kind: str,
    tables: dict[str, _Table],
    unions: dict[str, tuple[_Table | None, ...]],
) -> _Field:
    inner = kind.strip("[]{}")
    is_vector = kind.startswith("[")
    if inner.isdigit():
        return _Field(name, "scalars" if is_vector else "scalar", int(inner))
    if inner == "str":
        return _Field(name, "strs" if is_vector else "str")
    if kind.startswith("{"):
        return _Field(name, "union", members=unions[inner])
    return _Field(name, "tables" if is_vector else "table", table=tables[inner])


def verify(data: bytes) -> None:
    """Check that ``data`` is a TFLite flatbuffer that no reader can be led out of.

    The file identifier is not looked at, nor is any meaning. Raises :class:`MalformedFlatbuffer`.
    """
    if len(data) > MAX_SIZE:
        raise MalformedFlatbuffer("it is larger than 2 GiB, the limit of flatbuffers")
    verifier = _Verifier(data)
    verifier.table(verifier.follow(0), _schema(), 1)


class _Verifier:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)
        self.tables = 0
        # What has been checked already: (position, table) → (tables in it, levels in it).
        self.seen: dict[tuple[int, _Table], tuple[int, int]] = {}

    def span(self, start: int, length: int) -> None:
        """``length`` bytes from ``start`` lie inside the buffer."""
        if start < 0:
            raise MalformedFlatbuffer("it begins before the file does")
        if start + length > self.size:
            raise MalformedFlatbuffer(
                f"it ends at byte {start + length}, the file at {self.size}", needed=start + length
            )

    def scalar(self, start: int, width: int) -> None:
        """A number of ``width`` bytes lies inside the buffer and is aligned."""
        if start & (width - 1):
            raise MalformedFlatbuffer(f"it is at byte {start}, not a multiple of {width}")
        self.span(start, width)

    def follow(self, start: int) -> int:
        """Where the offset at ``start`` leads."""
        self.scalar(start, 4)
        (offset,) = _U32(self.data, start)
        if offset == 0 or offset > MAX_SIZE:
            raise MalformedFlatbuffer(f"its offset is {offset:#x}, which is invalid")
        self.span(start + offset, 1)
        return start + int(offset)

    def vector(self, start: int, width: int) -> int:
        """A vector lies inside the buffer; returns its length."""
        self.scalar(start, 4)
        (length,) = _U32(self.data, start)
        self.span(start, 4 + length * width)
        return int(length)

    def string(self, start: int) -> None:
        end = start + 4 + self.vector(start, 1)
        self.span(end, 1)
        if self.data[end] != 0:
            raise MalformedFlatbuffer("the text is not terminated by 0")

    def strings(self, start: int) -> None:
        for index in range(self.vector(start, 4)):
            try:
                self.count(1)
                self.string(self.follow(start + 4 + 4 * index))
            except MalformedFlatbuffer as error:
                error.path.append(f"[{index}]")
                raise

    def count(self, tables: int) -> None:
        self.tables += tables
        if self.tables > _MAX_TABLES:
            raise MalformedFlatbuffer(f"it holds more than {_MAX_TABLES} tables")

    def table(self, start: int, table: _Table, depth: int) -> int:
        """Check a table and all below it; returns how many levels that is."""
        key = (start, table)
        known = self.seen.get(key)
        if known is not None:
            self.count(known[0])
            if depth + known[1] - 1 > MAX_DEPTH:
                raise MalformedFlatbuffer(f"it nests deeper than {MAX_DEPTH} levels")
            return known[1]
        if depth > MAX_DEPTH:
            raise MalformedFlatbuffer(f"it nests deeper than {MAX_DEPTH} levels")
        before = self.tables
        self.count(1)
        data = self.data
        self.scalar(start, 4)
        vtable = start - _I32(data, start)[0]
        self.scalar(vtable, 2)
        (vtable_size,) = _U16(data, vtable)
        if vtable_size & 1:
            raise MalformedFlatbuffer(f"its vtable has an odd size, {vtable_size}")
        self.span(vtable, vtable_size)
        levels = 1
        for slot, entry in table.slots:
            if slot >= vtable_size:
                break
            (offset,) = _U16(data, vtable + slot)
            if not offset:
                continue
            try:
                if entry.kind == "scalar":
                    self.scalar(start + offset, entry.width)
                else:
                    below = self.reference(start + offset, entry, vtable, slot, depth)
                    levels = max(levels, 1 + below)
            except MalformedFlatbuffer as error:
                error.path.append(f".{entry.name}")
                raise
        self.seen[key] = (self.tables - before, levels)
        return levels

    def reference(self, start: int, entry: _Field, vtable: int, slot: int, depth: int) -> int:
        """Check what the offset at ``start`` leads to; returns how many levels of tables."""
        target = self.follow(start)
        kind = entry.kind
        if kind == "scalars":
            self.vector(target, entry.width)
        elif kind == "str":
            self.string(target)
        elif kind == "strs":
            self.strings(target)
        elif kind == "union":
            # The type is the slot before. As in C++, an unknown member is left alone: whoever does
            # not know it cannot read it.
            (type_offset,) = _U16(self.data, vtable + slot - 2)
            owner = start - _U16(self.data, vtable + slot)[0]
            number = self.data[owner + type_offset] if type_offset else 0
            member = entry.members[number] if number < len(entry.members) else None
            if member is not None:
                return self.table(target, member, depth + 1)
        elif entry.table is not None and kind == "table":
            return self.table(target, entry.table, depth + 1)
        elif entry.table is not None:
            return self.vector_of_tables(target, entry.table, depth)
        return 0

    def vector_of_tables(self, start: int, table: _Table, depth: int) -> int:
        levels = 0
        for index in range(self.vector(start, 4)):
            try:
                position = self.follow(start + 4 + 4 * index)
                levels = max(levels, self.table(position, table, depth + 1))
            except MalformedFlatbuffer as error:
                error.path.append(f"[{index}]")
                raise
        return levels
