"""The main job beside its limit: samples per second of test_outputs, run_many, and one by one.

Each row is a board on a line with a rate, whose Invoke takes 0, 1 or 3 times as long as sending a
sample. In one run, one after the other:

* the main job: ``pytest --tflm-port=… --tflm-model=…``, from the call of the first
  ``test_outputs``, when all is loaded, to the end of the last;
* ``run_many`` over the same samples, without any comparison;
* the main job without looking ahead: each test waits for its own sample;
* the seed's way: 50 bytes, an echoed sum, the next 50 bytes, …, the outputs, one sample after the
  other.

The limit is the larger of the line's time for the frame of a sample and the time of Invoke. Nothing
can overlap with the first sample's way to the board, so a run of n samples reaches at most n times
the limit in n times the limit and the smaller of the two: the column *possible*. Time is
virtual (``virtual_board.py``): the line's and the board's, and beside them the processor time of
pytest. ``--real`` uses the simulator in real time (``sim?baud=…&invoke=…``), for an idle machine.

``--scale`` runs 100 to 100 000 samples of a small model on the simulator instead, as a test each
and in one test, and writes the picture of docs/performance.md.

    make bench          prints tables, writes build/bench/suite.json and suite.svg
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]

INPUT_BYTES = 1000
OUTPUTS = 10
RATES = {115200: 60, 921600: 240}
"""Bits per second, and samples for them."""
TRANSFERS = (0, 1, 3)
REFERENCES = ("litert", "tflm")
KINDS = (("on", "#b04000", "a test each"), ("off", "#0050a0", "one test"))
HEAD = 13
"""Bytes of body in front of and behind the inputs in a frame."""


def main_job(folder: Path, *words: str, **environment: str) -> dict[str, Any]:
    """Run pytest in ``folder``; what ``virtual_board.py`` saw."""
    found = folder / "times.json"
    found.unlink(missing_ok=True)
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "virtual_board",
         *words, "-k", "outputs"],
        cwd=folder,
        env=os.environ
        | {"BENCH_TIMES": str(found), "PYTHONPATH": str(ROOT / "bench")}
        | environment,
        stdout=subprocess.DEVNULL,
        check=True,
    )  # fmt: skip
    times: dict[str, Any] = json.loads(found.read_text())
    assert not times["failed"]
    return times


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """TFLM prints its allocations on file descriptor 2."""
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


def run_many(model: Any, count: int, *, port: str = "", baud: int = 0, invoke: float = 0) -> float:
    """Seconds of ``run_many`` over random samples, from the first byte to the last result: on the
    simulator at ``port``, or in virtual time."""
    from virtual_board import connect

    from pytest_tflm.record.samples import RandomSamples
    from pytest_tflm.runtime.board import BoardHost
    from pytest_tflm.runtime.spec import RuntimeSpec

    samples = RandomSamples(model, count, seed=0)
    if port:
        host, clock = BoardHost(RuntimeSpec.of_board(port)), time.monotonic
    else:
        connection = connect(baud, invoke)
        host, clock = BoardHost.over(connection), connection.channel.clock
    with host:
        with quiet():
            board = host.load(model)
        began = clock()
        assert sum(1 for _ in board.run_many(iter(samples))) == count
        return clock() - began


def one_by_one(baud: int, invoke: float, count: int) -> float:
    """Seconds of the seed's way, in virtual time."""
    from link_ends import RivalBoard, rival
    from paced_line import Wire

    class Computing(RivalBoard):
        def work(self) -> tuple[bytes, float, bool]:
            out, _, more = super().work()
            return (out, invoke, more) if len(out) > 1 else (out, 0.0, more)

    wire = Wire(Computing(INPUT_BYTES), baud, 0.001)
    rival(wire, [bytes(INPUT_BYTES)] * count)
    return wire.now


def speeds(
    folder: Path, rates: dict[int, int], real: bool, only: set[tuple[int, int]]
) -> list[dict[str, Any]]:
    """A row for each rate, time of Invoke and reference; ``only`` those of rate and transfers."""
    import model_builders

    from pytest_tflm.link.frame import wire_length
    from pytest_tflm.model import open_model

    path = folder / "wide.tflite"
    path.write_bytes(model_builders.fully_connected(INPUT_BYTES, OUTPUTS))
    model = open_model(path)
    rows = []
    for baud, count in rates.items():
        transfer = wire_length(HEAD + INPUT_BYTES) * 10 / baud
        for times in TRANSFERS:
            invoke = times * transfer
            port = f"sim?baud={baud}&invoke={invoke * 1e6:.0f}" if real else "sim"
            board = {} if real else {"BENCH_BAUD": str(baud), "BENCH_INVOKE": str(invoke)}
            many = (
                run_many(model, count, port=port)
                if real
                else run_many(model, count, baud=baud, invoke=invoke)
            )
            if (baud, times) not in only:
                continue
            limit = max(transfer, invoke)
            row = {
                "baud": baud, "invoke_ms": invoke * 1000, "samples": count,
                "limit_ms": limit * 1000,
                "possible": count * limit / (count * limit + min(transfer, invoke)),
                "run_many_ms": many / count * 1000,
                "one_by_one_ms": one_by_one(baud, invoke, count) / count * 1000,
            }  # fmt: skip
            for reference in REFERENCES:
                seen = main_job(
                    folder, f"--tflm-port={port}", f"--tflm-model={path}",
                    f"--tflm-samples={count}", f"--tflm-runtime={reference}", **board,
                )  # fmt: skip
                assert seen["samples"] == count
                row[f"{reference}_ms"] = (seen["ended"] - seen["began"]) / count * 1000
                row[f"{reference}_cpu_ms"] = (seen["cpu_ended"] - seen["cpu_began"]) / count * 1000
            seen = main_job(
                folder, f"--tflm-port={port}", f"--tflm-model={path}",
                f"--tflm-samples={count}", "--tflm-runtime=litert", BENCH_PLAIN="1", **board,
            )  # fmt: skip
            row["waiting_ms"] = (seen["ended"] - seen["began"]) / count * 1000
            row["load"] = os.getloadavg()[0]
            rows.append(row)
            print(row_text(row), flush=True)
    return rows


def row_text(row: dict[str, Any]) -> str:
    limit, many = row["limit_ms"], row["run_many_ms"]
    shares = "".join(f"{limit / row[f'{name}_ms']:>9.1%}" for name in REFERENCES)
    return (
        f"{row['baud']:>8}{row['invoke_ms']:>9.1f}{limit:>10.2f}{row['possible']:>10.1%}{shares}"
        f"{limit / many:>10.1%}"
        f"{limit / row['waiting_ms']:>10.1%}{limit / row['one_by_one_ms']:>12.1%}"
        f"{row['litert_cpu_ms']:>10.2f}{row['load']:>6.1f}"
    )


def scale(folder: Path, counts: list[int], most_tests: int) -> list[dict[str, Any]]:
    """Cost per sample and memory against the number of samples."""
    import model_builders

    path = folder / "small.tflite"
    path.write_bytes(model_builders.fully_connected())
    rows = []
    for kind in ("on", "off"):
        for count in counts:
            if kind == "on" and count > most_tests:
                continue
            seen = main_job(
                folder, "--tflm-port=sim", f"--tflm-model={path}", f"--tflm-samples={count}",
                f"--tflm-per-sample={kind}",
            )  # fmt: skip
            row = {
                "per_sample": kind, "samples": count, "seconds": seen["ended"] - seen["began"],
                "cpu_seconds": seen["cpu_ended"] - seen["cpu_began"],
                "peak_mib": seen["peak_kib"] / 1024, "load": os.getloadavg()[0],
            }  # fmt: skip
            rows.append(row)
            print(scale_text(row), flush=True)
    return rows


def scale_text(row: dict[str, Any]) -> str:
    each = 1e3 / row["samples"]
    kind = "a test each" if row["per_sample"] == "on" else "one test"
    return (
        f"{kind:12}{row['samples']:>10}{row['seconds']:>10.2f}{row['seconds'] * each:>10.3f}"
        f"{row['cpu_seconds'] * each:>10.3f}{row['peak_mib']:>10.1f}{row['load']:>6.1f}"
    )


def picture(rows: list[dict[str, Any]]) -> str:
    """An SVG: processor time of the run and peak memory over the number of samples."""
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" width="760" height="300" '
        'font-family="sans-serif" font-size="12">',
        '<rect width="760" height="300" fill="white"/>',
    ]
    panels = (("cpu_seconds", "processor seconds of pytest"), ("peak_mib", "peak memory, MiB"))
    for number, (key, title) in enumerate(panels):
        left, top, width, height = 60 + 380 * number, 40, 290, 200
        most_x = max(row["samples"] for row in rows)
        most_y = max(row[key] for row in rows) * 1.05
        parts += [
            f'<text x="{left}" y="20" font-weight="bold">{title}</text>',
            f'<path d="M{left} {top} v{height} h{width}" fill="none" stroke="black"/>',
            f'<text x="{left + width}" y="{top + height + 18}" text-anchor="end">'
            f"{most_x:,} samples</text>".replace(",", " "),
            f'<text x="{left - 6}" y="{top + 8}" text-anchor="end">{most_y:.0f}</text>',
            f'<text x="{left - 6}" y="{top + height}" text-anchor="end">0</text>',
        ]
        for kind, colour, name in KINDS:
            points = [
                (left + width * row["samples"] / most_x, top + height * (1 - row[key] / most_y))
                for row in rows
                if row["per_sample"] == kind
            ]
            line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}"/>')
            parts += [
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points
            ]
            x, y = min(points[-1][0], left + width - 70), points[-1][1] - 8
            parts.append(f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}">{name}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", action="store_true", help="numbers of samples, not speeds")
    parser.add_argument("--counts", default="100,1000,10000,100000")
    parser.add_argument("--most-tests", type=int, default=10_000, help="of a test each")
    parser.add_argument("--real", action="store_true", help="the simulator, in real time")
    parser.add_argument("--short", action="store_true", help="a third of the samples")
    parser.add_argument("--rows", help="only these, as BAUD:TRANSFERS,… such as 115200:1")
    parser.add_argument("--out", type=Path, default=ROOT / "build/bench")
    options = parser.parse_args()
    found: dict[str, Any] = {
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "versions": {name: version(name) for name in ("pytest-tflm", "pytest", "ai-edge-litert")},
    }
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        if options.scale:
            head = f"{'':12}{'samples':>10}{'s':>10}{'ms each':>10}{'CPU ms':>10}"
            print(f"{head}{'MiB':>10}{'load':>6}")
            counts = [int(each) for each in options.counts.split(",")]
            found["scale"] = scale(folder, counts, options.most_tests)
            (options.out / "suite.svg").write_text(picture(found["scale"]))
        else:
            head = f"{'baud':>8}{'Invoke':>9}{'limit':>10}{'possible':>10}{'litert':>9}{'tflm':>9}"
            head += f"{'run_many':>10}{'waiting':>10}{'one by one':>12}"
            print(f"{head}{'CPU':>10}{'load':>6}   (ms; shares)")
            rates = {b: n // 3 for b, n in RATES.items()} if options.short else RATES
            only = {(baud, times) for baud in RATES for times in TRANSFERS}
            if options.rows:
                only = {tuple(map(int, row.split(":"))) for row in options.rows.split(",")}
            found["speeds"] = speeds(folder, rates, options.real, only)
    name = "suite_scale.json" if options.scale else "suite.json"
    (options.out / name).write_text(json.dumps(found, indent=2) + "\n")
    print(f"\nwritten to {options.out / name}")


if __name__ == "__main__":
    sys.exit(main())
