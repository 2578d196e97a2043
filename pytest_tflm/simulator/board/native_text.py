"""What native code prints on file descriptor 2: TFLM says there why it failed, and nowhere else."""

from __future__ import annotations

import contextlib
import faulthandler
import fcntl
import os
import sys
import tempfile


class NativeText:
    """File descriptor 2 of this process leads into a file; Python's own stderr stays what it was.

    ``fd`` is a file that the parent gave, so that it can read what was printed right before a
    crash; without one there is a file of its own.
    """

    def __init__(self, fd: int | None = None) -> None:
        if fd is None:
            with tempfile.TemporaryFile() as file:
                fd = os.dup(file.fileno())
        self._fd = fd
        # Appending: what is printed after a cut goes to the start, not behind a hole.
        fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_APPEND)
        sys.stderr.flush()
        kept = os.dup(2)
        sys.stderr = os.fdopen(kept, "w", buffering=1, encoding="utf-8", errors="backslashreplace")
        with contextlib.suppress(RuntimeError, OSError):
            faulthandler.enable(sys.stderr)
        os.dup2(fd, 2)

    def take(self) -> str:
        """What was printed since the last call, at most the last 16 KB of it."""
        size = os.fstat(self._fd).st_size
        if size == 0:
            return ""
        text = os.pread(self._fd, 16384, max(0, size - 16384))
        os.ftruncate(self._fd, 0)
        return text.decode("utf-8", "replace")
