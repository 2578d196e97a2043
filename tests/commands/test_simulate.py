"""``pytest-tflm simulate``: a board for other processes."""

from __future__ import annotations

import signal

import pytest

SUITE_BESIDE_SAMPLES = 5  # identity, read-back, same input, order, similar inputs


@pytest.mark.slow
def test_a_simulator_in_another_terminal_over_its_port_and_over_tcp(command, inner, tcn):
    words = (f"--tflm-model={tcn}", "--tflm-samples=3")
    for arguments in ((), ("--tcp", "127.0.0.1:0")):
        simulator = command.start("pytest_tflm", "simulate", *arguments)
        simulator.wait_for("\n")
        port = simulator.output.split()[0]
        assert port.startswith("socket://" if arguments else "/dev/")
        done = inner.pytest(f"--tflm-port={port}", *words)
        assert done.outcomes == {"passed": 3 + SUITE_BESIDE_SAMPLES}, done.output
        assert inner.pytest(f"--tflm-port={port}", *words).status == 0, "a second run"
        simulator.send(signal.SIGINT)
        ended = simulator.finish()
        assert "Traceback" not in ended.output
