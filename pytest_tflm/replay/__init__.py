"""Findings as files: their format, how they are recorded, how they are run again."""
