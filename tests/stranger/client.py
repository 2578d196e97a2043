"""A client of a board, written from protocol/SPEC.md alone: stop and wait, the standard library.

``python client.py PORT MODEL < INPUT > OUTPUT``: loads the model, runs the input's bytes once
and writes the output's bytes. PORT is a terminal device. The section signs are SPEC.md's.
"""

import os
import pathlib
import random
import select
import struct
import sys
import tty
import zlib

HELLO, READ, WRITE, MODEL_OPEN, MODEL_PREPARE, RUN = 0x01, 0x10, 0x11, 0x12, 0x13, 0x14
WELCOME = 0x81
MODEL, INPUT, OUTPUT, ERROR = 2, 3, 4, 5


def cobs_encode(body):
    out = b""
    for group in (body + b"\0").split(b"\0")[:-1]:
        while len(group) >= 254:
            out += b"\xff" + group[:254]
            group = group[254:]
        out += bytes([len(group) + 1]) + group
    return out


def cobs_decode(piece):
    out, at = b"", 0
    while at < len(piece):
        code = piece[at]
        if at + code > len(piece):
            return b""
        out += piece[at + 1 : at + code]
        at += code
        if code < 255 and at < len(piece):
            out += b"\0"
    return out


def encode(kind, session, number, ack, payload):  # §1
    body = struct.pack("<BHHH", kind, session, number, ack) + payload
    return b"\0" + cobs_encode(body + struct.pack("<I", zlib.crc32(body))) + b"\0"


class Board:
    def __init__(self, port):
        self.port = os.open(port, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self.port)
        self.session, self.number, self.unread = random.randrange(1, 65536), 0, b""
        welcome = self.exchange(HELLO, 0, b"\x01\x01", WELCOME)  # §3
        fields = struct.unpack("<BBBBIHII", welcome[:20])
        if fields[2] != 1:
            sys.exit("the board does not speak version 1")
        self.largest, window = fields[5], fields[6]
        while self.largest + self.largest // 254 + 3 > window:  # §4, one request at a time
            self.largest -= 1

    def frames(self, seconds):
        """The frames that come until nothing has come for so long."""
        while select.select([self.port], [], [], seconds)[0]:
            self.unread += os.read(self.port, 4096)
            *pieces, self.unread = self.unread.split(b"\0")
            for piece in pieces:
                body = cobs_decode(piece)
                if len(body) >= 11 and zlib.crc32(body[:-4]) == struct.unpack("<I", body[-4:])[0]:
                    yield *struct.unpack("<BHHH", body[:7]), body[7:-4]

    def exchange(self, kind, number, payload, wanted):
        """Send until the answer comes: a request that is repeated is not run twice (§4)."""
        for _ in range(30):
            frame = encode(kind, self.session, number, self.number, payload)
            while frame:
                frame = frame[os.write(self.port, frame) :]
            for found in self.frames(0.5):
                if found[:3] == (wanted, self.session, number):
                    return found[4]
        sys.exit("the board does not answer")

    def ask(self, kind, payload):  # §5
        reply = self.exchange(kind, self.number, payload, kind + 0x80)
        self.number = (self.number + 1) % 65536
        if reply[0]:
            status, needed, available = struct.unpack("<BII", reply)
            why = "" if kind == READ else self.read(ERROR).decode()
            sys.exit(f"refused: status {status}, needed {needed}, available {available} {why}")
        return reply[1:]

    def read(self, region, index=0):
        data, part = b"", b"?"
        while part:
            size = self.largest - 12  # head, CRC and status
            part = self.ask(READ, struct.pack("<BBIH", region, index, len(data), size))
            data += part
        return data

    def write(self, region, index, data):
        step = self.largest - 17  # head, CRC and the request's own fields
        for at in range(0, len(data), step):
            self.ask(WRITE, struct.pack("<BBI", region, index, at) + data[at : at + step])

    def load(self, model):
        self.ask(MODEL_OPEN, struct.pack("<I", len(model)))
        self.write(MODEL, 0, model)
        self.ask(MODEL_PREPARE, struct.pack("<II", len(model), zlib.crc32(model)))

    def run(self, data):
        """One sample of a model with one input; returns its first output."""
        self.write(INPUT, 0, data)
        reply = self.ask(RUN, b"\0\x01")
        if struct.unpack("<I", reply[:4])[0] != zlib.crc32(data):
            sys.exit("Invoke saw another input")
        output = self.read(OUTPUT)
        if struct.unpack("<I", reply[8:12])[0] != zlib.crc32(output):
            sys.exit("what was read is not what Invoke left")
        return output


if __name__ == "__main__":
    board = Board(sys.argv[1])
    board.load(pathlib.Path(sys.argv[2]).read_bytes())
    sys.stdout.buffer.write(board.run(sys.stdin.buffer.read()))
