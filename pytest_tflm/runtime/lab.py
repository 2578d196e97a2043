"""A lab's boards: the file that lists them, and who has which.

A board is leased by one process at a time. The lease is a lock of the operating system's, so it
ends with the process.
"""

from __future__ import annotations

import contextlib
import importlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_tflm.errors import PortBusy, PortNotFound, SettingsError
from pytest_tflm.runtime.spec import is_name

if TYPE_CHECKING:
    from pytest_tflm.link.portlock import PortLock
    from pytest_tflm.link.ports import FoundPort

_LARGEST = 1 << 20
_LOOK_AGAIN = 0.2
"""Seconds between two looks whether a board is free."""


class LabBoard(NamedTuple):
    """A board of a lab. ``port`` is as ``--tflm-port`` takes it, empty where ``serial`` (the USB
    serial number) finds it. ``baud`` and ``line_baud`` are 0 where the run's own are meant;
    ``memory`` is for people. ``reset`` and ``power_cycle`` are commands, word by word."""

    name: str
    kind: str
    port: str = ""
    serial: str = ""
    baud: int = 0
    line_baud: int = 0
    memory: str = ""
    tags: tuple[str, ...] = ()
    reset: tuple[str, ...] = ()
    power_cycle: tuple[str, ...] = ()

    def has(self, tag: str) -> bool:
        """Whether ``tag`` means this board: its name, its kind, or one of its tags."""
        return tag in (self.name, self.kind, *self.tags)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable()


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


_FIELDS: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("name", "kind", "port", "serial", "memory"), _is_text),
    **dict.fromkeys(("baud", "line_baud"), _is_number),
    "tags": _is_list,
    **dict.fromkeys(("reset", "power_cycle"), lambda value: _is_list(value) and bool(value)),
}


class Lab(NamedTuple):
    """The boards of a file."""

    path: Path
    boards: tuple[LabBoard, ...]

    def groups(self, tags: Sequence[str]) -> dict[str, tuple[LabBoard, ...]]:
        """The equal boards for each tag, or for each kind if there is none. Raises SettingsError
        for a tag that no board has."""
        wanted = tags or list(dict.fromkeys(board.kind for board in self.boards))
        found = {tag: tuple(b for b in self.boards if b.has(tag)) for tag in wanted}
        for tag, boards in found.items():
            if not boards:
                known = dict.fromkeys(t for b in self.boards for t in (b.kind, *b.tags, b.name))
                raise SettingsError(
                    f"--tflm-board: no board of {self.path} is {tag!r}: choose one of "
                    f"{', '.join(known)}."
                )
        return found


def read_lab(path: Path) -> Lab:
    """Read a file of boards: TOML, a ``[[board]]`` for each. Raises SettingsError that names the
    board and the field."""
    try:
        if path.stat().st_size > _LARGEST:
            raise SettingsError(f"--tflm-boards: {path} is larger than {_LARGEST >> 20} MiB.")
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"--tflm-boards: {path} cannot be read: {error}.") from None
    try:
        found = _toml(text)
    except ValueError as error:
        raise SettingsError(f"--tflm-boards: {path} is not TOML: {error}.") from None
    unknown = found.keys() - {"board"}
    tables = found.get("board")
    if unknown or not isinstance(tables, list) or not tables:
        what = f"has {sorted(unknown)[0]!r}" if unknown else "has no [[board]]"
        raise SettingsError(f"--tflm-boards: {path} {what}; it takes a [[board]] for each board.")
    boards = tuple(_board(path, number, each) for number, each in enumerate(tables, start=1))
    names = [board.name for board in boards]
    if len(set(names)) != len(names):
        raise SettingsError(f"--tflm-boards: {path}: two boards have the same name.")
    return Lab(path, boards)


def _toml(text: str) -> dict[str, Any]:
    try:
        toml: Any = importlib.import_module("tomllib")
    except ImportError:  # Python 3.10, where pytest brings it along
        toml = importlib.import_module("tomli")
    found: dict[str, Any] = toml.loads(text)
    return found


def _board(path: Path, number: int, table: Any) -> LabBoard:
    where = f"--tflm-boards: {path}: board {number}"
    if not isinstance(table, dict):
        raise SettingsError(f"{where} is no table.")
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in _FIELDS:
            known = ", ".join(_FIELDS)
            raise SettingsError(f"{where}: unknown field {key!r}: it takes {known}.")
        if not _FIELDS[key](value):
            raise SettingsError(f"{where}: {key} = {value!r} is of the wrong type.")
        values[key] = tuple(value) if isinstance(value, list) else value
    values.setdefault("kind", values.get("name", ""))
    for name in (values.get("name", ""), values["kind"], *values.get("tags", ())):
        if not is_name(name):
            raise SettingsError(
                f"{where}: {name!r} is no name or tag: a letter, then letters, digits, - and _."
            )
    if bool(values.get("port")) == bool(values.get("serial")):
        raise SettingsError(f"{where} ({values['name']}) needs a port, or a serial number.")
    if 1200 in (values.get("baud"), values.get("line_baud")):
        raise SettingsError(f"{where}: 1200 baud starts the bootloader of many boards.")
    return LabBoard(**values)


class Lease:
    """A board that this process has, until :meth:`release`."""

    def __init__(self, board: LabBoard, port: str, lock: PortLock | None) -> None:
        self.board = board
        self.port = port
        self._lock = lock

    def release(self) -> None:
        """Give the board back. May be called twice."""
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.release()


class Leases:
    """Leases boards of a lab, from groups of equal ones. A lease waits up to ``wait`` seconds, and
    ``say(text)`` is told for whom. ``has_all``: this process may have all boards of a group."""

    def __init__(
        self,
        lab: Lab,
        groups: Mapping[str, Sequence[LabBoard]],
        *,
        wait: float,
        say: Callable[[str], None],
        has_all: bool = True,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._lab = lab
        self._groups = groups
        self._wait = wait
        self._say = say
        self._has_all = has_all
        self._clock, self._sleep = clock, sleep
        self._bad: dict[str, str] = {}

    def leave_out(self, board: LabBoard, why: str) -> None:
        """Not to be leased any more in this run."""
        self._bad[board.name] = why

    def take(self, group: str) -> Lease:
        """The first board of the group that is free; waits for one. Raises PortBusy that says who
        has them, and PortNotFound if all were left out or none is there."""
        wait = self._wait
        end = self._clock() + wait
        told = False
        while True:
            busy: list[str] = []
            missing: list[str] = []
            for board in self._groups[group]:
                if board.name in self._bad:
                    missing.append(f"{board.name} was left out: {self._bad[board.name]}")
                    continue
                try:
                    return self._one(board)
                except PortBusy as error:
                    busy.append(f"{board.name}: {_who(error)}")
                except PortNotFound as error:
                    missing.append(f"{board.name}: {error}")
            if not busy:
                raise PortNotFound(f"no board for {group}: {'; '.join(missing)}")
            if self._clock() >= end:
                raise PortBusy(
                    f"no board for {group} is free after {wait:g} s: {'; '.join(busy + missing)}. "
                    "--tflm-wait=SECONDS waits longer"
                )
            if not told:
                told = True
                self._say(f"waiting up to {wait:g} s for a board for {group}: {'; '.join(busy)}")
            self._sleep(min(_LOOK_AGAIN, max(0.0, end - self._clock())))

    def more(self, group: str) -> list[Lease]:
        """All boards of the group that can be had at once, if this process may have several."""
        found = []
        for board in self._groups[group] if self._has_all else ():
            if board.name not in self._bad:
                with contextlib.suppress(PortBusy, PortNotFound):
                    found.append(self._one(board))
        return found

    def _one(self, board: LabBoard) -> Lease:
        from pytest_tflm.link.portlock import PortLock

        lock = PortLock.take(f"lab://{self._lab.path.resolve()}/{board.name}")
        try:
            return Lease(board, port_of(board), lock)
        except BaseException:
            if lock is not None:
                lock.release()
            raise


def _who(error: PortBusy) -> str:
    return str(error).rpartition(" in use by ")[2]


def port_of(board: LabBoard, ports: Iterable[FoundPort] | None = None) -> str:
    """The port of a board, by its USB serial number where that is given. Raises PortNotFound."""
    if board.port:
        return board.port
    from pytest_tflm.link.ports import found_ports

    for each in found_ports() if ports is None else ports:
        if each.serial_number == board.serial:
            return each.device
    raise PortNotFound(f"no USB port has the serial number {board.serial}")
