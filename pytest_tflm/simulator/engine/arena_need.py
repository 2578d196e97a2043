"""How many bytes of arena a model needs in host TFLM, found by trying.

TFLM says of one allocation at a time what it lacks, and can crash while it runs out of memory: so
the search runs in a process of its own
(``python -m pytest_tflm.simulator.engine.arena_need < model``), which prints each size
that sufficed, the smallest last.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile

_STEP = 16  # the arena is aligned to that many bytes
_LARGEST = 512 << 20
_SECONDS = 20.0


def arena_need(model: bytes, *, seconds: float = _SECONDS) -> int | None:
    """The smallest arena, in bytes, that holds the tensors of ``model``; None if none was found.

    The model has been verified. If time runs out, the smallest size that was found so far.
    """
    command = [sys.executable, "-m", "pytest_tflm.simulator.engine.arena_need"]
    try:
        done = subprocess.run(
            command,
            input=model,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=seconds,
            check=False,
        )
        printed = done.stdout
    except subprocess.TimeoutExpired as expired:
        printed = expired.stdout or b""
    sizes = re.findall(rb"^(\d+)\n", printed, re.MULTILINE)
    return int(sizes[-1]) if sizes else None


def _search(model: bytes) -> None:
    from tflite_micro.python.tflite_micro import runtime

    def suffices(arena: int) -> int | None:
        """What TFLM used of that arena; None if it was too small."""
        with tempfile.TemporaryFile() as printed:
            os.dup2(printed.fileno(), 2)
            try:
                interpreter = runtime.Interpreter.from_bytes(model, arena_size=arena)
            except RuntimeError:
                return None
            interpreter.print_allocations()
            printed.seek(0)
            total = re.search(rb"Arena allocation total (\d+) bytes", printed.read())
        print(arena, flush=True)
        return int(total[1]) if total else arena

    size = max(64 * 1024, 4 * len(model))
    used = suffices(size)
    while used is None and size < _LARGEST:
        size *= 4
        used = suffices(size)
    if used is None:
        return
    # What it used is almost always what it needs, and never more than that.
    low = high = min(size, _up(used))
    step = _STEP
    while high < size and suffices(high) is None:
        low, high = high, min(size, high + step)
        step *= 2
    while high - low > _STEP:  # low is too small, high suffices
        middle = _up((low + high) // 2)
        if suffices(middle) is None:
            low = middle
        else:
            high = middle


def _up(size: int) -> int:
    return (size + _STEP - 1) // _STEP * _STEP


if __name__ == "__main__":
    _search(sys.stdin.buffer.read())
