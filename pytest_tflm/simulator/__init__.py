"""A board on this machine: the firmware core, compiled, with TFLM of the host as its engine.

:func:`~pytest_tflm.simulator.board.launch.start` runs one in a process of its own, behind a port
that pyserial can open. Importing this package imports none of its parts.
"""

from __future__ import annotations
