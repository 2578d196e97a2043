"""Which runtime is meant: ``litert:builtin_ref``, ``tflm``, ``board:/dev/ttyACM0``, ``sim``.

Light: every pytest run imports it with the option table.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from pytest_tflm.errors import SettingsError

INTERPRETERS = ("litert", "tensorflow", "tflm")
RESOLVERS = ("auto", "builtin", "builtin_ref", "builtin_without_default_delegates")
DEFAULT_RESOLVER = "builtin_ref"
BOARD = "board"
LAB = "lab:"
"""Begins the port of a board that is leased from a lab: behind it stands the group's name."""

_A_PORT = re.compile(r"(sim$|sim\?|qemu(-esp32c3)?:|/|[A-Za-z]:\\|COM\d+$|auto$|[a-z0-9]+://)")
_NAMED = re.compile(r"([A-Za-z][A-Za-z0-9_-]*)=(.*)", re.DOTALL)


def is_name(text: str) -> bool:
    """Whether ``text`` can be the name of a board, of a kind of boards, or a tag."""
    return _NAMED.fullmatch(f"{text}=") is not None and "=" not in text


class NamedPort(NamedTuple):
    """A board of a run: what it is called, and its port as ``--tflm-port`` takes it. The name is
    empty where a run has one board without a name; the port where it is chosen at run time."""

    name: str
    port: str

    @classmethod
    def parse(cls, text: str) -> NamedPort:
        """Read ``NAME=PORT`` or ``PORT``. A name is a letter, then letters, digits, ``-`` and
        ``_``; so no port that holds a ``=`` further on (``sim?baud=115200``) begins with one.
        Raises SettingsError for a name that is a port itself."""
        found = _NAMED.fullmatch(text)
        if found is None:
            return cls("", text)
        name, port = found.groups()
        if _A_PORT.match(name) or name in (BOARD, *INTERPRETERS):
            raise SettingsError(
                f"{name!r} cannot be the name of a board: it names a port or a runtime itself. "
                f"Choose another one, my-{name}={port} for example."
            )
        return cls(name, port)

    def __str__(self) -> str:
        return f"{self.name}={self.port}" if self.name else self.port


class RuntimeSpec(NamedTuple):
    """Names a runtime without opening it.

    ``kind`` is one of :data:`INTERPRETERS`, or ``board``; ``resolver`` is that of a litert or
    tensorflow interpreter, empty for the others; ``port`` that of a board, as ``--tflm-port`` takes
    it, and ``board`` the board's name in a run with several. ``str()`` gives the text that
    :meth:`parse` reads, without that name.
    """

    kind: str
    resolver: str = ""
    port: str = ""
    board: str = ""

    @classmethod
    def of_interpreter(cls, kind: str, resolver: str | None = None) -> RuntimeSpec:
        """An interpreter of this machine; without a resolver the one with ``builtin_ref``. TFLM has
        one set of kernels: there a resolver is checked and not used. Raises SettingsError."""
        if kind not in INTERPRETERS:
            raise SettingsError(
                f"unknown runtime {kind!r}: choose one of {', '.join(INTERPRETERS)}."
            )
        if resolver is not None and resolver not in RESOLVERS:
            raise SettingsError(
                f"unknown resolver {resolver!r}: choose one of {', '.join(RESOLVERS)}."
            )
        return cls(kind, "" if kind == "tflm" else resolver or DEFAULT_RESOLVER)

    @classmethod
    def of_board(cls, port: str, board: str = "") -> RuntimeSpec:
        """The board at a port, and its name if it has one."""
        return cls(BOARD, port=port, board=board)

    @classmethod
    def parse(
        cls, text: str, *, port: str | None = None, boards: Sequence[NamedPort] = ()
    ) -> RuntimeSpec:
        """Read ``tflm``, ``litert:RESOLVER``, ``tensorflow:RESOLVER``, ``board:PORT``,
        ``board:NAME`` with the name of one of ``boards``, or a port as it is (``sim``,
        ``/dev/ttyACM0``); ``board`` alone means the one at ``port``. A port of one of ``boards``
        means that board. Raises SettingsError."""
        if text == BOARD:
            if port is None:
                raise SettingsError("runtime 'board' requires --port PORT, for example --port sim.")
            return cls._of_run(port, boards)
        if text.startswith(f"{BOARD}:") and len(text) > len(BOARD) + 1:
            return cls._of_run(text[len(BOARD) + 1 :], boards)
        kind, colon, resolver = text.partition(":")
        if kind in INTERPRETERS and (resolver or not colon):
            return cls.of_interpreter(kind, resolver or None)
        if _A_PORT.match(text):
            return cls._of_run(text, boards)
        raise SettingsError(
            f"unknown runtime {text!r}: choose tflm, litert:RESOLVER, tensorflow:RESOLVER "
            f"(RESOLVER is one of {', '.join(RESOLVERS)}) or board:PORT."
        )

    @classmethod
    def _of_run(cls, text: str, boards: Sequence[NamedPort]) -> RuntimeSpec:
        """The board whose name or port is ``text``."""
        for attribute in ("name", "port"):
            for each in boards:
                if getattr(each, attribute) == text:
                    return cls.of_board(each.port, each.name)
        names = ", ".join(each.name for each in boards if each.name)
        if names and _NAMED.fullmatch(f"{text}=") and not _A_PORT.match(text):
            raise SettingsError(f"no board is called {text!r}: this run has {names}.")
        return cls.of_board(text)

    @property
    def is_board(self) -> bool:
        return self.kind == BOARD

    @property
    def name(self) -> str:
        """How reports call it: ``litert builtin_ref``, ``tflm``, ``board at PORT``."""
        if self.board:
            return f"board {self.board}"
        if self.is_board:
            return f"board at {self.port}"
        return f"{self.kind} {self.resolver}" if self.resolver else self.kind

    def __str__(self) -> str:
        if self.is_board:
            return f"{BOARD}:{self.port}"
        return f"{self.kind}:{self.resolver}" if self.resolver else self.kind


class Line(NamedTuple):
    """How the line to a board is opened: ``baud`` at first, ``line_baud`` to change to where both
    sides can (0: stay), ``timeout`` in seconds without progress."""

    baud: int = 115200
    line_baud: int = 0
    timeout: float = 10.0
