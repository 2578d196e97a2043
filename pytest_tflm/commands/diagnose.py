"""``pytest-tflm diagnose``: the verdict by itself, without a test."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_tflm.errors import SettingsError
from pytest_tflm.runtime.spec import NamedPort

if TYPE_CHECKING:
    from pytest_tflm.options import Settings
    from pytest_tflm.runtime.base import Progress
    from pytest_tflm.verdict.verdict import Verdict


def add(commands: Any) -> None:
    """Add the subcommand to argparse's ``commands``."""
    parser = commands.add_parser(
        "diagnose",
        help="find out why a board's outputs differ from the interpreter's",
        description="Run a model on a board, on host TFLM and on TFLite, and report where they"
        " differ, operator by operator, and why. With --against, compare two boards with each other"
        " and with host TFLM. Without --port, compare only the interpreters on the host. The exit"
        " status is 0 if all are equal and no cause was found, otherwise 1.",
    )
    parser.add_argument("--model", required=True, type=Path, metavar="FILE", help=".tflite file")
    parser.add_argument(
        "--port",
        metavar="[NAME=]PORT",
        help="the board's port, as for --tflm-port (default: none)",
    )
    parser.add_argument(
        "--against",
        metavar="[NAME=]PORT",
        help="a second board, to compare the first with instead of an interpreter",
    )
    parser.add_argument("--baud", default="115200", metavar="N", help="baud rate (default: 115200)")
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        help="seconds to wait for an unresponsive board (default: 10) or interpreter (default: 60)",
    )
    parser.add_argument("--runtime", default="litert", help="litert, tensorflow or tflm")
    parser.add_argument("--resolver", default="builtin_ref", help="what you evaluated with")
    parser.add_argument("--samples", metavar="FILE|N", help="inputs, as for --tflm-samples")
    parser.add_argument("--seed", default="0", metavar="N", help="seed of random inputs")
    parser.add_argument(
        "--float-model", type=Path, metavar="FILE", help="the model before quantisation"
    )
    parser.add_argument(
        "--codes",
        type=Path,
        metavar="FILE",
        help="codes that your own program made from the same float samples: .npz or .npy",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    parser.add_argument(
        "--save",
        type=Path,
        metavar="DIR",
        help="write a reproducer for a bug report to this folder",
    )
    parser.set_defaults(run=_diagnose)


def _diagnose(options: argparse.Namespace) -> int:
    import json

    from pytest_tflm.verdict.as_json import as_json
    from pytest_tflm.verdict.lines import verdict_lines
    from pytest_tflm.verdict.reproducer import save

    verdict = _verdict(options, _settings(options))
    if options.json:
        print(json.dumps(as_json(verdict), indent=1))
    else:
        print("\n".join(verdict_lines(verdict)))
    if options.save is not None:
        files = save(verdict, options.save)
        print(f"{len(files)} files in {options.save}", file=sys.stderr)
    return 0 if verdict.is_equal else 1


def _settings(options: argparse.Namespace) -> Settings:
    from pytest_tflm.options import settings_from

    ports, runtime = [options.port] if options.port else [], options.runtime
    if options.against is not None:
        one, other = _two(options)
        ports, runtime = [str(one), str(other)], f"board:{other.name}"
    given = {
        "baud": options.baud,
        "runtime": runtime,
        "resolver": options.resolver,
        "seed": options.seed,
        "samples": options.samples,
        "timeout": options.timeout,
    }
    values = {name: [value] for name, value in given.items() if value} | {"port": ports}
    return settings_from(lambda o: values.get(o.name, []), lambda o: [], {})


def _two(options: argparse.Namespace) -> tuple[NamedPort, NamedPort]:
    """The boards of --port and --against, each with a name."""
    if options.port is None:
        raise SettingsError("--against requires --port PORT, the board to compare.")
    one, other = NamedPort.parse(options.port), NamedPort.parse(options.against)
    named = (one._replace(name=one.name or "tested"), other._replace(name=other.name or "other"))
    if named[0].port == named[1].port and named[0].port.startswith("/"):
        raise SettingsError(f"--against: {other.port} is the port of --port: give another board.")
    return named


def _verdict(options: argparse.Namespace, settings: Settings) -> Verdict:
    from pytest_tflm.model import open_model
    from pytest_tflm.record.samples import samples_for
    from pytest_tflm.runtime.hosts import Hosts
    from pytest_tflm.verdict.ladder import SAMPLES
    from pytest_tflm.verdict.row import Row
    from pytest_tflm.verdict.verdict import judge

    model = open_model(options.model)
    samples = samples_for(model, settings.samples, settings.seed)
    chosen = [samples[i] for i in range(min(len(samples), SAMPLES))]
    codes = None
    if options.codes is not None:
        if not options.codes.is_file():
            raise SettingsError(f"--codes: there is no file {options.codes}")
        found = samples_for(model, str(options.codes), 0)
        codes = [found[i] for i in range(min(len(found), SAMPLES))]
    with Hosts(settings.line, _progress(), timeout=settings.timeout) as hosts:
        row = Row.made(hosts, settings.board, settings.reference)
        return judge(
            model,
            chosen,
            row,
            float_model=options.float_model,
            codes=codes,
            float_tolerance=settings.float_tolerance,
            progress=_progress(),
        )


def _progress() -> Progress:
    def show(what: str, done: int, total: int, unit: str = "") -> None:
        if not sys.stderr.isatty():
            return
        text = f"{what}: {100 * done // total}%" if done < total else ""
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)

    return show
