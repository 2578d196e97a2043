"""A board that is not there or does not take the model: an error with the port or model in it."""

from __future__ import annotations

import os
import pty
import signal
import textwrap
import threading
import tty

import model_builders
import pytest

INTERRUPTED = 2


def says(done, *parts):
    """One of the output's lines holds all parts, and there is no traceback."""
    assert "Traceback" not in done.output
    assert any(all(part in line for part in parts) for line in done.output.splitlines()), (
        f"no line with {parts} in\n{done.output}"
    )


@pytest.fixture
def echo_port():
    """A pseudo-terminal behind which another sketch prints its own text."""
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    stop = threading.Event()

    def chatter():
        while not stop.wait(0.05):
            os.write(ours, b"Temperature: 21.5 C\r\n")

    thread = threading.Thread(target=chatter, daemon=True)
    thread.start()
    yield os.ttyname(theirs)
    stop.set()
    thread.join()
    os.close(ours)
    os.close(theirs)


def test_a_port_that_another_run_uses(inner, command, kept, tcn):
    port = kept.board("sim").port
    holding = command.directory / "test_hold.py"
    holding.write_text(
        "import time\ndef test_hold(device):\n    print('HOLDING', flush=True)\n"
        "    time.sleep(60)\n"
    )
    words = (f"--tflm-port={port}", f"--tflm-model={tcn}")
    first = command.start("pytest", "-s", holding, *words, "--tflm-suite=off")
    first.wait_for("HOLDING")
    second = inner.pytest(*words, "--tflm-samples=1")
    assert second.status == INTERRUPTED, second.output
    says(second, "PortBusy", port, str(first.process.pid))
    first.send(signal.SIGINT)
    first.finish()
    freed = inner.pytest(*words, "--tflm-samples=1")
    assert freed.status == 0, freed.output


def test_a_port_behind_which_something_else_talks(inner, tcn, echo_port):
    done = inner.pytest(
        f"--tflm-port={echo_port}",
        f"--tflm-model={tcn}",
        "--tflm-samples=1",
        "--tflm-timeout=3",
    )
    assert done.status == INTERRUPTED, done.output
    says(done, "ForeignPeer", echo_port)
    says(done, "Temperature: 21.5 C")


def test_an_operator_that_the_board_lacks(inner, model_file):
    lacking = model_file("conv.tflite", model_builders.conv_2d())
    other = model_file("dense.tflite", model_builders.fully_connected())
    done = inner.pytest(
        "--tflm-port=sim?without=CONV_2D",
        f"--tflm-model={lacking}",
        f"--tflm-model={other}",
        "--tflm-samples=1",
    )
    says(done, "OperatorMissing", "conv.tflite", "lacks the operator CONV_2D")
    assert done.outcomes == {"error": 6, "passed": 6}, "the other model still runs\n" + done.output


def test_an_arena_that_is_too_small(inner, tcn, model_file):
    small = model_file("dense.tflite", model_builders.fully_connected())
    done = inner.pytest(
        "--tflm-port=sim?arena=8k",
        f"--tflm-model={tcn}",
        f"--tflm-model={small}",
        "--tflm-samples=1",
    )
    says(done, "ArenaTooSmall", "tcn.tflite", "bytes are needed, the board has 8192")
    assert done.outcomes == {"error": 6, "passed": 6}, done.output


def test_a_model_larger_than_the_memory(inner, tcn):
    done = inner.pytest("--tflm-port=sim?memory=4k", f"--tflm-model={tcn}", "--tflm-samples=1")
    assert set(done.outcomes) == {"error"}, done.output
    says(done, "ModelTooLarge", str(tcn.stat().st_size))


@pytest.mark.slow
def test_a_board_that_stops_answering_in_mid_run(inner, command, tcn):
    simulator = command.start("pytest_tflm", "simulate")
    simulator.wait_for("\n")
    port = simulator.output.split()[0]
    (inner.directory / "test_stop.py").write_text(
        textwrap.dedent(
            f"""
            import os, signal

            def test_before(device, tflm_samples):
                device.run(tflm_samples[0])

            def test_during(device, tflm_samples):
                os.kill({simulator.process.pid}, signal.SIGSTOP)
                device.run(tflm_samples[0])

            def test_after(device, tflm_samples):
                device.run(tflm_samples[0])
            """
        )
    )
    done = inner.pytest(
        f"--tflm-port={port}", f"--tflm-model={tcn}", "--tflm-suite=off", "--tflm-timeout=10"
    )
    simulator.send(signal.SIGCONT)
    assert done.outcomes == {"passed": 1, "error": 2}, done.output
    says(done, "NoAnswer", port)
    assert "test_after" in done.output
    assert done.output.count("(as before)") == 1, "the board was not asked and waited for again"
