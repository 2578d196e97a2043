"""Which runtime is meant: ``litert:builtin_ref``, ``tflm``, ``board:/dev/ttyACM0``, ``sim``.

Light: every pytest run imports it with the option table.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from pytest_tflm.errors import SettingsError

INTERPRETERS = ("litert", "tensorflow", "tflm")
RESOLVERS = ("auto", "builtin", "builtin_ref", "builtin_without_default_delegates")
DEFAULT_RESOLVER = "builtin_ref"
BOARD = "board"

_A_PORT = re.compile(r"(sim$|sim\?|qemu(-esp32c3)?:|/|[A-Za-z]:\\|COM\d+$|auto$|[a-z0-9]+://)")


class RuntimeSpec(NamedTuple):
    """Names a runtime without opening it.

    ``kind`` is one of :data:`INTERPRETERS`, or ``board``; ``resolver`` is that of a litert or
    tensorflow interpreter, empty for the others; ``port`` that of a board, as ``--tflm-port`` takes
    it. ``str()`` gives the text that :meth:`parse` reads.
    """

    kind: str
    resolver: str = ""
    port: str = ""

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
    def of_board(cls, port: str) -> RuntimeSpec:
        """The board at a port."""
        return cls(BOARD, port=port)

    @classmethod
    def parse(cls, text: str, *, port: str | None = None) -> RuntimeSpec:
        """Read ``tflm``, ``litert:RESOLVER``, ``tensorflow:RESOLVER``, ``board:PORT``, or a port as
        it is (``sim``, ``/dev/ttyACM0``); ``board`` alone means the one at ``port``. Raises
        SettingsError."""
        if text == BOARD:
            if port is None:
                raise SettingsError("runtime 'board' requires --port PORT, for example --port sim.")
            return cls.of_board(port)
        if text.startswith(f"{BOARD}:") and len(text) > len(BOARD) + 1:
            return cls.of_board(text[len(BOARD) + 1 :])
        kind, colon, resolver = text.partition(":")
        if kind in INTERPRETERS and (resolver or not colon):
            return cls.of_interpreter(kind, resolver or None)
        if _A_PORT.match(text):
            return cls.of_board(text)
        raise SettingsError(
            f"unknown runtime {text!r}: choose tflm, litert:RESOLVER, tensorflow:RESOLVER "
            f"(RESOLVER is one of {', '.join(RESOLVERS)}) or board:PORT."
        )

    @property
    def is_board(self) -> bool:
        return self.kind == BOARD

    @property
    def name(self) -> str:
        """How reports call it: ``litert builtin_ref``, ``tflm``, ``board at PORT``."""
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
