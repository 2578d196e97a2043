"""Frames and pieces: what is sent is found, whatever is in between, in bounded memory."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_tflm.link import frame
from pytest_tflm.link.frame import Frame, Splitter

U16 = st.integers(0, 0xFFFF)
FRAMES = st.builds(Frame, st.integers(0, 255), U16, U16, U16, st.binary(max_size=600))
NOISE = st.binary(max_size=300)


def pieces_of(stream: bytes, cuts: list[int], limit: int = frame.MAX_PIECE):
    splitter = Splitter(limit)
    found, at = [], 0
    for cut in [*sorted(c % (len(stream) + 1) for c in cuts), len(stream)]:
        found += splitter.feed(stream[at:cut])
        at = cut
    return found, splitter


@given(FRAMES)
def test_round_trip(sent):
    wire = frame.encode(*sent)
    assert wire[0] == wire[-1] == 0
    assert 0 not in wire[1:-1]
    assert len(wire) <= frame.wire_length(frame.SHORTEST_BODY + len(sent.payload))
    assert frame.decode(wire[1:-1]) == sent


@given(st.lists(st.one_of(FRAMES, NOISE)), st.lists(st.integers(0, 1 << 16), max_size=20))
def test_frames_between_noise_are_found_however_the_stream_is_cut(items, cuts):
    stream = b"".join(frame.encode(*item) if isinstance(item, Frame) else item for item in items)
    found, _ = pieces_of(stream, cuts)
    frames = [each for piece, whole in found if whole and (each := frame.decode(piece))]
    assert frames == [item for item in items if isinstance(item, Frame)]


@given(st.binary(max_size=2000), st.lists(st.integers(0, 1 << 16), max_size=20))
def test_pieces_do_not_depend_on_how_the_stream_is_cut(stream, cuts):
    assert pieces_of(stream, cuts)[0] == pieces_of(stream, [])[0]


@given(st.binary(max_size=2000), st.integers(5, 60))
def test_a_short_limit_loses_no_byte(stream, limit):
    found, splitter = pieces_of(stream, [], limit)
    assert all(len(piece) <= limit for piece, _ in found)
    kept = b"".join(piece for piece, _ in found) + splitter.flush()
    assert kept == stream.replace(b"\0", b"")


@given(st.binary(max_size=400))
def test_any_piece_is_something(piece):
    frame.classify(piece.replace(b"\0", b""))


@pytest.mark.parametrize("feed", [1, 1000, 70_000])
def test_endless_noise_needs_no_memory(feed):
    splitter = Splitter()
    rng = random.Random(1)
    noise = bytes(rng.randrange(1, 256) for _ in range(feed))
    for _ in range(400_000 // feed):
        splitter.feed(noise)
        assert splitter.held <= frame.MAX_PIECE
    assert splitter.feed(b"\0" + frame.encode(2, 1, 2, 3))[-1][1]


def test_the_end_of_a_cut_piece_is_no_frame():
    """Behind 100 000 bytes of noise, what looks like a frame may be the inside of one."""
    wire = frame.encode(0x82, 1, 2, 3)
    found = Splitter().feed(b"\x01" * frame.MAX_PIECE + wire[1:])
    assert [whole for _, whole in found] == [False, False]


def test_long_text_is_cut_between_characters():
    text = ("65 °C, µs — " * 20).encode()
    found, splitter = pieces_of(text, [], 50)
    parts = [*(piece for piece, _ in found), splitter.flush()]
    assert all(part.decode("utf-8") for part in parts)
    assert b"".join(parts) == text


def test_body_length_is_the_inverse():
    for wire in [*range(14, 3000), 65796, 70000]:
        body = frame.body_length(wire)
        assert frame.wire_length(body) <= wire < frame.wire_length(body + 1)


def test_every_single_bit_error_is_found():
    wire = frame.encode(0x14, 0x4A17, 5, 5, bytes(range(40)))
    for bit in range(8 * len(wire)):
        bad = bytearray(wire)
        bad[bit // 8] ^= 1 << bit % 8
        for piece, _ in Splitter().feed(bytes(bad)):
            found = frame.decode(piece)
            assert found is None or found == frame.decode(wire[1:-1])
