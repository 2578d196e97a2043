"""How much of a line is tensor data, beside 50-byte batches with an echoed checksum.

The lines are paced in virtual time (paced_line.py), so every run gives the same figures, on any
machine; only the CPU time is this machine's. The share is the bytes of the input tensors over what
the line could have carried in one direction from the first byte (greeting and identity included) to
the last result. Computing takes no time, except where a table says so.

    make bench          prints tables, writes build/bench/link.json
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import sys
import time
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]

LINES: tuple[tuple[str, int | str], ...] = (
    ("115 200 baud", 115200),
    ("921 600 baud", 921600),
    ("3 000 000 baud", 3000000),
    ("USB-like", "usb"),
)
TURNAROUNDS = (0, 1, 6, 16)
"""Milliseconds."""
NETWORK = (
    (115200, 50, 4096),
    (115200, 100, 4096),
    (460800, 50, 4096),
    (921600, 50, 4096),
    (921600, 50, 8192),
)
"""A serial port behind a network: baud, milliseconds of one round trip, the board's window."""
INPUT_BYTES = 1000
SIZES = {"window": 4096, "largest_frame": 2048, "reply_store": 4096}
"""The board, as the simulator's by default: it announces 4 KB of receive buffer."""
DAMAGE = 0.001
"""Share of frames damaged."""
OVERLAPS = (
    (115200, 1000, 0.02, 4096),
    (921600, 1000, 0.02, 4096),
    (3000000, 1000, 0.02, 4096),
    ("usb", 1000, 0.02, 4096),
    (921600, 8000, 0.2, 4096),
    (921600, 8000, 0.2, 8192),
)
"""What is computed for while the next is sent: line, input bytes, seconds of Invoke, window."""
FLIPS = (0, 1e-6, 1e-5, 3e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2.5e-3)
"""Shares of bits inverted."""
LENGTHS = (64, 128, 256, 2048)
"""Bytes of the longest body of frames of a fixed length; with 2048 a sample travels in one."""


def made(count: int, size: int = INPUT_BYTES) -> list[bytes]:
    """Samples near the ends of int8, as quantised inputs often are, with zeros among them."""
    rng = random.Random(0)
    codes = bytes([0x80, 0x81, 0x7F, 0x7E, 0x00, 0xFF])
    return [bytes(rng.choices(codes, k=size)) for _ in range(count)]


def run_link(wire: Any, samples: list[bytes], length: int = 0) -> list[bytes]:
    """This link, from HELLO on. With ``length``: with bodies of at most so many bytes, whatever the
    line does to them."""
    from link_ends import FixedSession

    from pytest_tflm.link.connection import Connection
    from pytest_tflm.link.session import Session

    baud = None if wire.bytes_per_second > 1_000_000 else int(wire.bytes_per_second * 10)
    if length:
        session: Session = FixedSession(baud=baud, nonce=lambda: 0x1234, largest_frame=length)
    else:
        session = Session(baud=baud, nonce=lambda: 0x1234)
    connection = Connection(wire, session=session, clock=wire.clock)
    results = [result.outputs for result in connection.run_many(iter(samples))]
    wire.counters = connection.counters
    return results


def measured(run: Any, wire: Any, samples: list[bytes]) -> dict[str, float]:
    """Share of the line, and CPU time per MB of tensor data."""
    from link_ends import answer

    began = time.process_time()
    results = run(wire, samples)
    host = time.process_time() - began - wire.line_seconds
    assert results == [answer(sample) for sample in samples]
    carried = sum(map(len, samples))
    return {
        "seconds": wire.now,
        "share": carried / (wire.now * wire.bytes_per_second),
        "bytes_per_second": carried / wire.now,
        "host_cpu_s_per_mb": host / carried * 1e6,
        "board_cpu_s_per_mb": wire.board_seconds / carried * 1e6,
    }


def share_of_lines(count: int) -> list[dict[str, Any]]:
    """Each line and turn-around, this link and the rival."""
    from link_ends import Core, RivalBoard, rival
    from paced_line import Wire

    samples = made(count)
    run_link(Wire(Core(INPUT_BYTES, **SIZES), "usb", 0.0), samples)  # imports cost CPU time once
    rows = []
    for name, line in LINES:
        for turnaround in TURNAROUNDS:
            board = Core(INPUT_BYTES, **SIZES)
            ours = measured(run_link, Wire(board, line, turnaround / 1000), samples)
            assert not board.lost
            wire = Wire(RivalBoard(INPUT_BYTES), line, turnaround / 1000)
            theirs = measured(rival, wire, samples)
            ratio = ours["bytes_per_second"] / theirs["bytes_per_second"]
            row = {"line": name, "turnaround_ms": turnaround, "link": ours, "rival": theirs}
            rows.append(row | {"ratio": ratio})
    return rows


def over_a_network(count: int) -> list[dict[str, Any]]:
    """Each line of ``NETWORK``, this link and the rival."""
    from link_ends import Core, RivalBoard, rival
    from paced_line import Wire

    samples = made(count)
    rows = []
    for baud, round_trip, window in NETWORK:
        board = Core(INPUT_BYTES, **(SIZES | {"window": window, "reply_store": window}))
        ours = measured(run_link, Wire(board, baud, round_trip / 1000), samples)
        assert not board.lost
        theirs = measured(rival, Wire(RivalBoard(INPUT_BYTES), baud, round_trip / 1000), samples)
        row = {"baud": baud, "round_trip_ms": round_trip, "window": window}
        rows.append(row | {"link": ours, "rival": theirs})
    return rows


def with_damage(count: int) -> list[dict[str, Any]]:
    """The time of a run with damaged frames over that of a clean one."""
    from link_ends import Core
    from paced_line import Wire

    samples = made(count)
    rows = []
    for name, line in LINES:
        for turnaround in TURNAROUNDS:
            times = []
            for damage in (0.0, DAMAGE):
                board = Core(INPUT_BYTES, **SIZES)
                wire = Wire(board, line, turnaround / 1000, damage=damage)
                measured(run_link, wire, samples)
                assert board.engine.invoked == count  # each once, whatever was lost
                times.append(wire.now)
            rows.append(
                {
                    "line": name,
                    "turnaround_ms": turnaround,
                    "frames_damaged": wire.damaged,
                    "clean_seconds": times[0],
                    "damaged_seconds": times[1],
                    "ratio": times[1] / times[0],
                }
            )
    return rows


def over_bit_errors(count: int) -> list[dict[str, Any]]:
    """The share of the line that is tensor data, over rates of bit errors: with the length of
    frames that the link chooses, and with fixed ones. None where it gave up."""
    from link_ends import Core
    from paced_line import Wire

    from pytest_tflm.errors import TflmError

    samples = made(count)
    rows = []
    for flip in FLIPS:
        shares: dict[str, float | None] = {}
        for length in (0, *LENGTHS):
            board = Core(INPUT_BYTES, **SIZES)
            wire = Wire(board, 115200, 0.001, flip=flip)
            try:
                share = measured(partial(run_link, length=length), wire, samples)["share"]
            except TflmError:
                share = None
            else:
                assert board.engine.invoked == count
            shares[str(length or "chosen")] = share
        rows.append({"flip": flip, "shares": shares})
    return rows


def overlap(count: int) -> list[dict[str, Any]]:
    """Computing and sending at once: the whole beside its two parts."""
    from link_ends import Core
    from paced_line import Wire

    names = {line: name for name, line in LINES}
    rows = []
    for line, size, compute, window in OVERLAPS:
        samples = made(count, size)
        times = []
        for seconds in (0.0, compute):
            board = Core(size, **(SIZES | {"window": window}), seconds=seconds)
            wire = Wire(board, line, 0.001)
            measured(run_link, wire, samples)
            assert not board.lost
            times.append(wire.now)
        larger = max(times[0], count * compute)
        rows.append(
            {
                "line": names[line],
                "input_bytes": size,
                "invoke_seconds": compute,
                "window": window,
                "transfer_seconds": times[0],
                "compute_seconds": count * compute,
                "both_seconds": times[1],
                "over_the_larger": times[1] / larger,
            }
        )
    return rows


def report(found: dict[str, Any]) -> None:
    """The tables."""
    print(f"{found['samples']} samples of {INPUT_BYTES} bytes; host and board: CPU seconds per MB")
    head = f"{'line':16}{'turn':>6}{'share':>8}{'rival':>8}{'times':>7}{'kB/s':>8}{'rival':>7}"
    print(f"{head}{'host':>7}{'board':>7}")
    for row in found["lines"]:
        ours, theirs = row["link"], row["rival"]
        print(
            f"{row['line']:16}{row['turnaround_ms']:>3} ms{ours['share']:>8.1%}"
            f"{theirs['share']:>8.1%}{row['ratio']:>7.1f}{ours['bytes_per_second'] / 1e3:>8.1f}"
            f"{theirs['bytes_per_second'] / 1e3:>7.1f}{ours['host_cpu_s_per_mb']:>7.3f}"
            f"{ours['board_cpu_s_per_mb']:>7.3f}"
        )
    print(f"\nbehind a network, {found['samples']} samples; share")
    print(f"{'baud':>8}{'round trip':>12}{'window':>8}{'share':>8}{'rival':>8}")
    for row in found["network"]:
        print(
            f"{row['baud']:>8}{row['round_trip_ms']:>9} ms{row['window']:>8}"
            f"{row['link']['share']:>8.1%}{row['rival']['share']:>8.1%}"
        )
    print(f"\n{DAMAGE:.1%} of frames damaged, {found['damage_samples']} samples")
    print(f"{'line':16}{'turn':>6}{'damaged':>9}{'clean s':>9}{'damaged s':>11}{'times':>8}")
    for row in found["damage"]:
        print(
            f"{row['line']:16}{row['turnaround_ms']:>3} ms{row['frames_damaged']:>9}"
            f"{row['clean_seconds']:>9.2f}{row['damaged_seconds']:>11.2f}{row['ratio']:>8.3f}"
        )
    print(f"\nbit errors, 115 200 baud, turn-around 1 ms, {found['flip_samples']} samples; share")
    names = ["chosen", *map(str, LENGTHS)]
    print(f"{'one bit in':>12}" + "".join(f"{name:>10}" for name in names))
    for row in found["bit_errors"]:
        rate = f"{1 / row['flip']:,.0f}".replace(",", " ") if row["flip"] else "none"
        shares = (row["shares"][name] for name in names)
        cells = "".join(f"{'gave up' if s is None else format(s, '.1%'):>10}" for s in shares)
        print(f"{rate:>12}{cells}")
    print(f"\nsending while computing, turn-around 1 ms, {found['samples']} samples")
    head = f"{'line':16}{'input':>7}{'Invoke':>9}{'window':>8}{'transfer s':>12}{'compute s':>11}"
    print(f"{head}{'both s':>8}{'of larger':>11}")
    for row in found["overlap"]:
        print(
            f"{row['line']:16}{row['input_bytes']:>7}{row['invoke_seconds'] * 1000:>6.0f} ms"
            f"{row['window']:>8}{row['transfer_seconds']:>12.2f}{row['compute_seconds']:>11.2f}"
            f"{row['both_seconds']:>8.2f}{row['over_the_larger']:>11.3f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--damage-samples", type=int, default=4000)
    parser.add_argument("--flip-samples", type=int, default=200)
    parser.add_argument("--out", type=Path, default=ROOT / "build/bench/link.json")
    options = parser.parse_args()

    found: dict[str, Any] = {
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "versions": {name: version(name) for name in ("cobs", "numpy")},
        "board": SIZES,
        "samples": options.samples,
        "damage_samples": options.damage_samples,
        "lines": share_of_lines(options.samples),
        "network": over_a_network(options.samples),
        "damage": with_damage(options.damage_samples),
        "flip_samples": options.flip_samples,
        "bit_errors": over_bit_errors(options.flip_samples),
        "overlap": overlap(options.samples),
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(found, indent=2) + "\n")
    report(found)
    print(f"\nwritten to {options.out}")


if __name__ == "__main__":
    sys.exit(main())
