"""``pytest-tflm model lint``, ``repair`` and ``cut``: a model file by itself."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection

    from pytest_tflm.compare.distance import RunGap
    from pytest_tflm.model import Model

_WIDTH = 10  # of what stands before a line


def add(commands: Any) -> None:
    """Add the subcommands to argparse's ``commands``."""
    parser = commands.add_parser(
        "model",
        help="check or repair a .tflite file, or cut operators out of it",
        description="Check a model for known problems on a microcontroller, and repair it.",
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    _add_lint(verbs)
    _add_repair(verbs)
    _add_cut(verbs)


def _add_lint(verbs: Any) -> None:
    lint = verbs.add_parser(
        "lint",
        help="list a model's known problems",
        description="List known problems for which a board computes something other than Python,"
        " or rejects the model. Runs the model once in LiteRT, to get its actual shapes, and once"
        " in host TFLM, which shows what TFLM rejects; measures its arena. The exit status is 1 if"
        " a finding is an error.",
    )
    lint.add_argument("model", type=Path, metavar="MODEL", help="a .tflite file")
    board = lint.add_mutually_exclusive_group()
    board.add_argument(
        "--memory", metavar="BYTES", help="the board's memory for model and arena, for example 256k"
    )
    board.add_argument(
        "--port",
        metavar="PORT",
        help="a board to ask for its memory and operators, as for --tflm-port",
    )
    lint.add_argument(
        "--baud", default="115200", metavar="N", help="baud rate of the port (default: 115200)"
    )
    lint.set_defaults(run=_lint)


def _add_repair(verbs: Any) -> None:
    from pytest_tflm.commands.output import add_output

    repair = verbs.add_parser(
        "repair",
        help="write a model that TFLM computes as TFLite does",
        description="freeze writes the tensors' actual shapes; fold-dilation turns"
        " SPACE_TO_BATCH_ND, convolution and BATCH_TO_SPACE_ND into one dilated convolution;"
        " densify stores sparse weights as dense arrays. By default, the command applies what the"
        " model "
        "needs. It writes the result only if the TFLite interpreter's reference kernels give"
        " bit-identical outputs for it and the original, for random and extreme inputs.",
    )
    repair.add_argument("model", type=Path, metavar="MODEL", help="a .tflite file")
    repair.add_argument(
        "--only",
        choices=("freeze", "fold-dilation", "densify"),
        help="apply only this one, needed or not",
    )
    add_output(repair)
    repair.set_defaults(run=_repair)


def _add_cut(verbs: Any) -> None:
    from pytest_tflm.commands.output import add_output

    cut = verbs.add_parser(
        "cut",
        help="write one operator as a model of its own",
        description="Write an operator, or several consecutive ones, with its constants as a model"
        " of its own: for a bug report, or to run it in isolation.",
    )
    cut.add_argument("model", type=Path, metavar="MODEL", help="a .tflite file")
    cut.add_argument(
        "--op", required=True, metavar="K", help="the operator's number, from 0; 5-9 for those five"
    )
    cut.add_argument(
        "--freeze",
        action="store_true",
        help="use the actual shapes instead of the stored ones, which TFLM uses",
    )
    add_output(cut)
    cut.set_defaults(run=_cut)


def _lint(options: argparse.Namespace) -> int:
    from pytest_tflm.errors import InterpreterError, SampleError
    from pytest_tflm.model import open_model
    from pytest_tflm.model.lint import ERROR, lint
    from pytest_tflm.model.tflm_operators import TFLM_OPERATORS
    from pytest_tflm.runtime.arena import arena_needed
    from pytest_tflm.runtime.interpreter import interpreter
    from pytest_tflm.runtime.trial import try_on_tflm
    from pytest_tflm.verdict.repaired import run_shapes

    memory, operators = _memory(options)
    model = open_model(options.model)
    shapes = arena = refusal = None
    unknown = []
    try:
        with interpreter("litert") as litert:
            shapes = run_shapes(model, litert)
    except (InterpreterError, SampleError) as error:
        unknown.append(f"stored shapes were not compared with actual ones: {error}")
    try:
        with interpreter("tflm") as tflm:
            refusal = try_on_tflm(model, tflm)
    except (InterpreterError, SampleError) as error:
        unknown.append(f"not run on TFLM: {error}")
    try:
        arena = arena_needed(model) if refusal is None else None
    except InterpreterError as error:
        unknown.append(f"arena size unknown: {error}")
    findings = lint(
        model,
        shapes=shapes,
        arena=arena,
        memory=memory,
        operators=operators or TFLM_OPERATORS,
        refusal=refusal,
    )
    needs = f"{model.size} bytes"
    if arena is not None:
        needs += f", arena {arena} bytes in host TFLM"
    there = "" if memory is None else f"; the board has {memory} for both"
    print(f"{model.name}: {len(model.operators)} operators, {needs}{there}")
    for finding in findings:
        print(f"{finding.severity:{_WIDTH}}{finding.name}: {finding.sentence}.")
        print(f"{'':{_WIDTH}}What to do: {finding.remedy}.")
        if finding.page:
            print(f"{'':{_WIDTH}}See {finding.page}.")
    for sentence in unknown:
        print(f"{'unknown':{_WIDTH}}{sentence}")
    if not findings:
        was_run = refusal is None and not unknown
        tried = "; host TFLM prepared and ran it" if was_run else ""
        print(f"No problems found{tried}.")
    return int(any(finding.severity == ERROR for finding in findings))


def _memory(options: argparse.Namespace) -> tuple[int | None, Collection[str]]:
    """The board's memory in bytes, None if it was not asked for, and its operators, none if it does
    not say."""
    if options.memory is not None:
        from pytest_tflm.simulator.board.spec import parse_size

        return parse_size(options.memory, "--memory"), ()
    if options.port is None:
        return None, ()
    from pytest_tflm.options import settings_from
    from pytest_tflm.runtime.board import BoardHost
    from pytest_tflm.runtime.spec import RuntimeSpec

    given = {"baud": (options.baud,)}
    line = settings_from(lambda option: given.get(option.name, ()), lambda _: (), {}).line
    with BoardHost(RuntimeSpec.of_board(options.port), line) as board:
        identity = board.connection().identity
        return identity.memory, identity.operators


def _repair(options: argparse.Namespace) -> int:
    from pytest_tflm.commands.output import check_output, write_output
    from pytest_tflm.model import open_model
    from pytest_tflm.runtime.hosts import Hosts
    from pytest_tflm.verdict.repaired import repair_model

    model = open_model(options.model)
    check_output(options, options.model)
    with Hosts() as hosts:
        repaired = repair_model(model, hosts, only=options.only)
    if repaired.model is None:
        print(f"{model.name}: nothing to repair{' that can be' if repaired.left else ''}.")
    else:
        print(f"{model.name}: {model.size} bytes, {len(model.operators)} operators")
    for step in repaired.steps:
        for sentence in step.sentences:
            print(f"  {step.name}: {sentence}")
    for sentence in repaired.left:
        print(f"  left: {sentence}")
    if repaired.model is None:
        print("Nothing was written.")
        return int(bool(repaired.left))
    print(f"BUILTIN_REF's outputs are bit-identical for both, over {repaired.samples} random")
    print(f"and extreme inputs, at batch size {_batch(model)}.")
    print(f"  host TFLM against BUILTIN_REF before: {_told(repaired.before)}")
    print(f"  host TFLM against BUILTIN_REF after:  {_told(repaired.after)}")
    write_output(options, repaired.model.data)
    print(
        f"{options.output}: {repaired.model.size} bytes, {len(repaired.model.operators)} operators"
    )
    return 0


def _told(gap: RunGap | str) -> str:
    return gap if isinstance(gap, str) else gap.describe()


def _batch(model: Model) -> str:
    sizes = dict.fromkeys(str(tensor.shape[0]) for tensor in model.inputs if tensor.shape)
    return ", ".join(sizes) or "1"


def _cut(options: argparse.Namespace) -> int:
    from pytest_tflm.commands.output import check_output, write_output
    from pytest_tflm.errors import SettingsError
    from pytest_tflm.model import open_model
    from pytest_tflm.model.transform.cut import cut_operators
    from pytest_tflm.runtime.interpreter import interpreter
    from pytest_tflm.verdict.repaired import run_shapes

    match = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", options.op)
    if match is None:
        raise SettingsError(
            f"--op={options.op} is not an operator: give its number, or a range such as 5-9"
        )
    first, last = int(match[1]), int(match[2] or match[1])
    model = open_model(options.model)
    check_output(options, options.model)
    # First without a run: an operator that is not there is said at once.
    cut = cut_operators(model, first, last)
    if options.freeze:
        with interpreter("litert") as litert:
            cut = cut_operators(model, first, last, shapes=run_shapes(model, litert))
    write_output(options, cut.model.data)
    print(f"{options.output}: {cut.model.size} bytes, {cut.model.name}")
    for what, tensors, indices in (
        ("input", cut.model.inputs, cut.inputs),
        ("output", cut.model.outputs, cut.outputs),
    ):
        for position, (tensor, index) in enumerate(zip(tensors, indices, strict=True)):
            shape = list(tensor.shape)
            print(f"  {what} {position}: {tensor.dtype} {shape}, tensor {index} of {model.name}")
    return 0
