"""Which tensors lie in the memory that a board keeps (SPEC §5: KEPT), as far as the host knows.

What is put there is not promised to stay right: whoever takes a tensor from there compares the
CRC-32 of what Invoke saw.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

LEAST = 64
"""Bytes of a tensor below which two COPYs take more of the line than they save."""
_ALIGNMENT = 16


@dataclass(eq=False, slots=True)
class Slot:
    """``size`` bytes of region KEPT from ``offset`` on. ``key``: of what should be there; empty if
    nobody knows yet."""

    offset: int
    size: int
    key: bytes


class Shelf:
    """A part of region KEPT. It is filled round and round: what has been there longest goes first.

    Changes are made in the order of the requests that they stand for."""

    def __init__(self) -> None:
        self._begin = self._end = self._next = 0
        self._slots: dict[int, Slot] = {}
        self._known: dict[bytes, Slot] = {}

    @property
    def is_empty(self) -> bool:
        return not self._known

    def fit(self, begin: int, end: int) -> None:
        """It reaches from ``begin`` to ``end`` from now on; what lies outside is gone."""
        self._begin, self._end = begin, end
        for slot in list(self._slots.values()):
            if slot.offset < begin or slot.offset + slot.size > end:
                self._drop(slot)
        if not begin <= self._next <= end:
            self._next = begin

    def clear(self) -> None:
        """Nothing is there any more."""
        self.fit(0, 0)

    def find(self, data: bytes) -> Slot | None:
        """Where these bytes should be."""
        return self._known.get(_key(data)) if len(data) >= LEAST and self._known else None

    def put(self, size: int, data: bytes | None) -> Slot | None:
        """A place for ``size`` bytes, which should be ``data``. None if it is too small, or they
        are too few to be worth it."""
        room = -(-size // _ALIGNMENT) * _ALIGNMENT
        if size < LEAST or room > self._end - self._begin:
            return None
        if self._next + room > self._end:
            self._next = self._begin
        slot = Slot(self._next, size, b"")
        self._next += room
        for other in list(self._slots.values()):
            if other.offset < slot.offset + room and slot.offset < other.offset + other.size:
                self._drop(other)
        self._slots[slot.offset] = slot
        if data is not None:
            self.learn(slot, data)
        return slot

    def holds(self, slot: Slot) -> bool:
        """It has not been filled with anything else."""
        return self._slots.get(slot.offset) is slot

    def learn(self, slot: Slot, data: bytes) -> None:
        """What is there, if it still is."""
        if self.holds(slot):
            self._forget(slot)
            slot.key = _key(data)
            self._known[slot.key] = slot

    def doubt(self, data: bytes) -> None:
        """These bytes are not where they should be."""
        if (slot := self.find(data)) is not None:
            self._forget(slot)

    def doubt_slot(self, slot: Slot | None) -> None:
        """Nobody knows what is there."""
        if slot is not None and self.holds(slot):
            self._forget(slot)

    def _drop(self, slot: Slot) -> None:
        self._forget(slot)
        del self._slots[slot.offset]

    def _forget(self, slot: Slot) -> None:
        if self._known.get(slot.key) is slot:
            del self._known[slot.key]
        slot.key = b""


def _key(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()
