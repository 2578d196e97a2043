"""Where differences lie: what is called an edge, a channel, a run, a clip, and what is not."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_tflm.verdict.positions import (
    channels,
    difference_mask,
    edges,
    limits,
    offset,
    one_channel,
    one_run,
    permutation,
    ratio,
)

IMAGE = (1, 6, 7, 4)


def mask(shape: tuple[int, ...], *places: object) -> np.ndarray:
    found = np.zeros(shape, bool)
    for place in places:
        found[place] = True
    return found


ALL = slice(None)


@pytest.mark.parametrize(
    ("shape", "places", "names"),
    [
        (IMAGE, [(ALL, -1)], ("last row",)),
        (IMAGE, [(ALL, ALL, -1)], ("last column",)),
        (IMAGE, [(ALL, -1), (ALL, ALL, -1)], ("last row", "last column")),
        (IMAGE, [(ALL, 0), (ALL, ALL, 0)], ("first row", "first column")),
        (IMAGE, [(0, -1, i, 1) for i in (2, 3, 5)], ("last row",)),
        (IMAGE, [(0, -1, 2, 1), (0, -1, 5, 3)], ()),  # may be chance
        ((1, 30, 4), [(ALL, -1)], ("last position",)),
        ((1, 30, 4), [(ALL, 0), (ALL, -1)], ("first position", "last position")),
        # A sequence as an image of height 1.
        ((1, 1, 30, 4), [(ALL, ALL, -1)], ("last column",)),
        (IMAGE, [(ALL, 3)], ()),
        (IMAGE, [(ALL, -1), (0, 2, 2, 0)], ()),
        (IMAGE, [], ()),
        ((1, 2, 2, 4), [(ALL, -1)], ()),  # every position is at an edge
        ((1, 10), [(0, -1)], ()),  # no place is an edge of anything
    ],
)
def test_edges(shape, places, names):
    assert edges(mask(shape, *places)) == names


def test_one_channel():
    assert one_channel(mask(IMAGE, (..., 3))) == 3
    assert one_channel(mask(IMAGE, (0, 1, 1, 2))) is None, "may be chance"
    assert one_channel(mask(IMAGE, (..., 3), (0, 0, 0, 1))) is None
    assert one_channel(mask((1, 4, 4, 1), (0, 1))) is None


def test_one_run():
    assert one_run(mask((1, 64), (0, slice(0, 16)))) == (0, 15)
    assert one_run(mask((1, 64), (0, slice(40, 64)))) == (40, 63)
    assert one_run(mask((1, 64), (0, slice(0, 64)))) is None
    assert one_run(mask((1, 64), (0, 3), (0, 25))) is None
    assert one_run(mask((1, 64))) is None


def test_limits():
    trusted = np.arange(-120, 120, 10, dtype=np.int8)
    assert limits([(np.clip(trusted, -64, 63), trusted)]) == (-64, 63)
    # A largest element that is one smaller is no clipping.
    ours = trusted.copy()
    ours[-1] -= 1
    assert limits([(ours, trusted)]) is None
    ours = np.clip(trusted, -64, 63)
    ours[12] += 1
    assert limits([(ours, trusted)]) is None
    assert limits([(trusted, trusted)]) is None
    assert limits([]) is None


def test_the_mask_is_of_all_samples():
    zeros, one = np.zeros((1, 4), np.int8), np.array([[0, 1, 0, 0]], np.int8)
    found = difference_mask([(zeros, zeros), (one, zeros)])
    assert found is not None
    assert found.tolist() == [[False, True, False, False]]
    assert difference_mask([]) is None


def pair(ours: np.ndarray, theirs: np.ndarray) -> list:
    return [(ours.astype(np.int8), theirs.astype(np.int8))]


CODES = np.arange(-100, 100, 5).reshape(1, 2, 5, 4)


def test_channels():
    assert channels(mask(IMAGE, (..., 1), (..., 3))) == [1, 3]
    assert channels(mask(IMAGE, (..., 1), (0, 0, 0, 3))) == [], "not in most elements"
    assert channels(mask(IMAGE, ...)) == [], "in all of them"


def test_offset():
    assert offset(pair(np.clip(CODES + 3, -128, 127), CODES)) == 3
    other = CODES + 3
    other.ravel()[7] += 1
    assert offset(pair(other, CODES)) == 0


def test_ratio():
    share = 15 / 16
    assert ratio(pair(np.rint((CODES - 5) * share) + 5, CODES), 5) == pytest.approx(share, abs=0.01)
    assert ratio(pair(CODES, CODES), 5) == 0
    noisy = CODES.copy()
    noisy.ravel()[::3] += 9
    assert ratio(pair(noisy, CODES), 5) == 0


def test_permutation():
    swapped = CODES[..., [1, 0, 3, 2]]
    assert permutation(pair(swapped, CODES)) == "its channels 2k and 2k + 1 are exchanged"
    assert permutation(pair(np.roll(CODES, 1, -1), CODES)) == "its channels are rotated by one"
    assert permutation(pair(CODES[:, ::-1], CODES)) == "its rows are rotated by one"
    assert permutation(pair(np.roll(CODES, 3), CODES)) == "the right values in other places"
    assert permutation(pair(CODES + 1, CODES)) == ""
