"""The simulator's process: its ports, its clients, and every way it ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import serial

from pytest_tflm.errors import InterpreterMissing, PortFailed, SettingsError, TflmError
from pytest_tflm.link.connection import Connection
from pytest_tflm.simulator.board import launch, process
from simulator.raw_client import PING, PONG, RawClient, encode

if TYPE_CHECKING:
    from pytest_tflm.simulator.board.launch import Simulator

pytest.importorskip("tflite_micro")

COMMAND = [sys.executable, "-m", "pytest_tflm.simulator"]


def gone(pid: int) -> bool:
    """Not there, or a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


@pytest.fixture
def run() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts ``python -m pytest_tflm.simulator`` as a terminal does."""
    running: list[subprocess.Popen[str]] = []

    def begin(*arguments: str, **how: object) -> subprocess.Popen[str]:
        settings = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **how}
        running.append(subprocess.Popen([*COMMAND, *arguments], **settings))  # type: ignore
        return running[-1]

    yield begin
    for each in running:
        each.kill()
        each.communicate()


def first_line(running: subprocess.Popen[str]) -> str:
    assert running.stdout is not None
    return running.stdout.readline().strip()


def test_a_client_that_comes_back(
    simulate: Callable[..., Simulator], connect: Callable[..., RawClient]
) -> None:
    simulator = simulate()
    for session in (1, 2, 3):
        port = serial.serial_for_url(simulator.port, timeout=60)
        client = RawClient.on_port(port, session)
        welcome = client.hello()
        assert welcome["version"] == 1
        # It leaves in the middle: half a frame sent, replies not read.
        port.write(encode(PING, session, 9, 0) * 5 + encode(PING, session, 9, 0)[:6])
        port.close()
    assert simulator.exit_description() is None
    assert connect(simulator.port).hello()["version"] == 1


def test_any_byte_passes_the_pseudo_terminal(
    simulate: Callable[..., Simulator], connect: Callable[..., RawClient]
) -> None:
    client = connect(simulate().port)
    # Tokens of every two bytes that a terminal might take for a command: ^C, ^D, ^S, CR, NL, DEL …
    for low in range(256):
        number = low | (255 - low) << 8
        client.send(encode(PING, client.session, number, 0))
        frame = client.frame()
        assert (frame.type, frame.number) == (PONG, number)


def test_one_client_after_another_over_tcp(
    run: Callable[..., subprocess.Popen[str]], connect: Callable[..., RawClient]
) -> None:
    running = run("--tcp", "127.0.0.1:0")
    port = first_line(running)
    assert port.startswith("socket://127.0.0.1:")
    for session in (1, 2, 3):
        with serial.serial_for_url(port, timeout=60) as opened:
            client = RawClient.on_port(opened, session)
            client.hello()
            opened.write(encode(PING, session, 9, 0) * 3)
    client = connect(port)
    assert client.hello()["version"] == 1
    running.send_signal(signal.SIGTERM)
    assert running.wait(60) == 0


def test_a_second_tcp_client_is_told_that_the_board_is_taken(
    run: Callable[..., subprocess.Popen[str]], connect: Callable[..., RawClient]
) -> None:
    port = first_line(run("--tcp", ":0"))
    assert port.startswith("socket://127.0.0.1:"), "listens where anybody can connect"
    first = connect(port)
    first.hello()
    with pytest.raises(TflmError) as caught:
        Connection.open(port, timeout=10)
    assert "this simulated board is taken" in caught.value.details
    first.send(encode(PING, first.session, 5, 0))
    assert (first.frame().type, first.session) == (PONG, first.session)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_quietly_on_a_signal(
    run: Callable[..., subprocess.Popen[str]], number: signal.Signals
) -> None:
    running = run()
    assert first_line(running).startswith("/dev/")
    running.send_signal(number)
    output, errors = running.communicate(timeout=60)
    assert (running.returncode, output, errors) == (0, "", "")


def test_stdin_matters_only_to_a_child(run: Callable[..., subprocess.Popen[str]]) -> None:
    running = run(stdin=subprocess.DEVNULL)
    first_line(running)
    time.sleep(0.2)
    assert running.poll() is None
    child = run("--with-parent", stdin=subprocess.DEVNULL)
    first_line(child)
    assert child.wait(60) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["sim?arean=1k"], "sim: unknown key 'arean=1k'"),
        (["--tcp", "nowhere"], "write HOST:PORT"),
        (["--tcp", "127.0.0.1:70000"], "write HOST:PORT"),
        (["--tcp", "256.1.1.1:80"], "cannot listen on 256.1.1.1:80"),
    ],
)
def test_settings_that_make_no_sense(
    run: Callable[..., subprocess.Popen[str]], arguments: list[str], said: str
) -> None:
    running = run(*arguments)
    output, errors = running.communicate(timeout=60)
    assert (running.returncode, output) == (2, "")
    assert said in errors
    assert "Traceback" not in errors


def test_a_tcp_port_that_is_taken(run: Callable[..., subprocess.Popen[str]]) -> None:
    port = first_line(run("--tcp", "127.0.0.1:0")).removeprefix("socket://")
    running = run("--tcp", port)
    _, errors = running.communicate(timeout=60)
    assert running.returncode == 2
    assert f"cannot listen on {port}" in errors


def test_it_waits_without_using_the_processor(simulate: Callable[..., Simulator]) -> None:
    """Counted, not timed: once it has started nothing wakes it, however long that takes."""
    simulator = simulate()

    def activity() -> tuple[str, ...]:
        """Of all its threads: ticks of the processor, and how often each went to sleep."""
        found = []
        for task in sorted(Path(f"/proc/{simulator.pid}/task").iterdir()):
            found += (task / "stat").read_text().rsplit(")", 1)[1].split()[11:13]
            found += re.findall(r"switches:\s+(\d+)", (task / "status").read_text())
        return tuple(found)

    def sleeps_for_a_second() -> bool:
        before = activity()
        time.sleep(1)
        return activity() == before

    wait_until(sleeps_for_a_second)


def test_close_ends_the_process_and_may_be_called_twice(
    simulate: Callable[..., Simulator],
) -> None:
    simulator = simulate()
    assert simulator.exit_description() is None
    simulator.close()
    simulator.close()
    assert gone(simulator.pid)
    assert simulator.exit_description() == "exited with status 0"


def test_a_simulator_that_hangs_is_killed(simulate: Callable[..., Simulator]) -> None:
    simulator = simulate()
    os.kill(simulator.pid, signal.SIGSTOP)
    simulator.close()
    assert gone(simulator.pid)
    assert simulator.exit_description() == "killed by SIGKILL"


def test_the_host_notices_that_it_died(
    simulate: Callable[..., Simulator], connect: Callable[..., RawClient]
) -> None:
    simulator = simulate()
    client = connect(simulator.port)
    os.kill(simulator.pid, signal.SIGKILL)
    wait_until(lambda: simulator.exit_description() is not None)
    assert simulator.exit_description() == "killed by SIGKILL"
    with pytest.raises((serial.SerialException, OSError)):
        client.frame()


def test_a_crash_of_native_code_is_told_with_what_it_printed(
    simulate: Callable[..., Simulator],
) -> None:
    simulator = simulate()
    os.kill(simulator.pid, signal.SIGSEGV)
    wait_until(lambda: simulator.exit_description() is not None)
    description = simulator.exit_description()
    assert description == "killed by SIGSEGV: Fatal Python error: Segmentation fault"


def test_a_bug_in_the_simulator_is_told_with_its_last_lines(
    simulate: Callable[..., Simulator],
    connect: Callable[..., RawClient],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A verification of models that is broken, in front of the real one.
    broken = """
        import pytest_tflm.model
        def broken(data):
            raise ZeroDivisionError("as the test wants it")
        pytest_tflm.model.model_from_bytes = broken
    """
    (tmp_path / "sitecustomize.py").write_text(textwrap.dedent(broken))
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    monkeypatch.setenv("PYTHONPATH", path)
    simulator = simulate()
    client = connect(simulator.port)
    with pytest.raises((serial.SerialException, OSError)):
        client.load(b"model")
    wait_until(lambda: simulator.exit_description() is not None)
    description = simulator.exit_description()
    assert description == "exited with status 1: ZeroDivisionError: as the test wants it"


def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    program = """
        import os
        from pytest_tflm.simulator.board.launch import start
        simulator = start("sim")
        print(simulator.pid, flush=True)
        os.kill(os.getpid(), 9)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        stdout=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    wait_until(lambda: gone(int(done.stdout)))


def test_ctrl_c_in_the_terminal_does_not_reach_it(simulate: Callable[..., Simulator]) -> None:
    simulator = simulate()
    assert os.getsid(simulator.pid) == simulator.pid
    assert os.getpgid(simulator.pid) != os.getpgid(0)


def test_without_tflite_micro(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for begin in (launch.start, process.serve):
        with pytest.raises(InterpreterMissing) as caught:
            begin("sim")
        assert "simulate --tcp HOST:PORT" in str(caught.value)
        assert "--tflm-port=socket://HOST:PORT" in str(caught.value)


def test_a_spec_that_makes_no_sense_starts_nothing() -> None:
    with pytest.raises(SettingsError):
        launch.start("sim?x=1")


def test_a_process_that_does_not_come_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("raise SystemExit(3)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(PortFailed, match="did not start: exited with status 1: "):
        launch.start("sim")


def test_importing_the_package_imports_nothing_heavy() -> None:
    program = (
        "import sys, pytest_tflm.simulator, pytest_tflm.simulator.board.launch\n"
        "heavy = {'numpy', 'serial', 'tflite_micro', 'ai_edge_litert', 'tensorflow', 'cobs'}\n"
        "print(sorted(heavy & set(sys.modules)), '_firmware' in str(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["[]", "False"]
