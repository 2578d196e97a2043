"""Equal boards that share samples, beside one board alone in the same run.

The boards are simulators behind lines of 115 200 baud, in real time: each keeps its line's rate, so
the limit of n boards is the n-th part of one board's time.

    python bench/lab.py          prints a table, writes build/bench/lab.json
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

INPUT_BYTES = 400
BAUD = 115200


def run(boards: int, samples: list[Any], right: list[bytes]) -> dict[str, float]:
    """Seconds of all samples on so many boards, models loaded before."""
    import model_builders

    from pytest_tflm.model import model_from_bytes
    from pytest_tflm.runtime.hosts import Hosts
    from pytest_tflm.runtime.lab import Lab, LabBoard, Leases
    from pytest_tflm.runtime.spec import RuntimeSpec

    model = model_from_bytes(model_builders.fully_connected(INPUT_BYTES, 4), "fc")
    listed = tuple(LabBoard(f"sim-{i}", "sim", f"sim?baud={BAUD}") for i in range(boards))
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(Path(folder) / "boards.toml", listed)
        leases = Leases(lab, {"sims": listed}, wait=0, say=print)
        with Hosts(lessor=leases) as hosts:
            board = hosts.board(RuntimeSpec.of_board("lab:sims", "sims"))
            runtime = board.load(model)
            for partner in board.partners:
                partner.load(model)
            began, used = time.monotonic(), time.process_time()
            found = [each.arrays[0].tobytes() for each in runtime.run_many(iter(samples))]
            seconds, processor = time.monotonic() - began, time.process_time() - used
            assert len(board.partners) == boards - 1
    assert found == right, "each sample once, in order"
    return {"boards": boards, "seconds": seconds, "host_cpu_seconds": processor}


def expected(samples: list[Any]) -> list[bytes]:
    """Host TFLM's outputs."""
    import model_builders

    from pytest_tflm.model import model_from_bytes
    from pytest_tflm.runtime.hosts import Hosts
    from pytest_tflm.runtime.spec import RuntimeSpec

    model = model_from_bytes(model_builders.fully_connected(INPUT_BYTES, 4), "fc")
    with Hosts() as hosts:
        runtime = hosts.open(RuntimeSpec("tflm")).load(model)
        return [each.arrays[0].tobytes() for each in runtime.run_many(samples)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=400)
    parser.add_argument("--out", type=Path, default=ROOT / "build/bench/lab.json")
    options = parser.parse_args()

    random = np.random.default_rng(0)
    shape = (options.samples, 1, INPUT_BYTES)
    samples = list(random.integers(-128, 128, shape).astype(np.int8))
    right = expected(samples)
    rows = []
    load = os.getloadavg()[0]
    print(f"{options.samples} samples of {INPUT_BYTES} bytes, {BAUD} baud, load {load:.1f}")
    print(f"{'boards':>6}{'seconds':>9}{'of one, shared':>16}{'host CPU s':>12}")
    for boards in (1, 2, 4):
        row = run(boards, samples, right)
        row["over_a_share"] = (
            row["seconds"] * boards / (rows[0]["seconds"] if rows else row["seconds"])
        )
        rows.append(row)
        print(
            f"{boards:>6}{row['seconds']:>9.2f}{row['over_a_share']:>16.3f}"
            f"{row['host_cpu_seconds']:>12.2f}"
        )
    found = {
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "load": os.getloadavg(),
        "samples": options.samples,
        "rows": rows,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(found, indent=2) + "\n")
    print(f"written to {options.out}")


if __name__ == "__main__":
    sys.exit(main())
