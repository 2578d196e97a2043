"""Bad input gets a clear error: what happened, to which port, board or model, and what to try."""

from __future__ import annotations

import os
import pty
import signal
import textwrap
import threading
import time
import tty
from pathlib import Path

import model_builders
import numpy as np
import pytest

SIM = "--tflm-port=sim"
USAGE_ERROR, INTERRUPTED = 4, 2


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


def test_a_port_that_does_not_exist(command, tcn):
    done = command.pytest("--tflm-port=/dev/ttyNOTHING", f"--tflm-model={tcn}", "--tflm-samples=2")
    assert done.outcomes == {"error": 6}, done.output
    assert done.status == 1
    says(done, "PortNotFound", "/dev/ttyNOTHING")


def test_nobody_listens_at_a_socket(command, tcn):
    done = command.pytest(
        "--tflm-port=socket://127.0.0.1:9", f"--tflm-model={tcn}", "--tflm-samples=1"
    )
    assert set(done.outcomes) == {"error"}, done.output
    says(done, "PortNotFound", "127.0.0.1:9")


def test_a_port_that_another_run_uses(command, tcn):
    simulator = command.start("pytest_tflm", "simulate")
    simulator.wait_for("\n")
    port = simulator.output.split()[0]
    (command.directory / "test_hold.py").write_text(
        "import time\ndef test_hold(device):\n    print('HOLDING', flush=True)\n"
        "    time.sleep(60)\n"
    )
    words = (f"--tflm-port={port}", f"--tflm-model={tcn}")
    first = command.start("pytest", "-s", "test_hold.py", *words, "--tflm-suite=off")
    first.wait_for("HOLDING")
    second = command.pytest(*words, "--tflm-samples=1", f"--ignore={command.directory}")
    assert set(second.outcomes) == {"error"}, second.output
    says(second, "PortBusy", port, str(first.process.pid))
    first.send(signal.SIGINT)
    first.finish()
    freed = command.pytest(
        *words, "--tflm-samples=1", f"--ignore={command.directory / 'test_hold.py'}"
    )
    assert freed.status == 0, freed.output


def test_a_port_behind_which_something_else_talks(command, tcn, echo_port):
    done = command.pytest(
        f"--tflm-port={echo_port}",
        f"--tflm-model={tcn}",
        "--tflm-samples=1",
        "--tflm-timeout=1",
    )
    assert set(done.outcomes) == {"error"}, done.output
    says(done, "ForeignPeer", echo_port)
    says(done, "Temperature: 21.5 C")


def test_a_port_behind_which_nobody_answers(command, tcn):
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    try:
        done = command.pytest(
            f"--tflm-port={os.ttyname(theirs)}",
            f"--tflm-model={tcn}",
            "--tflm-samples=1",
            "--tflm-timeout=1",
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert set(done.outcomes) == {"error"}, done.output
    says(done, "NoAnswer", "/dev/pts/")


@pytest.mark.parametrize(
    ("name", "content", "parts"),
    [
        ("nothing.tflite", None, ("nothing.tflite", "there is no model")),
        ("text.tflite", b"This is not a model.\n" * 20, ("text.tflite", "text")),
        ("empty.tflite", b"", ("empty.tflite", "empty")),
        ("cut.tflite", model_builders.conv_2d()[:-100], ("cut.tflite", "cut short")),
    ],
)
def test_a_model_file_that_is_none(command, tmp_path, name, content, parts):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    done = command.pytest(SIM, f"--tflm-model={path}")
    assert done.status == USAGE_ERROR, done.output
    says(done, "ERROR", *parts[:1])
    for part in parts[1:]:
        assert part in done.output.lower()


@pytest.mark.parametrize(
    ("shape", "dtype", "parts"),
    [
        ((4, 999, 1), "float32", ("999",)),
        ((4, 1000, 1), "complex64", ("complex64",)),
        ((0, 1000, 1), "float32", ("no samples",)),
    ],
)
def test_samples_of_the_wrong_shape_or_dtype(command, tcn, tmp_path, shape, dtype, parts):
    path = tmp_path / "wrong.npy"
    np.save(path, np.zeros(shape, dtype))
    done = command.pytest(SIM, f"--tflm-model={tcn}", f"--tflm-samples={path}")
    assert done.status != 0
    says(done, "wrong.npy", *parts)


def test_samples_that_are_not_there(command, tcn):
    done = command.pytest(SIM, f"--tflm-model={tcn}", "--tflm-samples=none.npz")
    assert done.status != 0
    says(done, "none.npz")


@pytest.mark.parametrize(
    ("word", "parts"),
    [
        ("--tflm-resolver=fast", ("--tflm-resolver", "'fast'", "builtin_ref")),
        ("--tflm-runtime=onnx", ("--tflm-runtime", "'onnx'", "litert")),
        ("--tflm-tolerance=some", ("--tflm-tolerance", "'some'")),
        ("--tflm-baud=1200", ("--tflm-baud", "bootloader")),
        ("--tflm-port=sim?arean=64k", ("arean", "arena")),
    ],
)
def test_an_option_that_makes_no_sense(command, tcn, word, parts):
    words = [word] if "port" in word else [SIM, word]
    done = command.pytest(*words, f"--tflm-model={tcn}", "--tflm-samples=1")
    assert done.status != 0
    says(done, *parts)


def test_an_operator_that_the_board_lacks(command, model_file):
    lacking = model_file("conv.tflite", model_builders.conv_2d())
    other = model_file("dense.tflite", model_builders.fully_connected())
    done = command.pytest(
        "--tflm-port=sim?without=CONV_2D",
        f"--tflm-model={lacking}",
        f"--tflm-model={other}",
        "--tflm-samples=1",
    )
    says(done, "OperatorMissing", "conv.tflite", "lacks the operator CONV_2D")
    assert done.outcomes == {"error": 5, "passed": 5}, "the other model still runs\n" + done.output


def test_an_arena_that_is_too_small(command, tcn, model_file):
    small = model_file("dense.tflite", model_builders.fully_connected())
    done = command.pytest(
        "--tflm-port=sim?arena=8k",
        f"--tflm-model={tcn}",
        f"--tflm-model={small}",
        "--tflm-samples=1",
    )
    says(done, "ArenaTooSmall", "tcn.tflite", "bytes are needed, the board has 8192")
    assert done.outcomes == {"error": 5, "passed": 5}, done.output


def test_a_model_larger_than_the_memory(command, tcn):
    done = command.pytest("--tflm-port=sim?memory=4k", f"--tflm-model={tcn}", "--tflm-samples=1")
    assert set(done.outcomes) == {"error"}, done.output
    says(done, "ModelTooLarge", str(tcn.stat().st_size))


def test_a_board_that_stops_answering_in_mid_run(command, tcn):
    simulator = command.start("pytest_tflm", "simulate")
    simulator.wait_for("\n")
    port = simulator.output.split()[0]
    (command.directory / "test_stop.py").write_text(
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
    done = command.pytest(
        f"--tflm-port={port}", f"--tflm-model={tcn}", "--tflm-suite=off", "--tflm-timeout=1.5"
    )
    simulator.send(signal.SIGCONT)
    assert done.outcomes == {"passed": 1, "error": 2}, done.output
    says(done, "NoAnswer", port)
    assert "test_after" in done.output
    assert done.output.count("(as before)") == 1, "the board was not asked and waited for again"


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
