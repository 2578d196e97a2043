"""What the process of an interpreter may reply: numbers, texts, containers of them, and arrays.

That process has run a model of anybody's in native code, so what it writes is not trusted. A pickle
can name any function to call; here it can name only those that make arrays.
"""

from __future__ import annotations

import pickle  # nosec B403
from typing import IO, Any

_MODULES = ("numpy._core.", "numpy.core.")  # of numpy 2, of numpy 1
_FUNCTIONS = ("numeric._frombuffer", "multiarray._reconstruct", "multiarray.scalar")
_ALLOWED = {
    *(module + function for module in _MODULES for function in _FUNCTIONS),
    "numpy.ndarray",
    "numpy.dtype",
}


class NotPlain(Exception):
    """A reply names a class or function that no reply has."""


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if f"{module}.{name}" not in _ALLOWED:
            raise NotPlain(f"{module}.{name}")
        return super().find_class(module, name)


def read_reply(pipe: IO[bytes]) -> Any:
    """The next message. Raises NotPlain, and EOFError, OSError or pickle.UnpicklingError at the end
    of the process."""
    return _Reader(pipe).load()
