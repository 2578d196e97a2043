"""Every option in one table: its flag, ini name, environment variable, default and help text.

Precedence: the ``tflm`` marker (for what it can say), command line, environment, ini file, default.
This module knows no pytest; ``plugin`` hands it what pytest has read. Every pytest run imports it,
used or not, so it is cheap to import (a NamedTuple takes a fifth of a dataclass's time).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pytest_tflm.errors import SettingsError
from pytest_tflm.record.budgets import baseline_rules, bytes_of, microseconds, per_operator
from pytest_tflm.runtime.spec import (
    DEFAULT_RESOLVER,
    INTERPRETERS,
    LAB,
    RESOLVERS,
    Line,
    NamedPort,
    RuntimeSpec,
    is_name,
)

VERDICTS = ("off", "brief", "full")
PER_SAMPLE = ("on", "off", "auto")
MOST_TESTS = 1000
"""Samples of a model that are a test each, if nothing else is asked for."""
RESETS = ("off", "on-crash")
RESIZE = ("squash", "crop", "pad")
BUDGETS = ("board", "all")
BAUD_OF_BOOTLOADERS = 1200  # opening a native-USB Arduino at this rate stops its sketch


class Settings(NamedTuple):
    """What a run was asked to do. ``board_name`` says which of its boards a test is for."""

    ports: tuple[NamedPort, ...]
    baud: int
    line_baud: int
    models: tuple[Path, ...]
    runtime: str
    resolver: str
    tolerance: int | None
    float_tolerance: float
    samples: str | None
    seed: int
    timeout: float | None
    suite: bool
    verdict: str
    float_model: Path | None
    fuzz: int
    conformance: int
    save: Path | None
    per_sample: str
    label_column: str
    classes: tuple[str, ...]
    sample_range: tuple[float, float] | None
    image_resize: str
    min_accuracy: float | None
    max_accuracy_drop: float | None
    min_agreement: float | None
    max_latency: int | None
    max_operator_latency: Mapping[str, int]
    max_arena: int | None
    budgets: str
    baseline: Path | None
    baseline_update: bool
    baseline_fail: Mapping[str, float]
    json: Path | None
    csv: Path | None
    html: Path | None
    reset: str
    lab: Path | None
    tags: tuple[str, ...]
    wait: float
    board_name: str = ""

    @property
    def lsb(self) -> int:
        """How many LSBs an integer output may differ; ``auto`` begins with 1."""
        return 1 if self.tolerance is None else self.tolerance

    @property
    def tolerance_words(self) -> str:
        """The tolerance as the header says it."""
        if self.tolerance is None:
            return "tolerance auto (1 LSB, or rounding carried through the model)"
        return f"tolerance {self.tolerance} LSB"

    def is_test_each(self, samples: int) -> bool:
        """Whether each of so many samples is a test of its own."""
        return self.per_sample == "on" or (self.per_sample == "auto" and samples <= MOST_TESTS)

    def title(self, model: str) -> str:
        """How a line calls a model of that name, with its board where boards have names."""
        return f"{model} on {self.board_name}" if self.board_name else model

    @property
    def boards(self) -> tuple[str, ...]:
        """The names of the boards that tests run on: all of ``--tflm-port``, but not the one that
        is the reference where others are left. Empty where no board has a name."""
        names = tuple(each.name for each in self.ports if each.name)
        if not names:
            return ()
        reference = self.reference.board
        return tuple(name for name in names if name != reference) or names

    @property
    def _port(self) -> NamedPort | None:
        chosen = [each for each in self.ports if each.name == self.board_name] or self.ports
        return chosen[0] if chosen else None

    @property
    def board(self) -> RuntimeSpec | None:
        """The board under test: that of ``board_name``, or the first; None without one."""
        port = self._port
        return None if port is None else RuntimeSpec.of_board(port.port, port.name)

    @property
    def reference(self) -> RuntimeSpec:
        """What ``--tflm-runtime`` and ``--tflm-resolver`` name: the resolver is for a runtime that
        is given without one."""
        port = self._port
        spec = RuntimeSpec.parse(
            self.runtime, port=None if port is None else port.name or port.port, boards=self.ports
        )
        return (
            spec._replace(resolver=self.resolver)
            if self.runtime == spec.kind and spec.resolver
            else spec
        )

    @property
    def line(self) -> Line:
        """How boards are opened."""
        return Line(self.baud, self.line_baud, self.timeout or Line().timeout)

    def with_groups(self, groups: Iterable[str]) -> Settings:
        """These settings with the groups of a lab's equal boards as boards. Raises
        SettingsError."""
        ports = _ports([*self.ports, *(NamedPort(each, f"{LAB}{each}") for each in groups)], "")
        return _with_a_reference(self._replace(ports=ports))

    def for_marker(self, values: Mapping[str, Any]) -> Settings:
        """These settings as changed by ``@pytest.mark.tflm(…)``.

        Raises SettingsError for a keyword that the marker does not take or a value that makes no
        sense.
        """
        changes: dict[str, Any] = {}
        for name, value in values.items():
            option = next((o for o in OPTIONS if o.name == name and o.marker), None)
            if option is None:
                import difflib

                known = [o.name for o in OPTIONS if o.marker]
                near = difflib.get_close_matches(name, known, 1)
                instead = f"did you mean {near[0]}=?" if near else f"it takes {', '.join(known)}."
                raise SettingsError(f"@pytest.mark.tflm does not take {name}=; {instead}")
            source = f"@pytest.mark.tflm({name}=…)"
            if option.name == "model":
                paths = [value] if isinstance(value, str | os.PathLike) else value
                changes["models"] = tuple(Path(p) for p in paths)
            else:
                changes[name] = option.read(str(value), source)
        return self._replace(**changes)


class Option(NamedTuple):
    """One row of the table. ``read(text, source)`` gives the value or raises SettingsError."""

    name: str
    metavar: str
    help: str
    read: Callable[[str, str], Any]
    default: str
    choices: tuple[str, ...] = ()
    repeatable: bool = False
    marker: bool = False
    takes_value: bool = True
    """False: on the command line its name is enough, and means ``on``."""
    ini_list: str = ""
    """Name of a second ini value that holds a list."""
    field: str = ""
    """Name of the field of Settings, where it is another one."""

    @property
    def flag(self) -> str:
        return f"--tflm-{self.name.replace('_', '-')}"

    @property
    def ini(self) -> str:
        return f"tflm_{self.name}"

    @property
    def environment(self) -> str:
        return f"TFLM_{self.name.upper()}"

    @property
    def help_text(self) -> str:
        shown = self.default or "none"
        return f"{self.help} (default: {shown}; ini: {self.ini}, environment: {self.environment})"


def _text(text: str, source: str) -> str:
    return text


def _path(text: str, source: str) -> Path:
    if not text:
        raise SettingsError(f"{source} names no file or folder.")
    return Path(text)


def _integer(minimum: int, maximum: int) -> Callable[[str, str], int]:
    def read(text: str, source: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = minimum - 1
        if not minimum <= value <= maximum:
            raise SettingsError(
                f"{source}: {text!r} is not a whole number from {minimum} to {maximum}."
            )
        return value

    return read


def _positive_number(text: str, source: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        raise SettingsError(f"{source}: {text!r} is not a number greater than 0.")
    return value


def _baud(text: str, source: str) -> int:
    value: int = _integer(1, 100_000_000)(text, source)
    if value == BAUD_OF_BOOTLOADERS:
        raise SettingsError(
            f"{source}: opening a port at 1200 baud sends many boards into their bootloader. "
            "Choose another rate, for example 115200."
        )
    return value


def _baud_or_stay(text: str, source: str) -> int:
    return 0 if text.strip() == "0" else _baud(text, source)


def _share(text: str, source: str) -> float:
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise SettingsError(f"{source}: {text!r} is not between 0 and 1, or 0% and 100%.")
    return value


def _names(text: str, source: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if len(set(names)) != len(names):
        raise SettingsError(f"{source}: duplicate name in {text!r}.")
    return names


def _range(text: str, source: str) -> tuple[float, float]:
    low, _, high = text.partition(":")
    try:
        values = (float(low), float(high))
    except ValueError:
        values = (0.0, 0.0)
    if not values[0] < values[1] < float("inf") or values[0] == float("-inf"):
        raise SettingsError(f"{source}: {text!r} is not LOW:HIGH, for example 0:1 or -1:1.")
    return values


def _operator_times(text: str, source: str) -> Mapping[str, int]:
    return per_operator(text, source) if text else {}


def _one_of(choices: tuple[str, ...]) -> Callable[[str, str], str]:
    def read(text: str, source: str) -> str:
        if text not in choices:
            raise SettingsError(f"{source}: {text!r} is not one of {', '.join(choices)}.")
        return text

    return read


def _lsb_or_auto(text: str, source: str) -> int | None:
    if text == "auto":
        return None
    try:
        return _integer(0, 65535)(text, source)
    except SettingsError as error:
        raise SettingsError(f"{str(error).rstrip('.')}, or auto.") from None


def _runtime(text: str, source: str) -> str:
    try:
        RuntimeSpec.parse(text)
    except SettingsError as error:
        raise SettingsError(f"{source}: {error}") from None
    return text


def _tag(text: str, source: str) -> str:
    if not is_name(text):
        raise SettingsError(f"{source}: {text!r} is no name, kind or tag of a board.")
    return text


def _seconds(text: str, source: str) -> float:
    return 0.0 if text.strip() == "0" else _positive_number(text, source)


def _port(text: str, source: str) -> NamedPort:
    try:
        return NamedPort.parse(text)
    except SettingsError as error:
        raise SettingsError(f"{source}: {error}") from None


def _ports(found: Sequence[NamedPort], source: str) -> tuple[NamedPort, ...]:
    """The boards of a run. Several need a name each."""
    given = ", ".join(map(str, found))
    if len(found) > 1 and not all(each.name for each in found):
        raise SettingsError(
            f"{source} was given {len(found)} times ({given}). Several boards need a name each, "
            f"{source}=nano=/dev/ttyACM0 {source}=esp=/dev/ttyUSB0 for example."
        )
    names = [each.name for each in found]
    if len(set(names)) != len(names):
        raise SettingsError(f"{source}: two boards have the same name ({given}).")
    return tuple(found)


def _listed(text: str) -> list[str]:
    """Ports in one text: ``NAME=PORT NAME=PORT …``, or one port, which may hold blanks."""
    words = text.split()
    return words if all(NamedPort.parse(word).name for word in words) else [text]


def _on_off(text: str, source: str) -> bool:
    return _one_of(("on", "off"))(text, source) == "on"


OPTIONS: tuple[Option, ...] = (
    Option(
        "port",
        "PORT",
        "Board to test: a serial port (/dev/ttyACM0, COM3), socket://HOST:PORT, "
        "rfc2217://HOST:PORT, auto (the one USB port where a board answers), sim (the simulator; "
        "sim?arena=64k limits its arena), qemu:IMAGE.elf (an emulated Cortex-M4), or "
        "qemu-esp32c3:IMAGE.bin (an emulated ESP32-C3). Repeat it with a name before each port to "
        "test several boards: nano=/dev/ttyACM0 (in a list: tflm_ports)",
        _port,
        "",
        ini_list="tflm_ports",
    ),
    Option("baud", "N", "Baud rate of a serial port", _baud, "115200"),
    Option(
        "line_baud",
        "N",
        "Baud rate to change to after the greeting, if port and board support it (0: no change)",
        _baud_or_stay,
        "0",
    ),
    Option(
        "model",
        "FILE",
        "Model to test, a .tflite file. Repeat it for several models",
        _path,
        "",
        repeatable=True,
        marker=True,
    ),
    Option(
        "runtime",
        "NAME",
        f"Reference to compare with: {', '.join(INTERPRETERS)}, with a resolver (litert:auto), or "
        "another board (board:PORT)",
        _runtime,
        "litert",
        marker=True,
    ),
    Option(
        "resolver",
        "NAME",
        f"Op resolver of a litert or tensorflow reference: {', '.join(RESOLVERS)}",
        _one_of(RESOLVERS),
        DEFAULT_RESOLVER,
        choices=RESOLVERS,
        marker=True,
    ),
    Option(
        "tolerance",
        "N",
        "LSBs that an integer output may differ from the reference. auto: 1, or more if the "
        "difference is rounding of single operators, carried through the model",
        _lsb_or_auto,
        "auto",
        marker=True,
    ),
    Option(
        "float_tolerance",
        "X",
        "Largest difference of a float output, relative to the output's largest magnitude (to 1 if"
        " that is smaller)",
        _positive_number,
        "1e-4",
        marker=True,
    ),
    Option(
        "samples",
        "FILE|N",
        "Inputs: a .npz, .npy, .csv or .wav file, a folder of images, .wav or .csv files, or a "
        "number of random samples. Default: MODEL_samples.npz beside the model, or 32 random"
        " samples if that file is missing",
        _text,
        "",
        marker=True,
    ),
    Option("seed", "N", "Seed of random inputs", _integer(0, 2**32 - 1), "0", marker=True),
    Option(
        "timeout",
        "SECONDS",
        "Seconds to wait for an unresponsive board or interpreter. Default: 10 for a board, 60 for "
        "an interpreter",
        _positive_number,
        "",
    ),
    Option(
        "suite",
        "on|off",
        "Add the tests that come with this plugin to the run, for each --tflm-model",
        _on_off,
        "on",
        choices=("on", "off"),
    ),
    Option(
        "verdict",
        "|".join(VERDICTS),
        "Explanation of a failing test, once per model: cause and remedy (brief), all evidence"
        " (full; also with -v), or none (off)",
        _one_of(VERDICTS),
        "brief",
        choices=VERDICTS,
    ),
    Option(
        "float_model",
        "FILE",
        "Model before quantisation, to measure the cost of quantisation in a verdict",
        _path,
        "",
        marker=True,
    ),
    Option(
        "fuzz",
        "N",
        "Generated inputs to run on each model, in addition to its samples (0: off)",
        _integer(0, 10_000_000),
        "0",
    ),
    Option(
        "conformance",
        "N",
        "Random single-operator models to run per operator type, compared bit for bit with "
        "host TFLM (0: off)",
        _integer(0, 1_000_000),
        "0",
    ),
    Option(
        "save",
        "DIR",
        "Folder for findings, .tflm-replay files that pytest runs again. Without it, findings of "
        "fuzzing go to .pytest_cache/tflm",
        _path,
        "",
    ),
    Option(
        "per_sample",
        "|".join(PER_SAMPLE),
        "A test for each sample (on), or one test for all samples of a model (off). auto: a test "
        f"for each of up to {MOST_TESTS} samples",
        _one_of(PER_SAMPLE),
        "auto",
        choices=PER_SAMPLE,
    ),
    Option(
        "label_column",
        "NAME",
        "Column of a .csv file with the labels",
        _text,
        "label",
        marker=True,
    ),
    Option(
        "classes",
        "NAME,NAME,…",
        "Names of the classes, in the order of the model's outputs. Default: the labels' names in "
        "alphabetical order",
        _names,
        "",
        marker=True,
    ),
    Option(
        "sample_range",
        "LOW:HIGH",
        "Real values of a black and a white pixel, or of the largest negative and positive sound. "
        "Default: 0:1 for images, -1:1 for .wav files",
        _range,
        "",
        marker=True,
    ),
    Option(
        "image_resize",
        "|".join(RESIZE),
        "How to fit an image to the input: stretch it, crop its edges, or pad it with black",
        _one_of(RESIZE),
        "squash",
        choices=RESIZE,
        marker=True,
    ),
    Option(
        "min_accuracy",
        "X",
        "Lowest accepted accuracy of the board (0.9, 90%)",
        _share,
        "",
        marker=True,
    ),
    Option(
        "max_accuracy_drop",
        "X",
        "Largest accepted loss of accuracy, compared with the float model, or with the reference"
        " if there is none (0.01, 1%)",
        _share,
        "",
        marker=True,
    ),
    Option(
        "min_agreement",
        "X",
        "Lowest accepted share of samples for which board and reference give the same class",
        _share,
        "",
        marker=True,
    ),
    Option(
        "max_latency",
        "TIME",
        "Longest accepted time of Invoke in 95% of the runs (20ms, 750us)",
        microseconds,
        "",
        marker=True,
    ),
    Option(
        "max_operator_latency",
        "OPERATOR:TIME,…",
        "Longest accepted time of operators, by type or index (CONV_2D:5ms,17:300us)",
        _operator_times,
        "",
        marker=True,
    ),
    Option(
        "max_arena",
        "SIZE",
        "Largest accepted arena of the model on the board, in bytes (90k is 92160)",
        bytes_of,
        "",
        marker=True,
    ),
    Option(
        "budgets",
        "|".join(BUDGETS),
        "Where limits on time and memory apply: only on a physical board, or also on the simulator"
        " and the emulated board, whose figures differ",
        _one_of(BUDGETS),
        "board",
        choices=BUDGETS,
    ),
    Option(
        "baseline",
        "DIR",
        "Folder of baselines: compare outputs, latency, arena and accuracy with the values stored"
        " there",
        _path,
        "",
    ),
    Option(
        "baseline_update",
        "on|off",
        "Write the baselines instead of comparing",
        _on_off,
        "off",
        choices=("on", "off"),
        takes_value=False,
    ),
    Option(
        "baseline_fail",
        "RULES",
        "Changes from the baseline that fail: outputs and reference (:N allows N LSB), model, "
        "samples, versions, latency, arena and accuracy (:N% allows that much)",
        baseline_rules,
        "outputs,latency:10%,arena:5%,accuracy:0.5%",
        marker=True,
    ),
    Option(
        "json", "FILE", "Write the record of the run, as JSON (docs/run.schema.json)", _path, ""
    ),
    Option("csv", "FILE", "Write a table with one row per sample", _path, ""),
    Option(
        "html",
        "FILE",
        "Write an HTML report of the run, one file without links (pip install 'pytest-tflm[html]')",
        _path,
        "",
    ),
    Option(
        "reset",
        "|".join(RESETS),
        "Reset a board that crashed or does not answer, and run the test again: with the hook"
        " pytest_tflm_reset, or with RTS as on an ESP32 (on-crash), or never (off)",
        _one_of(RESETS),
        "off",
        choices=RESETS,
    ),
    Option(
        "boards",
        "FILE",
        "Boards of a lab, a .toml file (docs/how-to/lab.md). Equal ones share the work",
        _path,
        "",
        field="lab",
    ),
    Option(
        "board",
        "TAG",
        "Boards of --tflm-boards to test: a name, a kind or a tag. Repeat it to test several. "
        "Default: those of each kind",
        _tag,
        "",
        field="tags",
    ),
    Option(
        "wait",
        "SECONDS",
        "Seconds to wait for a board of --tflm-boards that another run has",
        _seconds,
        "60",
    ),
)


_EMPTY: dict[str, Any] = {"classes": (), "max_operator_latency": {}}
"""Options whose value is not None where none is given."""


def settings_from(
    command_line: Callable[[Option], Sequence[str]],
    ini: Callable[[Option], Sequence[str]],
    environment: Mapping[str, str],
) -> Settings:
    """Read the table. ``command_line`` and ``ini`` give the texts found for an option, none if it
    is not set there. Raises SettingsError naming the option and where its value came from."""
    values: dict[str, Any] = {}
    for option in OPTIONS:
        texts, source = list(command_line(option)), option.flag
        if not texts and environment.get(option.environment):
            text = environment[option.environment]
            texts = text.split(os.pathsep) if option.repeatable else [text]
            source = option.environment
        if not texts:
            texts, source = list(ini(option)), f"{option.ini} (ini)"
        if not texts and option.default:
            texts = [option.default]
        if option.name == "port" and len(texts) == 1:
            texts = _listed(texts[0])
        read = [option.read(text, source) for text in texts if text]
        if not read and option.name in _EMPTY:
            read = [_EMPTY[option.name]]
        if option.name == "port":
            values["ports"] = _ports(read, source)
        elif option.name == "board":
            values["tags"] = tuple(dict.fromkeys(read))
        elif option.repeatable:
            values["models"] = tuple(dict.fromkeys(read))
        else:
            values[option.field or option.name] = read[-1] if read else None
    settings = Settings(**values)
    if settings.tags and settings.lab is None:
        raise SettingsError("--tflm-board=TAG chooses among boards: give --tflm-boards=FILE.")
    return settings if settings.lab is not None else _with_a_reference(settings)


def _with_a_reference(settings: Settings) -> Settings:
    try:
        _ = settings.reference
    except SettingsError as error:
        raise SettingsError(f"--tflm-runtime: {error}") from None
    return settings
