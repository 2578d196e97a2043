"""Interpreters' processes and simulated boards are borrowed here, and not started for each test."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _borrowed(kept: object) -> None:
    """As :func:`tests.doubles.kept` says."""
