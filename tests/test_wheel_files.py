"""What tools/dist_check.py calls for is what the package reads when it runs."""

from __future__ import annotations

import importlib.util
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def dist_check():
    if sys.version_info < (3, 11):
        pytest.importorskip("tomli")
    spec = importlib.util.spec_from_file_location("dist_check", ROOT / "tools/dist_check.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_data_files_pages_and_firmware_are_called_for(dist_check):
    needed = dist_check.needed(
        [
            "pytest_tflm/report/html/page.css",
            "pytest_tflm/simulator/_firmware.cpp",
            "docs/causes/stored-shapes.md",
            "firmware/core/src/board.cpp",
            "tests/test_walk.py",
        ]
    )
    assert needed == {
        "pytest_tflm/report/html/page.css",
        "pytest_tflm/verdict/causes/pages/stored-shapes.md",
        "pytest_tflm/firmware/sources/core/src/board.cpp",
    }


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a checkout")
def test_a_wheel_without_one_of_them_is_told(dist_check, tmp_path):
    path = tmp_path / "empty.whl"
    zipfile.ZipFile(path, "w").close()
    lacking = dist_check.missing(path)
    for name in ("page.css", "page.html.j2", "py.typed", "stored-shapes.md", "board.cpp"):
        assert any(each.endswith(name) for each in lacking), name
    with zipfile.ZipFile(path, "w") as archive:
        for name in lacking[1:]:
            archive.writestr(name, "")
    assert dist_check.missing(path) == lacking[:1]
