"""Sequences of steps on a simulated board behind a bad line: nothing may be found.

    make fuzz-sequences STEPS=10000 FAULTS=mixed SEED=0

Then the same on a board that keeps its variables at a reset, where something must be found.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--faults", default="mixed", help="profiles of sim?faults=")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    import network_models

    from pytest_tflm.fuzz.sequences import sequences
    from pytest_tflm.model import model_from_bytes
    from pytest_tflm.replay.rerun import steps_words
    from pytest_tflm.runtime.board import BoardHost
    from pytest_tflm.runtime.spec import RuntimeSpec
    from tests.runtime import state_models

    models = [
        model_from_bytes(state_models.svdf(), "svdf"),
        model_from_bytes(network_models.image_network(), "images"),
    ]
    status = 0
    ports = [f"sim?faults={name}&seed={options.seed}" for name in options.faults.split(",")]
    for port in [*ports, "sim?defect=state-kept"]:
        is_bad = "defect" in port
        begun = time.monotonic()
        told = 0

        def tried(done: int, begun: float = begun) -> None:
            nonlocal told
            if done // 1000 > told:
                told = done // 1000
                print(f"  {done} steps, {time.monotonic() - begun:.0f} s", file=sys.stderr)

        with BoardHost(RuntimeSpec.of_board(port)) as board:
            report = sequences(board, models, steps=options.steps, seed=options.seed, tried=tried)
        found = "nothing found"
        if report.finding is not None:
            found = f"{steps_words(report.finding)}: {report.error}"
        print(
            f"{port}: {report.steps} steps in {time.monotonic() - begun:.0f} s, "
            f"the line lost {report.losses} times: {found}",
            flush=True,
        )
        status |= (report.finding is not None) != is_bad
    return status


if __name__ == "__main__":
    sys.exit(main())
