"""Sequences of loads, runs and resets on a board, beside host TFLM: :func:`sequences` looks for one
after which outputs differ."""

from __future__ import annotations

from pytest_tflm.fuzz.sequences.machine import SequenceReport, sequences

__all__ = ["SequenceReport", "sequences"]
