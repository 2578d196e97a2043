"""Ports that a project's own fixture or hook chooses, and boards that are reset."""

from __future__ import annotations

from types import SimpleNamespace

import model_builders
import pytest

from pytest_tflm.record.journal import read_run

SAMPLES = ("--tflm-runtime=tflm", "--tflm-samples=3")
SERIAL = "pytest_tflm.link.port"


@pytest.fixture
def small(model_file):
    """A model of one operator."""
    return model_file("small.tflite", model_builders.fully_connected(8, 1))


@pytest.fixture
def run(inner, small):
    """Runs the model with a conftest.py."""

    def run(conftest: str, *words: str):
        (inner.directory / "conftest.py").write_text(conftest)
        done = inner.pytest(f"--tflm-model={small}", *SAMPLES, *words)
        done.outcomes.pop("deselected", None)
        return done

    return run


FIXTURE = """
import pytest

@pytest.fixture(scope="session")
def tflm_port(tflm_board):
    print("taking", tflm_board or "the board")
    yield {"b": "sim?arena=1m"}.get(tflm_board, "sim")
    print("released", tflm_board or "the board")
"""


def test_a_fixture_chooses_the_port_and_releases_it(run):
    done = run(FIXTURE, "-s")
    assert done.outcomes.keys() == {"passed"}, done.output
    assert done.output.count("taking the board") == done.output.count("released the board") == 1
    assert done.output.index("taking the board") < done.output.index("released the board")


def test_it_does_so_for_each_board(run):
    done = run(FIXTURE, "-s", "--tflm-port=a=", "--tflm-port=b=sim?arena=1m", "-k", "test_outputs")
    assert done.outcomes == {"passed": 6}, done.output
    assert done.lines("tflm: board a: none yet: its port is chosen by the first test")
    order = [
        done.output.index(each) for each in ("taking a", "released a", "taking b", "released b")
    ]
    assert order == sorted(order), "a board is released before the next is taken"


HOOK = """
def pytest_tflm_port(config, board):
    print("asked for", repr(board))
    return {"": "sim", "a": "sim?arena=1m", "b": "sim?arena=2m", "c": 7}.get(board)
"""


def test_a_hook_gives_the_port(run):
    done = run(HOOK, "-s")
    assert done.outcomes.keys() == {"passed"}, done.output
    assert done.output.count("asked for") == 1
    assert done.lines("tflm: board: simulator"), "the header knows it"
    named = run(HOOK, "--tflm-port=a=", "--tflm-port=b=", "-k", "test_model_identity", "-s")
    assert named.outcomes == {"passed": 2}, named.output
    assert "at sim?arena=1m" in named.output
    assert "at sim?arena=2m" in named.output


def test_the_option_comes_before_the_hook(run):
    done = run(HOOK, "--tflm-port=sim?arena=64k", "-s", "-k", "test_model_identity")
    assert done.outcomes == {"passed": 1}
    assert "asked for" not in done.output


@pytest.mark.parametrize(
    ("name", "message"), [("c", "7 is no port for the board 'c'"), ("d", "'d' has no port")]
)
def test_a_board_without_a_port_is_an_error_and_no_skip(run, name, message):
    done = run(HOOK, f"--tflm-port={name}=", "-k", "test_model_identity")
    assert done.outcomes == {"error": 1}, done.output
    assert message in done.output


def test_no_board_at_all_is_a_skip(run):
    assert run("", "-k", "test_model_identity").outcomes == {"skipped": 1}


RESET = """
def pytest_tflm_reset(config, board, port):
    print("resetting", repr(board), port)
    return True
"""
# Whatever the first Invoke of a run is, it ends in silence.
SILENT_ONCE = """
import pytest
from pytest_tflm.errors import NoAnswer
from pytest_tflm.link import Connection

original, left = Connection.run_many, [{times}]

def run_many(self, *given, **named):
    if left[0] and "outputs" in __import__("os").environ.get("PYTEST_CURRENT_TEST", ""):
        left[0] -= 1
        raise self.channel.fail(NoAnswer(f"{{self.name}}: no answer within 1.0 s"))
    return original(self, *given, **named)

@pytest.fixture(autouse=True)
def silent(monkeypatch):
    monkeypatch.setattr(Connection, "run_many", run_many)
"""


def test_a_silent_board_is_reset_once_and_the_test_runs_again(run, inner):
    words = ("--tflm-port=sim", "--tflm-reset=on-crash", "-k", "test_outputs", "-s")
    done = run(RESET + SILENT_ONCE.format(times=1), *words, "--tflm-json=run.json")
    assert done.outcomes == {"passed": 3}, done.output
    assert done.output.count("resetting '' sim") == 1
    (line,) = done.lines("reset: ")
    assert "sim was reset (by pytest_tflm_reset) and the test was run again after NoAnswer" in line
    (reset,) = read_run(inner.directory / "run.json")["resets"]
    assert reset["test"].endswith("test_outputs[0]")
    assert reset["board"] == "sim"


def test_a_simulated_board_is_started_again_without_a_hook(run):
    words = ("--tflm-port=sim", "--tflm-reset=on-crash", "-k", "test_outputs")
    done = run(SILENT_ONCE.format(times=1), *words)
    assert done.outcomes == {"passed": 3}, done.output
    assert "sim was reset (started again)" in done.output


def test_nothing_is_reset_unless_asked(run):
    words = ("--tflm-port=sim", "-k", "test_outputs", "-s")
    done = run(RESET + SILENT_ONCE.format(times=1), *words)
    assert done.outcomes == {"error": 3}, done.output
    assert "resetting" not in done.output


def test_a_test_is_run_twice_at_most_and_a_dead_board_is_given_up(run):
    words = ("--tflm-port=sim", "--tflm-reset=on-crash", "-k", "test_outputs", "-s")
    twice = run(RESET + SILENT_ONCE.format(times=2), *words)
    assert twice.outcomes == {"error": 1, "passed": 2}, twice.output
    assert twice.output.count("resetting") == 2, "the next test resets it, too"
    dead = run(RESET + SILENT_ONCE.format(times=99), *words, "--tflm-samples=9")
    assert dead.outcomes == {"error": 9}
    assert dead.output.count("resetting") == 2


def test_only_the_board_that_fell_silent_is_reset(run):
    words = ("--tflm-port=a=sim", "--tflm-port=b=sim?arena=1m", "--tflm-reset=on-crash", "-s")
    done = run(RESET + SILENT_ONCE.format(times=1), *words, "-k", "test_outputs")
    assert done.outcomes == {"passed": 6}, done.output
    assert done.output.count("resetting") == 1
    assert "resetting 'a' sim" in done.output


# The control lines of a real port.


class Device:
    """What pyserial would open. ``seen`` is what happened to its lines."""

    def __init__(self, seen: list[str], baudrate: int) -> None:
        self.__dict__["seen"] = seen
        seen.append(f"{baudrate} baud")

    def __setattr__(self, name: str, value: bool) -> None:
        if self.__dict__.get(name) != value:
            self.seen.append(f"{name} {'on' if value else 'off'}")
        self.__dict__[name] = value

    def open(self) -> None:
        self.seen.append("open")

    def close(self) -> None:
        self.seen.append("close")


def test_an_esp32_is_held_in_reset_by_rts_with_dtr_off(monkeypatch):
    import serial

    from pytest_tflm.link import reset

    seen: list[str] = []

    def made(name, *, do_not_open, baudrate):
        return Device(seen, baudrate)

    monkeypatch.setattr(serial, "serial_for_url", made)
    monkeypatch.setattr(reset, "check_port", lambda port: None)
    monkeypatch.setattr(
        reset, "PortLock", SimpleNamespace(take=lambda port: SimpleNamespace(release=lambda: None))
    )
    reset.reset_by_lines("/dev/ttyUSB0", wait=lambda seconds: seen.append(f"{seconds} s"))
    lines = ["dtr off", "rts off", "open", "rts on", "0.1 s", "rts off", "close"]
    assert seen == ["115200 baud", *lines]


@pytest.mark.parametrize(
    ("board", "usb", "has_lines"),
    [
        ("", "10c4:ea60", True),
        ("esp32", "303a:1001", True),
        ("nano33", "2341:805a", False),
        ("", "", False),
    ],
)
def test_only_what_may_have_reset_lines_is_reset_by_them(board, usb, has_lines):
    from pytest_tflm.link.ports import FoundPort
    from pytest_tflm.link.reset import has_reset_lines

    found = (FoundPort("/dev/ttyX0", board, "", usb, "", True),)
    assert has_reset_lines("/dev/ttyX0", found) == has_lines
    assert not has_reset_lines("/dev/ttyX1", found)
    assert has_reset_lines("rfc2217://lab:2217", ())
    assert not has_reset_lines("socket://lab:2217", ())


def test_a_board_that_cannot_be_reset_is_told_so():
    """A pseudo-terminal has no control lines."""
    from pytest_tflm.errors import NotSupported
    from pytest_tflm.runtime.board import BoardHost
    from pytest_tflm.runtime.spec import RuntimeSpec

    board = BoardHost(RuntimeSpec.of_board("/dev/pts/999"))
    with pytest.raises(NotSupported, match=r"no known way to reset .* pytest_tflm_reset"):
        board.reset()
