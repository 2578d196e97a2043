"""Write ``vectors.json``: bytes and what they mean, for the tests of every implementation of SPEC.md.

    python protocol/make_vectors.py            # writes protocol/vectors.json
    python protocol/make_vectors.py --check    # fails if the file is not what this script writes

It shares no code with the firmware core or with ``pytest_tflm.link``: frames come from PyPI's ``cobs``,
``zlib.crc32`` and ``struct``, and the conversations are written down by hand. The format of the file is
explained in its own ``description`` field, which is ``DESCRIPTION`` below.
"""

from __future__ import annotations

import json
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

from cobs import cobs

DESCRIPTION = [
    "Test vectors of the pytest-tflm link, version 1. Made by make_vectors.py; do not edit.",
    "All bytes are hexadecimal text. Numbers are plain. Names are unique within a list.",
    "crc32: 'data' has the CRC-32 'crc'.",
    "cobs: 'decoded' is encoded as 'encoded' (no zeros around it); both directions are tested.",
    "cobs_only_decoded: valid encodings that no sender has to produce; only decoding is tested.",
    "cobs_invalid: no receiver may decode 'encoded'.",
    "wire_lengths: a body of 'body' bytes is counted as 'wire' bytes.",
    "frames: 'wire' is the whole frame with both zeros, 'direction' is to_board or to_host, the rest is what "
    "it holds. 'fields', where present, are the parts of the payload by their names in SPEC.md.",
    "damaged: 'wire' is one piece with both zeros that must be taken for damage by a receiver whose "
    "largest_frame is 'largest_frame'; 'reason' is cobs, long, short or crc.",
    "pieces: 'piece' is what lies between two zeros; to the host it is 'is': frame, text or damage.",
    "streams: 'wire' is a stream from the board; 'items' is what the host finds in it, in order: "
    "{'frame': name in frames}, {'text': hex} or {'damage': length of the piece}.",
    "loaded: 'data' is region LOADED as a host reads it; 'inputs' and 'outputs' are its tensors: type, shape, bytes.",
    "conversations: a board that starts as 'board' says and 'steps' in order. In each step the board finds all "
    "of 'host' in its receive buffer at once and sends exactly 'board' (nothing else, in that order) while the line "
    "takes all it sends; 'note' says what is tested. 'frames' of a step lists the type of each frame the board sends. "
    "Where 'board' has a 'largest_baud' its port has a rate: 115200 at the start, any up to that one on demand; "
    "'baud' of a step is the rate after it. Without, the port has none.",
    "The board of the conversations: identity, sizes and the model memory are in 'board'. Its engine is scripted. "
    "A model is accepted whatever it holds, but for its first byte: 0x41 ('A') fails to prepare with ARENA_TOO_SMALL, "
    "needed 9999, available 2048; 0x4F ('O') with OPERATOR_MISSING; 0x52 ('R') with MODEL_REJECTED. "
    "A model that is larger than what 'memory' has behind the kept bytes, rounded up to 16, is MODEL_TOO_LARGE with "
    "needed = its size and available = that. "
    "Every prepared model has inputs a: INT8 [2,2] scale 0.5 zero point -3, b: INT16 [2] scale 0.25 zero point 0, "
    "and outputs c: INT8 [4] scale 0.125 zero point 7, d: INT32 [] not quantised. "
    "Arena: used 640, size memory - where the model begins - model size. "
    "Invoke: fails if a[0] is 127 (its text: 'scripted failure'); otherwise state += 1, c = a + 1 modulo 256 "
    "(bytes), d = state * 1000 + b[0] + b[1]. Then every byte of a and b is overwritten with 0xEE. "
    "Invoke takes 1500 microseconds. RESET_STATE makes state 0, and so does preparing a model; input tensors "
    "hold zeros then. "
    "With a model whose first byte is 0x54 ('T') operators are timed: two in each Invoke, 1000 and 500 microseconds. "
    "With all others, and without a model, they are not. "
    "A model whose first byte is 0x4E ('N') has no inputs; Invoke computes with what a and b hold, zeros at first. "
    "With one whose first byte is 0x34 ('4') a is INT4 (type 17) [2,4], which takes four bytes. "
    "Entries of BOARD are sent in the order of their keys, those whose text is empty are left out; "
    "entries of LOADED in the order of SPEC.md's table.",
]

HELLO, PING, REPEAT = 0x01, 0x02, 0x03
READ, WRITE, MODEL_OPEN, MODEL_PREPARE, RUN, RESET_STATE = 0x10, 0x11, 0x12, 0x13, 0x14, 0x15
SET_BAUD, COPY = 0x16, 0x17
WELCOME, PONG, GAP, NO_SESSION, LOG, CRASH = 0x81, 0x82, 0x83, 0x84, 0x85, 0x86
PART = 0x87
PART_BYTES = 51
OK, UNKNOWN_REQUEST, MALFORMED, OUT_OF_RANGE, NO_MODEL = 0, 1, 2, 3, 4
MODEL_TOO_LARGE, MODEL_DAMAGED, ARENA_TOO_SMALL, OPERATOR_MISSING = 5, 6, 7, 8
MODEL_REJECTED, INVOKE_FAILED, NOT_SUPPORTED, TOO_LARGE = 9, 10, 11, 12
BOARD, LOADED, MODEL, INPUT, OUTPUT, ERROR, TIMES, KEPT = range(8)
INLINE, OUTPUTS, RESET = 1, 2, 4

SESSION = 0x4A17
BOOT_ID = 0x1BADB002
LARGEST_FRAME = 128
WINDOW = 512
REPLY_STORE = 262
MEMORY = 4096

BOARD_DESCRIPTION = {
    "largest_frame": LARGEST_FRAME,
    "window": WINDOW,
    "reply_store": REPLY_STORE,
    "boot_id": BOOT_ID,
    "memory": MEMORY,
    "takes_models": True,
    "firmware": "vectors 1",
    "board": "scripted",
    "kernels": "none",
    "tflm": "",
    "reset_reason": "power on",
    "operators": "ADD CONV_2D",
    "compiler": "",
}


def body(kind: int, session: int, number: int, ack: int, payload: bytes = b"") -> bytes:
    checked = struct.pack("<BHHH", kind, session, number, ack) + payload
    return checked + struct.pack("<I", zlib.crc32(checked))


def wrap(piece: bytes) -> bytes:
    return b"\0" + piece + b"\0"


def frame(kind: int, session: int, number: int, ack: int, payload: bytes = b"") -> bytes:
    return wrap(cobs.encode(body(kind, session, number, ack, payload)))


def failure(status: int, needed: int = 0, available: int = 0) -> bytes:
    return struct.pack("<BII", status, needed, available)


def read(region: int, index: int, offset: int, length: int) -> bytes:
    return struct.pack("<BBIH", region, index, offset, length)


def write(region: int, index: int, offset: int, data: bytes) -> bytes:
    return struct.pack("<BBI", region, index, offset) + data


def copy(to: tuple[int, int, int], source: tuple[int, int, int], length: int) -> bytes:
    return struct.pack("<BBIBBII", *to, *source, length)


def welcome(version: int = 1, flags: int = 5) -> bytes:
    return struct.pack(
        "<BBBBIHII", 1, 1, version, flags, BOOT_ID, LARGEST_FRAME, WINDOW, REPLY_STORE
    )


def entry(key: int, value: bytes) -> bytes:
    return struct.pack("<BH", key, len(value)) + value


def tensor(kind: int, zero_point: int, scale: float, size: int, dimensions: list[int]) -> bytes:
    head = struct.pack("<BBifI", kind, len(dimensions), zero_point, scale, size)
    return head + b"".join(struct.pack("<i", dimension) for dimension in dimensions)


def board_entries() -> bytes:
    return (
        entry(1, b"vectors 1")
        + entry(2, b"scripted")
        + entry(3, b"none")
        + entry(5, b"power on")
        + entry(6, struct.pack("<I", MEMORY))
        + entry(7, b"ADD CONV_2D")
    )


def input_entries(model: bytes) -> bytes:
    if model[:1] == b"N":
        return b""
    a = tensor(17, -3, 0.5, 4, [2, 4]) if model[:1] == b"4" else tensor(9, -3, 0.5, 4, [2, 2])
    return entry(3, a) + entry(3, tensor(7, 0, 0.25, 4, [2]))


def loaded_entries(model: bytes, start: int = 0) -> bytes:
    return (
        entry(1, struct.pack("<II", len(model), zlib.crc32(model)))
        + entry(2, struct.pack("<II", 640, MEMORY - start - len(model)))
        + input_entries(model)
        + entry(4, tensor(9, 7, 0.125, 4, [4]))
        + entry(4, tensor(2, 0, 0.0, 4, []))
    )


def sample(a: bytes, b: tuple[int, int] = (0, 0)) -> bytes:
    return a + struct.pack("<hh", *b)


def outputs(inputs: bytes, state: int) -> bytes:
    b0, b1 = struct.unpack("<hh", inputs[4:])
    return bytes((byte + 1) & 0xFF for byte in inputs[:4]) + struct.pack(
        "<i", state * 1000 + b0 + b1
    )


def result(inputs: bytes, state: int, *, whole: bool) -> bytes:
    computed = outputs(inputs, state)
    head = struct.pack("<II", zlib.crc32(inputs), 1500)
    return head + (computed if whole else struct.pack("<I", zlib.crc32(computed)))


def crc_vectors() -> list[dict[str, Any]]:
    cases = {
        "the check value": b"123456789",
        "nothing": b"",
        "one zero": b"\0",
        "zeros": bytes(64),
        "ones": b"\xff" * 64,
        "every byte": bytes(range(256)),
    }
    return [
        {"name": name, "data": data.hex(), "crc": zlib.crc32(data)} for name, data in cases.items()
    ]


def cobs_vectors() -> list[dict[str, Any]]:
    cases = {
        "nothing": b"",
        "one zero": b"\0",
        "two zeros": b"\0\0",
        "one byte": b"\x01",
        "zero in front": b"\0abc",
        "zero behind": b"abc\0",
        "zeros around": b"\0abc\0",
        "zeros inside": b"a\0\0b",
        "every byte": bytes(range(256)),
        "300 zeros": bytes(300),
    }
    for length in (253, 254, 255, 256, 507, 508, 509, 510):
        run = bytes(1 + (i % 255) for i in range(length))
        cases[f"run of {length}"] = run
        cases[f"run of {length}, then zero"] = run + b"\0"
        cases[f"zero, then run of {length}"] = b"\0" + run
        cases[f"run of {length}, zero, one byte"] = run + b"\0\x07"
    return [
        {"name": name, "decoded": data.hex(), "encoded": cobs.encode(data).hex()}
        for name, data in cases.items()
    ]


def wire_length_vectors() -> list[dict[str, int]]:
    return [
        {"body": n, "wire": n + n // 254 + 3}
        for n in (11, 64, 253, 254, 255, 507, 508, 509, 2048, 65535)
    ]


def frame_vectors() -> list[dict[str, Any]]:
    vectors: list[dict[str, Any]] = []

    def add(
        name: str,
        direction: str,
        kind: int,
        session: int,
        number: int,
        ack: int,
        payload: bytes = b"",
        /,
        **fields: int | str,
    ) -> None:
        entry: dict[str, Any] = {
            "name": name,
            "direction": direction,
            "type": kind,
            "session": session,
            "number": number,
            "ack": ack,
            "payload": payload.hex(),
            "wire": frame(kind, session, number, ack, payload).hex(),
        }
        if fields:
            entry["fields"] = fields
        vectors.append(entry)

    s = SESSION
    add("HELLO", "to_board", HELLO, s, 0, 0, b"\x01\x01", lowest=1, highest=1)
    add("HELLO, range", "to_board", HELLO, 0xFFFF, 0, 0, b"\x01\xff", lowest=1, highest=255)
    add("HELLO, longer payload", "to_board", HELLO, s, 0, 0, b"\x01\x01later", lowest=1, highest=1)
    add("PING", "to_board", PING, s, 0xBEEF, 3)
    add("REPEAT", "to_board", REPEAT, s, 7, 7, struct.pack("<H", 2), count=2)
    add(
        "REPEAT of a part",
        "to_board",
        REPEAT,
        s,
        7,
        7,
        struct.pack("<HH", 1, 102),
        count=1,
        offset=102,
    )
    add(
        "READ",
        "to_board",
        READ,
        s,
        0,
        0,
        read(BOARD, 0, 0, 117),
        region=0,
        index=0,
        offset=0,
        length=117,
    )
    add(
        "WRITE",
        "to_board",
        WRITE,
        s,
        1,
        1,
        write(INPUT, 1, 0x01020304, b"\0\x01\0"),
        region=3,
        index=1,
        offset=0x01020304,
        data="000100",
    )
    add("MODEL_OPEN", "to_board", MODEL_OPEN, s, 2, 1, struct.pack("<I", 100_000), size=100_000)
    add(
        "MODEL_OPEN, kept",
        "to_board",
        MODEL_OPEN,
        s,
        2,
        1,
        struct.pack("<II", 5000, 100_000),
        size=5000,
        kept=100_000,
    )
    add(
        "COPY",
        "to_board",
        COPY,
        s,
        2,
        1,
        copy((MODEL, 0, 0x01020304), (KEPT, 1, 0x05060708), 70_000),
        region=2,
        index=0,
        offset=0x01020304,
        from_region=7,
        from_index=1,
        from_offset=0x05060708,
        length=70_000,
    )
    add(
        "MODEL_PREPARE",
        "to_board",
        MODEL_PREPARE,
        s,
        3,
        1,
        struct.pack("<II", 100_000, 0xCBF43926),
        size=100_000,
        crc=0xCBF43926,
    )
    add(
        "RUN, two samples in the frame",
        "to_board",
        RUN,
        s,
        65535,
        65535,
        bytes([INLINE | OUTPUTS, 2]) + sample(b"\x01\x02\x03\x04") + sample(b"\0\0\0\0"),
        flags=3,
        count=2,
    )
    add("RUN, written inputs", "to_board", RUN, s, 4, 4, bytes([RESET, 1]), flags=4, count=1)
    add("RESET_STATE", "to_board", RESET_STATE, s, 5, 4)
    add("a request of a later version", "to_board", 0x1F, s, 6, 4, b"any")
    add(
        "WELCOME",
        "to_host",
        WELCOME,
        s,
        0,
        0,
        welcome(),
        lowest=1,
        highest=1,
        version=1,
        flags=5,
        boot_id=BOOT_ID,
        largest_frame=LARGEST_FRAME,
        window=WINDOW,
        reply_store=REPLY_STORE,
    )
    add(
        "WELCOME, no version in common, longer payload",
        "to_host",
        WELCOME,
        s,
        0,
        0,
        welcome(version=0) + b"later",
        lowest=1,
        highest=1,
        version=0,
        flags=5,
        boot_id=BOOT_ID,
        largest_frame=LARGEST_FRAME,
        window=WINDOW,
        reply_store=REPLY_STORE,
    )
    add("PONG", "to_host", PONG, s, 0xBEEF, 12)
    add("GAP", "to_host", GAP, s, 0xBEEF, 12)
    add("NO_SESSION", "to_host", NO_SESSION, s, 9, 0)
    add("LOG", "to_host", LOG, s, 3, 12, "arena at 64 °C".encode())
    add("LOG, empty", "to_host", LOG, 0, 0, 0)
    add(
        "CRASH",
        "to_host",
        CRASH,
        0,
        0,
        0,
        struct.pack("<BI", 3, 0x00012344) + b"reading 0x90000000",
        kind=3,
        address=0x00012344,
        text="reading 0x90000000",
    )
    longest = "assertion failed in the kernel, at 64 °C, abort"
    assert len(longest.encode()) == 64 - 11 - 5
    add(
        "CRASH, nothing known",
        "to_host",
        CRASH,
        0,
        0,
        0,
        struct.pack("<BI", 0, 0),
        kind=0,
        address=0,
        text="",
    )
    add(
        "CRASH, longest text",
        "to_host",
        CRASH,
        0,
        0,
        0,
        struct.pack("<BI", 5, 0xFFFFFFFF) + longest.encode(),
        kind=5,
        address=0xFFFFFFFF,
        text=longest,
    )
    add(
        "PART",
        "to_host",
        PART,
        s,
        7,
        9,
        struct.pack("<H", 102) + b"the end",
        offset=102,
        bytes=b"the end".hex(),
    )
    add("PART, nothing left", "to_host", PART, s, 7, 9, struct.pack("<H", 51), offset=51, bytes="")
    add("OK to WRITE", "to_host", WRITE | 0x80, s, 1, 2, b"\0", status=0)
    add("data of READ", "to_host", READ | 0x80, s, 0, 1, b"\0" + bytes(30), status=0)
    add(
        "failure",
        "to_host",
        MODEL_PREPARE | 0x80,
        s,
        3,
        4,
        failure(ARENA_TOO_SMALL, 90_112, 65_536),
        status=7,
        needed=90_112,
        available=65_536,
    )
    one = sample(b"\x01\x02\x03\x04", (5, -6))
    add(
        "result with outputs",
        "to_host",
        RUN | 0x80,
        s,
        65535,
        0,
        b"\0" + result(one, 1, whole=True),
        status=0,
        input_crc=zlib.crc32(one),
        microseconds=1500,
        outputs=outputs(one, 1).hex(),
    )
    add(
        "result without outputs",
        "to_host",
        RUN | 0x80,
        s,
        4,
        5,
        b"\0" + result(one, 1, whole=False),
        status=0,
        input_crc=zlib.crc32(one),
        microseconds=1500,
        output_crc=zlib.crc32(outputs(one, 1)),
    )
    for payload in (242, 243, 244, 496, 497, 498):
        data = bytes(1 + (i % 255) for i in range(payload))
        add(f"body of {payload + 11} bytes", "to_board", WRITE, 0x0101, 0x0101, 0x0101, data)
    return vectors


def damaged_vectors() -> list[dict[str, Any]]:
    good = body(PING, SESSION, 7, 0)
    largest = body(WRITE, SESSION, 0, 0, b"\x55" * (LARGEST_FRAME - 11))
    too_long = body(WRITE, SESSION, 0, 0, b"\x55" * (LARGEST_FRAME - 10))
    assert len(largest) == LARGEST_FRAME and len(too_long) == LARGEST_FRAME + 1
    encoded = cobs.encode(good)
    flipped = bytearray(good)
    flipped[3] ^= 0x10
    swapped = bytearray(good)
    swapped[1], swapped[2] = swapped[2], swapped[1]
    last = bytearray(good)
    last[-1] ^= 0x80
    cases: list[tuple[str, bytes, str]] = [
        ("one bit of the number flipped", cobs.encode(bytes(flipped)), "crc"),
        ("one bit of the CRC flipped", cobs.encode(bytes(last)), "crc"),
        ("two bytes swapped", cobs.encode(bytes(swapped)), "crc"),
        ("last byte of the body lost", cobs.encode(good[:-1]), "short"),
        ("first byte of the body lost", cobs.encode(good[1:]), "short"),
        ("ten bytes with a right CRC", cobs.encode(short_with_crc(10)), "short"),
        ("four bytes with a right CRC", cobs.encode(short_with_crc(4)), "short"),
        ("one byte", b"\x01", "short"),
        ("a body one byte too long", cobs.encode(too_long), "long"),
        ("noise longer than any frame", b"\x02\x55" * 4000, "long"),
        ("last byte on the wire lost", encoded[:-1], "cobs"),
        ("first byte on the wire lost", encoded[1:], "cobs"),
        ("group longer than the piece", b"\xff" + b"\x33" * 40, "cobs"),
        ("two frames whose zeros were lost", encoded + encoded, "crc"),
    ]
    for name, piece, reason in cases:
        assert 0 not in piece, name
        found = reason_of(piece)
        assert found == reason, (name, found)
    assert reason_of(cobs.encode(largest)) is None
    return [
        {"name": name, "wire": wrap(piece).hex(), "reason": reason, "largest_frame": LARGEST_FRAME}
        for name, piece, reason in cases
    ]


def short_with_crc(length: int) -> bytes:
    checked = bytes(range(1, length - 3))
    return checked + struct.pack("<I", zlib.crc32(checked))


def reason_of(piece: bytes) -> str | None:
    try:
        decoded = cobs.decode(piece)
    except cobs.DecodeError:
        return "cobs"
    if len(decoded) > LARGEST_FRAME:
        return "long"
    if len(decoded) < 11:
        return "short"
    if zlib.crc32(decoded[:-4]) != struct.unpack("<I", decoded[-4:])[0]:
        return "crc"
    return None


def piece_vectors() -> list[dict[str, str]]:
    ping = cobs.encode(body(PONG, SESSION, 7, 0))
    cases = [
        ("a frame", ping, "frame"),
        ("a line of text", b"hello\r\n", "text"),
        ("four bytes of text", b"boot", "text"),
        ("three bytes of text", b"abc", "damage"),
        ("colours of a terminal", b"\x1b[31merror\x1b[0m\n", "text"),
        ("tab", b"a\tb\tc", "text"),
        ("UTF-8", "65 °C, Größe 3 µs €".encode(), "text"),
        ("four bytes of UTF-8, one character", "\U0001f600".encode(), "text"),
        ("UTF-8 cut short", "65 °".encode()[:-1], "damage"),
        ("overlong UTF-8", b"abc\xc0\xafdef", "damage"),
        ("a surrogate in UTF-8", b"abc\xed\xa0\x80", "damage"),
        ("Latin-1", b"Gr\xf6\xdfe", "damage"),
        ("delete", b"abcd\x7f", "damage"),
        ("bell", b"abcd\x07", "damage"),
        ("C1 control as UTF-8", b"abcd\xc2\x85", "text"),
        ("half a frame", ping[: len(ping) // 2], "damage"),
        ("text that runs into a frame", b"boot: " + ping, "damage"),
    ]
    return [{"name": name, "piece": piece.hex(), "is": kind} for name, piece, kind in cases]


def stream_vectors(frames: dict[str, str]) -> list[dict[str, Any]]:
    pong, ok, log = (bytes.fromhex(frames[name]) for name in ("PONG", "OK to WRITE", "LOG"))
    boot = b"ets Jul 29 2019 12:21:46\r\nrst:0x1 (POWERON_RESET)\r\n"
    cut = pong[: len(pong) // 2]
    return [
        {
            "name": "one zero between frames",
            "wire": (pong + ok[1:]).hex(),
            "items": [{"frame": "PONG"}, {"frame": "OK to WRITE"}],
        },
        {
            "name": "many zeros between frames",
            "wire": (bytes(9) + pong + bytes(70) + ok + bytes(3)).hex(),
            "items": [{"frame": "PONG"}, {"frame": "OK to WRITE"}],
        },
        {
            "name": "boot text in front",
            "wire": (boot + pong).hex(),
            "items": [{"text": boot.hex()}, {"frame": "PONG"}],
        },
        {
            "name": "text between",
            "wire": (pong + b"printed by a sketch\n" + log).hex(),
            "items": [
                {"frame": "PONG"},
                {"text": b"printed by a sketch\n".hex()},
                {"frame": "LOG"},
            ],
        },
        {
            "name": "a frame cut by a reset, then boot text",
            "wire": (cut + boot + ok).hex(),
            "items": [{"damage": len(cut + boot) - 1}, {"frame": "OK to WRITE"}],
        },
        {
            "name": "a piece that has not ended",
            "wire": (ok + cut).hex(),
            "items": [{"frame": "OK to WRITE"}],
        },
    ]


class Conversation:
    """Steps of one conversation, written down as frames."""

    def __init__(self, name: str, **board: int) -> None:
        self.name = name
        self.board = BOARD_DESCRIPTION | board
        self.steps: list[dict[str, Any]] = []

    def step(self, note: str, host: bytes, *board: bytes) -> None:
        kinds = [cobs.decode(sent.strip(b"\0"))[0] for sent in board]
        self.steps.append(
            {"note": note, "host": host.hex(), "board": b"".join(board).hex(), "frames": kinds}
        )

    def hello(self, session: int = SESSION) -> None:
        self.step(
            "HELLO opens the session",
            frame(HELLO, session, 0, 0, b"\x01\x01"),
            frame(WELCOME, session, 0, 0, welcome()),
        )

    def request(
        self,
        note: str,
        number: int,
        kind: int,
        payload: bytes,
        reply: bytes,
        session: int = SESSION,
    ) -> None:
        """One request whose reply comes at once; every earlier reply is acknowledged."""
        self.step(
            note,
            frame(kind, session, number, number, payload),
            frame(kind | 0x80, session, number, number + 1, reply),
        )

    def load(self, model: bytes, number: int = 0) -> int:
        self.request("open", number, MODEL_OPEN, struct.pack("<I", len(model)), b"\0")
        self.request("write", number + 1, WRITE, write(MODEL, 0, 0, model), b"\0")
        self.request(
            "prepare",
            number + 2,
            MODEL_PREPARE,
            struct.pack("<II", len(model), zlib.crc32(model)),
            b"\0",
        )
        return number + 3


def conversation_vectors() -> list[dict[str, Any]]:
    return [
        {"name": talk.name, "board": talk.board, "steps": talk.steps}
        for talk in (
            identity(),
            run_a_model(),
            failures(),
            sessions(),
            versions(),
            order(),
            store(),
            ignored(),
            rates(),
            times(),
            places(),
            unloading(),
            no_inputs(),
            four_bits(),
            kept(),
            parts(),
        )
    ]


def identity() -> Conversation:
    talk = Conversation("who the board is")
    talk.hello()
    whole = board_entries()
    assert len(whole) <= LARGEST_FRAME - 12
    talk.request("all of it", 0, READ, read(BOARD, 0, 0, 1000), b"\0" + whole)
    talk.request("its first bytes", 1, READ, read(BOARD, 0, 0, 5), b"\0" + whole[:5])
    talk.request("a part", 2, READ, read(BOARD, 0, 17, 20), b"\0" + whole[17:37])
    talk.request("its end", 3, READ, read(BOARD, 0, len(whole) - 3, 20), b"\0" + whole[-3:])
    talk.request("behind its end: nothing", 4, READ, read(BOARD, 0, len(whole), 20), b"\0")
    beyond = read(BOARD, 0, len(whole) + 1, 20)
    talk.request("past the end", 5, READ, beyond, failure(OUT_OF_RANGE))
    talk.request("at 2^32 - 1", 6, READ, read(BOARD, 0, 2**32 - 1, 65535), failure(OUT_OF_RANGE))
    talk.request("another index", 7, READ, read(BOARD, 1, 0, 20), failure(OUT_OF_RANGE))
    talk.request("no such region", 8, READ, read(8, 0, 0, 20), failure(OUT_OF_RANGE))
    talk.request("no error yet", 9, READ, read(ERROR, 0, 0, 20), b"\0")
    return talk


def run_a_model() -> Conversation:
    talk = Conversation("load a model and run it")
    model = bytes(range(60, 160))
    talk.hello()
    talk.request("no model yet", 0, READ, read(LOADED, 0, 0, 50), failure(NO_MODEL))
    talk.request("nothing to run", 1, RUN, bytes([OUTPUTS, 1]), failure(NO_MODEL))
    talk.request("open", 2, MODEL_OPEN, struct.pack("<I", 100), b"\0")
    talk.request("first half", 3, WRITE, write(MODEL, 0, 0, model[:50]), b"\0")
    talk.request("second half", 4, WRITE, write(MODEL, 0, 50, model[50:]), b"\0")
    prepare = struct.pack("<II", 100, zlib.crc32(model))
    talk.request("prepare", 5, MODEL_PREPARE, prepare, b"\0")
    whole = loaded_entries(model)
    half = len(whole) // 2
    talk.request("what is loaded", 6, READ, read(LOADED, 0, 0, half), b"\0" + whole[:half])
    rest = read(LOADED, 0, half, 117)
    talk.request("the rest of it", 7, READ, rest, b"\0" + whole[half : half + 116])
    one = sample(b"\x01\x02\xfe\xff", (300, -7))
    inline = bytes([INLINE | OUTPUTS, 1])
    talk.request("run", 8, RUN, inline + one, b"\0" + result(one, 1, whole=True))
    talk.request("read the output", 9, READ, read(OUTPUT, 0, 0, 9), b"\0" + outputs(one, 1)[:4])
    talk.request("the other output", 10, READ, read(OUTPUT, 1, 2, 9), b"\0" + outputs(one, 1)[6:])
    two = sample(b"\0\0\0\0", (0, 1))
    three = sample(b"\x10\x20\x30\x40", (-32768, 32767))
    talk.request(
        "two samples in a frame, state kept",
        11,
        RUN,
        bytes([INLINE | OUTPUTS, 2]) + two + three,
        b"\0" + result(two, 2, whole=True) + result(three, 3, whole=True),
    )
    talk.request(
        "state reset before each",
        12,
        RUN,
        bytes([INLINE | OUTPUTS | RESET, 2]) + two + three,
        b"\0" + result(two, 1, whole=True) + result(three, 1, whole=True),
    )
    talk.request(
        "CRC of the outputs instead of the outputs",
        13,
        RUN,
        bytes([INLINE, 1]) + one,
        b"\0" + result(one, 2, whole=False),
    )
    talk.request("reset the state", 14, RESET_STATE, b"", b"\0")
    talk.request("write input a", 15, WRITE, write(INPUT, 0, 0, one[:4]), b"\0")
    talk.request("write input b, first half", 16, WRITE, write(INPUT, 1, 0, one[4:6]), b"\0")
    talk.request("write input b, second half", 17, WRITE, write(INPUT, 1, 2, one[6:]), b"\0")
    talk.request("read it back", 18, READ, read(INPUT, 1, 0, 100), b"\0" + one[4:])
    written = bytes([OUTPUTS, 1])
    talk.request("run what was written", 19, RUN, written, b"\0" + result(one, 1, whole=True))
    spoilt = b"\xee" * 8
    talk.request("Invoke spoilt the input", 20, RUN, written, b"\0" + result(spoilt, 2, whole=True))
    return talk


def failures() -> Conversation:
    talk = Conversation("what a board refuses")
    talk.hello()
    number = talk.load(b"model")

    def refuse(note: str, kind: int, payload: bytes, reply: bytes) -> None:
        nonlocal number
        talk.request(note, number, kind, payload, reply)
        number += 1

    malformed = failure(MALFORMED)
    out_of_range = failure(OUT_OF_RANGE)
    one = sample(b"\x01\x02\x03\x04")
    refuse("unknown request", 0x18, b"", failure(UNKNOWN_REQUEST))
    refuse("unknown request with a payload", 0x1F, b"abc", failure(UNKNOWN_REQUEST))
    refuse("READ too short", READ, read(BOARD, 0, 0, 1)[:-1], malformed)
    refuse("READ too long", READ, read(BOARD, 0, 0, 1) + b"\0", malformed)
    refuse("READ of MODEL", READ, read(MODEL, 0, 0, 1), b"\0m")
    refuse("READ of a third input", READ, read(INPUT, 2, 0, 1), out_of_range)
    refuse("READ past an output", READ, read(OUTPUT, 0, 5, 1), out_of_range)
    refuse("WRITE too short", WRITE, write(INPUT, 0, 0, b"")[:-1], malformed)
    refuse("WRITE of nothing", WRITE, write(INPUT, 0, 4, b""), b"\0")
    refuse("WRITE of nothing past the end", WRITE, write(INPUT, 0, 5, b""), out_of_range)
    refuse("WRITE one byte past the end", WRITE, write(INPUT, 0, 1, b"1234"), out_of_range)
    refuse("WRITE at 2^32 - 1", WRITE, write(INPUT, 0, 2**32 - 1, b"12"), out_of_range)
    refuse("WRITE of a third input", WRITE, write(INPUT, 2, 0, b"1"), out_of_range)
    refuse("WRITE of an output", WRITE, write(OUTPUT, 0, 0, b"1"), failure(NOT_SUPPORTED))
    refuse("WRITE of BOARD", WRITE, write(BOARD, 0, 0, b"1"), failure(NOT_SUPPORTED))
    refuse("WRITE of no region", WRITE, write(9, 0, 0, b"1"), out_of_range)
    refuse("WRITE of a model when none is open", WRITE, write(MODEL, 0, 0, b"1"), failure(NO_MODEL))
    refuse("RUN without count", RUN, b"\x01", malformed)
    refuse("RUN, unknown flag", RUN, bytes([INLINE | 8, 1]) + one, malformed)
    refuse("RUN, count 0", RUN, bytes([INLINE, 0]), malformed)
    refuse("RUN, a byte too few", RUN, bytes([INLINE, 1]) + one[:-1], malformed)
    refuse("RUN, a byte too many", RUN, bytes([INLINE, 1]) + one + b"\0", malformed)
    refuse("RUN, written input and count 2", RUN, bytes([0, 2]), malformed)
    refuse("RUN, written input and inputs", RUN, bytes([0, 1]) + one, malformed)
    refuse(
        "the reply would be too large (8 times 16 bytes)",
        RUN,
        bytes([INLINE | OUTPUTS, 8]) + one * 8,
        failure(TOO_LARGE),
    )
    refuse(
        "it was not run",
        RUN,
        bytes([INLINE | OUTPUTS, 1]) + one,
        b"\0" + result(one, 1, whole=True),
    )
    bad = sample(b"\x7f\0\0\0")
    refuse("Invoke fails", RUN, bytes([INLINE, 3]) + one + bad + one, failure(INVOKE_FAILED, 1))
    refuse("its text", READ, read(ERROR, 0, 0, 100), b"\0scripted failure")
    refuse("part of its text", READ, read(ERROR, 0, 9, 4), b"\0fail")
    refuse(
        "the board goes on",
        RUN,
        bytes([INLINE | OUTPUTS, 1]) + one,
        b"\0" + result(one, 3, whole=True),
    )
    refuse("RESET_STATE with a payload", RESET_STATE, b"\0", malformed)
    refuse("MODEL_OPEN of nothing", MODEL_OPEN, struct.pack("<I", 0), malformed)
    refuse("it unloaded the model", RESET_STATE, b"", failure(NO_MODEL))
    refuse("prepare without open", MODEL_PREPARE, struct.pack("<II", 5, 0), failure(NO_MODEL))
    large = failure(MODEL_TOO_LARGE, MEMORY + 1, MEMORY)
    refuse("MODEL_OPEN, too large", MODEL_OPEN, struct.pack("<I", MEMORY + 1), large)
    largest = failure(MODEL_TOO_LARGE, 2**32 - 1, MEMORY)
    refuse("MODEL_OPEN, 2^32 - 1", MODEL_OPEN, struct.pack("<I", 2**32 - 1), largest)
    for name, model, reply in (
        ("arena", b"Arena", failure(ARENA_TOO_SMALL, 9999, 2048)),
        ("operator", b"Operator", failure(OPERATOR_MISSING)),
        ("rejected", b"Rejected", failure(MODEL_REJECTED)),
        ("good", b"good", b"\0"),
    ):
        refuse(f"{name}: open", MODEL_OPEN, struct.pack("<I", len(model)), b"\0")
        refuse(f"{name}: write", WRITE, write(MODEL, 0, 0, model), b"\0")
        prepare = struct.pack("<II", len(model), zlib.crc32(model))
        refuse(f"{name}: prepare", MODEL_PREPARE, prepare, reply)
    refuse(
        "runs again", RUN, bytes([INLINE | OUTPUTS, 1]) + one, b"\0" + result(one, 1, whole=True)
    )
    refuse("damaged: open", MODEL_OPEN, struct.pack("<I", 5), b"\0")
    refuse("open unloads", READ, read(LOADED, 0, 0, 1), failure(NO_MODEL))
    refuse("damaged: past the end", WRITE, write(MODEL, 0, 1, b"model"), out_of_range)
    refuse("damaged: write", WRITE, write(MODEL, 0, 0, b"mobel"), b"\0")
    prepare = struct.pack("<II", 5, zlib.crc32(b"model"))
    refuse("damaged: prepare", MODEL_PREPARE, prepare, failure(MODEL_DAMAGED))
    refuse("sizes: open", MODEL_OPEN, struct.pack("<I", 5), b"\0")
    refuse("sizes: prepare", MODEL_PREPARE, struct.pack("<II", 4, 0), malformed)
    refuse("no model is open now", WRITE, write(MODEL, 0, 0, b"1"), failure(NO_MODEL))
    fast = struct.pack("<I", 921600)
    refuse("SET_BAUD of a port without a rate", SET_BAUD, fast, failure(NOT_SUPPORTED))
    refuse("SET_BAUD to the opening rate there", SET_BAUD, bytes(4), failure(NOT_SUPPORTED))
    refuse("SET_BAUD too short", SET_BAUD, fast[:3], malformed)
    refuse("SET_BAUD too long", SET_BAUD, fast + b"\0", malformed)
    return talk


def times() -> Conversation:
    talk = Conversation("operator times")
    talk.hello()
    not_supported = failure(NOT_SUPPORTED)
    talk.request("without a model", 0, READ, read(TIMES, 0, 0, 100), not_supported)
    number = talk.load(b"good", 1)
    run = bytes([INLINE, 2]) + sample(b"\x01\x02\x03\x04") * 2
    ran = result(sample(b"\x01\x02\x03\x04"), 1, whole=False)
    ran += result(sample(b"\x01\x02\x03\x04"), 2, whole=False)
    talk.request("run", number, RUN, run, b"\0" + ran)
    talk.request("not timed", number + 1, READ, read(TIMES, 0, 0, 100), not_supported)
    number = talk.load(b"Timed", number + 2)
    talk.request("timed, not run yet", number, READ, read(TIMES, 0, 0, 100), b"\0")
    talk.request("run, timed", number + 1, RUN, run, b"\0" + ran)
    both = struct.pack("<II", 1000, 500)
    talk.request("of the last Invoke", number + 2, READ, read(TIMES, 0, 0, 100), b"\0" + both)
    talk.request("a part", number + 3, READ, read(TIMES, 0, 3, 2), b"\0" + both[3:5])
    beyond = failure(OUT_OF_RANGE)
    talk.request("past the end", number + 4, READ, read(TIMES, 0, 9, 1), beyond)
    talk.request("another index", number + 5, READ, read(TIMES, 1, 0, 1), beyond)
    talk.request("written", number + 6, WRITE, write(TIMES, 0, 0, b"1"), not_supported)
    return talk


def sessions() -> Conversation:
    talk = Conversation("sessions")
    other = 0x0BAD
    nothing = READ, read(ERROR, 0, 0, 0)
    ping = frame(PING, SESSION, 5, 0)
    talk.step("no session yet", ping, frame(NO_SESSION, SESSION, 5, 0))
    talk.step("session 0 is no session", frame(PING, 0, 6, 0), frame(NO_SESSION, 0, 6, 0))
    talk.step("damage without a session costs nothing", b"\0\x05\x01\x02\0")
    talk.step("three at one look: one NO_SESSION", ping * 3, frame(NO_SESSION, SESSION, 5, 0))
    talk.step("session 0 cannot be opened", frame(HELLO, 0, 0, 0, b"\x01\x01"))
    talk.step("HELLO too short", frame(HELLO, SESSION, 0, 0, b"\x01"))
    talk.hello()
    talk.request("request 0", 0, *nothing, b"\0")
    talk.step(
        "the same HELLO changes nothing, a longer one neither",
        frame(HELLO, SESSION, 0, 0, b"\x01\x01more"),
        frame(WELCOME, SESSION, 0, 1, welcome()),
    )
    talk.step(
        "reply 0 is still there",
        frame(nothing[0], SESSION, 0, 0, nothing[1]),
        frame(nothing[0] | 0x80, SESSION, 0, 1, b"\0"),
    )
    talk.step(
        "a frame of another session",
        frame(nothing[0], other, 1, 1, nothing[1]),
        frame(NO_SESSION, other, 1, 0),
    )
    number = talk.load(b"model", 1)
    talk.step("PING", frame(PING, SESSION, 77, number), frame(PONG, SESSION, 77, number))
    talk.hello(other)
    talk.step(
        "request 0 is expected, and the token is forgotten",
        frame(nothing[0], other, 1, 0, nothing[1]),
        frame(GAP, other, 0, 0),
    )
    talk.step("no reply is stored", frame(REPEAT, other, 0, 0, struct.pack("<H", 9)))
    talk.request("the model stays", 0, RESET_STATE, b"", b"\0", other)
    talk.step("the old session is gone", ping, frame(NO_SESSION, SESSION, 5, 0))
    return talk


def versions() -> Conversation:
    talk = Conversation("versions")
    talk.step(
        "a host of a later version only: no session",
        frame(HELLO, SESSION, 0, 0, b"\x02\x09"),
        frame(WELCOME, SESSION, 0, 0, welcome(version=0)),
    )
    talk.step("no session was kept", frame(PING, SESSION, 1, 0), frame(NO_SESSION, SESSION, 1, 0))
    talk.step(
        "an empty range",
        frame(HELLO, SESSION, 0, 0, b"\x02\x01"),
        frame(WELCOME, SESSION, 0, 0, welcome(version=0)),
    )
    for lowest, highest in ((1, 0), (0, 0), (255, 1)):
        talk.step(
            f"{lowest} to {highest}",
            frame(HELLO, SESSION, 0, 0, bytes([lowest, highest])),
            frame(WELCOME, SESSION, 0, 0, welcome(version=0)),
        )
    talk.step(
        "a wide range",
        frame(HELLO, SESSION, 0, 0, b"\x00\xff"),
        frame(WELCOME, SESSION, 0, 0, welcome()),
    )
    talk.request("request 0", 0, RESET_STATE, b"", failure(NO_MODEL))
    talk.step(
        "a host that cannot speak to the board does not end the session of one that does",
        frame(HELLO, 0x0BAD, 0, 0, b"\x02\x09"),
        frame(WELCOME, 0x0BAD, 0, 0, welcome(version=0)),
    )
    talk.request("request 1", 1, RESET_STATE, b"", failure(NO_MODEL))
    return talk


def order() -> Conversation:
    talk = Conversation("in order, and once")
    one = sample(b"\x01\x02\x03\x04")
    run = bytes([INLINE | OUTPUTS, 1]) + one

    def request(number: int, ack: int) -> bytes:
        return frame(RUN, SESSION, number, ack, run)

    def reply(number: int, state: int) -> bytes:
        return frame(
            RUN | 0x80, SESSION, number, number + 1, b"\0" + result(one, state, whole=True)
        )

    talk.hello()
    number = talk.load(b"model")
    assert number == 3
    talk.step("3 is run", request(3, 3), reply(3, 1))
    talk.step("3 again is not run again", request(3, 3), reply(3, 1))
    talk.step("two at once", request(4, 4) + request(5, 4), reply(4, 2), reply(5, 3))
    talk.step(
        "6 is lost, 7 and 8 come: one GAP", request(7, 6) + request(8, 6), frame(GAP, SESSION, 0, 6)
    )
    talk.step("still no other GAP", request(8, 6))
    talk.step("damage: still no other GAP", b"\0\x05\x01\x02\0")
    talk.step(
        "the host answers it: PING, 6, 7",
        frame(PING, SESSION, 900, 6) + request(6, 6) + request(7, 6),
        frame(PONG, SESSION, 900, 6),
        reply(6, 4),
        reply(7, 5),
    )
    talk.step("damage: GAP with the token", b"\0\x05\x01\x02\0", frame(GAP, SESSION, 900, 8))
    talk.step(
        "a request that is taken makes room for another GAP",
        request(8, 8) + request(10, 8),
        reply(8, 6),
        frame(GAP, SESSION, 900, 9),
    )
    talk.step(
        "a PING does so too",
        frame(PING, SESSION, 901, 8) + request(11, 8),
        frame(PONG, SESSION, 901, 9),
        frame(GAP, SESSION, 901, 9),
    )
    talk.step(
        "three more, nothing acknowledged",
        request(9, 8) + request(10, 8) + request(11, 8),
        reply(9, 7),
        reply(10, 8),
        reply(11, 9),
    )
    talk.step(
        "REPEAT of two in the middle",
        frame(REPEAT, SESSION, 9, 8, struct.pack("<H", 2)),
        reply(9, 7),
        reply(10, 8),
    )
    talk.step(
        "REPEAT of more than there are, on both sides",
        frame(REPEAT, SESSION, 0, 8, struct.pack("<H", 65535)),
        reply(8, 6),
        reply(9, 7),
        reply(10, 8),
        reply(11, 9),
    )
    talk.step("REPEAT of none", frame(REPEAT, SESSION, 9, 8, struct.pack("<H", 0)))
    talk.step("REPEAT of what is to come", frame(REPEAT, SESSION, 12, 8, struct.pack("<H", 5)))
    talk.step("REPEAT too short", frame(REPEAT, SESSION, 9, 8, b"\x01"))
    talk.step(
        "what is acknowledged is forgotten",
        frame(REPEAT, SESSION, 8, 11, struct.pack("<H", 9) + b"+"),
        reply(11, 9),
    )
    talk.step("a request whose reply is forgotten: nothing", request(10, 11))
    talk.step(
        "an ack that goes back, and one past what was taken, are ignored",
        frame(REPEAT, SESSION, 11, 3, struct.pack("<H", 1))
        + frame(REPEAT, SESSION, 11, 13, struct.pack("<H", 1)),
        reply(11, 9),
        reply(11, 9),
    )
    talk.step(
        "half the circle ahead: later",
        request((12 + 32768) & 0xFFFF, 11),
        frame(GAP, SESSION, 901, 12),
    )
    talk.step("half the circle behind: before, and not stored", request((12 - 32767) & 0xFFFF, 11))
    return talk


def store() -> Conversation:
    talk = Conversation("the reply store is full")
    nothing = read(BOARD, 0, 0, 50)
    data = board_entries()[:50]
    assert REPLY_STORE == 2 * (LARGEST_FRAME + 3)

    def request(number: int, ack: int) -> bytes:
        return frame(READ, SESSION, number, ack, nothing)

    def reply(number: int) -> bytes:
        return frame(READ | 0x80, SESSION, number, number + 1, b"\0" + data)

    talk.hello()
    assert 4 * (11 + 51 + 3) <= REPLY_STORE < 5 * (11 + 51 + 2)
    talk.step(
        "four fit, the fifth does not: GAP",
        request(0, 0) + request(1, 0) + request(2, 0) + request(3, 0) + request(4, 0),
        reply(0),
        reply(1),
        reply(2),
        reply(3),
        frame(GAP, SESSION, 0, 4),
    )
    talk.step(
        "one acknowledged: it fits",
        frame(PING, SESSION, 1, 1) + request(4, 1),
        frame(PONG, SESSION, 1, 4),
        reply(4),
    )
    talk.step(
        "all are there",
        frame(REPEAT, SESSION, 0, 1, struct.pack("<H", 9)),
        reply(1),
        reply(2),
        reply(3),
        reply(4),
    )
    talk.step("acknowledged to the end", frame(PING, SESSION, 2, 5), frame(PONG, SESSION, 2, 5))
    talk.step("none is there", frame(REPEAT, SESSION, 0, 5, struct.pack("<H", 9)))
    return talk


def ignored() -> Conversation:
    talk = Conversation("what a board ignores")
    s = SESSION
    talk.hello()
    talk.step("zeros", bytes(100))
    for kind in (
        0x00,
        0x04,
        0x0F,
        0x20,
        0x7F,
        WELCOME,
        PONG,
        GAP,
        NO_SESSION,
        LOG,
        CRASH,
        0x90,
        0x9F,
        0xFF,
    ):
        talk.step(f"type 0x{kind:02X}", frame(kind, s, 0, 0, b"any"))
    talk.step(
        "the same in a session that is not", frame(0x20, 0x0BAD, 0, 0) + frame(PONG, 0x0BAD, 0, 0)
    )
    talk.step("PING with a payload", frame(PING, s, 9, 0, b"more"), frame(PONG, s, 9, 0))
    talk.step(
        "PING with token 0, and a GAP behind it",
        frame(PING, s, 0, 0) + b"\0\x05\x01\x02\0",
        frame(PONG, s, 0, 0),
        frame(GAP, s, 0, 0),
    )
    talk.step(
        "a request exactly 32 768 ahead is later, and REPEAT from there is of nothing",
        frame(PING, s, 3, 0)
        + frame(RESET_STATE, s, 32768, 0)
        + frame(REPEAT, s, 32768, 0, struct.pack("<H", 65535)),
        frame(PONG, s, 3, 0),
        frame(GAP, s, 3, 0),
    )
    talk.step(
        "one zero between frames",
        frame(PING, s, 8, 0)[:-1] + frame(PING, s, 9, 0),
        frame(PONG, s, 8, 0),
        frame(PONG, s, 9, 0),
    )
    for vector in damaged_vectors():
        talk.step(
            f"damage ({vector['name']}) is GAP",
            frame(PING, s, 10, 0) + bytes.fromhex(vector["wire"]),
            frame(PONG, s, 10, 0),
            frame(GAP, s, 10, 0),
        )
    talk.step(
        "text in front of a frame damages nothing behind it (and the GAP was sent already)",
        b"AT+GMR\r\n" + frame(PING, s, 11, 0),
        frame(PONG, s, 11, 0),
    )
    talk.step(
        "and the next request is 0",
        frame(RESET_STATE, s, 0, 0),
        frame(0x95, s, 0, 1, failure(NO_MODEL)),
    )
    return talk


def rates() -> Conversation:
    talk = Conversation("the rate is changed", largest_baud=1_500_000)

    def ask(note: str, number: int, baud: int, reply: bytes, then: int) -> None:
        talk.request(note, number, SET_BAUD, struct.pack("<I", baud), reply)
        talk.steps[-1]["baud"] = then

    talk.step(
        "WELCOME says that it can be",
        frame(HELLO, SESSION, 0, 0, b"\x01\x01"),
        frame(WELCOME, SESSION, 0, 0, welcome(flags=7)),
    )
    ask("to a higher one", 0, 921600, b"\0", 921600)
    talk.step("a PING there", frame(PING, SESSION, 1, 1), frame(PONG, SESSION, 1, 1))
    ask("one that the port cannot carry", 1, 1_500_001, failure(NOT_SUPPORTED), 921600)
    ask("the largest number", 2, 2**32 - 1, failure(NOT_SUPPORTED), 921600)
    ask("again the one that it is", 3, 921600, b"\0", 921600)
    ask("0: that of the start", 4, 0, b"\0", 115200)
    talk.step(
        "a request repeated with another rate: its reply, and nothing is done",
        frame(SET_BAUD, SESSION, 4, 4, struct.pack("<I", 921600)),
        frame(SET_BAUD | 0x80, SESSION, 4, 5, b"\0"),
    )
    talk.steps[-1]["baud"] = 115200
    talk.request("too short", 5, SET_BAUD, bytes(3), failure(MALFORMED))
    talk.request("too long", 6, SET_BAUD, bytes(5), failure(MALFORMED))
    ask("a new session finds it as it is", 7, 921600, b"\0", 921600)
    talk.step(
        "HELLO at the new rate",
        frame(HELLO, 0x0BAD, 0, 0, b"\x01\x01"),
        frame(WELCOME, 0x0BAD, 0, 0, welcome(flags=7)),
    )
    talk.steps[-1]["baud"] = 921600
    return talk


def places() -> Conversation:
    """Regions, indices, offsets and lengths at their edges."""
    talk = Conversation("places")
    talk.hello()
    number = 0

    def ask(note: str, kind: int, payload: bytes, reply: bytes) -> None:
        nonlocal number
        talk.request(note, number, kind, payload, reply)
        number += 1

    beyond, no_model = failure(OUT_OF_RANGE), failure(NO_MODEL)
    for region in (8, 128, 255):
        ask(f"READ of region {region}", READ, read(region, 0, 0, 1), beyond)
        ask(f"WRITE of region {region}", WRITE, write(region, 0, 0, b"1"), beyond)
        ask(f"empty READ of region {region}", READ, read(region, 1, 0, 0), beyond)
        ask(f"empty WRITE of region {region}", WRITE, write(region, 1, 0, b""), beyond)
    for name, region in (
        ("LOADED", LOADED),
        ("MODEL", MODEL),
        ("INPUT", INPUT),
        ("OUTPUT", OUTPUT),
    ):
        ask(f"index 1 of {name}, no model", READ, read(region, 1, 0, 1), no_model)
        ask(f"nothing of {name}, no model", READ, read(region, 0, 0, 0), no_model)
    ask("index 1 of ERROR", READ, read(ERROR, 1, 0, 1), beyond)
    ask("index 255 of BOARD", READ, read(BOARD, 255, 0, 1), beyond)
    ask("nothing of BOARD", READ, read(BOARD, 0, 0, 0), b"\0")
    end = len(board_entries())
    ask("nothing at the end of BOARD", READ, read(BOARD, 0, end, 0), b"\0")
    ask("nothing past the end of BOARD", READ, read(BOARD, 0, end + 1, 0), beyond)
    ask("empty WRITE of MODEL, none open", WRITE, write(MODEL, 0, 0, b""), no_model)
    ask("WRITE of MODEL, index 1, none open", WRITE, write(MODEL, 1, 0, b""), no_model)
    ask("empty WRITE of BOARD", WRITE, write(BOARD, 0, 0, b""), failure(NOT_SUPPORTED))
    ask("open", MODEL_OPEN, struct.pack("<I", 4), b"\0")
    ask("WRITE of MODEL, index 1", WRITE, write(MODEL, 1, 0, b"1"), beyond)
    ask("empty WRITE of MODEL", WRITE, write(MODEL, 0, 0, b""), b"\0")
    ask("empty WRITE at the end of MODEL", WRITE, write(MODEL, 0, 4, b""), b"\0")
    ask("empty WRITE past the end of MODEL", WRITE, write(MODEL, 0, 5, b""), beyond)
    number = talk.load(b"good", number)
    for name, region in (("LOADED", LOADED), ("MODEL", MODEL)):
        ask(f"index 1 of {name}", READ, read(region, 1, 0, 1), beyond)
    ask("index 2 of INPUT", READ, read(INPUT, 2, 0, 0), beyond)
    ask("index 2 of OUTPUT", READ, read(OUTPUT, 2, 0, 0), beyond)
    ask("index 1 of TIMES, not measured", READ, read(TIMES, 1, 0, 1), failure(NOT_SUPPORTED))
    ask("nothing at the end of INPUT", READ, read(INPUT, 0, 4, 0), b"\0")
    ask("nothing past the end of INPUT", READ, read(INPUT, 0, 5, 0), beyond)
    ask("empty WRITE at the end of INPUT", WRITE, write(INPUT, 0, 4, b""), b"\0")
    ask("empty WRITE past the end of INPUT", WRITE, write(INPUT, 0, 5, b""), beyond)
    ask("nothing of INPUT has changed", READ, read(INPUT, 0, 0, 9), b"\0" + bytes(4))
    return talk


def unloading() -> Conversation:
    """Whatever MODEL_OPEN and MODEL_PREPARE fail with, there is no model then."""
    talk = Conversation("what unloads the model")
    talk.hello()
    number = 0
    good = struct.pack("<II", 5, zlib.crc32(b"model"))
    malformed, no_model = failure(MALFORMED), failure(NO_MODEL)
    for note, kind, payload, reply in (
        ("MODEL_PREPARE too short", MODEL_PREPARE, good[:-1], malformed),
        ("MODEL_PREPARE too long", MODEL_PREPARE, good + b"\0", malformed),
        ("MODEL_PREPARE of nothing", MODEL_PREPARE, bytes(8), malformed),
        ("MODEL_PREPARE, none open", MODEL_PREPARE, good, no_model),
        ("MODEL_OPEN too short", MODEL_OPEN, bytes(3), malformed),
        ("MODEL_OPEN too long", MODEL_OPEN, bytes(5), malformed),
    ):
        number = talk.load(b"model", number)
        talk.request("loaded", number, RESET_STATE, b"", b"\0")
        talk.request(note, number + 1, kind, payload, reply)
        talk.request("not loaded any more", number + 2, RESET_STATE, b"", no_model)
        number += 3
    talk.request("open", number, MODEL_OPEN, struct.pack("<I", 5), b"\0")
    talk.request("write", number + 1, WRITE, write(MODEL, 0, 0, b"model"), b"\0")
    talk.request("prepare, too short", number + 2, MODEL_PREPARE, good[:4], malformed)
    talk.request("none is open any more", number + 3, MODEL_PREPARE, good, no_model)
    return talk


def kept() -> Conversation:
    """Models behind another one that stays, and bytes that are copied."""
    talk = Conversation("kept memory")
    talk.hello()
    number = 0
    base = bytes(range(60, 160))
    beyond, no_model = failure(OUT_OF_RANGE), failure(NO_MODEL)
    malformed = failure(MALFORMED)

    def ask(note: str, kind: int, payload: bytes, reply: bytes = b"\0") -> None:
        nonlocal number
        talk.request(note, number, kind, payload, reply)
        number += 1

    def opened(note: str, size: int, behind: int, reply: bytes = b"\0") -> None:
        ask(note, MODEL_OPEN, struct.pack("<II", size, behind), reply)

    def prepared(note: str, model: bytes, reply: bytes = b"\0") -> None:
        ask(note, MODEL_PREPARE, struct.pack("<II", len(model), zlib.crc32(model)), reply)

    def copied(
        note: str,
        to: tuple[int, int, int],
        source: tuple[int, int, int],
        length: int,
        reply: bytes = b"\0",
    ) -> None:
        ask(note, COPY, copy(to, source, length), reply)

    ask("nothing is kept", READ, read(KEPT, 0, 0, 9))
    ask("one byte past nothing", READ, read(KEPT, 0, 1, 0), beyond)
    ask("index 1 of KEPT", READ, read(KEPT, 1, 0, 0), beyond)
    ask("COPY too short", COPY, copy((INPUT, 0, 0), (ERROR, 0, 0), 0)[:-1], malformed)
    ask("COPY too long", COPY, copy((INPUT, 0, 0), (ERROR, 0, 0), 0) + b"\0", malformed)
    copied("from INPUT without a model", (KEPT, 0, 0), (INPUT, 0, 0), 0, no_model)
    copied("to INPUT without a model", (INPUT, 0, 0), (KEPT, 0, 0), 0, no_model)
    copied("to a model that is not open", (MODEL, 0, 0), (KEPT, 0, 0), 0, no_model)
    copied("from no region", (KEPT, 0, 0), (8, 0, 0), 0, beyond)
    copied("to no region", (8, 0, 0), (KEPT, 0, 0), 0, beyond)
    number = talk.load(base, number)
    opened("a model of 12 behind it", 12, 100)
    ask("the first is not loaded any more", READ, read(LOADED, 0, 0, 1), no_model)
    ask("its bytes are kept", READ, read(KEPT, 0, 0, 100), b"\0" + base)
    ask("its end", READ, read(KEPT, 0, 98, 9), b"\0" + base[98:])
    ask("past its end", READ, read(KEPT, 0, 101, 9), beyond)
    copied("four of its bytes", (MODEL, 0, 1), (KEPT, 0, 96), 4)
    copied("none of its bytes", (MODEL, 0, 12), (KEPT, 0, 100), 0)
    copied("one byte past the source", (MODEL, 0, 0), (KEPT, 0, 97), 4, beyond)
    copied("one byte past the model", (MODEL, 0, 9), (KEPT, 0, 0), 4, beyond)
    copied("from 2^32 - 1 on", (MODEL, 0, 0), (KEPT, 0, 2**32 - 1), 2, beyond)
    copied("to 2^32 - 1", (MODEL, 0, 2**32 - 1), (KEPT, 0, 0), 2, beyond)
    copied("2^32 - 1 bytes", (MODEL, 0, 1), (KEPT, 0, 1), 2**32 - 1, beyond)
    copied("from the model that is open", (MODEL, 0, 0), (MODEL, 0, 0), 1, no_model)
    ask("its first byte", WRITE, write(MODEL, 0, 0, b"m"))
    ask("its last bytes", WRITE, write(MODEL, 0, 5, b"written"))
    model = b"m" + base[96:] + b"written"
    prepared("it is the model that was meant", model)
    entries = b"\0" + loaded_entries(model, 112)[:116]
    ask("it is loaded, at the next multiple of 16", READ, read(LOADED, 0, 0, 116), entries)
    ask("as it lies in memory", READ, read(MODEL, 0, 0, 12), b"\0" + model)
    one = sample(b"\1\2\3\4", (5, 6))
    run = b"\0" + result(one, 1, whole=True)
    ask("it runs", RUN, bytes([INLINE | OUTPUTS, 1]) + one, run)
    copied("output 0 into input 0", (INPUT, 0, 0), (OUTPUT, 0, 0), 4)
    copied("two of its bytes into input 1", (INPUT, 1, 1), (OUTPUT, 0, 2), 2)
    both = b"\2\3\4\5" + b"\xee\4\5\xee"
    ask("Invoke sees them", RUN, bytes([OUTPUTS, 1]), b"\0" + result(both, 2, whole=True))
    copied("from BOARD", (INPUT, 0, 0), (BOARD, 0, 0), 1, beyond)
    copied("none of LOADED", (INPUT, 0, 0), (LOADED, 0, 0), 0)
    copied("to OUTPUT", (OUTPUT, 0, 0), (INPUT, 0, 0), 1, failure(NOT_SUPPORTED))
    copied("from TIMES, not measured", (INPUT, 0, 0), (TIMES, 0, 0), 0, failure(NOT_SUPPORTED))
    copied("from a third input", (INPUT, 0, 0), (INPUT, 2, 0), 0, beyond)
    copied("to a third input", (INPUT, 2, 0), (INPUT, 0, 0), 0, beyond)
    opened("the first model again", 100, 0)
    prepared("without a WRITE", base)
    entries = b"\0" + loaded_entries(base)[:116]
    ask("it is at the start", READ, read(LOADED, 0, 0, 116), entries)
    ask("nothing is kept", READ, read(KEPT, 0, 0, 9))
    too_large = failure(MODEL_TOO_LARGE, 1, 0)
    opened("behind all of the memory", 1, MEMORY, too_large)
    opened("behind all but a byte of it, rounded up", 1, MEMORY - 1, too_large)
    opened("behind 2^32 - 1 bytes", 1, 2**32 - 1, too_large)
    opened(
        "one byte too large behind 112", MEMORY - 111, 100, failure(5, MEMORY - 111, MEMORY - 112)
    )
    opened("as large as it can be", MEMORY - 112, 100)
    opened("behind the first model again", 5, 100)
    prepared("damaged", b"model", failure(MODEL_DAMAGED))
    ask("what is kept stays", READ, read(KEPT, 0, 0, 100), b"\0" + base)
    ask("MODEL_OPEN with half a number", MODEL_OPEN, struct.pack("<IH", 5, 100), malformed)
    ask("MODEL_OPEN too long", MODEL_OPEN, struct.pack("<III", 5, 100, 0), malformed)
    ask("it stays", READ, read(KEPT, 0, 0, 100), b"\0" + base)
    opened("the first model", 100, 0)
    prepared("is there", base)
    opened("behind three bytes", 5, 3)
    ask("WRITE of KEPT", WRITE, write(KEPT, 0, 0, b"abc"))
    ask("WRITE past its end", WRITE, write(KEPT, 0, 1, b"abc"), beyond)
    copied("places that overlap", (KEPT, 0, 1), (KEPT, 0, 0), 2)
    ask("as if the source had been read first", READ, read(KEPT, 0, 0, 9), b"\0aab")
    copied("a byte down", (KEPT, 0, 0), (KEPT, 0, 1), 2)
    ask("that way round as well", READ, read(KEPT, 0, 0, 9), b"\0abb")
    opened("the first model once more", 100, 0)
    prepared("is not there any more", base, failure(MODEL_DAMAGED))
    return talk


def no_inputs() -> Conversation:
    talk = Conversation("a model without inputs")
    model = b"None"
    talk.hello()
    number = talk.load(model)
    talk.request(
        "LOADED has no entry 3",
        number,
        READ,
        read(LOADED, 0, 0, 116),
        b"\0" + loaded_entries(model)[:116],
    )
    beyond = failure(OUT_OF_RANGE)
    talk.request("READ of input 0", number + 1, READ, read(INPUT, 0, 0, 0), beyond)
    talk.request("WRITE of input 0", number + 2, WRITE, write(INPUT, 0, 0, b""), beyond)

    def computed(a: bytes, b: tuple[int, int], state: int) -> bytes:
        return struct.pack("<II", 0, 1500) + outputs(sample(a, b), state)

    talk.request(
        "two samples of no bytes",
        number + 3,
        RUN,
        bytes([INLINE | OUTPUTS, 2]),
        b"\0"
        + computed(bytes(4), (0, 0), 1)
        + computed(b"\xee" * 4, struct.unpack("<hh", b"\xee" * 4), 2),
    )
    too_many = bytes([INLINE | OUTPUTS, 2, 0])
    talk.request("a byte too many", number + 4, RUN, too_many, failure(MALFORMED))
    return talk


def four_bits() -> Conversation:
    talk = Conversation("an input of a type that this document does not name")
    model = b"4 bits"
    talk.hello()
    number = talk.load(model)
    whole = loaded_entries(model)
    talk.request("LOADED", number, READ, read(LOADED, 0, 0, 60), b"\0" + whole[:60])
    talk.request("the rest", number + 1, READ, read(LOADED, 0, 60, 116), b"\0" + whole[60:])
    one = sample(b"\x12\x34\x56\x78")
    run = bytes([INLINE | OUTPUTS, 1]) + one
    talk.request("its bytes as they are", number + 2, RUN, run, b"\0" + result(one, 1, whole=True))
    return talk


def parts() -> Conversation:
    talk = Conversation("parts of a reply")
    data = board_entries()[:100]
    talk.hello()

    def wire(number: int) -> bytes:
        return frame(READ | 0x80, SESSION, number, number + 1, b"\0" + data)

    for number in (0, 1):
        talk.step(
            "a long reply",
            frame(READ, SESSION, number, 0, read(BOARD, 0, 0, 100)),
            wire(number),
        )
    encoded = wire(1)[1:-1]
    assert PART_BYTES < len(encoded) < 2 * PART_BYTES

    def ask(
        note: str, number: int, ack: int, offset: int, *answers: bytes, more: bytes = b""
    ) -> None:
        asked = struct.pack("<HH", 1, offset) + more
        talk.step(note, frame(REPEAT, SESSION, number, ack, asked), *answers)

    def part(offset: int, number: int = 1, of: bytes = encoded) -> bytes:
        payload = struct.pack("<H", offset) + of[offset : offset + PART_BYTES]
        return frame(PART, SESSION, number, 2, payload)

    ask("its first part", 1, 0, 0, part(0))
    ask("the last", 1, 0, 51, part(51))
    ask("one from the middle", 1, 0, 17, part(17))
    ask("at the end: nothing", 1, 0, len(encoded), part(len(encoded)))
    ask("past the end: nothing", 1, 0, 65535, part(65535))
    ask("of the other", 0, 0, 51, part(51, 0, wire(0)[1:-1]))
    ask("what is longer is ignored", 1, 0, 0, part(0), more=b"more")
    talk.step(
        "so is the count",
        frame(REPEAT, SESSION, 1, 0, struct.pack("<HH", 0, 51)),
        part(51),
    )
    ask("of one that is to come", 2, 0, 0)
    ask("of one that is acknowledged", 0, 1, 0)
    ask("the other is there", 1, 1, 0, part(0))
    talk.step(
        "and whole again",
        frame(REPEAT, SESSION, 0, 1, struct.pack("<H", 2)),
        wire(1),
    )
    return talk


def loaded_vectors() -> list[dict[str, Any]]:
    a, b = {"type": 9, "shape": [2, 2], "bytes": 4}, {"type": 7, "shape": [2], "bytes": 4}
    outputs = [{"type": 9, "shape": [4], "bytes": 4}, {"type": 2, "shape": [], "bytes": 4}]
    four = {"type": 17, "shape": [2, 4], "bytes": 4}
    cases = (
        ("two inputs", b"model", [a, b]),
        ("no inputs", b"None", []),
        ("INT4, two in a byte", b"4 bits", [four, b]),
    )
    return [
        {
            "name": name,
            "data": loaded_entries(model).hex(),
            "inputs": inputs,
            "outputs": outputs,
        }
        for name, model, inputs in cases
    ]


def vectors() -> dict[str, Any]:
    frames = frame_vectors()
    full = b"\xff" + bytes(range(1, 255))
    assert cobs.decode(full + b"\x01") == full[1:]
    return {
        "description": DESCRIPTION,
        "version": 1,
        "crc32": crc_vectors(),
        "cobs": cobs_vectors(),
        "cobs_only_decoded": [
            {
                "name": "an empty group behind a full one",
                "decoded": bytes(range(1, 255)).hex(),
                "encoded": (full + b"\x01").hex(),
            },
            {
                "name": "an empty group behind two full ones",
                "decoded": (bytes(range(1, 255)) * 2).hex(),
                "encoded": (full * 2 + b"\x01").hex(),
            },
        ],
        "cobs_invalid": [
            {"name": "group of two, nothing in it", "encoded": "02"},
            {"name": "group of five, three in it", "encoded": "05010203"},
            {"name": "full group cut by one", "encoded": full[:-1].hex()},
            {"name": "second group cut", "encoded": "0201" + "03ff"},
        ],
        "wire_lengths": wire_length_vectors(),
        "frames": frames,
        "damaged": damaged_vectors(),
        "pieces": piece_vectors(),
        "streams": stream_vectors({vector["name"]: vector["wire"] for vector in frames}),
        "loaded": loaded_vectors(),
        "conversations": conversation_vectors(),
    }


def main() -> int:
    path = Path(__file__).with_name("vectors.json")
    text = json.dumps(vectors(), indent=1, ensure_ascii=True) + "\n"
    if "--check" in sys.argv[1:]:
        if path.read_text(encoding="utf-8") == text:
            return 0
        print(f"{path.name} is not what make_vectors.py writes: run it", file=sys.stderr)
        return 1
    path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
