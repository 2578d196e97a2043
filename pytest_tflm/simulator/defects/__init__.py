"""Boards that are bad on purpose."""
