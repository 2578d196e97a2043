"""What the boards' toolchains will see, through Debian's: no warnings, and within the limits."""

from __future__ import annotations

import re

from boards.conftest import make


def test_the_core_fits_its_limits_on_a_cortex_m4():
    found = re.search(r"flash (\d+) of (\d+), RAM (\d+) of (\d+)", make("firmware/core", "size"))
    assert found is not None
    flash, flash_limit, ram, ram_limit = map(int, found.groups())
    assert 0 < flash <= flash_limit
    assert 0 < ram <= ram_limit


def test_the_emulated_board_compiles(scripted_image):
    assert scripted_image.read_bytes()[:4] == b"\x7fELF"
