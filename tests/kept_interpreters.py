"""What a worker of :mod:`tests.doubles` serves: imported in the worker's process only."""

from __future__ import annotations

from pytest_tflm.runtime.interpreters import Interpreters


class KeptInterpreters(Interpreters):
    """Interpreters for several tests, one after another."""

    def forget(self) -> bool:
        """Unload all models. Gives False if this process differs from a new one nevertheless."""
        self._engines.clear()
        return not self._memory_is_filled
