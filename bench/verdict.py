"""How long a verdict takes, and how that grows with the model.

Rival: what one does without cutting, the model's first operator, then its first two, and so on
(prefixes), each sent to the board and run; same models, same board, same run.

    python bench/verdict.py [--operators 15 30 60] [--skip-rival]
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import network_models

from pytest_tflm.model import model_from_bytes
from pytest_tflm.model.transform.cut import cut_operators
from pytest_tflm.record.samples import RandomSamples
from pytest_tflm.runtime.board import BoardHost
from pytest_tflm.runtime.hosts import Hosts
from pytest_tflm.runtime.spec import RuntimeSpec
from pytest_tflm.verdict.row import Row
from pytest_tflm.verdict.verdict import judge

BAD = "sim?defect=off-by-one:CONV_2D"
SAMPLES = 4


def verdict_seconds(operators: int, port: str | None, resolver: str) -> tuple[float, int]:
    """Seconds for the whole verdict and how many operators it found to differ."""
    model = model_from_bytes(network_models.long_chain(operators), "chain.tflite")
    samples = RandomSamples(model, SAMPLES, 0)
    with Hosts() as hosts:
        board = RuntimeSpec.of_board(port) if port else None
        row = Row.made(hosts, board, RuntimeSpec.of_interpreter("litert", resolver))
        start = time.perf_counter()
        verdict = judge(model, [samples[i] for i in range(SAMPLES)], row)
        seconds = time.perf_counter() - start
    found = [step.localisation for step in verdict.evidence.steps if step.localisation]
    return seconds, sum(len(where.differing) for where in found)


def prefix_seconds(operators: int) -> float:
    """Seconds to run each prefix of the model on the board, with one sample."""
    model = model_from_bytes(network_models.long_chain(operators), "chain.tflite")
    sample = RandomSamples(model, 1, 0)[0]
    with BoardHost(RuntimeSpec.of_board(BAD)) as board:
        start = time.perf_counter()
        for last in range(operators):
            board.load(cut_operators(model, 0, last).model).run(sample)
        return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--operators", type=int, nargs="+", default=[15, 30, 60])
    parser.add_argument("--skip-rival", action="store_true")
    options = parser.parse_args()
    print(f"A verdict over {SAMPLES} samples, seconds (ms an operator):")
    print("| operators | board (simulator, bad) | host alone (auto) | prefixes on the board |")
    print("|---|---|---|---|")
    for count in options.operators:
        board, differing = verdict_seconds(count, BAD, "builtin_ref")
        host, _ = verdict_seconds(count, None, "auto")
        rival = None if options.skip_rival else prefix_seconds(count)
        cells = [
            f"{s:.2f} ({1000 * s / count:.0f})" for s in (board, host, *([rival] if rival else []))
        ]
        print(f"| {count} ({differing} differ) | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
