"""How much of a line carries tensor data, by the bench's own lines in virtual time."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("pytest_tflm.simulator._firmware")

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

import link as bench
from link_ends import Core, RivalBoard, rival
from paced_line import Wire

SAMPLES = bench.made(200)
UARTS = [115200, 921600]


def run(line, turnaround, *, seconds=0.0, damage=0.0, seed=1, samples=SAMPLES, **sizes):
    board = Core(bench.INPUT_BYTES, **(bench.SIZES | sizes), seconds=seconds)
    wire = Wire(board, line, turnaround / 1000, damage=damage, seed=seed)
    found = bench.measured(bench.run_link, wire, samples)
    assert board.engine.invoked == len(samples)
    return found, board, wire


@pytest.mark.parametrize("turnaround", bench.TURNAROUNDS)
@pytest.mark.parametrize("baud", UARTS)
def test_a_uart_is_full_whatever_the_turnaround(baud, turnaround):
    found, board, wire = run(baud, turnaround)
    assert found["share"] >= 0.95
    assert board.lost == 0
    assert wire.counters.requests_resent == wire.counters.gaps == wire.counters.pings == 0


def test_a_network_of_50_ms_leaves_nine_tenths_of_a_line():
    """As far as the board's window holds what is under way in a round trip: 4 KB do at 460800 baud
    and not at 921600, 8 KB do there, too."""
    rows = bench.over_a_network(200)
    shares = {
        (row["baud"], row["round_trip_ms"], row["window"]): row["link"]["share"] for row in rows
    }
    too_small = shares.pop((921600, 50, 4096))
    assert min(shares.values()) >= 0.9, shares
    assert too_small < 0.9
    assert all(row["link"]["share"] > 10 * row["rival"]["share"] for row in rows)


@pytest.mark.parametrize(
    "sizes", [{"window": 4096 - 64}, {"largest_frame": 1024}, {"reply_store": 2100}]
)
def test_so_it_is_with_smaller_buffers(sizes):
    found, board, _ = run(921600, 16, **sizes)
    assert found["share"] >= 0.95
    assert board.lost == 0


@pytest.mark.parametrize("turnaround", bench.TURNAROUNDS)
def test_ten_times_stop_and_wait_on_a_line_like_usb(turnaround):
    ours, _, _ = run("usb", turnaround)
    wire = Wire(RivalBoard(bench.INPUT_BYTES), "usb", turnaround / 1000)
    theirs = bench.measured(rival, wire, SAMPLES)
    assert ours["bytes_per_second"] >= 10 * theirs["bytes_per_second"]


def test_computing_and_sending_overlap():
    """The receive buffer holds the next inputs: no second input buffer is needed, but where the
    window is smaller than an input and Invoke takes longer than sending one."""
    *overlapping, too_small, large_enough = bench.overlap(100)
    for row in [*overlapping, large_enough]:
        assert row["over_the_larger"] <= 1.05, row
    assert 1.05 < too_small["over_the_larger"] < 1.3


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2))])
@pytest.mark.parametrize("line", [*UARTS, "usb"])
def test_one_frame_in_a_thousand_damaged_costs_less_than_a_third(line, seed):
    samples = bench.made(1000)
    clean, _, _ = run(line, 1, samples=samples)
    damaged, _, wire = run(line, 1, samples=samples, damage=bench.DAMAGE, seed=seed)
    assert wire.damaged > 0
    assert damaged["seconds"] <= 1.3 * clean["seconds"]
