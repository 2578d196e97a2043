"""``[tool.pytest]`` of pytest 9, whose values are TOML's own: numbers, booleans, lists."""

from __future__ import annotations

import pytest

if pytest.version_tuple < (9, 0):
    pytest.skip("this pytest has no native TOML", allow_module_level=True)

SHOWS = """
def test_shows(tflm_settings):
    found = tflm_settings
    print(found.tolerance, found.float_tolerance, found.seed, found.suite, len(found.models))
    assert (found.tolerance, found.seed, found.suite, found.verdict) == (0, 7, False, "off")
    assert found.timeout == 2.5
    assert [path.name for path in found.models] == ["tcn.tflite"]
"""


def test_numbers_booleans_and_lists_are_read(inner, tcn):
    (inner.directory / "test_shows.py").write_text(SHOWS)
    (inner.directory / "pyproject.toml").write_text(
        f"""
        [tool.pytest]
        tflm_tolerance = 0
        tflm_seed = 7
        tflm_timeout = 2.5
        tflm_suite = false
        tflm_verdict = "off"
        tflm_model = ["{tcn}"]
        """
    )
    done = inner.pytest()
    assert done.outcomes == {"passed": 1}, done.output


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("tflm_seed = -1", "tflm_seed (ini): '-1' is not a whole number"),
        ("tflm_seed = true", "tflm_seed (ini): 'on' is not a whole number"),
        ("tflm_seed = [1]", "tflm_seed"),
        ('tflm_model = "one.tflite"', "tflm_model"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(inner, line, words):
    (inner.directory / "pyproject.toml").write_text(f"[tool.pytest]\n{line}\n")
    done = inner.pytest()
    assert done.status == 4, done.output
    assert words in done.output
    assert "Traceback" not in done.output


def test_an_ini_file_is_read_as_before(inner):
    (inner.directory / "test_shows.py").write_text(
        "def test_shows(tflm_settings):\n    assert tflm_settings.tolerance == 1\n"
    )
    (inner.directory / "pytest.ini").write_text("[pytest]\ntflm_tolerance = 1\n")
    assert inner.pytest().outcomes == {"passed": 1}


def test_the_command_says_its_version(inner):
    done = inner.pytest_tflm("--version")
    assert done.status == 0
    assert done.output.startswith("pytest-tflm ")
