"""Which tensors the host believes to be in the board's memory, beside that memory."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_tflm.link.shelf import LEAST, Shelf

_DATA = st.builds(lambda byte, size: bytes([byte]) * size, st.integers(0, 5), st.integers(60, 200))
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), _DATA),
        st.tuples(st.just("put unknown"), _DATA),
        st.tuples(st.just("put another"), _DATA),
        st.tuples(st.just("doubt"), _DATA),
        st.tuples(st.just("fit"), st.tuples(st.integers(0, 20), st.integers(0, 40))),
    ),
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(_STEPS)
def test_what_is_found_is_there(steps):
    memory, shelf = bytearray(2000), Shelf()
    shelf.fit(160, 800)
    held = []
    for step, what in steps:
        if step == "fit":
            begin, length = what
            shelf.fit(16 * begin, 16 * (begin + length))
            memory[: 16 * begin] = b"?" * (16 * begin)
            memory[16 * (begin + length) :] = b"?" * (2000 - 16 * (begin + length))
        elif step == "doubt":
            shelf.doubt(what)
            assert shelf.find(what) is None
        else:
            slot = shelf.put(len(what), None if step == "put unknown" else what)
            if slot is None:
                continue
            data = what if step != "put another" else bytes(len(what) - 1) + b"!"
            memory[slot.offset : slot.offset + slot.size] = data
            held.append((slot, data))
            if step != "put":
                shelf.learn(slot, data)
        for slot, data in held:
            if shelf.holds(slot):
                assert memory[slot.offset : slot.offset + slot.size] == data
            if (found := shelf.find(data)) is not None:
                assert memory[found.offset : found.offset + found.size] == data


def test_it_is_filled_round_and_round():
    shelf = Shelf()
    shelf.fit(16, 16 + 3 * 112)
    tensors = [bytes([i]) * 100 for i in range(5)]
    offsets = [shelf.put(100, tensor).offset for tensor in tensors]
    assert offsets == [16, 128, 240, 16, 128]
    assert [shelf.find(tensor) is not None for tensor in tensors] == [
        False,
        False,
        True,
        True,
        True,
    ]
    assert shelf.put(1000, None) is None
    assert shelf.put(LEAST - 1, None) is None
    shelf.clear()
    assert shelf.is_empty
    assert shelf.find(tensors[4]) is None
