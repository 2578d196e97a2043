"""Firmware for a board: projects written from the sources that come with this package."""
