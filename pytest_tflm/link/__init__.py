"""How bytes reach a board: frames, messages, a session without I/O, a port.

``protocol/SPEC.md`` is normative for all of it. From the wire upwards:

- :mod:`~pytest_tflm.link.frame` cuts a stream into frames, text and damage (SPEC §1, §7);
- :mod:`~pytest_tflm.link.message` and :mod:`~pytest_tflm.link.entries` give them a meaning
  (SPEC §3, §5, §6);
- :mod:`~pytest_tflm.link.session` keeps the promises (SPEC §2, §4): bytes and the time go in;
  bytes, events and the next deadline come out. It neither reads, writes, sleeps nor looks at a
  clock;
- :mod:`~pytest_tflm.link.port` opens, reads and writes a serial port or a socket;
- :mod:`~pytest_tflm.link.connection` joins the two and waits: what a runtime uses;
- :mod:`~pytest_tflm.link.ports` lists the ports there are and asks who is behind them.

Importing this package imports none of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_tflm.link.connection import Connection
    from pytest_tflm.link.counters import Counters
    from pytest_tflm.link.entries import BoardIdentity, LoadedModel
    from pytest_tflm.link.running import RunResult

_HOMES = {
    "BoardIdentity": "pytest_tflm.link.entries",
    "Connection": "pytest_tflm.link.connection",
    "Counters": "pytest_tflm.link.counters",
    "LoadedModel": "pytest_tflm.link.entries",
    "RunResult": "pytest_tflm.link.running",
}

__all__ = ["BoardIdentity", "Connection", "Counters", "LoadedModel", "RunResult"]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(home), name)
