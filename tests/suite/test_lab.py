"""A lab of boards: a file that lists them, leases, equal boards that share the work."""

from __future__ import annotations

import itertools

import model_builders
import pytest

from pytest_tflm.errors import PortBusy, PortNotFound, SettingsError
from pytest_tflm.link.ports import FoundPort
from pytest_tflm.record.journal import read_run
from pytest_tflm.runtime.lab import Lab, LabBoard, Leases, port_of, read_lab

FILE = """
[[board]]
name = "left"
kind = "sim"
port = "sim?arena=1m"
tags = ["fast"]

[[board]]
name = "right"
kind = "sim"
port = "sim?arena=2m"

[[board]]
name = "odd"
kind = "wrong"
port = "sim?defect=off-by-one:FULLY_CONNECTED"
memory = "150k"
baud = 921600
reset = ["true"]
"""


@pytest.fixture
def small(model_file):
    """A model of one operator."""
    return model_file("small.tflite", model_builders.fully_connected(8, 1))


@pytest.fixture
def run(inner, small):
    """Runs the model on a lab."""
    (inner.directory / "boards.toml").write_text(FILE)

    def run(*words: str):
        given = (f"--tflm-model={small}", "--tflm-runtime=tflm", "--tflm-samples=6")
        done = inner.pytest(*given, "--tflm-tolerance=0", "--tflm-boards=boards.toml", *words)
        done.outcomes.pop("deselected", None)
        return done

    return run


def test_each_kind_is_a_column_and_equal_boards_share_its_samples(run):
    done = run("-k", "test_outputs", "-v")
    assert done.outcomes == {"passed": 6, "failed": 6}, done.output
    assert done.lines("tflm: board sim: simulator"), done.output
    assert not [line for line in done.lines("FAILED ") if "wrong" not in line]
    links = [line.split(":")[1].strip() for line in done.lines("link: ")]
    assert sorted(links) == ["left", "odd", "right"]


def test_tags_choose(run):
    done = run("--tflm-board=fast", "-k", "test_model_identity", "-rA")
    assert done.outcomes == {"passed": 1}
    assert done.lines("PASSED ")[0].endswith("test_model_identity[fast]")
    both = run("--tflm-board=left", "--tflm-board=odd", "-k", "test_model_identity")
    assert both.outcomes == {"passed": 2}


def test_the_verdict_is_about_the_board_that_was_wrong(run, inner):
    """One of two boards that should be equal is not."""
    path = inner.directory / "boards.toml"
    wrong = "sim?defect=off-by-one:FULLY_CONNECTED&baud=115200"
    path.write_text(FILE.replace("sim?arena=2m", wrong).replace("=1m", "=1m&baud=115200"))
    words = ("--tflm-board=sim", "--tflm-samples=60", "-k", "test_outputs", "--tflm-json=run.json")
    done = run(*words)
    assert done.outcomes["passed"], done.output
    assert done.outcomes["failed"], "each of the two runs some of 60 samples"
    (model,) = read_run(inner.directory / "run.json")["models"]
    (cause,) = [each for each in model["verdict"]["causes"] if not each["is_note"]]
    assert cause["name"] == "kernel-differs"
    assert "on board right (simulator) differs" in cause["sentence"]


def test_one_board_of_a_lab_is_the_reference_of_another(run):
    words = ("--tflm-board=left", "--tflm-board=odd", "--tflm-runtime=board:left")
    done = run(*words, "-k", "test_outputs")
    assert done.outcomes == {"failed": 6}, done.output
    assert "kernel-differs" in done.output


def test_a_board_that_another_run_has_is_said(run, inner):
    lab = read_lab(inner.directory / "boards.toml")
    other = Leases(lab, lab.groups(["odd"]), wait=0, say=print)
    lease = other.take("odd")
    try:
        done = run("--tflm-board=odd", "--tflm-wait=0", "-k", "test_model_identity")
    finally:
        lease.release()
    assert done.status == 2, done.output
    assert "PortBusy: no board for odd is free after 0 s: odd: process " in done.output
    assert run("--tflm-board=odd", "-k", "test_model_identity").outcomes == {"passed": 1}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--tflm-board=blue",), "no board of .*boards.toml is 'blue': choose one of sim, fast,"),
        (("--tflm-boards=none.toml",), "none.toml cannot be read"),
        (("--tflm-runtime=board:blue",), "no board is called 'blue': this run has sim, wrong"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(run, words, message):
    done = run(*words)
    assert done.status == 4, done.output
    import re

    assert re.search(message, " ".join(done.output.split())), done.output
    assert "Traceback" not in done.output


def test_a_tag_needs_a_lab(inner, small):
    done = inner.pytest(f"--tflm-model={small}", "--tflm-board=fast")
    assert done.status == 4
    assert "--tflm-board=TAG chooses among boards: give --tflm-boards=FILE" in done.output


# The file.


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[board]", "is not TOML"),
        ("", "has no .*board"),
        ("name = 3", "has 'name'"),
        ("board = 3", "has no .*board"),
        ("board = [3]", "board 1 is no table"),
        ('[[board]]\nname = "a"\nprot = "x"', "board 1: unknown field 'prot'"),
        ('[[board]]\nname = "a"\nport = 7', "board 1: port = 7 is of the wrong type"),
        ('[[board]]\nname = "a"\nport = "sim"\nreset = "x"', "reset = 'x' is of the wrong type"),
        ('[[board]]\nname = "a"\nport = "sim"\nbaud = true', "baud = True is of the wrong type"),
        ('[[board]]\nname = "a b"\nport = "sim"', "'a b' is no name or tag"),
        ('[[board]]\nport = "sim"', "'' is no name or tag"),
        ('[[board]]\nname = "a"', r"board 1 \(a\) needs a port, or a serial number"),
        ('[[board]]\nname = "a"\nport = "sim"\nbaud = 1200', "1200 baud starts the bootloader"),
        ('[[board]]\nname = "a"\nport = "x"\n' * 2, "two boards have the same name"),
    ],
)
def test_a_file_that_makes_no_sense_says_where(tmp_path, text, message):
    path = tmp_path / "boards.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=message):
        read_lab(path)


def test_a_board_is_found_by_its_serial_number():
    ports = [FoundPort("/dev/ttyX3", "", "", "2341:805a", "ABC1", can_answer=True)]
    assert port_of(LabBoard("a", "a", serial="ABC1"), ports) == "/dev/ttyX3"
    with pytest.raises(PortNotFound, match="no USB port has the serial number ABC2"):
        port_of(LabBoard("a", "a", serial="ABC2"), ports)


# Leases.


class Clock:
    """Time that passes while somebody sleeps, and what happens then."""

    def __init__(self) -> None:
        self.now = 0.0
        self.events: list[tuple[float, object]] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        while self.events and self.events[0][0] <= self.now:
            self.events.pop(0)[1]()  # type: ignore[operator]


@pytest.fixture
def leases(tmp_path):
    """Leases of two equal boards, as processes of their own would make them."""
    boards = (LabBoard("a", "sim", "sim"), LabBoard("b", "sim", "sim"))
    lab = Lab(tmp_path / "boards.toml", boards)
    clock = Clock()
    said: list[str] = []

    def made(wait: float = 10, has_all: bool = False) -> Leases:
        groups = {"sim": boards}
        return Leases(
            lab, groups, wait=wait, say=said.append, has_all=has_all, clock=clock, sleep=clock.sleep
        )

    return made, clock, said


def test_each_lease_takes_a_board_of_its_own_and_waits_for_a_third(leases):
    made, clock, said = leases
    one, other = made().take("sim"), made().take("sim")
    assert {one.board.name, other.board.name} == {"a", "b"}
    clock.events.append((3.0, other.release))
    third = made().take("sim")
    assert third.board.name == other.board.name
    assert 3.0 <= clock.now < 3.5
    (text,) = said
    assert text.startswith("waiting up to 10 s for a board for sim: a: process ")
    for each in (one, third):
        each.release()


def test_a_lease_that_waits_in_vain_says_who_has_the_boards(leases):
    made, clock, _ = leases
    held = [made().take("sim") for _ in range(2)]
    with pytest.raises(PortBusy, match=r"no board for sim is free after 10 s: a: process .*; b: p"):
        made().take("sim")
    assert clock.now == pytest.approx(10)
    for each in held:
        each.release()


def test_a_board_that_is_left_out_is_not_taken_again(leases):
    made, _, _ = leases
    mine = made()
    first = mine.take("sim")
    mine.leave_out(first.board, "it fell silent")
    first.release()
    second = mine.take("sim")
    assert second.board.name == "b"
    mine.leave_out(second.board, "so did it")
    second.release()
    with pytest.raises(
        PortNotFound, match="a was left out: it fell silent; b was left out: so did"
    ):
        mine.take("sim")


def test_a_process_alone_takes_all_that_are_free(leases):
    made, _, _ = leases
    alone = made(has_all=True)
    first, *more = itertools.chain([alone.take("sim")], alone.more("sim"))
    assert [each.board.name for each in (first, *more)] == ["a", "b"]
    for each in (first, *more):
        each.release()
    assert made().more("sim") == []


@pytest.mark.slow
def test_each_worker_of_xdist_has_a_board_of_its_own(command, small):
    """Two workers, two equal boards, and each test on one of them."""
    (command.directory / "boards.toml").write_text(FILE)
    (command.directory / "test_mine.py").write_text(
        "def test_mine(device, tflm_sample):\n    device.run(tflm_sample)\n    print(device.name)\n"
    )
    done = command.run(
        *("pytest", "-n", "2", "-v", "-rP", "-p", "no:cacheprovider", "--tflm-suite=off"),
        *(f"--tflm-model={small}", "--tflm-samples=20", "test_mine.py"),
        *("--tflm-boards=boards.toml", "--tflm-board=sim"),
    )
    assert done.outcomes == {"passed": 20}, done.output
    workers = dict.fromkeys(("gw0", "gw1"), 0)
    for line in done.output.splitlines():
        for worker in workers:
            workers[worker] += line.startswith(f"[{worker}]") and "PASSED" in line
    assert min(workers.values()) > 0
    names = {line for line in done.output.splitlines() if line.startswith("board ")}
    assert names == {"board left (simulator)", "board right (simulator)"}
