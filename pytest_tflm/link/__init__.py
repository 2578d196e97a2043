"""How bytes reach a board: frames, messages, a session without I/O, a port.

``protocol/SPEC.md`` is normative for all of it. From the wire upwards:

- :mod:`~pytest_tflm.link.frame` cuts a stream into frames, text and damage (SPEC §1, §7);
- :mod:`~pytest_tflm.link.message` and :mod:`~pytest_tflm.link.entries` give them a meaning
  (SPEC §3, §5, §6);
- :mod:`~pytest_tflm.link.session` keeps the promises (SPEC §2, §4, §9): bytes and the time go in;
  bytes, events and the next deadline come out. It has no I/O and no clock. Its parts are
  :mod:`~pytest_tflm.link.outbox` (requests on their way), :mod:`~pytest_tflm.link.line` (silence
  and rate) and :mod:`~pytest_tflm.link.diagnosis` (the errors);
- :mod:`~pytest_tflm.link.port` opens, reads and writes a serial port or a socket;
- :mod:`~pytest_tflm.link.channel` joins the two and waits;
- :mod:`~pytest_tflm.link.loading` sends models over a channel, :mod:`~pytest_tflm.link.running`
  samples, :mod:`~pytest_tflm.link.begun` both without waiting; :mod:`~pytest_tflm.link.shelf` knows
  which tensors lie in the board's memory;
- :mod:`~pytest_tflm.link.connection` is the board behind it: what a runtime uses;
- :mod:`~pytest_tflm.link.ports` lists this machine's ports and asks who is behind them.

Other rooms use what is exported here, and the modules ``frame``, ``message`` and ``ports``.
Importing this package imports none of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_tflm._lazy import exports

if TYPE_CHECKING:
    from pytest_tflm.link.begun import Begun
    from pytest_tflm.link.connection import Connection
    from pytest_tflm.link.counters import Counters
    from pytest_tflm.link.entries import BoardIdentity, LoadedModel, LoadedTensor
    from pytest_tflm.link.message import RunResult
    from pytest_tflm.link.port import check_baud, check_port
    from pytest_tflm.link.running import Sizes

_HOMES = {
    "Begun": "pytest_tflm.link.begun",
    "BoardIdentity": "pytest_tflm.link.entries",
    "Connection": "pytest_tflm.link.connection",
    "Counters": "pytest_tflm.link.counters",
    "LoadedModel": "pytest_tflm.link.entries",
    "LoadedTensor": "pytest_tflm.link.entries",
    "RunResult": "pytest_tflm.link.message",
    "Sizes": "pytest_tflm.link.running",
    "check_baud": "pytest_tflm.link.port",
    "check_port": "pytest_tflm.link.port",
}

__all__ = [
    "Begun",
    "BoardIdentity",
    "Connection",
    "Counters",
    "LoadedModel",
    "LoadedTensor",
    "RunResult",
    "Sizes",
    "check_baud",
    "check_port",
]

__getattr__ = exports(__name__, _HOMES)
