"""A thousand fuzz examples beside a thousand plain runs, and beside Hypothesis alone.

For the example TCN: ``run_many`` of board (simulator) and reference over samples that exist
already, and the search for inputs over as many that it has to make; rounds of the two alternate in
one run. For a model of a few operators: examples per second of the search, of plain runs, and of
Hypothesis drawing such samples (``hypothesis.find`` over ``inputs.samples``) for a test that does
nothing.

    make bench          prints a table, writes build/bench/fuzz.json
"""

from __future__ import annotations

import argparse
import contextlib
import json
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


def settings() -> Any:
    from pytest_tflm.options import settings_from

    return settings_from(
        lambda option: ["sim"] if option.name == "port" else [], lambda option: [], {}
    )


def plain(board: Any, reference: Any, samples: list[Any]) -> float:
    """Seconds for both runtimes over samples, compared as the suite does."""
    from pytest_tflm.verdict.within import within

    start = time.perf_counter()
    for got, expected in zip(board.run_many(samples), reference.run_many(samples), strict=True):
        within(expected, lsb=1).check(got)
    return time.perf_counter() - start


def fuzzed(board: Any, reference: Any, real: Any, count: int, seed: int) -> float:
    """Seconds for as many examples of the search."""
    from pytest_tflm.fuzz.input_search import InputSearch
    from pytest_tflm.verdict.within import within

    def check(sample: Any, got: Any, expected: Any) -> None:
        within(expected, lsb=1).check(got)

    start = time.perf_counter()
    search = InputSearch(board, reference, check, real=real, examples=count, batch=BATCH, seed=seed)
    assert search.run() is None, "the boards are equal"
    assert search.tried == count
    return time.perf_counter() - start


def drawn(model: Any, real: Any, count: int, seed: int) -> float:
    """Seconds for Hypothesis to draw as many samples for a test that does nothing."""
    import hypothesis

    from pytest_tflm.fuzz import inputs

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
    from pytest_tflm.fuzz.inputs import Maker
    from pytest_tflm.record.samples import samples_for
    from pytest_tflm.runtime.pool import Pool

    pool = Pool(settings())
    times: list[tuple[float, float, float]] = []
    try:
        board = pool.board(model)
        reference = pool.reference(model, "tflm" if count > 1000 else "litert", "builtin_ref")
        real = samples_for(model, None, 0)
        maker = Maker(model, real)
        samples = [maker.sample(number) for number in range(count)]
        plain(board, reference, samples[:100])
        fuzzed(board, reference, real, 100, 999)
        for number in range(rounds):
            one = plain(board, reference, samples)
            other = fuzzed(board, reference, real, count, number)
            times.append((one, other, drawn(model, real, min(count, 1000), number)))
    finally:
        pool.close()
    ratios = [other / one for one, other, _ in times]
    return {
        "model": model.name,
        "examples": count,
        "rounds": rounds,
        "plain_per_second": count / statistics.median(t[0] for t in times),
        "fuzz_per_second": count / statistics.median(t[1] for t in times),
        "hypothesis_per_second": min(count, 1000) / statistics.median(t[2] for t in times),
        "ratio": statistics.median(ratios),
        "ratios": [round(ratio, 3) for ratio in ratios],
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
    rows = [
        measured(open_model(ROOT / "examples/tcn.tflite"), options.examples, options.rounds),
        measured(small, 5 * options.examples, options.rounds),
    ]
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
    columns = f"{'plain/s':>10}{'fuzz/s':>10}{'times':>8}{'Hypothesis alone/s':>20}"
    print(f"{'model':24}{columns}")
    for row in rows:
        print(
            f"{row['model'][-23:]:24}{row['plain_per_second']:>10.1f}{row['fuzz_per_second']:>10.1f}"
            f"{row['ratio']:>8.3f}{row['hypothesis_per_second']:>20.0f}   {row['ratios']}"
        )
    print(f"\nwritten to {options.out}")


if __name__ == "__main__":
    main()
