"""Who a board is and what it has loaded: entries (SPEC §6)."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_tflm.errors import ProtocolMismatch
from pytest_tflm.printable import printable

if TYPE_CHECKING:
    from pytest_tflm.link.message import Welcome

_ENTRY = struct.Struct("<BH")
_TENSOR = struct.Struct("<BBifI")
_PAIR = struct.Struct("<II")

_UNKNOWN = 0xFFFFFFFF
_MOST_DIMENSIONS = 8
_LONGEST_TEXT = 120
"""Characters of a name or version that a board announces; the longest known has 60."""

_TENSOR_TYPES = {
    0: ("float32", 4),
    1: ("float16", 2),
    2: ("int32", 4),
    3: ("uint8", 1),
    4: ("int64", 8),
    6: ("bool", 1),
    7: ("int16", 2),
    9: ("int8", 1),
    10: ("float64", 8),
    12: ("uint64", 8),
    15: ("uint32", 4),
    16: ("uint16", 2),
}
"""TFLite's TensorType (schema.fbs): numpy's name and the bytes of one element."""


@dataclass(frozen=True)
class BoardIdentity:
    """What a board says of itself in WELCOME and in region BOARD. Sizes in bytes; an empty text
    and an empty ``operators`` mean that it does not say."""

    firmware: str
    board: str
    kernels: str
    tflm: str
    reset_reason: str
    memory: int
    operators: tuple[str, ...]
    compiler: str
    boot_id: int
    largest_frame: int
    window: int
    reply_store: int
    takes_models: bool

    def describe(self) -> str:
        """One line for a header: ``nano33, pytest-tflm-core 0.1.0, kernels CMSIS-NN``."""
        parts = [self.board, self.firmware]
        if self.kernels:
            parts.append(f"kernels {self.kernels}")
        return ", ".join(parts)

    def versions(self, name: str) -> dict[str, str]:
        """Of firmware, kernels and TFLM, as far as the board says; ``name`` is the board's."""
        told = {
            f"{name}: firmware": self.firmware,
            f"{name}: kernels": self.kernels,
            f"{name}: TFLM": self.tflm,
        }
        return {what: text for what, text in told.items() if text}


@dataclass(frozen=True)
class LoadedTensor:
    """A tensor of the prepared model as the board has it. ``dtype`` is numpy's name, or
    ``TensorType N`` for one that this host does not know; a ``scale`` of 0 is "not quantised"."""

    dtype: str
    shape: tuple[int, ...]
    scale: float
    zero_point: int
    nbytes: int


@dataclass(frozen=True)
class LoadedModel:
    """The model that a board has prepared. Sizes in bytes; ``arena_used`` is None if unknown."""

    size: int
    crc32: int
    arena_used: int | None
    arena_size: int
    inputs: tuple[LoadedTensor, ...]
    outputs: tuple[LoadedTensor, ...]

    @property
    def input_bytes(self) -> int:
        """Of all input tensors together: one sample."""
        return sum(tensor.nbytes for tensor in self.inputs)

    @property
    def output_bytes(self) -> int:
        """Of all output tensors together."""
        return sum(tensor.nbytes for tensor in self.outputs)


def _entries(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Key and value of each entry. :class:`~pytest_tflm.errors.ProtocolMismatch` if cut short."""
    at = 0
    while at < len(data):
        if at + _ENTRY.size > len(data):
            raise ProtocolMismatch("the board's entries are cut short: half a header (SPEC §6)")
        key, length = _ENTRY.unpack_from(data, at)
        at += _ENTRY.size
        if at + length > len(data):
            raise ProtocolMismatch(
                f"the board's entry {key} announces {length} bytes and has {len(data) - at}"
                " (SPEC §6)"
            )
        yield key, data[at : at + length]
        at += length


def parse_identity(data: bytes, welcome: Welcome) -> BoardIdentity:
    """Region BOARD. Unknown keys are skipped; ProtocolMismatch for what breaks SPEC §6."""
    found: dict[int, bytes] = {}
    for key, value in _entries(data):
        found.setdefault(key, value)
    for key, name in ((1, "firmware"), (2, "board"), (6, "memory")):
        if key not in found:
            raise ProtocolMismatch(f"the board does not say its {name} (SPEC §6)")
    return BoardIdentity(
        firmware=_text(found, 1, "firmware"),
        board=_text(found, 2, "board"),
        kernels=_text(found, 3, "kernels"),
        tflm=_text(found, 4, "tflm"),
        reset_reason=_text(found, 5, "reset reason"),
        memory=_exactly(found[6], 4, "memory"),
        operators=tuple(map(printable, _decoded(found, 7, "operators").split())),
        compiler=_text(found, 8, "compiler"),
        boot_id=welcome.boot_id,
        largest_frame=welcome.largest_frame,
        window=welcome.window,
        reply_store=welcome.reply_store,
        takes_models=welcome.takes_models,
    )


def parse_loaded(data: bytes) -> LoadedModel:
    """Region LOADED. Unknown keys are skipped; ProtocolMismatch for what breaks SPEC §6."""
    pairs: dict[int, tuple[int, int]] = {}
    tensors: dict[int, list[LoadedTensor]] = {3: [], 4: []}
    for key, value in _entries(data):
        if key in (1, 2):
            if len(value) != _PAIR.size:
                raise ProtocolMismatch(f"entry {key} of LOADED has {len(value)} bytes, not 8")
            pairs.setdefault(key, _PAIR.unpack(value))
        elif key in tensors:
            tensors[key].append(_tensor(value))
    if len(pairs) < 2:
        raise ProtocolMismatch("the board's LOADED lacks its model or its arena (SPEC §6)")
    used, arena = pairs[2]
    return LoadedModel(
        size=pairs[1][0],
        crc32=pairs[1][1],
        arena_used=None if used == _UNKNOWN else used,
        arena_size=arena,
        inputs=tuple(tensors[3]),
        outputs=tuple(tensors[4]),
    )


def _text(found: dict[int, bytes], key: int, name: str) -> str:
    return printable(_decoded(found, key, name), _LONGEST_TEXT)


def _decoded(found: dict[int, bytes], key: int, name: str) -> str:
    try:
        return found.get(key, b"").decode("utf-8")
    except UnicodeDecodeError:
        raise ProtocolMismatch(f"the board's {name} is not UTF-8 (SPEC §6)") from None


def _exactly(value: bytes, length: int, name: str) -> int:
    if len(value) != length:
        raise ProtocolMismatch(f"the board's {name} has {len(value)} bytes, not {length}")
    return int.from_bytes(value, "little")


def _tensor(value: bytes) -> LoadedTensor:
    if len(value) < _TENSOR.size:
        raise ProtocolMismatch(f"a tensor in LOADED has {len(value)} bytes, fewer than 14")
    kind, rank, zero_point, scale, nbytes = _TENSOR.unpack_from(value)
    if rank > _MOST_DIMENSIONS or len(value) != _TENSOR.size + 4 * rank:
        raise ProtocolMismatch(f"a tensor in LOADED has rank {rank} and {len(value)} bytes")
    if not math.isfinite(scale) or scale < 0:
        raise ProtocolMismatch(f"a tensor in LOADED has scale {scale}")
    shape = struct.unpack_from(f"<{rank}i", value, _TENSOR.size)
    if any(dimension < 0 for dimension in shape):
        raise ProtocolMismatch(f"a tensor in LOADED has shape {shape}")
    dtype, width = _TENSOR_TYPES.get(kind, (f"TensorType {kind}", 0))
    if width and nbytes != width * math.prod(shape):
        raise ProtocolMismatch(f"a {dtype} tensor of shape {shape} in LOADED has {nbytes} bytes")
    return LoadedTensor(dtype, shape, scale, zero_point, nbytes)
