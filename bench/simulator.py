"""Samples per second through the simulator, beside tflite_micro called directly.

Rounds of the two alternate in one run, so that what else the machine does falls on both. The noise
is the spread of the rounds: (slowest - fastest) / median. Memory is the resident set of both
processes while a small model runs 100 000 samples.

    make bench          prints a table, writes build/bench/simulator.json
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))


def resident_kib(pid: int) -> int:
    """Resident memory of a process in KiB, as Linux counts it."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def direct(model: Any) -> Callable[[list[Any]], None]:
    """The rival: tflite_micro in this process, as its own documentation calls it."""
    from tflite_micro.python.tflite_micro import runtime

    interpreter = runtime.Interpreter.from_bytes(model.data, arena_size=1 << 20)

    def run(samples: list[Any]) -> None:
        for sample in samples:
            for index, array in enumerate(sample):
                interpreter.set_input(array, index)
            interpreter.invoke()
            for index in range(len(model.outputs)):
                interpreter.get_output(index)

    return run


def seconds(run: Callable[[list[Any]], None], samples: list[Any]) -> float:
    start = time.perf_counter()
    run(samples)
    return time.perf_counter() - start


def throughput(name: str, model: Any, count: int, rounds: int) -> dict[str, Any]:
    """Samples per second of both, over alternating rounds of ``count`` samples."""
    from pytest_tflm.record.samples import RandomSamples
    from pytest_tflm.runtime.board import BoardHost
    from pytest_tflm.runtime.spec import RuntimeSpec

    source = RandomSamples(model, count, seed=0)
    samples = [model.quantize(source[i]) for i in range(count)]
    with BoardHost(RuntimeSpec.of_board("sim")) as host:
        board = host.load(model)

        def simulator(samples: list[Any]) -> None:
            assert sum(1 for _ in board.run_many(samples)) == len(samples)

        rival = direct(model)
        rival(samples[:10])
        simulator(samples[:10])
        times = [(seconds(rival, samples), seconds(simulator, samples)) for _ in range(rounds)]
    rates = [[count / t for t in column] for column in zip(*times, strict=True)]
    return {
        "model": name,
        "operators": len(model.operators),
        "samples": count,
        "rounds": rounds,
        "direct_per_second": statistics.median(rates[0]),
        "simulator_per_second": statistics.median(rates[1]),
        "ratio": statistics.median(a / b for a, b in times),
        "noise": max((max(r) - min(r)) / statistics.median(r) for r in rates),
    }


def memory(model: Any, count: int) -> dict[str, Any]:
    """Resident memory of pytest's side and of the simulator at tenths of a long run."""
    import os

    from pytest_tflm.record.samples import RandomSamples
    from pytest_tflm.runtime.board import BoardHost
    from pytest_tflm.runtime.spec import RuntimeSpec

    source = RandomSamples(model, count, seed=0)

    def endless() -> Iterator[Any]:
        return (source[i] for i in range(count))

    with BoardHost(RuntimeSpec.of_board("sim")) as host:
        board = host.load(model)
        assert host.pid is not None
        marks = []
        for done, _ in enumerate(board.run_many(endless()), start=1):
            if done % (count // 10) == 0:
                marks.append((done, resident_kib(os.getpid()), resident_kib(host.pid)))
    return {"samples": count, "marks_kib": marks}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--memory-samples", type=int, default=100_000)
    parser.add_argument("--out", type=Path, default=ROOT / "build/bench/simulator.json")
    options = parser.parse_args()

    import model_builders

    from pytest_tflm.model import model_from_bytes, open_model

    small = model_from_bytes(model_builders.conv_2d(), "a CONV_2D of 6x6x3")
    found: dict[str, Any] = {
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "versions": {name: version(name) for name in ("pytest-tflm", "tflite-micro", "numpy")},
        "throughput": [
            throughput("tcn.tflite", open_model(ROOT / "examples/tcn.tflite"), 100, options.rounds),
            throughput(small.name, small, 3000, options.rounds),
        ],
        "memory": memory(small, options.memory_samples),
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(found, indent=2) + "\n")

    print(f"{'model':24}{'direct/s':>10}{'simulator/s':>13}{'ratio':>8}{'noise':>8}")
    for row in found["throughput"]:
        print(
            f"{row['model']:24}{row['direct_per_second']:>10.1f}"
            f"{row['simulator_per_second']:>13.1f}{row['ratio']:>8.3f}{row['noise']:>8.1%}"
        )
    print(
        f"\nresident memory over {found['memory']['samples']} samples, KiB: pytest's side, board's"
    )
    for done, ours, theirs in found["memory"]["marks_kib"]:
        print(f"{done:>10}{ours:>10}{theirs:>10}")
    print(f"\nwritten to {options.out}")


if __name__ == "__main__":
    main()
