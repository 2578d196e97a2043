"""The hosts of one run: each is opened when it is first asked for, and kept until the end."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from pytest_tflm.errors import TflmError
from pytest_tflm.runtime.board import BoardHost
from pytest_tflm.runtime.interpreter import InterpreterHost
from pytest_tflm.runtime.worker import DEFAULT_TIMEOUT

if TYPE_CHECKING:
    from pytest_tflm.link import Counters
    from pytest_tflm.runtime.base import Host, Progress
    from pytest_tflm.runtime.board import Lessor
    from pytest_tflm.runtime.spec import Line, RuntimeSpec

SEARCH_ARENA = 1 << 18
"""Bytes for host TFLM in a search: more than any generated model needs."""
SEARCH_TIMEOUT = 20.0


class Hosts:
    """Opens what specs name. ``line`` is how boards are opened; ``progress(what, done, total)`` is
    called while something long goes on, with bytes. ``timeout`` in seconds is for each sample on an
    interpreter (None: 60, and 20 in a search). ``reset(board, port)`` is a user's way to reset the
    board of that name, and says whether it did; ``lessor`` leases boards of a lab."""

    def __init__(
        self,
        line: Line | None = None,
        progress: Progress | None = None,
        *,
        timeout: float | None = None,
        reset: Callable[[str, str], bool] | None = None,
        lessor: Lessor | None = None,
    ) -> None:
        self._line = line
        self._reset = reset
        self._lessor = lessor
        self._timeout = timeout
        self._progress = progress
        self._boards: dict[RuntimeSpec, BoardHost] = {}
        self._interpreters: dict[tuple[RuntimeSpec, bool], InterpreterHost] = {}

    def open(self, spec: RuntimeSpec) -> Host:
        """The host that ``spec`` names, the same each time. A board is greeted by its first use.
        Raises InterpreterMissing."""
        return self.board(spec) if spec.is_board else self._interpreter(spec, for_search=False)

    def for_search(self, spec: RuntimeSpec) -> Host:
        """The same for thousands of generated models: an interpreter has a small arena, and memory
        that nobody has written holds a pattern."""
        return self.board(spec) if spec.is_board else self._interpreter(spec, for_search=True)

    def board(self, spec: RuntimeSpec) -> BoardHost:
        """The board that ``spec`` names."""
        if spec not in self._boards:
            self._boards[spec] = BoardHost(
                spec, self._line, self._progress, self._reset, self._lessor
            )
        return self._boards[spec]

    def _interpreter(self, spec: RuntimeSpec, for_search: bool) -> InterpreterHost:
        key = (spec, for_search)
        if key not in self._interpreters:
            self._interpreters[key] = (
                InterpreterHost(
                    spec,
                    timeout=self._timeout or SEARCH_TIMEOUT,
                    arena=SEARCH_ARENA if spec.kind == "tflm" else None,
                    fills_memory=True,
                )
                if for_search
                else InterpreterHost(spec, timeout=self._timeout or DEFAULT_TIMEOUT)
            )
        return self._interpreters[key]

    @property
    def links(self) -> dict[str, Counters]:
        """What the link to each board that was greeted did, by the board's name or port."""
        found = {
            each.label or each.spec.port: each.link
            for host in self._boards.values()
            for each in (host, *host.partners)
        }
        return {name: link for name, link in found.items() if link is not None}

    def note(self, error: TflmError) -> TflmError:
        """Let the board whose link or process broke take notice of it; gives the error to show. The
        other boards go on."""
        hosts = list(self._boards.values())
        host = hosts[0] if len(hosts) == 1 else self.whose(error)
        return error if host is None else host.note(error)

    def whose(self, error: TflmError) -> BoardHost | None:
        """The board whose use ``error`` ended; None if it ended no board's."""
        return next((host for host in self._boards.values() if host.raised(error)), None)

    def versions(self) -> dict[str, str]:
        """Of all interpreters that were opened, and of all boards that were greeted, which nobody
        is asked for again: also of one that broke."""
        found: dict[str, str] = {}
        for board in self._boards.values():
            found |= board.versions() if board.identity is not None else {}
        for interpreter in self._interpreters.values():
            found |= interpreter.versions()
        return found

    def give_back(self) -> None:
        """Give all boards of a lab back; who uses one again leases it anew."""
        for host in self._boards.values():
            if host.is_leased and host.broken is None:
                host.close()

    def close(self) -> None:
        """Release ports and end all processes, boards first."""
        hosts = self._all()
        self._boards, self._interpreters = {}, {}
        for host in hosts:
            with contextlib.suppress(TflmError, OSError):  # nobody is left to tell
                host.close()

    def _all(self) -> list[Host]:
        return [*self._boards.values(), *self._interpreters.values()]

    def __enter__(self) -> Hosts:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
