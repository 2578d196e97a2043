"""A process that may crash: native interpreters run there and not in pytest."""

from __future__ import annotations

import contextlib
import math
import os
import pickle  # nosec B403
import re
import signal
import subprocess
import sys
import tempfile
import threading
import weakref
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from pytest_tflm.errors import InterpreterCrashed, InterpreterMissing, InterpreterRefused
from pytest_tflm.printable import PAGE, printable
from pytest_tflm.process_clock import ProcessClock
from pytest_tflm.runtime.replies import NotPlain, read_reply

INTERPRETERS = "pytest_tflm.runtime.interpreters:Interpreters"
DEFAULT_TIMEOUT = 60.0
# Python itself, and TensorFlow's import on a slow and busy machine: until the process has said that
# it has started, or has answered.
START_TIMEOUT = 60.0
DETAIL_LINES = 30

# The child's first statements, before any import that could print or be shadowed. The pipes move
# away from descriptors 0 and 1, so that what native code prints cannot reach them. The package is
# entered by its directory alone: its __init__ (the public API) and another copy elsewhere on the
# path are both left out. "-c" puts the working directory first where "-P" does not exist (3.10).
_BOOT = """\
import sys
if not getattr(sys.flags, "safe_path", False): del sys.path[0]
import os, types
requests, replies = os.dup(0), os.dup(1)
nothing = os.open(os.devnull, os.O_RDONLY)
os.dup2(nothing, 0); os.close(nothing); os.dup2(2, 1)
package = types.ModuleType("pytest_tflm")
package.__path__ = [sys.argv[1]]
sys.modules["pytest_tflm"] = package
from pytest_tflm.runtime.worker_main import main
main(requests, replies, sys.argv[2], float(sys.argv[3]), sys.argv[4:])
"""

# Exit codes of Windows that are exceptions (ntstatus.h).
_WINDOWS = {
    0xC0000005: "ACCESS_VIOLATION",
    0xC000001D: "ILLEGAL_INSTRUCTION",
    0xC0000094: "INTEGER_DIVIDE_BY_ZERO",
    0xC00000FD: "STACK_OVERFLOW",
    0xC0000374: "HEAP_CORRUPTION",
    0xC0000409: "STACK_BUFFER_OVERRUN",
}


@dataclass(eq=False)
class Ticket:
    """A request that was sent, and its replies as far as they have come."""

    number: int
    who: str
    doing: str
    advice: str
    timeout: float
    replies: deque[Any] = field(default_factory=deque)
    finished: bool = False
    dropped: bool = False
    error: Exception | None = None


class Worker:
    """Calls methods of one object that lives in a process of its own.

    ``name`` is what errors call it. ``target`` is ``module:class``; the object is made in the
    child, without arguments. ``timeout`` is in seconds, for each reply.

    The process is started by the first request, and by the first one after it died. ``starts``
    counts that: whoever keeps something in the object compares it and makes it again. Requests are
    worked off in the order in which they are sent; several may be under way. Not for use from
    several threads at once.

    The process has a session of its own, so Ctrl-C in the terminal does not reach it, and it ends
    when its pipe closes: with :meth:`close`, with this object, or with this process.
    """

    def __init__(
        self, name: str, target: str = INTERPRETERS, *, timeout: float = DEFAULT_TIMEOUT
    ) -> None:
        self.name = name
        self.timeout = timeout
        self.starts = 0
        self._target = target
        self._numbers = 0
        self._open: dict[int, Ticket] = {}
        self._process: _Process | None = None

    @property
    def pid(self) -> int | None:
        """The process, or None if there is none at the moment."""
        return self._process.popen.pid if self._process else None

    def call(self, method: str, *arguments: Any, doing: str = "") -> Any:
        """Call ``method`` and return what it returns.

        ``doing`` completes "NAME died with SIGSEGV …" in errors. Raises
        :class:`~pytest_tflm.errors.InterpreterRefused` with the text of an exception in the child
        and, as details, what was printed there during the call;
        :class:`~pytest_tflm.errors.InterpreterMissing` if the child says so;
        :class:`~pytest_tflm.errors.InterpreterCrashed` if the process dies or does not answer.
        """
        return self.next(self.submit(method, *arguments, doing=doing))

    def submit(
        self,
        method: str,
        *arguments: Any,
        doing: str = "",
        who: str = "",
        advice: str = "",
        timeout: float | None = None,
    ) -> Ticket:
        """Send a request and do not wait for it; :meth:`next` has its replies.

        ``who`` stands in errors in place of the worker's name, ``advice`` is what they say to try.
        """
        process = self._started()
        self._numbers += 1
        ticket = Ticket(self._numbers, who or self.name, doing, advice, timeout or self.timeout)
        self._open[ticket.number] = ticket
        try:
            process.guard.deadline = self._deadline(process)
            process.requests.write(pickle.dumps((ticket.number, method, arguments), protocol=5))
            process.requests.flush()
            process.guard.deadline = None
        except OSError:
            pass  # It is dead. What it had answered before can still be read, and then its end.
        except BaseException:
            self._end(process, None)
            raise
        return ticket

    def next(self, ticket: Ticket) -> Any:
        """The next reply: what the method returned, or the next item if it is a generator.

        Raises what :meth:`call` raises, and StopIteration after a generator's last item.
        """
        while not ticket.replies:
            if ticket.error is not None:
                raise ticket.error.with_traceback(None)
            if ticket.finished or self._process is None:
                raise StopIteration
            self._receive(self._process)
        return ticket.replies.popleft()

    def drop(self, ticket: Ticket) -> None:
        """Nobody will ask for this ticket's replies."""
        ticket.dropped = True
        ticket.replies.clear()

    def settle(self) -> None:
        """Wait until what was dropped has been worked off: if it ends the process, then not during
        another request."""
        while self._process is not None and any(each.dropped for each in self._open.values()):
            self._receive(self._process)

    def close(self) -> None:
        """End the process. The next request would start another one."""
        if self._process is not None:
            self._end(self._process, None)

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _started(self) -> _Process:
        if self._process is None:
            try:
                self._process = _Process(self._target, self.timeout)
            except OSError as error:
                raise InterpreterCrashed(
                    f"{self.name} cannot be started: {error.strerror or error}. Is a limit of this"
                    " machine reached (ulimit -n, ulimit -u, a full disk)?"
                ) from error
            self.starts += 1
            # Also when this object is forgotten, and when Python exits.
            self._process.finalizer = weakref.finalize(self, self._process.stop)
        return self._process

    def _deadline(self, process: _Process) -> float:
        limit = max(ticket.timeout for ticket in self._open.values())
        if not process.answered:
            limit = max(limit, START_TIMEOUT)
        process.limit = limit
        return process.guard.clock() + limit

    def _receive(self, process: _Process) -> None:
        """Wait for one message and hand it to its ticket."""
        process.guard.deadline = self._deadline(process)
        try:
            number, status, payload = read_reply(process.replies)
            process.guard.deadline = None
            process.answered = True
            if status == "started":
                return
            ticket = self._open[number]
            if status != "items":
                ticket.finished = True
                del self._open[number]
            if ticket.dropped:
                return
            if status == "raised":
                ticket.error = _raised(ticket, *payload)
            else:
                ticket.replies.extend([payload] if status == "value" else payload)
        except (EOFError, OSError, pickle.UnpicklingError):
            self._died(process)
        except NotPlain as error:
            who = next(iter(self._open.values())).who
            text = printable(f"{who} replied with {error}, instead of numbers and arrays")
            self._end(process, InterpreterCrashed(text))
        except BaseException:
            # Ctrl-C, perhaps in the middle of a message: this stream cannot be used again.
            self._end(process, None)
            raise

    def _died(self, process: _Process) -> None:
        """Tell every open ticket how the process ended; the oldest was being worked on."""
        oldest = next(iter(self._open.values()))
        code = process.wait()
        message = f"{oldest.who} {_ending(process, code, oldest.doing)}"
        if oldest.advice:
            message += f"; {oldest.advice}"
        self._end(process, InterpreterCrashed(message, details=process.last_lines()))

    def _end(self, process: _Process, error: InterpreterCrashed | None) -> None:
        for ticket in self._open.values():
            ticket.finished = True
            ticket.error = error or InterpreterCrashed(
                _words(ticket.who, "was stopped", ticket.doing)
            )
        self._open.clear()
        self._process = None
        if process.finalizer is not None:
            process.finalizer()


class _Process:
    """One child with its pipes, its log and the guard that ends it when it hangs.

    It holds no reference to the :class:`Worker`, whose end is its own.
    """

    def __init__(self, target: str, timeout: float) -> None:
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 - stop() closes it
        flags = ["-P"] if sys.version_info >= (3, 11) else []
        # What the child needs beyond its own sys.path; a relative entry means another directory
        # there as soon as somebody changes it here.
        paths = [str(Path(path).absolute()) for path in sys.path if path]
        limit = str(2 * max(timeout, START_TIMEOUT))
        own = str(Path(__file__).resolve().parents[1])
        windows: dict[str, Any] = {}
        if sys.platform == "win32":
            windows["creationflags"] = (
                subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
            )
        try:
            self.popen = subprocess.Popen(
                [sys.executable, *flags, "-c", _BOOT, own, target, limit, *paths],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self.log,
                start_new_session=True,
                **windows,
            )
        except BaseException:
            self.log.close()
            raise
        assert self.popen.stdin is not None
        assert self.popen.stdout is not None
        self.requests: IO[bytes] = self.popen.stdin
        self.replies: IO[bytes] = self.popen.stdout
        self.answered = False
        self.limit = timeout
        self.guard = _Guard(self.popen, min(timeout, START_TIMEOUT))
        self.guard.start()
        self.finalizer: weakref.finalize[Any, Any] | None = None

    def wait(self) -> int:
        """The exit code of a process whose pipe broke; it is ended if it is still there."""
        self.guard.deadline = None
        try:
            return self.popen.wait(5)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            return self.popen.wait()

    def last_lines(self) -> str:
        """What the process printed at its end. Only for one that is dead: the offset is shared."""
        size = self.log.seek(0, os.SEEK_END)
        self.log.seek(max(0, size - 16_384))
        text = self.log.read().decode("utf-8", "replace")
        return "\n".join(printable(line) for line in text.splitlines()[-DETAIL_LINES:])

    def stop(self) -> None:
        """Close the pipe, which ends the child; kill it if that does not."""
        self.guard.stop()
        with contextlib.suppress(OSError):
            self.requests.close()
        try:
            self.popen.wait(0.5)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
        with contextlib.suppress(OSError):
            self.replies.close()
        self.log.close()


class _Guard(threading.Thread):
    """Kills a process whose deadline has passed, which also ends the read that waits for it.

    A thread, because reading a pipe with a timeout is a different thing on each system. It looks
    every ``interval`` seconds, and is woken for a deadline that comes earlier: where all are as far
    away as the interval, as most are, setting one costs nothing.
    """

    def __init__(self, process: subprocess.Popen[bytes], interval: float) -> None:
        super().__init__(name="pytest-tflm-guard", daemon=True)
        self.process = process
        self.clock = ProcessClock(process.pid)
        self.interval = interval
        self.expired = False
        self._deadline: float | None = None
        self._looks_at = 0.0
        self._wake = threading.Event()
        self._is_over = False

    @property
    def deadline(self) -> float | None:
        """When the process is killed, in seconds of ``clock``; None: it is not."""
        return self._deadline

    @deadline.setter
    def deadline(self, deadline: float | None) -> None:
        self._deadline = deadline
        if deadline is not None and deadline < self._looks_at:
            self._wake.set()

    def stop(self) -> None:
        """End the thread; the process stays."""
        self._is_over = True
        self._wake.set()

    def run(self) -> None:
        while not self._is_over:
            self._wake.clear()
            self._looks_at = math.inf  # a deadline that is set from here on wakes it
            deadline, now = self._deadline, self.clock()
            if deadline is not None and deadline <= now:
                self.expired = True
                self.process.kill()
                return
            wait = self.interval if deadline is None else min(self.interval, deadline - now)
            self._looks_at = now + wait
            if not self._is_over:
                self._wake.wait(wait)


def _raised(ticket: Ticket, kind: str, text: str, printed: str, trace: str) -> Exception:
    """The exception for what the child raised."""
    if kind == InterpreterMissing.__name__:
        return InterpreterMissing(text, details=printed or trace)
    lines = [printable(line.rstrip()) for line in printed.splitlines() if _is_telling(line)]
    reason = printable(" ".join(text.split()), PAGE) or kind
    # Often the exception says that it failed, and what was printed first says why.
    if lines and lines[0].strip() not in reason:
        reason += f" ({lines[0].strip()})"
    message = f"{_words(ticket.who, 'failed', ticket.doing)}: {reason[:500]}"
    if ticket.advice:
        message += f"; {ticket.advice}"
    return InterpreterRefused(message, details="\n".join(lines[-DETAIL_LINES:]) or trace)


def _is_telling(line: str) -> bool:
    """Not blank, and not one of the interpreters' greetings."""
    return bool(line.strip()) and not re.match(r"INFO: |WARNING: All log messages|[IW]\d{4} ", line)


def _ending(process: _Process, code: int, doing: str) -> str:
    if process.guard.expired:
        return _words(f"did not answer within {process.limit:g} s", doing, "and was stopped")
    if code >= 0:
        name = _WINDOWS.get(code)
        return _words(f"died with {name}" if name else f"ended with exit code {code}", doing)
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    # Nobody but the system sends this one uninvited.
    hint = "(out of memory?)" if name == "SIGKILL" else ""
    return _words("died with", name, hint, doing)


def _words(*words: str) -> str:
    return " ".join(filter(None, words))
