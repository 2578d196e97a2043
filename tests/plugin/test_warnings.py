"""``filterwarnings = error``: what this package opens it also closes."""

from __future__ import annotations

from tests.doubles import EDITABLE


def test_a_passing_run_passes_with_warnings_as_errors(command, tcn):
    warnings = ("-W", "error", "-W", EDITABLE)
    done = command.pytest(*warnings, "--tflm-port=sim", f"--tflm-model={tcn}", "--tflm-samples=1")
    assert done.status == 0, done.output
    assert "ResourceWarning" not in done.output
