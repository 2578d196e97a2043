"""Firmware goes into products: each of its sources says under which licence."""

from __future__ import annotations

from pathlib import Path

import pytest

FIRMWARE = Path(__file__).parents[1] / "firmware"
SOURCES = [
    path
    for kind in ("*.c", "*.cc", "*.cpp", "*.h", "*.ino")
    for path in sorted(FIRMWARE.rglob(kind))
    if not {"build", "managed_components"} & set(path.relative_to(FIRMWARE).parts)
]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(FIRMWARE)))
def test_a_source_of_firmware_has_its_licence(path):
    beginning = path.read_text("utf-8").splitlines()[:3]
    assert "// SPDX-License-Identifier: Apache-2.0" in beginning


def test_there_are_sources():
    assert len(SOURCES) > 20
