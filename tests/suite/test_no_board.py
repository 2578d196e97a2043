"""A board that cannot be reached when the run begins: one message, not an error for each test."""

from __future__ import annotations

import os
import pty
import signal
import tty

import pytest

NOTHING = "/dev/ttyNOTHING"
INTERRUPTED, USAGE_ERROR = 2, 4


@pytest.fixture
def silent_port():
    """A pseudo-terminal behind which nobody answers."""
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    yield os.ttyname(theirs)
    os.close(ours)
    os.close(theirs)


def ends_with(done, status, *parts):
    """No test ran, and one line says why, once."""
    assert done.status == status, done.output
    assert done.outcomes.keys() <= {"deselected"}, done.output
    ends = [line for line in done.output.splitlines() if "Exit: " in line]
    assert len(ends) == 1, done.output
    for part in parts:
        assert part in ends[0]
        assert done.output.count(part) == 1, done.output
    assert "Traceback" not in done.output


@pytest.mark.parametrize(
    ("port", "status", "parts"),
    [
        (NOTHING, INTERRUPTED, ("PortNotFound: there is no port", "'sim' runs the simulator")),
        ("/", INTERRUPTED, ("PortFailed: / is not a serial port",)),
        ("socket://127.0.0.1:9", INTERRUPTED, ("PortNotFound: no program listens at",)),
        ("qemu:nothing.elf", INTERRUPTED, ("PortNotFound: qemu:nothing.elf",)),
        ("sim?arean=64k", USAGE_ERROR, ("SettingsError: sim: unknown key 'arean=64k'",)),
        ("socket://h:99999", USAGE_ERROR, ("a port from 1 to 65535",)),
        ("spy:///dev/ttyS0", USAGE_ERROR, ("unknown scheme spy://",)),
        ("x" * 5000, USAGE_ERROR, ("a name of 5000 characters",)),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "",
)
def test_one_message_ends_the_run(inner, tcn, port, status, parts):
    done = inner.pytest(f"--tflm-port={port}", f"--tflm-model={tcn}", "--tflm-samples=256")
    ends_with(done, status, *parts)
    assert len(done.output.splitlines()) < 25, done.output


def test_a_board_that_says_nothing_ends_it_with_what_the_link_did(inner, silent_port, tcn):
    done = inner.pytest(
        f"--tflm-port={silent_port}", f"--tflm-model={tcn}", "--tflm-samples=1", "--tflm-timeout=1"
    )
    ends_with(done, INTERRUPTED, "NoAnswer: ", silent_port)
    assert done.lines("link: ")


def test_no_permission(inner, silent_port, tcn, monkeypatch):
    import serial

    def denied(self):
        raise serial.SerialException(13, "Permission denied")

    monkeypatch.setattr(serial.Serial, "open", denied)
    done = inner.pytest(f"--tflm-port={silent_port}", f"--tflm-model={tcn}", "--tflm-samples=1")
    ends_with(done, INTERRUPTED, "PortFailed: no permission to open", silent_port)


def test_a_reference_board_that_is_not_there(inner, tcn):
    done = inner.pytest(
        *("--tflm-port=sim", f"--tflm-runtime=board:{NOTHING}", f"--tflm-model={tcn}"),
        *("--tflm-samples=4", "-k", "test_outputs"),
    )
    ends_with(done, INTERRUPTED, "PortNotFound: there is no port")


def test_tests_without_a_board_run_and_the_others_tell_it_in_full_once(inner, tcn):
    (inner.directory / "test_mine.py").write_text("def test_mine(reference): pass\n")
    words = (f"--tflm-port={NOTHING}", f"--tflm-model={tcn}", "--tflm-samples=20")
    done = inner.pytest(*words, "test_mine.py")
    assert done.outcomes == {"passed": 1, "error": 25}, done.output
    told = done.lines("E   PortNotFound: there is no port")
    assert len(told) == 25
    assert sum("(as before)" not in line for line in told) == 1


def test_what_asks_no_board_is_not_ended(inner, tcn):
    (inner.directory / "test_mine.py").write_text("def test_mine(reference): pass\n")
    words = (f"--tflm-port={NOTHING}", f"--tflm-model={tcn}", "--tflm-suite=off", "test_mine.py")
    assert inner.pytest(*words).outcomes == {"passed": 1}
    for word in ("--collect-only", "--setup-plan"):
        done = inner.pytest(*words[:2], word)
        assert done.status == 0, done.output


def test_no_frame_of_a_traceback_is_parsed_for_an_error_of_ours(inner, tcn, monkeypatch):
    """pytest reads and parses the source of each frame, which took 80 ms a test."""
    from _pytest._code.code import TracebackEntry

    (inner.directory / "test_mine.py").write_text("def test_mine(): pass\n")
    parsed = []
    real = TracebackEntry.getsource
    monkeypatch.setattr(
        TracebackEntry, "getsource", lambda *words: parsed.append(words) or real(*words)
    )
    done = inner.pytest(
        f"--tflm-port={NOTHING}", f"--tflm-model={tcn}", "--tflm-samples=5", "test_mine.py"
    )
    assert done.outcomes == {"passed": 1, "error": 10}
    assert len(parsed) < 10, "a constant number, for the first error"


@pytest.mark.slow
def test_pytest_xdist_ends_with_the_same_message(command, tcn):
    words = (f"--tflm-port={NOTHING}", f"--tflm-model={tcn}", "--tflm-samples=9", "-n", "2")
    ends_with(command.pytest(*words), INTERRUPTED, "PortNotFound: there is no port")
    wrong = command.pytest("--tflm-port=sim?arean=64k", *words[1:])
    ends_with(wrong, USAGE_ERROR, "SettingsError: sim: unknown key 'arean=64k'")


@pytest.mark.slow
def test_the_tests_of_one_file_share_a_board_with_pytest_xdist(command, kept, tcn):
    port = kept.board("sim").port
    (command.directory / "test_mine.py").write_text(
        "import pytest\n@pytest.mark.parametrize('i', range(4))\ndef test_mine(device, i): pass\n"
    )
    words = (f"--tflm-port={port}", f"--tflm-model={tcn}", "--tflm-suite=off", "test_mine.py")
    shared = command.pytest(*words, "-n", "2", "--dist", "loadfile")
    assert shared.outcomes == {"passed": 4}, shared.output
    # Otherwise, whoever comes second says who has it.
    (command.directory / "test_mine.py").write_text(
        "import time\ndef test_one(device): time.sleep(5)\ndef test_two(device): time.sleep(5)\n"
    )
    apart = command.pytest(*words, "-n", "2")
    assert apart.outcomes == {"passed": 1, "error": 1}, apart.output
    assert "of pytest-xdist)" in apart.output


@pytest.mark.slow
def test_ctrl_c_while_the_board_is_awaited(command, silent_port, tcn):
    running = command.start(
        *("pytest", "-p", "no:cacheprovider", f"--tflm-port={silent_port}"),
        *(f"--tflm-model={tcn}", "--tflm-timeout=3000"),
    )
    running.wait_for("collected")
    running.send(signal.SIGINT)
    done = running.finish()
    assert done.status == INTERRUPTED, done.output
    assert "KeyboardInterrupt" in done.output
    assert "INTERNALERROR" not in done.output
