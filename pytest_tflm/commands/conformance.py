"""``pytest-tflm conformance``: random models of single operators through two runtimes."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_tflm.errors import SettingsError

if TYPE_CHECKING:
    from pytest_tflm.fuzz.kernels.conformance import Plan, Surveyed

_RUNTIMES = "tflm, litert:RESOLVER, tensorflow:RESOLVER, board (the one at --port) or board:PORT"
_BOARD_TIMEOUT = 20.0


def add(commands: Any) -> None:
    """Add the subcommand to argparse's ``commands``."""
    parser = commands.add_parser(
        "conformance",
        help="compare a board's or an interpreter's kernels with another's, operator by operator",
        description="Generate random quantised single-operator models, run them in two runtimes,"
        " and report for each operator whether the outputs are bit-identical. Models that differ,"
        " are rejected or crash are shrunk to the smallest model and input that show it.",
    )
    parser.add_argument("--port", metavar="PORT", help="a board's port, as for --tflm-port: sim, …")
    parser.add_argument("--baud", type=int, default=115200, metavar="N", help="default: 115200")
    parser.add_argument(
        "--runtime",
        metavar="RUNTIME",
        help=f"kernels to check: {_RUNTIMES} (default: board with --port, else tflm)",
    )
    parser.add_argument(
        "--against",
        action="append",
        default=[],
        metavar="RUNTIME",
        help="runtime to compare with; repeat it for several (default: tflm for a board, otherwise"
        " litert:builtin_ref)",
    )
    parser.add_argument(
        "--pair",
        action="append",
        default=[],
        metavar="RUNTIME,RUNTIME",
        help="another pair in the same run, for example litert:builtin_ref,litert:auto",
    )
    parser.add_argument(
        "--ops", default="", metavar="OP,…", help="operators (default: all; --list)"
    )
    parser.add_argument("--list", action="store_true", help="list the operators and exit")
    parser.add_argument(
        "--examples",
        type=int,
        default=500,
        metavar="N",
        help="examples per operator (default: 500)",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="default: 0")
    parser.add_argument(
        "--tolerance",
        type=int,
        default=0,
        metavar="LSB",
        help="largest difference that is not a finding (default: 0)",
    )
    parser.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="processes (default: 1); not with a board"
    )
    parser.add_argument("--save", type=Path, metavar="DIR", help="write each finding as files")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result as JSON")
    parser.add_argument(
        "--markdown",
        type=Path,
        metavar="FILE",
        help="write the tables as Markdown; if the file has the marks <!-- conformance --> and"
        " <!-- /conformance -->, between them",
    )
    parser.set_defaults(run=_conformance)


def _conformance(options: argparse.Namespace) -> int:
    from pytest_tflm.fuzz.kernels.operators import OPERATORS

    if options.list:
        print("\n".join(OPERATORS))
        return 0
    plan = _plan(options)
    if options.jobs > 1 and plan.has_board:
        raise SettingsError("--jobs cannot be combined with a board: it runs one model at a time")
    return _Run(plan, options).run()


def _plan(options: argparse.Namespace) -> Plan:
    from pytest_tflm.fuzz.kernels.conformance import Plan, checked_operators
    from pytest_tflm.runtime.spec import Line, RuntimeSpec

    def read(text: str) -> RuntimeSpec:
        return RuntimeSpec.parse(text.strip(), port=options.port)

    for name, least in (("examples", 1), ("seed", 0), ("tolerance", 0), ("jobs", 1)):
        if getattr(options, name) < least:
            raise SettingsError(f"--{name} is {getattr(options, name)}: give at least {least}")
    subject = read(options.runtime or ("board" if options.port else "tflm"))
    references = options.against or ["tflm" if subject.is_board else "litert:builtin_ref"]
    pairs = [(subject, read(reference)) for reference in references]
    for text in options.pair:
        parts = text.split(",")
        if len(parts) != 2:
            raise SettingsError(f"--pair {text!r}: give two runtimes, each {_RUNTIMES}")
        pairs.append((read(parts[0]), read(parts[1])))
    for one, other in pairs:
        if one == other:
            raise SettingsError(f"{one} cannot be compared with itself")
    return Plan(
        pairs=tuple(pairs),
        operators=checked_operators(options.ops.split(",")),
        examples=options.examples,
        seed=options.seed,
        tolerance=options.tolerance,
        line=Line(baud=options.baud, timeout=_BOARD_TIMEOUT),
    )


class _Run:
    """One run of the command: shows progress and rows, keeps what was surveyed."""

    def __init__(self, plan: Plan, options: argparse.Namespace) -> None:
        self._plan, self._options = plan, options
        self._surveyed: list[Surveyed] = []
        self._versions: dict[str, str] = {}
        self._is_terminal = sys.stderr.isatty()

    def run(self) -> int:
        from pytest_tflm.fuzz.kernels.conformance import Work, survey_all, survey_parallel

        work = Work(self._plan)
        status = 0
        try:
            # Before the first model: what is missing or misspelt is known at once.
            for index in range(len(self._plan.pairs)):
                work.pair(index)
            self._versions = work.hosts.versions()
            if self._options.jobs > 1:
                results = survey_parallel(self._plan, self._options.jobs, self._progress)
            else:
                results = survey_all(work, self._progress)
            for item in results:
                self._take(item)
        except KeyboardInterrupt:
            status = 130
        finally:
            self._progress("")
            work.hosts.close()
            self._write()
        self._print_findings()
        if status:
            print(
                f"Interrupted after {len(self._surveyed)} of {len(self._plan.searches)} searches."
            )
        return status

    def _take(self, item: Surveyed) -> None:
        from pytest_tflm.fuzz.kernels import table

        self._surveyed.append(item)
        self._progress("")
        several = len(self._plan.pairs) > 1
        pair = f"{' against '.join(item.survey.names)}:  " if several else ""
        print(f"{pair}{table.row(item)}", flush=True)
        if self._options.save is not None:
            for finding in item.survey.findings:
                finding.save(self._options.save)
                finding.replay(self._options.tolerance).save(self._options.save)

    def _print_findings(self) -> None:
        for item in self._surveyed:
            for finding in item.survey.findings:
                print(f"\n{finding.describe()}")
        if self._options.save is not None and any(i.survey.findings for i in self._surveyed):
            print(f"\nModels, inputs and outputs: {self._options.save}")

    def _write(self) -> None:
        from pytest_tflm.fuzz.kernels import table

        order = {name: number for number, name in enumerate(self._plan.operators)}
        self._surveyed.sort(key=lambda item: (order[item.survey.operator], item.pair))
        date = _today()
        if self._options.json is not None:
            data = table.as_data(self._surveyed, self._versions, date, self._plan.seed)
            self._options.json.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
        if self._options.markdown is not None:
            text = table.markdown(self._surveyed, self._versions, date, _command(self._options))
            table.write_markdown(self._options.markdown, text)

    def _progress(self, text: str) -> None:
        """One line of a terminal that is written over and over; nothing elsewhere."""
        if self._is_terminal:
            width = os.get_terminal_size(sys.stderr.fileno()).columns - 1
            print(f"\r\033[K{text[:width]}", end="", file=sys.stderr, flush=True)


def _command(options: argparse.Namespace) -> str:
    """The command that makes the same table, without where it is written to."""
    words = ["pytest-tflm", "conformance"]
    for name in ("port", "runtime", "against", "pair", "ops", "examples", "seed", "tolerance"):
        value = getattr(options, name)
        for one in value if isinstance(value, list) else [value]:
            if one not in (None, "") and (name, one) not in (("tolerance", 0), ("seed", 0)):
                words += [f"--{name}", str(one)]
    return shlex.join(words)


def _today() -> str:
    import datetime

    return datetime.datetime.now(tz=datetime.timezone.utc).date().isoformat()
