"""Defects that a simulated board can be started with, as data: ``sim?defect=NAME:OPERATOR``.

Only what each of them is stands here. ``board_defects``, ``memory_defects``, ``tampering`` and
``kernel_defects`` do it, ``defective`` puts them around an engine.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from pytest_tflm.errors import SettingsError

Where = Literal["board", "memory", "link", "kernel"]


@dataclass(frozen=True)
class Defect:
    """A way to be a bad board.

    ``says`` is what it does, ``cause`` the name of the cause that a verdict must find, ``shows``
    the models on which it can be seen. ``where`` it sits: a ``kernel`` is of one operator type,
    wherever that stands; ``board``, ``memory`` and ``link`` are about whole models. ``operator``:
    it can be given an operator type. ``number`` is the default of the number it takes, None if it
    takes none, and ``number_is`` what that is.
    """

    name: str
    says: str
    cause: str
    where: Where
    shows: str = "every model"
    operator: bool = False
    number: int | None = None
    number_is: str = ""


@dataclass(frozen=True)
class Chosen:
    """A defect that a board has, with its operator type (None: not given) and its number."""

    defect: Defect
    operator: str | None = None
    number: int | None = None

    @property
    def is_kernel(self) -> bool:
        """It sits in the kernels of one operator type."""
        return self.defect.where == "kernel" or (
            self.defect.name == "saturation" and self.operator is not None
        )


def _kernel(
    name: str, says: str, cause: str, shows: str, number: int | None = None, number_is: str = ""
) -> Defect:
    return Defect(name, says, cause, "kernel", shows, True, number, number_is)


_INTEGER = "operators with int8, uint8 or int16 outputs"
_EDGES = "operators with outputs of 3 or 4 dimensions, of more than one row or column"
_SUMMING = "quantised CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED"
_PADDED = "CONV_2D, DEPTHWISE_CONV_2D with SAME padding and an input zero point that is not 0"

_ALL = (
    Defect("zeros", "all outputs are code 0", "constant-outputs", "board"),
    Defect("constant", "all outputs are at their zero point", "constant-outputs", "board"),
    Defect("output-stale", "gives the outputs of the run before", "stale-outputs", "board"),
    Defect(
        "input-stale",
        "Invoke computes with the input of the run before, although the new one has arrived",
        "stale-outputs",
        "board",
    ),
    Defect(
        "input-truncated",
        "the last 50 bytes of each input, at most half of it, are not the new ones but code 0,"
        " as when the model was loaded",
        "input-truncated",
        "board",
    ),
    Defect(
        "input-altered",
        "one byte of the first input is changed in the board's memory before Invoke sees it",
        "input-altered",
        "link",
    ),
    Defect(
        "input-reused",
        "Invoke leaves its outputs in the memory of the inputs",
        "input-reused",
        "board",
        "every model, by what is in the inputs after a run",
    ),
    Defect(
        "one-element",
        "one output code is 40 higher when one input element has its highest code",
        "unknown",
        "board",
        "models of which an input has that code there",
        number=417,
        number_is="index of the element (modulo the first input's size)",
    ),
    Defect(
        "state-kept",
        "a reset leaves the model's variables as they are",
        "state-not-reset",
        "board",
        "models with variables",
    ),
    Defect(
        "drift",
        "outputs are 1 LSB higher with each run since the model was loaded",
        "drifting-outputs",
        "board",
    ),
    Defect(
        "random",
        "one element of the outputs is 1 LSB off, another one in each run (by the seed)",
        "nondeterministic-board",
        "board",
    ),
    Defect(
        "outputs-swapped",
        "the first two outputs of equal size and type are exchanged",
        "outputs-swapped",
        "board",
        "models with two such outputs",
    ),
    Defect(
        "saturation",
        "outputs end at half of their range (int8: -64 to 63); with an operator, its kernel's",
        "saturated-outputs",
        "board",
        "models and operators with int8, uint8 or int16 outputs",
        operator=True,
    ),
    Defect(
        "weight-changed",
        "one byte of the memory that holds models is bad, behind the first 4096: the weight that"
        " lies there is another one. The first model that reaches so far decides on the byte: a"
        " weight of its last operator that has weights there",
        "memory-altered",
        "memory",
        "models with int8 weights behind their first 4096 bytes",
    ),
    Defect(
        "arena-overlap",
        "in the middle of the model the last quarter of a tensor is overwritten with code 0",
        "memory-altered",
        "memory",
        "models of more than one operator",
    ),
    Defect(
        "other-model",
        "runs a model with other weights than were sent, and says so by its CRC-32",
        "wrong-model",
        "link",
        "models with int8 weights",
    ),
    Defect(
        "lost-version",
        "refuses operators whose version is above 1; with an operator, of that type",
        "operator-version",
        "board",
        "models with such operators",
        operator=True,
    ),
    Defect(
        "only-first-operator",
        "only the type of the first operator of the first model is registered",
        "operator-missing",
        "board",
        "models with another type of operator",
    ),
    Defect("crash", "the board's process dies in Invoke", "board-broke", "board"),
    _kernel("off-by-one", "+1 in every output element", "kernel-differs", _INTEGER),
    _kernel(
        "one-code",
        "+1 where an input element has one code: the element itself, or the first of a window or"
        " of a row",
        "kernel-differs",
        _INTEGER,
        17,
        "the code",
    ),
    _kernel("last-row", "+3 in the last row and the last column", "edge-positions", _EDGES),
    _kernel("first-row", "+3 in the first row and the first column", "edge-positions", _EDGES),
    _kernel("last-channel", "+2 in the last channel", "one-channel", "more than one channel"),
    _kernel(
        "float-requantised",
        "accumulators become codes in float32, halves to the even code",
        "rounding",
        _SUMMING,
    ),
    _kernel(
        "single-rounding",
        "accumulators are rounded once where TFLM rounds twice",
        "rounding",
        f"{_SUMMING}, with accumulators of 32 bits",
    ),
    _kernel(
        "padding-zero",
        "pads with code 0 where the zero point was meant",
        "padding-value",
        f"{_PADDED}; PAD",
    ),
    _kernel(
        "asymmetric-padding",
        "pads with code 0 at the bottom and the right, where one more is padded than on the other"
        " side",
        "padding-value",
        f"{_PADDED}, of an odd number",
    ),
    _kernel(
        "activation-lost",
        "the fused activation is not applied",
        "activation-ignored",
        "fused activations that cut off codes: not RELU with a zero point of -128",
    ),
    _kernel(
        "per-channel-lost",
        "the first channel's scale is used for all",
        "per-channel-ignored",
        "weights quantised per channel",
    ),
    _kernel(
        "zero-point-lost",
        "the first input's zero point is taken as 0",
        "zero-point-ignored",
        f"{_SUMMING}, ADD, SUB, MUL with an input zero point that is not 0",
    ),
    _kernel("bias-lost", "the bias is not added", "kernel-differs", f"{_SUMMING} with a bias"),
    _kernel(
        "accumulator-overflow",
        "accumulators wrap around",
        "accumulator-overflow",
        f"{_SUMMING}, where sums are that large",
        16,
        "bits of an accumulator",
    ),
    _kernel(
        "above-2^23",
        "+1 where the accumulator's magnitude is above 2^23",
        "accumulator-overflow",
        f"{_SUMMING}, where sums are that large",
    ),
    _kernel(
        "odd-stride-and-padding",
        "+1 everywhere, but only if stride and padding at the top or left are both odd",
        "kernel-differs",
        "CONV_2D, DEPTHWISE_CONV_2D, AVERAGE_POOL_2D, MAX_POOL_2D of that kind",
    ),
    _kernel(
        "misaligned",
        "rows are read from the next lower multiple of 4 bytes: the input's, and of"
        " FULLY_CONNECTED the weights'",
        "alignment",
        f"{_SUMMING} whose depth is no multiple of 4 bytes",
    ),
    _kernel(
        "scratch-overlap",
        "the first 16 output elements are overwritten with code 0",
        "scratch-overlap",
        _INTEGER,
    ),
    _kernel("minimum-lost", "the lowest code never comes out", "kernel-differs", _INTEGER),
)

DEFECTS = {each.name: each for each in _ALL}
"""All there are, by name."""


def parse_defects(text: str) -> tuple[Chosen, ...]:
    """Read ``NAME[:OPERATOR][:NUMBER]``, several separated by commas; none of an empty text.

    Raises SettingsError, which lists the names there are.
    """
    chosen = tuple(_chosen(part.strip()) for part in text.split(",")) if text else ()
    names = [each.defect.name for each in chosen]
    if len(set(zip(names, [each.operator for each in chosen], strict=True))) < len(chosen):
        raise SettingsError(f"sim: defect={text!r} names a defect twice")
    if "arena-overlap" in names and any(each.is_kernel for each in chosen):
        raise SettingsError(
            f"sim: defect={text!r}: arena-overlap cannot be had together with a kernel's defect"
        )
    return chosen


def _chosen(text: str) -> Chosen:
    name, *rest = text.split(":")
    defect = DEFECTS.get(name)
    if defect is None:
        raise SettingsError(
            f"sim knows no defect={name!r}. It knows: {', '.join(DEFECTS)}."
            " 'pytest-tflm simulate --help' says what they do"
        )
    operator, number = None, None
    for part in rest:
        if defect.number is not None and number is None and re.fullmatch(r"-?[0-9]{1,9}", part):
            number = int(part)
        elif defect.operator and operator is None and part:
            operator = _operator(text, part.upper())
        else:
            takes = [":OPERATOR"] * defect.operator + [":NUMBER"] * (defect.number is not None)
            raise SettingsError(
                f"sim: defect={text!r}: {part!r} makes no sense here, write"
                f" {name}{''.join(f'[{each}]' for each in takes)}"
            )
    if name == "accumulator-overflow" and number is not None and not 2 <= number <= 32:
        raise SettingsError(f"sim: defect={text!r}: an accumulator has 2 to 32 bits")
    return Chosen(defect, operator, defect.number if number is None else number)


def _operator(text: str, name: str) -> str:
    # Only who names one pays for the schema.
    from pytest_tflm.model.accessors import builtin_names

    if name not in builtin_names().values():
        raise SettingsError(
            f"sim: defect={text!r}: there is no operator {name}: write one as TFLite names it,"
            " such as CONV_2D"
        )
    return name


def table() -> list[tuple[str, str, str, str]]:
    """What there is to read of each: how it is written, what it does, its cause, where it shows."""
    return [(_written(each), _says(each), each.cause, each.shows) for each in _ALL]


def _written(defect: Defect) -> str:
    number = "" if defect.number is None else f"[:{defect.number}]"
    return defect.name + ("[:OPERATOR]" if defect.operator else "") + number


def _says(defect: Defect) -> str:
    return defect.says + (f"; the number is {defect.number_is}" if defect.number_is else "")
