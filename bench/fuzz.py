"""A thousand fuzz examples beside a thousand plain runs, and beside Hypothesis alone.

For the example TCN: ``run_many`` of board (simulator) and reference over samples that exist
already, and the search for inputs over as many that it has to make; rounds of the two alternate in
one run, each of them the first of every second round. Beside the time on the clock stands that of
the processors, of pytest's side, the simulator and the reference's process together, which other
work on the machine changes less.

For a model of a few operators: examples per second of the search, of plain runs, and of Hypothesis
drawing such samples (``hypothesis.find`` over ``inputs.samples``) for a test that does nothing.

    make bench          prints a table, writes build/bench/fuzz.json
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import random
import statistics
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))
BATCH = 64


def processor_seconds() -> float:
    """Of this process and all that it has started and that still run, as Linux counts them."""
    parents, ticks = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            parents[int(path.parent.name)] = int(fields[1])
            ticks[int(path.parent.name)] = int(fields[11]) + int(fields[12])

    def is_ours(pid: int) -> bool:
        return pid == os.getpid() or (pid in parents and is_ours(parents[pid]))

    return sum(ticks[pid] for pid in ticks if is_ours(pid)) / os.sysconf("SC_CLK_TCK")


def taken(run: Any) -> tuple[float, float]:
    """Seconds on the clock and of the processors."""
    before, start = processor_seconds(), time.perf_counter()
    run()
    return time.perf_counter() - start, processor_seconds() - before


def plain(board: Any, reference: Any, samples: list[Any]) -> None:
    """Both runtimes over samples, compared as the suite does."""
    from pytest_tflm.compare.within import within

    for got, expected in zip(board.run_many(samples), reference.run_many(samples), strict=True):
        within(expected, lsb=1).check(got)


def fuzzed(board: Any, reference: Any, real: Any, count: int, seed: int) -> None:
    """As many examples of the search."""
    from pytest_tflm.compare.within import within
    from pytest_tflm.fuzz.inputs.search import InputSearch

    def check(sample: Any, got: Any, expected: Any) -> None:
        within(expected, lsb=1).check(got)

    search = InputSearch(board, reference, check, real=real, examples=count, batch=BATCH, seed=seed)
    assert search.run() is None, "the boards are equal"
    assert search.tried == count


def drawn(model: Any, real: Any, count: int, seed: int) -> float:
    """Seconds for Hypothesis to draw as many samples for a test that does nothing."""
    import hypothesis

    from pytest_tflm.fuzz.inputs import strategies as inputs

    chosen = hypothesis.settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=(hypothesis.Phase.generate,),
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    start = time.perf_counter()
    with contextlib.suppress(hypothesis.errors.NoSuchExample):
        hypothesis.find(
            inputs.samples(model, real), lambda _: False, settings=chosen,
            random=random.Random(seed),
        )  # fmt: skip
    return time.perf_counter() - start


def measured(model: Any, count: int, rounds: int) -> dict[str, Any]:
    from pytest_tflm.fuzz.inputs.strategies import Maker
    from pytest_tflm.record.samples import samples_for
    from pytest_tflm.runtime.hosts import Hosts
    from pytest_tflm.runtime.spec import RuntimeSpec

    names = ("sim", "tflm" if count > 1000 else "litert:builtin_ref")
    plains: list[tuple[float, float]] = []
    searches: list[tuple[float, float]] = []
    alone: list[float] = []
    with Hosts() as hosts:
        board, reference = (hosts.open(RuntimeSpec.parse(name)).load(model) for name in names)
        real = samples_for(model, None, 0)
        maker = Maker(model, real)
        samples = [maker.sample(number) for number in range(count)]
        plain(board, reference, samples[:100])
        fuzzed(board, reference, real, 100, 999)
        for number in range(rounds):

            def one() -> None:
                plains.append(taken(lambda: plain(board, reference, samples)))

            def other(seed: int = number) -> None:
                searches.append(taken(lambda: fuzzed(board, reference, real, count, seed)))

            for run in (one, other) if number % 2 == 0 else (other, one):
                run()
            alone.append(drawn(model, real, min(count, 1000), number))
    pairs = list(zip(searches, plains, strict=True))
    ratios, processor = ([a[which] / b[which] for a, b in pairs] for which in (0, 1))
    return {
        "model": model.name,
        "examples": count,
        "rounds": rounds,
        "plain_per_second": count / statistics.median(clock for clock, _ in plains),
        "fuzz_per_second": count / statistics.median(clock for clock, _ in searches),
        "hypothesis_per_second": min(count, 1000) / statistics.median(alone),
        "ratio": statistics.median(ratios),
        "ratios": [round(ratio, 3) for ratio in ratios],
        "processor_ratio": statistics.median(processor),
        "processor_ratios": [round(ratio, 3) for ratio in processor],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--examples", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=ROOT / "build/bench/fuzz.json")
    options = parser.parse_args()

    import model_builders

    from pytest_tflm.model import model_from_bytes, open_model

    small = model_from_bytes(model_builders.conv_2d(), "a CONV_2D of 6x6x3")
    examples, rounds = options.examples, options.rounds
    columns = (
        f"{'plain/s':>10}{'fuzz/s':>10}{'times':>8}{'processor':>11}{'Hypothesis alone/s':>20}"
    )
    print(f"{'model':24}{columns}")
    rows = []
    for model, count in (
        (open_model(ROOT / "examples/tcn.tflite"), examples),
        (small, 5 * examples),
    ):
        row = measured(model, count, rounds)
        rows.append(row)
        print(
            f"{row['model'][-23:]:24}{row['plain_per_second']:>10.1f}{row['fuzz_per_second']:>10.1f}"
            f"{row['ratio']:>8.3f}{row['processor_ratio']:>11.3f}"
            f"{row['hypothesis_per_second']:>20.0f}   {row['ratios']} {row['processor_ratios']}",
            flush=True,
        )
    found = {
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "versions": {
            name: version(name)
            for name in ("pytest-tflm", "hypothesis", "tflite-micro", "ai-edge-litert", "numpy")
        },
        "batch": BATCH,
        "rows": rows,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(found, indent=2) + "\n")
    print(f"\nwritten to {options.out}")


if __name__ == "__main__":
    main()
