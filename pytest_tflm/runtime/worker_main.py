"""The worker's process: it makes one object and calls the methods that the parent asks for.

Started by :class:`pytest_tflm.runtime.worker.Worker`, which keeps pytest, the parent's ``__main__``
and its working directory out of here. Requests are pickles ``(number, method, arguments)``; replies
are pickles ``(number, status, payload)``:

======== ====================================================================================
status   payload
======== ====================================================================================
value    what the method returned; the call is finished
items    a list of what a generator yielded so far; more will come
done     a list of what it yielded at last; the call is finished
raised   (class name, text, what was printed during this call, traceback); the call is finished
started  None, and number 0: what was slow to import is there; comes once
======== ====================================================================================
"""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import os
import pickle  # nosec B403
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from typing import Any, BinaryIO

# What a generator yields is sent at once, or collected for this long: a tiny model runs in
# microseconds, and waking the parent for each output would cost several times that.
FLUSH_SECONDS = 0.001
PRINTED_BYTES = 16_384
_LOG = 2
_STARTED: list[Callable[[], None]] = []
"""Tells the parent, once."""
_Request = tuple[int, str, tuple[Any, ...]]


def main(requests_fd: int, replies_fd: int, target: str, limit: float, paths: list[str]) -> None:
    """Serve requests until the parent closes its end. Never returns.

    ``limit`` is how many seconds a call may take if there is no parent to end it.
    """
    _no_core_file()
    faulthandler.enable(_LOG, all_threads=False)
    # The parent's own additions (pytest's ``pythonpath``, a conftest) come last: in front, a file
    # of the user's tests could stand before a module of the standard library.
    sys.path += [path for path in paths if path not in sys.path]
    inbox: SimpleQueue[_Request] = SimpleQueue()
    requests = os.fdopen(requests_fd, "rb")
    threading.Thread(target=_read, args=(requests, inbox), daemon=True).start()
    server = _Server(os.fdopen(replies_fd, "wb"), target, limit)
    _STARTED.append(lambda: server.send(0, "started", None))
    server.serve(inbox)


def started() -> None:
    """All that is slow to import has been imported: from here on the parent's timeout counts, and
    not the longer one for the start of this process."""
    while _STARTED:
        _STARTED.pop()()


def printed() -> str:
    """What this process wrote to its standard output and error since the call began."""
    end = os.lseek(_LOG, 0, os.SEEK_CUR)
    start = max(0, end - PRINTED_BYTES)
    os.lseek(_LOG, start, os.SEEK_SET)
    text = os.read(_LOG, end - start) if end > start else b""
    os.lseek(_LOG, end, os.SEEK_SET)
    return text.decode("utf-8", "replace")


def _forget_printed() -> None:
    if os.lseek(_LOG, 0, os.SEEK_CUR):
        os.ftruncate(_LOG, 0)
        os.lseek(_LOG, 0, os.SEEK_SET)


def _read(requests: BinaryIO, inbox: SimpleQueue[_Request]) -> None:
    """Take requests as they come, also while one is computed, so that the parent never blocks."""
    try:
        while True:
            # Of the process that started this one, which may do here what it likes.
            inbox.put(pickle.load(requests))  # nosec B301
    except (EOFError, OSError, pickle.UnpicklingError):
        pass
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    # The parent is gone or done with us: what is being computed interests nobody any more, and an
    # orderly exit would run the interpreters' destructors, which can hang or crash.
    os._exit(0)


def _no_core_file() -> None:
    """A crash is expected here; it must not leave a core file in the user's directory."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
        resource.setrlimit(resource.RLIMIT_CORE, (0, hard))


class _Server:
    def __init__(self, replies: BinaryIO, target: str, limit: float) -> None:
        self.replies = replies
        self.target = target
        self.limit = limit
        self.armed = 0.0
        self.object: Any = None

    def serve(self, inbox: SimpleQueue[_Request]) -> None:
        while True:
            number, method, arguments = self.take(inbox)
            _forget_printed()
            self.arm()
            try:
                if self.object is None:
                    self.object = self.make()
                result = getattr(self.object, method)(*arguments)
                if isinstance(result, Iterator):
                    self.send_items(number, result)
                else:
                    self.send(number, "value", result)
            except Exception as error:
                payload = (type(error).__name__, str(error), printed(), traceback.format_exc())
                self.send(number, "raised", payload)

    def take(self, inbox: SimpleQueue[_Request]) -> _Request:
        try:
            return inbox.get(timeout=0.1)
        except Empty:
            # Only here, and not after each call: arming starts a thread.
            self.disarm()
            return inbox.get()

    def make(self) -> Any:
        module, _, name = self.target.partition(":")
        return getattr(importlib.import_module(module), name)()

    def send_items(self, number: int, items: Iterator[Any]) -> None:
        ready: list[Any] = []
        sent = time.monotonic()
        try:
            for item in items:
                ready.append(item)
                now = time.monotonic()
                if now - sent >= FLUSH_SECONDS:
                    self.send(number, "items", ready)
                    ready = []
                    sent = now
                    self.arm()
        except Exception:
            if ready:
                self.send(number, "items", ready)
            raise
        self.send(number, "done", ready)

    def send(self, number: int, status: str, payload: Any) -> None:
        # Pickled first: if that fails, half a message must not be on its way.
        self.replies.write(pickle.dumps((number, status, payload), protocol=5))
        self.replies.flush()

    def arm(self) -> None:
        """End this process if it is stuck and nobody is left to end it.

        The parent ends a stuck worker at its timeout. This is for a parent that was killed while
        native code here holds the interpreter lock (TFLM does), so that no thread of Python's sees
        the pipe close.
        """
        now = time.monotonic()
        if now - self.armed > 1:
            self.armed = now
            faulthandler.dump_traceback_later(self.limit, exit=True, file=_LOG)

    def disarm(self) -> None:
        self.armed = 0.0
        faulthandler.cancel_dump_traceback_later()
