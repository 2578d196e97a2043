"""What ``--tflm-port=sim?arena=64k&faults=mixed`` says, and whether it can be had here."""

from __future__ import annotations

import difflib
import importlib.util
import re
from dataclasses import dataclass, field, fields
from typing import Any

from pytest_tflm.errors import InterpreterMissing, SettingsError
from pytest_tflm.simulator.line.faults import profile

_SIZE = re.compile(r"([0-9]+)([km]?)", re.IGNORECASE)
_LEAST_BAUD, LARGEST_BAUD = 9600, 4_000_000
"""Bits per second of a line that has a rate."""
_OF_A_BOARD, _OF_A_FAST_LINE = 4096, 16384
"""Bytes of the receive buffer and of kept replies, where nobody says how many."""
_UNITS = {"": 1, "k": 1024, "m": 1024 * 1024}


def _size(least: int, most: int, default: int | None, what: str) -> Any:
    metadata = {"least": least, "most": most, "what": what}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class SimulatorSpec:
    """A simulated board. All sizes are bytes; in text ``k`` and ``m`` stand for 1024 and 1024².
    ``window`` and ``reply_store`` are None where nobody says how large they are."""

    memory: int = _size(1024, 1 << 30, 4 << 20, "model and arena together")
    arena: int | None = _size(16, 1 << 30, None, "limit of the arena")
    window: int | None = _size(67, 1 << 20, None, "receive buffer")
    largest_frame: int = _size(64, 65535, 2048, "longest body of a frame")
    reply_store: int | None = _size(67, 1 << 18, None, "replies kept for repetition")
    without: tuple[str, ...] = field(
        default=(), metadata={"what": "operators it lacks, separated by commas"}
    )

    baud: int = field(default=0, metadata={"what": "of a line with a baud rate, such as a UART"})
    invoke: int = field(default=0, metadata={"what": "minimum time of Invoke in microseconds"})
    faults: str = field(default="clean", metadata={"what": "how bad its line is"})
    defect: str = field(
        default="", metadata={"what": "what is wrong with the board, NAME or NAME:OPERATOR"}
    )
    seed: int = field(default=0, metadata={"what": "of the faults and defects"})

    def __post_init__(self) -> None:
        profile(self.faults)
        if self.defect:
            # Only a board with a defect pays for the modules that make one.
            from pytest_tflm.simulator.defects.catalogue import parse_defects

            parse_defects(self.defect)
        needed = self.largest_frame + self.largest_frame // 254 + 3
        if self.kept_replies < needed:
            raise SettingsError(
                f"sim: reply_store={self.kept_replies} does not hold a reply of "
                f"largest_frame={self.largest_frame}: it must be at least {needed}"
            )

    @property
    def receive_buffer(self) -> int:
        """Bytes that it holds unread: ``window``, or its default."""
        return self._default_buffer if self.window is None else self.window

    @property
    def kept_replies(self) -> int:
        """Bytes of replies that it keeps: ``reply_store``, or its default."""
        return self._default_buffer if self.reply_store is None else self.reply_store

    @property
    def _default_buffer(self) -> int:
        # A line with a rate or with faults is there to see how a board does, so it has a board's
        # sizes. Without, the processes at both ends are the limit: they work on more at a time.
        return _OF_A_BOARD if self.baud or self.faults != "clean" else _OF_A_FAST_LINE

    @classmethod
    def parse(cls, text: str) -> SimulatorSpec:
        """Read ``sim`` or ``sim?key=value&key=value``. Raises :class:`SettingsError`."""
        name, _, rest = text.partition("?")
        if name != "sim":
            raise SettingsError(
                f"{text!r} is not a simulator: write sim or sim?key=value&key=value"
            )
        known = {each.name: each for each in fields(cls)}
        values: dict[str, Any] = {}
        for part in rest.split("&") if rest else []:
            key, equals, value = part.partition("=")
            if not equals or key not in known:
                if near := difflib.get_close_matches(key, known, 1):
                    raise SettingsError(f"sim: unknown key {part!r}. Did you mean {near[0]}=?")
                keys = ", ".join(f"{each.name} ({each.metadata['what']})" for each in fields(cls))
                raise SettingsError(f"sim: unknown key {part!r}. Known keys: {keys}")
            if key in values:
                raise SettingsError(f"sim: {key} is given twice in {text!r}")
            values[key] = _value(key, value, known[key].metadata)
        return cls(**values)

    def __str__(self) -> str:
        """The shortest text that :meth:`parse` reads as this."""
        parts = []
        for each in fields(self):
            value = getattr(self, each.name)
            if value != each.default:
                shown = ",".join(value) if isinstance(value, tuple) else str(value)
                parts.append(f"{each.name}={shown}")
        return "sim?" + "&".join(parts) if parts else "sim"


def _value(key: str, text: str, metadata: Any) -> Any:
    if key == "without":
        return _names(text)
    if key in ("faults", "defect"):
        return text
    if key == "baud":
        if not re.fullmatch(r"[0-9]{1,8}", text) or not _LEAST_BAUD <= int(text) <= LARGEST_BAUD:
            raise SettingsError(
                f"sim: baud={text!r} is not a baud rate: write one from {_LEAST_BAUD} to"
                f" {LARGEST_BAUD}"
            )
        return int(text)
    if key == "invoke":
        if not re.fullmatch(r"[0-9]{1,8}", text):
            raise SettingsError(f"sim: invoke={text!r}: write microseconds, 99999999 at most")
        return int(text)
    if key == "seed":
        if not re.fullmatch(r"[0-9]{1,18}", text):
            raise SettingsError(f"sim: seed={text!r} is not a number: write 0 or more")
        return int(text)
    return _bytes(key, text, metadata)


def parse_size(text: str, source: str) -> int:
    """Bytes of ``65536``, ``64k`` or ``1m``. Raises SettingsError, which names ``source``."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise SettingsError(f"{source}={text!r} is not a size: write bytes, or 64k, or 1m")
    # A number of more digits than any limit is not worth computing.
    return int(match[1][:20]) * _UNITS[match[2].lower()]


def _bytes(key: str, text: str, metadata: Any) -> int:
    size = parse_size(text, f"sim: {key}")
    least, most = metadata["least"], metadata["most"]
    if not least <= size <= most:
        raise SettingsError(f"sim: {key}={text} must be from {least} to {most} bytes")
    return size


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip().upper() for name in text.split(",") if name.strip())
    bad = [name for name in names if not re.fullmatch(r"[A-Z][A-Z0-9_]*", name)]
    if bad or not names:
        raise SettingsError(f"sim: without={text!r}: write names of operators, such as CONV_2D,ADD")
    return names


_ELSEWHERE = (
    "Without it, run 'pytest-tflm simulate --tcp HOST:PORT' on a Linux x86-64 machine, and use"
    " --tflm-port=socket://HOST:PORT here."
)


def require_simulator() -> None:
    """Raises InterpreterMissing if tflite-micro is not installed, with which the simulator runs
    models, or if this installation lacks the firmware core as an extension module."""
    if importlib.util.find_spec("tflite_micro") is None:
        raise InterpreterMissing(
            "the simulator runs models with tflite-micro, which is not installed: pip install --pre"
            f" tflite-micro (Linux on x86-64 only). {_ELSEWHERE}"
        )
    if importlib.util.find_spec("pytest_tflm.simulator._firmware") is None:
        raise InterpreterMissing(
            "the simulator needs the firmware core as an extension module, and this pytest-tflm was"
            " installed without a C++ compiler. Install one, then: pip install --force-reinstall"
            f" --no-deps --no-binary pytest-tflm pytest-tflm. {_ELSEWHERE}"
        )
