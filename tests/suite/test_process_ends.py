"""Runs that end early, in processes of their own: Ctrl-C, and a simulator that is killed."""

from __future__ import annotations

import signal
import textwrap
import time
from pathlib import Path

import model_builders
import pytest

SIM = "--tflm-port=sim"
INTERRUPTED = 2

KILL_SIMULATOR = '''
import os, pathlib, signal

def simulator():
    """The simulator among this process's children."""
    for task in pathlib.Path("/proc/self/task").iterdir():
        for pid in (task / "children").read_text().split():
            if b"pytest_tflm.simulator" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes():
                return int(pid)
    raise LookupError("no simulator")
'''


def test_ctrl_c_releases_the_port_and_ends_the_simulator(command, tcn):
    (command.directory / "test_slow.py").write_text(
        "import time\ndef test_slow(device, reference, tflm_samples):\n"
        "    reference.run(tflm_samples[0])\n    print('READY', flush=True)\n"
        "    while True: device.run(tflm_samples[0])\n"
    )
    running = command.start(
        "pytest", "-s", "test_slow.py", SIM, f"--tflm-model={tcn}", "--tflm-suite=off"
    )
    running.wait_for("READY")
    process = running.process.pid
    listed = Path(f"/proc/{process}/task/{process}/children").read_text()
    children = [Path("/proc") / pid for pid in listed.split()]
    assert len(children) >= 2, "the simulator and the interpreter's worker"
    running.send(signal.SIGINT)
    done = running.finish(20)
    assert done.status == INTERRUPTED, done.output
    assert "KeyboardInterrupt" in done.output
    end = time.monotonic() + 5
    while any(child.exists() for child in children) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(child.exists() for child in children)


def test_ctrl_c_ends_a_search_of_kernels_at_once(command, model_file):
    small = model_file("small.tflite", model_builders.conv_2d())
    words = ("--tflm-port=sim", f"--tflm-model={small}", "--tflm-conformance=1000000")
    running = command.start("pytest", "-p", "no:cacheprovider", *words, "-k", "test_kernel", "-v")
    running.wait_for("::test_kernel[CONV_2D]")
    time.sleep(1)  # it may be anywhere in Hypothesis by then
    running.send(signal.SIGINT)
    done = running.finish(seconds=30)
    assert done.status == 2
    assert "KeyboardInterrupt" in done.output
    assert "Traceback" not in done.output


@pytest.mark.parametrize("end", ["SIGKILL", "SIGSEGV"])
def test_a_simulator_that_dies_is_an_error_with_a_name_and_never_a_failure(command, tcn, end):
    (command.directory / "test_kill.py").write_text(
        KILL_SIMULATOR
        + textwrap.dedent(
            f"""
            from pytest_tflm import within

            def test_before(device, reference, tflm_samples):
                assert device.run(tflm_samples[0]) == within(reference.run(tflm_samples[0]))

            def test_during(device, reference, tflm_samples):
                os.kill(simulator(), signal.{end})
                assert device.run(tflm_samples[0]) == within(reference.run(tflm_samples[0]))

            def test_after(device):
                raise AssertionError("is never reached")

            def test_without_board(reference, tflm_samples):
                reference.run(tflm_samples[0])
            """
        )
    )
    done = command.pytest(SIM, f"--tflm-model={tcn}", "--tflm-suite=off", "-rA")
    assert done.outcomes == {"passed": 2, "error": 2}, done.output
    assert done.status == 1
    assert "ERROR at call of test_during[tcn.tflite]" in done.output
    assert "ERROR at setup of test_after[tcn.tflite]" in done.output
    assert done.output.count(f"killed by {end}") >= 2
    assert "Traceback" not in done.output
