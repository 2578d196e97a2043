"""``python -m pytest_tflm.simulator``: see :mod:`pytest_tflm.simulator.board.process`."""

from __future__ import annotations

from pytest_tflm.simulator.board.process import main

if __name__ == "__main__":
    raise SystemExit(main())
