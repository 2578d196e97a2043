"""Proof that a file is a model before native code reads it."""
