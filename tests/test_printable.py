"""Text from outside, as a terminal may show it."""

from __future__ import annotations

import pytest

from pytest_tflm.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Nano 33 – größer 🙂", "Nano 33 – größer 🙂"),
        ("\x1b[2J\x07", "\\x1b[2J\\x07"),
        ("a\r\nb\tc\x7f", "a\\r\\nb\\tc\\x7f"),
        ("\x9b31m", "\\x9b31m"),
        ("\u202egnp.exe\u2066", "\\u202egnp.exe\\u2066"),
        ("a\u2028b\u200bc", "a\\u2028b\\u200bc"),
        ("\ud800", "\\ud800"),
    ],
)
def test_no_character_commands_a_terminal(text, shown):
    assert printable(text) == shown
    printable(text).encode()


def test_lines_are_kept_where_they_are_asked_for():
    assert printable("a\nb\rc", keep="\n") == "a\nb\\rc"


def test_its_length_is_bounded():
    assert printable("x" * 10, 10) == "x" * 10
    assert printable("x" * 11, 10) == "x" * 8 + " …"
    assert len(printable("\x1b" * 60_000)) == 300
