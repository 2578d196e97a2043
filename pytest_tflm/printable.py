"""Text from outside (a board, a model file, a replay) as a terminal or a CI log may show it.

Such text can hold what a terminal obeys (escape sequences, C0 and C1 controls), what reorders the
text around it (bidirectional controls), and any length. Whatever reads it from outside passes it
through here first, so that no message, header or log has to think of it again.
"""

from __future__ import annotations

NAME = 1000
"""Characters of a name in a model file: Keras joins those of fused layers into hundreds."""
LINE = 300
"""Characters of a line that a board says."""
PAGE = 8192
"""Characters of a text of several lines."""


def printable(text: str, longest: int = LINE, *, keep: str = "") -> str:
    """``text`` with each character that is not printable (:meth:`str.isprintable`) as an escape,
    ``\\x1b`` or ``\\u202e``, except those in ``keep``; cut to ``longest`` characters."""
    text = text[: longest + 1]  # first, so that an absurd text costs nothing
    if not text.isprintable():
        text = "".join(c if c.isprintable() or c in keep else _escape(c) for c in text)
    return text if len(text) <= longest else f"{text[: longest - 2]} …"


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
