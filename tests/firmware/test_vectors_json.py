"""protocol/vectors.json is what its generator writes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROTOCOL = Path(__file__).parents[2] / "protocol"


def test_the_file_is_what_the_generator_writes() -> None:
    command = [sys.executable, str(PROTOCOL / "make_vectors.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
