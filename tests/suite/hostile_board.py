"""A board behind a TCP port that plays SPEC.md for an identity model, and lies in one way.

``LIES`` has the ways: each changes a :class:`link.scripted_board.Board`. ``served(lie)`` gives the
port's name while the board is there.
"""

from __future__ import annotations

import contextlib
import random
import select
import socket
import struct
import threading
import zlib
from collections.abc import Callable, Iterator

from cobs import cobs

from tests.link.scripted_board import Board, Refused, TensorSpec, VectorEngine

EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202egnp\u2066"
CODES = TensorSpec(9, (1, 4), 4, 0.5, 0)
WELCOME = struct.Struct("<BBBBIHII")
BOARD, LOADED, INPUT, OUTPUT, ERROR = 0, 1, 3, 4, 5
READ, WRITE, MODEL_OPEN, MODEL_PREPARE, RUN, RESET = range(0x10, 0x16)


class Identity(VectorEngine):
    """Gives the input back: what the model does that the tests load."""

    inputs = outputs = (CODES,)

    def prepare(self, model: bytes) -> tuple[int, int]:
        return 640, 2048

    def invoke(self, inputs: list[bytearray]) -> list[bytes]:
        return [bytes(inputs[0])]


Lie = Callable[[Board], None]
LIES: dict[str, Lie] = {}


def lie(name: str) -> Callable[[Lie], Lie]:
    def add(function: Lie) -> Lie:
        LIES[name] = function
        return function

    return add


# What the board sends.


def stream(name: str, change: Callable[[bytes], bytes]) -> None:
    """All bytes, changed."""

    def apply(board: Board) -> None:
        real = board.transmit
        board.transmit = lambda: change(real())

    LIES[name] = apply


def frames(name: str, change: Callable[..., tuple | None]) -> None:
    """``change(kind, number, payload, session, ack)`` gives the frame that is sent; None: none."""

    def apply(board: Board) -> None:
        def send(kind, number, payload=b"", session=None, ack=None):
            session = board._session if session is None else session
            ack = board._expected if ack is None else ack
            changed = change(kind, number, payload, session, ack)
            if changed is not None:
                kind, number, payload, session, ack = changed
                body = struct.pack(
                    "<BHHH", kind & 255, session & 65535, number & 65535, ack & 65535
                )
                body += payload
                body += zlib.crc32(body).to_bytes(4, "little")
                board._out += b"\0" + cobs.encode(body) + b"\0"
            return len(payload) + 11

        board._send = send

    LIES[name] = apply


def welcomes(name: str, **changes: int) -> None:
    order = ("lowest", "highest", "version", "flags", "boot", "frame", "window", "store")

    def change(kind, number, payload, session, ack):
        if kind == 0x81:
            fields = dict(zip(order, WELCOME.unpack(payload), strict=True)) | changes
            payload = WELCOME.pack(*fields.values())
        return kind, number, payload, session, ack

    frames(name, change)


def replies(name: str, change: Callable[[bytes], bytes], kinds: tuple[int, ...] = ()) -> None:
    """The payloads of replies, of all or of some requests."""

    def changed(kind, number, payload, session, ack):
        if kind >= 0x90 and (not kinds or kind - 0x80 in kinds):
            payload = change(payload)
        return kind, number, payload, session, ack

    frames(name, changed)


def refuses(name: str, kind: int, status: int, text: str = "", *numbers: int) -> None:
    def apply(board: Board) -> None:
        real = board._perform

        def perform(asked: int, payload: bytes) -> bytes:
            if asked == kind:
                raise Refused(status, *(numbers or (0, 0)), text=text)
            return real(asked, payload)

        board._perform = perform

    LIES[name] = apply


def region(name: str, which: int, change: Callable[[bytes], bytes]) -> None:
    def apply(board: Board) -> None:
        real = board._region
        board._region = lambda asked, index: (
            change(real(asked, index)) if asked == which else real(asked, index)
        )

    LIES[name] = apply


def entry(name: str, which: int, key: int, value: bytes | None, again: int = 1) -> None:
    """An entry of BOARD or LOADED with another value, or without it; ``again``: so often."""

    def change(data: bytes) -> bytes:
        out, at = b"", 0
        while at < len(data):
            found, length = struct.unpack_from("<BH", data, at)
            old = data[at + 3 : at + 3 + length]
            at += 3 + length
            if found != key:
                out += struct.pack("<BH", found, length) + old
            elif value is not None:
                out += (struct.pack("<BH", found, len(value)) + value) * again
        return out

    region(name, which, change)


def tensor(kind=9, shape=(1, 4), nbytes=4, scale=0.5, zero_point=0) -> bytes:
    return TensorSpec(kind, shape, nbytes, scale, zero_point).pack()


stream("silent", lambda out: b"")
stream("endless zeros", lambda out: bytes(5000))
stream("garbage beside frames for ever", lambda out: random.Random(1).randbytes(4000))
stream("text without an end", lambda out: b"x" * 5000)
stream("bits flipped in all", lambda out: bytes(each ^ 0x20 for each in out))
stream("cut frames", lambda out: out[:-3])
stream("text with escapes", lambda out: f"{EVIL}\n".encode() * 50)

frames("another session", lambda k, n, p, s, a: (k, n, p, s + 1, a))
frames("another number", lambda k, n, p, s, a: (k, n + (k >= 0x90), p, s, a))
frames("a number far away", lambda k, n, p, s, a: (k, n + 32768 * (k >= 0x90), p, s, a))
frames("acknowledges too much", lambda k, n, p, s, a: (k, n, p, s, a + 7000))
frames("a reply to another request", lambda k, n, p, s, a: (k + (k >= 0x90), n, p, s, a))
frames("unknown types", lambda k, n, p, s, a: (0xEE if k >= 0x90 else k, n, p, s, a))
frames("no replies", lambda k, n, p, s, a: None if k >= 0x90 else (k, n, p, s, a))
frames(
    "gaps alone",
    lambda k, n, p, s, a: (
        (0x83 if k >= 0x90 else k, n, b"", s, a) if k != 0x81 else (k, n, p, s, a)
    ),
)
frames("no session", lambda k, n, p, s, a: (0x84 if k >= 0x90 else k, n, p, s, a))
frames(
    "restarts for ever",
    lambda k, n, p, s, a: (
        k,
        n,
        p[:4] + random.randbytes(4) + p[8:] if k == 0x81 else p,
        s if k == 0x81 else s + 9,
        a,
    ),
)
frames(
    "crashes with escapes",
    lambda k, n, p, s, a: (
        (0x86, 0, struct.pack("<BI", 1, 4) + EVIL.encode(), 0, 0) if k >= 0x90 else (k, n, p, s, a)
    ),
)
frames(
    "crashes of an unknown kind",
    lambda k, n, p, s, a: (0x86, 0, b"\xff" * 5, 0, 0) if k >= 0x90 else (k, n, p, s, a),
)

welcomes("version 0", version=0)
welcomes("version 2", version=2)
welcomes("versions upside down", lowest=9, highest=3, version=0)
welcomes("frames of no bytes", frame=0)
welcomes("frames of 10 bytes", frame=10)
welcomes("no window", window=0)
welcomes("a window of one byte", window=1)
welcomes("no store", store=0)
frames("a short welcome", lambda k, n, p, s, a: (k, n, p[:9] if k == 0x81 else p, s, a))
frames("an empty welcome", lambda k, n, p, s, a: (k, n, b"" if k == 0x81 else p, s, a))

replies("empty replies", lambda payload: b"")
replies("half a failure", lambda payload: b"\x07\x01")
replies("an unknown status", lambda payload: b"\xc8" + bytes(8))
replies("runs without results", lambda payload: payload[:1], (RUN,))
replies("runs with half a result", lambda payload: payload[:5], (RUN,))
replies("outputs one byte short", lambda payload: payload[:-1], (RUN,))
replies("another input's CRC", lambda payload: payload[:1] + b"\1\2\3\4" + payload[5:], (RUN,))
replies("reads of nothing", lambda payload: payload[:1], (READ,))

for status in range(1, 14):
    refuses(f"refuses runs with status {status}", RUN, status, EVIL)
refuses("refuses models with escapes", MODEL_PREPARE, 9, EVIL * 20)
refuses("lacks an operator with escapes", MODEL_PREPARE, 8, f"Didn't find op '{EVIL}'")
refuses("needs an absurd arena", MODEL_PREPARE, 7, EVIL, 0xFFFFFFFF, 0xFFFFFFFF)
refuses("needs an absurd memory", MODEL_OPEN, 5, EVIL, 0xFFFFFFFF, 1)
refuses("refuses writes", WRITE, 3)
refuses("refuses resets", RESET, 10, EVIL)
refuses("refuses reads", READ, 11)

region("a board of half an entry", BOARD, lambda data: data[:-1])
region("a board of nothing", BOARD, lambda data: b"")
region("a board without an end", BOARD, lambda data: data * 60_000)
entry("no name", BOARD, 2, None)
entry("a name that is no text", BOARD, 2, b"\xff\xfe\xfd")
entry("a memory of five bytes", BOARD, 6, bytes(5))

region("half a loaded model", LOADED, lambda data: data[:-2])
entry("no model is loaded", LOADED, 1, None)
entry("another model is loaded", LOADED, 1, bytes(8))
entry("a model of seven bytes", LOADED, 1, bytes(7))
entry("no arena", LOADED, 2, None)
entry("no inputs", LOADED, 3, None)
entry("300 inputs", LOADED, 3, tensor(), 300)
entry("two outputs", LOADED, 4, tensor(), 2)
entry("an unknown type", LOADED, 3, tensor(kind=99))
entry("another type", LOADED, 3, tensor(kind=3))
entry("another shape of the same size", LOADED, 3, tensor(shape=(4, 1)))
entry("a negative shape", LOADED, 4, tensor(shape=(-1, -4)))
entry("too many dimensions", LOADED, 4, tensor(shape=(1,) * 60 + (4,)))
entry("sizes that contradict", LOADED, 3, tensor(nbytes=5))
entry("an absurd size", LOADED, 4, tensor(kind=99, nbytes=0xFFFFFFFF))
entry("a scale that is no number", LOADED, 3, tensor(scale=float("nan")))
entry("an infinite scale", LOADED, 3, tensor(scale=float("inf")))
entry("a negative scale", LOADED, 3, tensor(scale=-0.5))
entry("another zero point", LOADED, 4, tensor(zero_point=5))

region("inputs one byte short", INPUT, lambda data: data[:-1])
region("inputs of no bytes", INPUT, lambda data: b"")
region("other inputs than were sent", INPUT, lambda data: bytes(each ^ 1 for each in data))

HARMLESS: dict[str, Lie] = {}
"""What may be odd and is no lie that matters: all tests pass."""


def _also(name: str) -> None:
    HARMLESS[name] = LIES.pop(name)


entry("a name with escapes", BOARD, 2, EVIL.encode())
entry("a name of 60 KB", BOARD, 2, b"n" * 60_000)
entry("operators with escapes", BOARD, 7, f"RESHAPE {EVIL}".encode())
stream("all frames twice", lambda out: out * 2)
stream("escapes between frames", lambda out: out and out + f"\0{EVIL}\0".encode())
for each in [name for name in LIES if "name with" in name or "60 KB" in name]:
    _also(each)
for each in ("operators with escapes", "all frames twice", "escapes between frames"):
    _also(each)


@contextlib.contextmanager
def served(apply: Lie) -> Iterator[str]:
    """The name of the port of a board that lies so."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_serve, args=(server, apply, stop), daemon=True)
        thread.start()
        yield f"socket://127.0.0.1:{server.getsockname()[1]}"
        stop.set()
        thread.join()


def _serve(server: socket.socket, apply: Lie, stop: threading.Event) -> None:
    board = Board(Identity(1 << 16), largest_frame=512, window=2048, reply_store=1500)
    apply(board)
    client = None
    while not stop.is_set():
        ready, _, _ = select.select([client or server], [], [], 0.01)
        try:
            if client is None:
                if ready:
                    client = server.accept()[0]
                    client.settimeout(0.2)
                continue
            if ready:
                data = client.recv(65536)
                if not data:
                    client.close()
                    client = None
                    continue
                board.receive(data)
                board.poll()
            client.sendall(board.transmit())
        except TimeoutError:
            continue  # the host does not read so fast
        except OSError:
            client.close()
            client = None
    if client is not None:
        client.close()
