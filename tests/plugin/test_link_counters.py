"""What the link did, where a user sees it."""

from __future__ import annotations

import re
import textwrap

import model_builders

SIM = "--tflm-port=sim"
LINK = "link: sent "


def test_verbose_runs_end_with_the_counters(inner, model_file):
    path = model_file("small.tflite", model_builders.conv_2d())
    words = (SIM, f"--tflm-model={path}", "--tflm-samples=3")
    assert not inner.pytest(*words).lines(LINK)
    done = inner.pytest("-v", *words)
    assert done.status == 0, done.output
    (line,) = done.lines(LINK)
    found = re.fullmatch(
        r"link: sent (\d+) frames, \d+ bytes; received (\d+) frames, \d+ bytes; .*"
        r"round trip [\d.]+ ms; longest gap \d+ ms",
        line,
    )
    assert found, line
    assert int(found[1]) > 10


def test_no_board_no_counters(inner, model_file):
    path = model_file("small.tflite", model_builders.conv_2d())
    done = inner.pytest(
        "-v", "--tflm-port=/dev/nothing", f"--tflm-model={path}", "--tflm-samples=2"
    )
    assert done.status != 0, done.output
    assert not done.lines(LINK)
    (inner.directory / "test_nothing.py").write_text("def test_nothing(): pass\n")
    done = inner.pytest("-v", "test_nothing.py")
    assert done.outcomes == {"passed": 1}
    assert "tflm:" not in done.output.split("collected")[1]


def test_the_fixture_has_them(inner, model_file):
    path = model_file("small.tflite", model_builders.conv_2d())
    (inner.directory / "test_mine.py").write_text(
        textwrap.dedent(
            """
            def test_link(device, tflm_samples):
                before = device.link.requests
                list(device.run_many(tflm_samples))
                assert device.link.requests > before
                assert device.link.frames_received > 0
                assert device.link.round_trip > 0
                assert device.link.longest_gap >= 0
                assert (device.link.damaged, device.link.resets) == (0, 0)
            """
        )
    )
    done = inner.pytest(SIM, f"--tflm-model={path}", "--tflm-suite=off", "test_mine.py")
    assert done.outcomes == {"passed": 1}, done.output


def test_the_simulator_does_not_time_operators(inner, model_file):
    path = model_file("small.tflite", model_builders.conv_2d())
    (inner.directory / "test_mine.py").write_text(
        textwrap.dedent(
            """
            import pytest
            from pytest_tflm.errors import NotSupported

            def test_times(device, tflm_samples):
                device.run(tflm_samples[0])
                with pytest.raises(NotSupported, match="board simulator does not measure"):
                    device.operator_times()
            """
        )
    )
    done = inner.pytest("-v", SIM, f"--tflm-model={path}", "--tflm-samples=2")
    assert done.outcomes["passed"] > 2, done.output
    assert not done.lines("small.tflite: slowest")
