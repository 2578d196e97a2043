"""Each source of firmware says its licence: people copy single files into their projects."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = (".cpp", ".h", ".ino", ".ld")


def test_each_source_of_firmware_has_an_spdx_line() -> None:
    files = [path for path in (ROOT / "firmware").rglob("*") if path.suffix in SOURCES]
    files += (ROOT / "pytest_tflm" / "simulator").glob("*.cpp")
    assert len(files) > 40
    lacking = [
        str(path.relative_to(ROOT))
        for path in files
        if "SPDX-License-Identifier: Apache-2.0" not in path.read_text("utf-8").split("\n", 1)[0]
    ]
    assert lacking == []
