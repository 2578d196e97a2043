"""Boards with one thing broken each, named for it. The soak must find every one."""

from __future__ import annotations

import struct

from cobs import cobs
from scripted_board import Board
from soak import Rig, SoakEngine

from pytest_tflm.simulator.line.faults import PROFILES

FLIPS = {"faults": PROFILES["more-flips"].faults}
REPEATS = {"faults": PROFILES["repeated-runs"].faults}


class BoardWithoutCrcCheck(Board):
    profiles = (FLIPS,)

    def _decode(self, piece):
        try:
            body = cobs.decode(piece)
        except cobs.DecodeError:
            return None
        if not 11 <= len(body) <= self.largest_frame:
            return None
        return (*struct.unpack_from("<BHHH", body), body[7:-4])


class BoardRunsRepeatedRequestsAgain(Board):
    profiles = (FLIPS, REPEATS)

    def _request(self, kind, number, payload):
        if 0 < (self._expected - number) & 0xFFFF < 0x8000 and kind == 0x14:
            self._perform(kind, payload)
        super()._request(kind, number, payload)


class BoardTakesRequestsOutOfOrder(Board):
    """Runs what is behind a lost request, and forgets that one was lost."""

    profiles = (FLIPS,)

    def _request(self, kind, number, payload):
        if 0 < (number - self._expected) & 0xFFFF < 0x8000:
            self._expected = number
        super()._request(kind, number, payload)


class BoardNeverTellsOfGaps(Board):
    """Neither GAP nor PONG: what is lost stays lost."""

    profiles = (FLIPS,)

    def _send(self, kind, number, payload=b"", session=None, ack=None):
        if kind in (0x82, 0x83):
            return 0
        return super()._send(kind, number, payload, session, ack)


class BoardSendsNoReplyAgain(Board):
    profiles = (FLIPS,)

    def _repeat(self, number, payload):
        pass


class BoardHearsNoNoise(Board):
    """Stays for ever at a rate at which nobody speaks."""

    profiles = (
        {"baud": 115200, "line_baud": 921600, "bad_above": {"host": 115200}, "timeout": 8.0},
    )

    def _count_noise(self):
        pass


class BoardChangesToAnyRateThatItRefuses(Board):
    profiles = ({"baud": 115200, "line_baud": 921600, "largest_baud": 230400},)

    def _perform(self, kind, payload):
        if kind == 0x16:
            self._baud_due = int.from_bytes(payload, "little") or self.opening_baud
        return super()._perform(kind, payload)


BROKEN = [
    each
    for each in list(globals().values())
    if isinstance(each, type) and issubclass(each, Board) and hasattr(each, "profiles")
]


def rig_of(broken):
    """What the soak makes its board with."""

    def rig(largest_frame, window, reply_store, baud=0, largest_baud=0):
        engine = SoakEngine()
        sizes = {"largest_frame": largest_frame, "window": window, "reply_store": reply_store}
        rates = {"opening_baud": baud, "largest_baud": largest_baud} if baud else {}
        board = broken(engine, **sizes, **rates, model=b"a model")
        return Rig(board, engine.invoked, board.boot)

    return rig
