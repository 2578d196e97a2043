"""The soak for long (``make soak``): the host's session against the compiled firmware core in
virtual time, over every fault profile in turn.

``python tools/soak.py --exchanges 1000000 --seed 0``. A finding is printed with its seed and the
command that replays that run alone; the exit status is then 1.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "link"))

from compiled_board import compiled
from soak import Finding, Soak

from pytest_tflm.simulator.line.faults import PROFILES

EXCHANGES_PER_SEED = 500
BAUDS = (None, 115200, 921600)
LINE_BAUD = 2_000_000
"""On every third line the rate is changed to this and back, again and again."""
LOSSY = tuple(name for name, each in PROFILES.items() if not each.faults.peer)
PEERS = tuple(name for name, each in PROFILES.items() if each.faults.peer)
GIVE_UP = 0.02


def soak_of(seed: int) -> tuple[str, Soak]:
    """The run that belongs to a seed: profile, baud, and whether the host drops its sessions."""
    # Peers end a run at once and prove little each; resets and the mixture are the hard part.
    rows = (LOSSY, ("mixed", "resets"), LOSSY, PEERS if seed % 8 == 3 else ("mixed",))
    row = rows[seed % 4]
    name = row[seed // 4 % len(row)]
    faults = PROFILES[name].faults
    give_up = GIVE_UP if seed % 5 == 4 and not faults.peer else 0.0
    baud = BAUDS[seed % 3]
    return name, Soak(
        seed,
        EXCHANGES_PER_SEED,
        faults,
        baud=baud,
        line_baud=LINE_BAUD if baud and seed % 2 else 0,
        give_up=give_up,
        rig=compiled,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--exchanges", type=int, default=100_000, help="how many at least")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    options = parser.parse_args()
    seed = options.seed
    exchanges = results = dropped = 0
    errors: Counter[str] = Counter()
    profiles: Counter[str] = Counter()
    resets = invokes = changes = 0
    begin = time.monotonic()
    while exchanges < options.exchanges:
        name, soak = soak_of(seed)
        try:
            soak.run()
        except Finding as finding:
            print(f"FOUND with seed {seed}, profile {name}: {finding}")
            print(f"replay: make soak N=1 SEED={seed}")
            return 1
        exchanges += soak.submitted
        results += soak.results
        dropped += soak.dropped
        profiles[name] += soak.submitted
        errors.update(type(error).__name__ for error in soak.errors)
        resets += soak.world.resets
        invokes += len(soak.invoked)
        changes += len(soak.settled)
        seed += 1
        if (seed - options.seed) % 200 == 0:
            print(f"{exchanges} exchanges, next seed {seed}", flush=True)
    seconds = time.monotonic() - begin
    print(f"{exchanges} exchanges, seeds {options.seed} to {seed - 1}, {seconds:.0f} s")
    print(f"{results} ended in a result, each checked against its input")
    print(f"{exchanges - results - dropped} ended in a named error of the session")
    print(f"{dropped} were dropped by a host that gave its session up")
    print("sessions ended: " + ", ".join(f"{n} {name}" for name, n in errors.most_common()))
    print(f"{resets} resets of the board, {invokes} samples run, none twice")
    print(f"{changes} changes of the line's rate settled, at either rate")
    print("exchanges by profile: " + ", ".join(f"{name} {n}" for name, n in profiles.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
