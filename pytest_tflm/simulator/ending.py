"""How a board's process ended, in words."""

from __future__ import annotations

import signal
import subprocess


def describe(process: subprocess.Popen[bytes], wait: float = 0.0) -> str | None:
    """``killed by SIGKILL``, ``exited with status 1``; None if it runs after ``wait`` seconds."""
    try:
        status = process.wait(wait)
    except subprocess.TimeoutExpired:
        return None
    if status >= 0:
        return f"exited with status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"
