"""Sequences of loads, runs and resets on a board, beside host TFLM."""
