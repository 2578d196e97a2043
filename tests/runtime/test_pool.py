"""Samples spread over equal boards: each is run, its outputs come once and in order."""

from __future__ import annotations

import itertools
import os
import signal
import threading
from collections import Counter

import model_builders
import numpy as np
import pytest

from pytest_tflm.errors import InvokeFailed, NoAnswer
from pytest_tflm.model import model_from_bytes
from pytest_tflm.runtime.base import Outputs
from pytest_tflm.runtime.hosts import Hosts
from pytest_tflm.runtime.lab import Lab, LabBoard, Leases
from pytest_tflm.runtime.pool import spread
from pytest_tflm.runtime.spec import RuntimeSpec


def sample(number: int):
    return (np.array([number], np.int32),)


class Member:
    """A board that holds ``window`` samples, doubles them, breaks after ``runs`` and refuses those
    of ``bad``."""

    def __init__(self, runs: int = 1000, window: int = 3, bad: tuple[int, ...] = ()) -> None:
        self.left, self.window, self.bad = runs, window, bad
        self.is_usable = True
        self.ran: list[int] = []

    def run_given(self, samples):
        held: list[int] = []
        has_more = True
        while has_more or held:
            while has_more and len(held) < self.window:
                arrays = next(samples, None)
                if arrays is None:
                    has_more = False
                else:
                    held.append(int(arrays[0][0]))
            if not held:
                return
            if not self.left:
                self.is_usable = False
                raise NoAnswer("it is dead")
            if held[0] in self.bad:
                raise InvokeFailed(f"sample {held[0]}")
            self.left -= 1
            number = held.pop(0)
            self.ran.append(number)
            yield Outputs((np.array([2 * number], np.int32),), (), "member")


def values(outputs):
    return [int(each[0][0]) for each, _ in outputs]


def never(member, error):
    raise AssertionError(f"{member} was left out: {error}")


@pytest.mark.parametrize("boards", [1, 2, 5])
def test_outputs_come_in_order_and_each_sample_is_run_once(boards):
    members = [Member() for _ in range(boards)]
    assert values(spread(members, map(sample, range(200)), never)) == [2 * i for i in range(200)]
    assert sorted(n for each in members for n in each.ran) == list(range(200))


def test_samples_are_made_a_little_ahead_and_not_all_at_once():
    made = []
    outputs = spread(
        [Member(), Member()], (made.append(i) or sample(i) for i in range(1000)), never
    )
    next(outputs)
    assert len(made) <= 65
    before = threading.active_count()
    outputs.close()
    assert len(made) <= 65
    assert threading.active_count() == before - 2


def test_what_a_board_leaves_others_run():
    left_out = []
    members = [Member(runs=7), Member(), Member(runs=0)]
    outputs = spread(members, map(sample, range(100)), lambda m, error: left_out.append((m, error)))
    assert values(outputs) == [2 * i for i in range(100)]
    assert {id(member) for member, _ in left_out} <= {id(members[0]), id(members[2])}
    ran = Counter(n for each in members for n in each.ran)
    assert set(ran) == set(range(100))
    assert set(ran.values()) == {1}


def test_the_last_boards_error_is_raised():
    outputs = spread([Member(runs=2), Member(runs=1)], map(sample, range(9)), lambda m, error: None)
    with pytest.raises(NoAnswer, match="it is dead"):
        for _ in outputs:
            pass


def test_an_error_of_ours_in_a_boards_thread_is_raised():
    class Bad(Member):
        def run_given(self, samples):
            next(samples)
            raise ValueError("a mistake")
            yield

    with pytest.raises(ValueError, match="a mistake"):
        next(spread([Bad(), Bad()], map(sample, range(9)), never))


def test_an_error_of_a_sample_is_its_own_and_the_board_goes_on():
    members = [Member(bad=(5,)), Member(bad=(5,))]
    outputs = spread(members, map(sample, range(20)), never)
    assert values(itertools.islice(outputs, 5)) == [0, 2, 4, 6, 8]
    with pytest.raises(InvokeFailed, match="sample 5"):
        next(outputs)
    assert all(member.is_usable for member in members)


# Real boards: simulators behind pseudo-terminals.


@pytest.fixture
def pool(tmp_path, monkeypatch):
    """Four equal boards of a lab as one, and host TFLM beside it."""
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    boards = tuple(LabBoard(f"sim-{i}", "sim", f"sim?baud=115200&arena={i + 1}m") for i in range(4))
    lab = Lab(tmp_path / "boards.toml", boards)
    leases = Leases(lab, {"sims": boards}, wait=0, say=print)
    with Hosts(lessor=leases) as hosts:
        yield hosts.board(RuntimeSpec.of_board("lab:sims", "sims")), hosts.open(RuntimeSpec("tflm"))


def test_one_of_four_is_killed_in_the_middle_and_nothing_is_lost_or_run_twice(pool):
    board, tflm = pool
    model = model_from_bytes(model_builders.fully_connected(8, 4), "fc")
    random = np.random.default_rng(0)
    samples = [random.integers(-128, 128, (1, 8)).astype(np.int8) for _ in range(400)]
    right = [each.arrays[0].tobytes() for each in tflm.load(model).run_many(samples)]
    runtime = board.load(model)
    assert len(board.partners) == 3
    victim = board.partners[1]
    found = []
    for number, outputs in enumerate(runtime.run_many(samples)):
        found.append(outputs.arrays[0].tobytes())
        if number == 100:
            assert victim.load(model).history, "all of them share the work"
            os.kill(victim.pid, signal.SIGKILL)
    assert found == right
    assert len(board.partners) == 2
    (note,) = board.notes
    assert note.startswith("sim-2 was left out after PortVanished")
    assert all(partner.load(model).history for partner in board.partners)


def test_the_first_board_is_replaced_by_an_equal_one(pool):
    board, tflm = pool
    model = model_from_bytes(model_builders.fully_connected(8, 4), "fc")
    samples = [np.full((1, 8), i, np.int8) for i in range(60)]
    runtime = board.load(model)
    assert board.label == "sim-0"
    found = []
    for number, outputs in enumerate(runtime.run_many(samples)):
        found.append(outputs.arrays[0].tobytes())
        if number == 20:
            os.kill(board.pid, signal.SIGKILL)
    assert found == [each.arrays[0].tobytes() for each in tflm.load(model).run_many(samples)]
    assert board.label == "sim-1"
    assert "sim-0 was left out and sim-1 continues" in board.notes[0]
    assert runtime.run(samples[3]).arrays[0].tobytes() == found[3], "and it is of use"
