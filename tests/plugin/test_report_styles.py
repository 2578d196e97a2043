"""``--tb``: how much of a failing test is shown is the user's choice, here too."""

from __future__ import annotations

import textwrap

import pytest

BOTH = textwrap.dedent(
    """
    import pytest_tflm

    def test_differs():
        raise pytest_tflm.OutputMismatch("1 LSB apart\\nin output 0")

    def test_no_board(device):
        pass
    """
)


@pytest.fixture
def failing(inner, tcn):
    (inner.directory / "test_mine.py").write_text(BOTH)
    return lambda *words: inner.pytest(
        "--tflm-port=/dev/ttyNOTHING",
        *(f"--tflm-model={tcn}", "--tflm-suite=off", "test_mine.py", *words),
    )


def test_line_is_a_line_a_test(failing):
    done = failing("--tb=line", "-rN", "--disable-warnings")
    told = done.output.partition(" FAILURES ")[2].splitlines()[1:]
    assert told[0].endswith("test_mine.py:5: OutputMismatch: 1 LSB apart")
    assert len(told) == 2, done.output
    assert "in output 0" not in done.output
    assert "tflm: details" not in done.output


def test_no_shows_none(failing):
    done = failing("--tb=no", "-rN")
    assert "1 LSB apart" not in done.output
    assert done.outcomes == {"failed": 1, "error": 1}


@pytest.mark.parametrize("style", ["short", "auto", "long", "native"])
def test_other_styles_show_the_message_and_no_traceback_of_ours(failing, style):
    done = failing(f"--tb={style}")
    assert "E     in output 0" in done.output or "E   in output 0" in done.output
    assert "PortNotFound: there is no port /dev/ttyNOTHING" in done.output
    assert "Traceback" not in done.output
    assert "pytest_tflm/" not in done.output
