"""How long a verdict takes, and how that grows with the model.

Rival: what one does without cutting, the model's first operator, then its first two, and so on
(prefixes), each sent to the board and run; same models, same board, same run.

``--line BAUD`` measures the part that needs the line instead: every operator of the example models
alone and in the chain, over 4 samples, on a board at that rate in virtual time (the line's, 1 ms
for each Invoke, and the processor time of this process). Rival: the same, with every model and
every tensor sent, as to a board whose firmware keeps no memory. The limit is the time that the
bytes of the busier direction take.

    python bench/verdict.py [--operators 15 30 60] [--skip-rival]
    python bench/verdict.py --line 115200
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import network_models

from pytest_tflm.model import model_from_bytes, open_model
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


EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
LINE_MODELS = (
    ("tcn.tflite", ""),
    ("tcn.tflite", "off-by-one:CONV_2D"),
    ("tcn_dynamic.tflite", ""),
)
INVOKE = 0.001


def line_row(name: str, defect: str, baud: int, *, keeps: bool) -> dict[str, float]:
    """Bytes and virtual seconds of the operators of one model."""
    from suite import quiet
    from virtual_board import connect

    from pytest_tflm.link.message import Welcome
    from pytest_tflm.verdict.localise import localise

    kept = Welcome.keeps_memory
    if not keeps:
        Welcome.keeps_memory = property(lambda _: False)  # type: ignore
    model = open_model(EXAMPLES / name)
    drawn = RandomSamples(model, SAMPLES, 0)
    samples = [model.quantize(drawn[i]) for i in range(SAMPLES)]
    try:
        with Hosts() as hosts, quiet():
            connection = connect(baud, INVOKE, defect)
            tflm, clock = hosts.open(RuntimeSpec("tflm")), connection.channel.clock
            with BoardHost.over(connection) as board:
                runtime = board.load(model)
                whole = [outputs.arrays for outputs in runtime.run_many(samples)]
                seen = tflm.observe(model, samples, reset_between=False)
                counters, start = connection.counters, clock()
                before = counters.bytes_sent, counters.bytes_received
                localise(model, board, tflm, seen, whole, real_shapes=False)
                seconds = clock() - start
                sent = counters.bytes_sent - before[0]
                received = counters.bytes_received - before[1]
                start = clock()
                runtime.run(samples[0])
                back = clock() - start
    finally:
        Welcome.keeps_memory = kept  # type: ignore[method-assign]
    return {
        "operators": len(model.operators), "sent": sent, "received": received,
        "limit": max(sent, received) * 10 / baud, "seconds": seconds, "back": back,
    }  # fmt: skip


def line(baud: int) -> None:
    """The table of ``--line``."""
    print(f"Operators alone and in the chain at {baud} baud, {SAMPLES} samples:")
    print("| model | memory kept | bytes sent | received | limit, s | s | back to the model, s |")
    print("|---|---|---|---|---|---|---|")
    for name, defect in LINE_MODELS:
        for keeps in (False, True):
            row = line_row(name, defect, baud, keeps=keeps)
            title = f"{name}{', ' * bool(defect)}{defect} ({row['operators']:.0f})"
            cells = (
                title, "yes" if keeps else "no", f"{row['sent']:.0f}", f"{row['received']:.0f}",
                f"{row['limit']:.1f}", f"{row['seconds']:.1f}", f"{row['back']:.2f}",
            )  # fmt: skip
            print("| " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--operators", type=int, nargs="+", default=[15, 30, 60])
    parser.add_argument("--skip-rival", action="store_true")
    parser.add_argument("--line", type=int, metavar="BAUD", help="what a line of that rate carries")
    options = parser.parse_args()
    if options.line:
        line(options.line)
        return
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
