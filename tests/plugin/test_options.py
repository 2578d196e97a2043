"""One table gives every option its flag, ini name, environment variable, default and check."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_tflm.errors import SettingsError
from pytest_tflm.options import OPTIONS, Settings, settings_from


def read(command_line=None, ini=None, environment=None) -> Settings:
    return settings_from(
        lambda option: (command_line or {}).get(option.name, []),
        lambda option: (ini or {}).get(option.name, []),
        environment or {},
    )


def test_defaults():
    settings = read()
    assert settings == Settings(
        ports=(),
        baud=115200,
        line_baud=0,
        models=(),
        runtime="litert",
        resolver="builtin_ref",
        tolerance=None,  # auto
        float_tolerance=1e-4,
        samples=None,
        seed=0,
        timeout=None,
        suite=True,
        verdict="brief",
        float_model=None,
        fuzz=0,
        conformance=0,
        save=None,
        per_sample="auto",
        label_column="label",
        classes=(),
        sample_range=None,
        image_resize="squash",
        min_accuracy=None,
        max_accuracy_drop=None,
        min_agreement=None,
        max_latency=None,
        max_operator_latency={},
        max_arena=None,
        budgets="board",
        baseline=None,
        baseline_update=False,
        baseline_fail={"outputs": 0, "latency": 0.1, "arena": 0.05, "accuracy": 0.005},
        json=None,
        csv=None,
        html=None,
        reset="off",
        lab=None,
        tags=(),
        wait=60.0,
    )


def test_command_line_comes_before_environment_before_ini():
    ini, environment = {"tolerance": ["2"]}, {"TFLM_TOLERANCE": "3"}
    assert read(ini=ini).tolerance == 2
    assert read(ini=ini, environment=environment).tolerance == 3
    assert read({"tolerance": ["4"]}, ini, environment).tolerance == 4


def test_the_last_of_a_repeated_option_counts_but_models_add_up():
    settings = read({"seed": ["1", "2"], "model": ["a.tflite", "b.tflite", "a.tflite"]})
    assert settings.seed == 2
    assert settings.models == (Path("a.tflite"), Path("b.tflite"))


def test_models_of_the_environment_are_separated_like_paths():
    settings = read(environment={"TFLM_MODEL": f"a.tflite{os.pathsep}b.tflite"})
    assert settings.models == (Path("a.tflite"), Path("b.tflite"))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("resolver", "ref", "'ref' is not one of auto, builtin, builtin_ref, builtin_without"),
        ("runtime", "onnx", "unknown runtime 'onnx': choose tflm, litert:RESOLVER"),
        ("tolerance", "-1", "'-1' is not a whole number from 0"),
        ("tolerance", "1.5", "'1.5' is not a whole number"),
        ("baud", "fast", "'fast' is not a whole number"),
        ("baud", "1200", "bootloader"),
        ("line_baud", "1200", "bootloader"),
        ("line_baud", "-1", "'-1' is not a whole number"),
        ("timeout", "0", "'0' is not a number greater than 0"),
        ("timeout", "nan", "'nan' is not a number"),
        ("float_tolerance", "inf", "'inf' is not a number"),
        ("suite", "maybe", "'maybe' is not one of on, off"),
    ],
)
def test_what_makes_no_sense_is_named_with_its_source(name, text, message):
    option = next(option for option in OPTIONS if option.name == name)
    with pytest.raises(SettingsError, match=message) as raised:
        read({name: [text]})
    assert str(raised.value).startswith(option.flag)
    with pytest.raises(SettingsError, match=message) as raised:
        read(environment={option.environment: text})
    assert str(raised.value).startswith(option.environment)


def test_a_marker_changes_what_it_may_and_is_checked_like_an_option():
    settings = read().for_marker({"tolerance": 3, "model": "m.tflite", "resolver": "auto"})
    assert (settings.tolerance, settings.resolver) == (3, "auto")
    assert settings.models == (Path("m.tflite"),)
    with pytest.raises(SettingsError, match=r"does not take port=; it takes model, runtime"):
        read().for_marker({"port": "sim"})
    with pytest.raises(SettingsError, match=r"@pytest.mark.tflm\(tolerance=…\): '-1'"):
        read().for_marker({"tolerance": -1})


def test_every_option_tells_its_default_and_names_in_its_help():
    for option in OPTIONS:
        assert option.ini in option.help_text
        assert option.environment in option.help_text
        assert "default" in option.help_text


def test_pytests_help_shows_every_option(pytester):
    shown = " ".join(pytester.runpytest_inprocess("--help").stdout.str().split())
    for option in OPTIONS:
        assert option.flag in shown, shown[-500:]
        assert option.ini in shown


def test_the_documentation_has_every_option_with_its_default():
    usage = (Path(__file__).parents[2] / "docs" / "usage.md").read_text()
    for option in OPTIONS:
        shown = f"| `{option.flag}{'=' if option.takes_value else '`'}"
        rows = [line for line in usage.splitlines() if line.startswith(shown)]
        assert len(rows) == 1, option.flag
        assert option.help.replace("|", r"\|") in rows[0]
        assert f"`{option.default}`" in rows[0] or not option.default
        assert f"`{option.ini}`" in rows[0]
        assert f"`{option.environment}`" in rows[0]


@pytest.mark.parametrize(("given", "board", "interpreter"), [([], 10, 60), (["3"], 3, 3)])
def test_the_timeout_is_that_of_the_board_and_of_the_interpreters(given, board, interpreter):
    from pytest_tflm.suite.state import State

    settings = read({"timeout": given})
    assert settings.line.timeout == board
    state = State(settings, [], Path.cwd())
    assert state.hosts.open(settings.reference).timeout == interpreter
    state.close()


def test_a_text_that_a_conftest_sets_is_one_value_and_not_its_letters(inner):
    (inner.directory / "conftest.py").write_text(
        "import pytest\n@pytest.hookimpl(tryfirst=True)\n"
        "def pytest_configure(config): config.option.tflm_seed = '17'\n"
    )
    (inner.directory / "test_mine.py").write_text(
        "def test_mine(tflm_settings): assert tflm_settings.seed == 17\n"
    )
    assert inner.pytest().outcomes == {"passed": 1}
