"""All defects: how one is asked for, what there is to read of each, a board that has some."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pytest_tflm.errors import SettingsError
from pytest_tflm.model import accessors
from pytest_tflm.simulator.defects import (
    firmware,
    inputs,
    kernel_inputs,
    kernel_outputs,
    kernel_parameters,
    kernel_sums,
    memory,
    outputs,
)
from pytest_tflm.simulator.defects.operators import PlannedEngine
from pytest_tflm.simulator.defects.registry import DECLARED, Chosen, Defect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_tflm.simulator.engine.base import SimulatedEngine

_MODULES = [
    each.__name__
    for each in (
        outputs,
        inputs,
        firmware,
        memory,
        kernel_outputs,
        kernel_inputs,
        kernel_sums,
        kernel_parameters,
    )
]
"""Where defects are declared, in the order of the table."""

DEFECTS = {
    each.name: each
    for each in sorted(DECLARED.values(), key=lambda each: _MODULES.index(each.module))
}
"""All that there are, by name."""


def parse_defects(text: str) -> tuple[Chosen, ...]:
    """Read ``NAME[:OPERATOR][:NUMBER]``, several separated by commas; none of an empty text.

    Raises SettingsError, which lists the names there are.
    """
    chosen = tuple(_chosen(part.strip()) for part in text.split(",")) if text else ()
    if len({(each.defect.name, each.operator) for each in chosen}) < len(chosen):
        raise SettingsError(f"sim: defect={text!r} lists a defect twice")
    return chosen


def _chosen(text: str) -> Chosen:
    name, *rest = text.split(":")
    defect = DEFECTS.get(name)
    if defect is None:
        raise SettingsError(
            f"sim: unknown defect={name!r}. Known defects: {', '.join(DEFECTS)}."
            " 'pytest-tflm simulate --help' describes them"
        )
    operator, number = None, None
    for part in rest:
        if defect.number is not None and number is None and re.fullmatch(r"-?[0-9]{1,9}", part):
            number = int(part)
        elif defect.operator and operator is None and part:
            operator = part.upper()
        else:
            takes = [":OPERATOR"] * defect.operator + [":NUMBER"] * (defect.number is not None)
            raise SettingsError(
                f"sim: defect={text!r}: {part!r} is invalid here, write"
                f" {name}{''.join(f'[{each}]' for each in takes)}"
            )
    if operator is not None and operator not in accessors.builtin_names().values():
        raise SettingsError(
            f"sim: defect={text!r}: unknown operator {operator}: write one as TFLite names it,"
            " such as CONV_2D"
        )
    numbers = defect.numbers
    if number is not None and numbers is not None and number not in numbers:
        raise SettingsError(
            f"sim: defect={text!r}: {defect.number_is} must be {numbers[0]} to {numbers[-1]}"
        )
    return Chosen(defect, operator, defect.number if number is None else number, text)


def table() -> list[tuple[str, str, str, str]]:
    """What there is to read of each: how it is written, what it does, its cause, where it shows."""
    return [(_written(each), _says(each), each.cause, each.shows) for each in DEFECTS.values()]


def _written(defect: Defect) -> str:
    number = "" if defect.number is None else f"[:{defect.number}]"
    return defect.name + ("[:OPERATOR]" if defect.operator else "") + number


def _says(defect: Defect) -> str:
    return defect.says + (f"; the number is {defect.number_is}" if defect.number_is else "")


def defective(engine: SimulatedEngine, chosen: Sequence[Chosen], seed: int) -> SimulatedEngine:
    """``engine`` with those defects. ``seed`` is of what is bad by chance."""
    plans = {each.written: each.plan for each in chosen}
    planned = {written: plan for written, plan in plans.items() if plan is not None}
    if planned:
        engine = PlannedEngine(engine, planned)
    for each in chosen:
        if each.defect.engine is not None and each.written not in planned:
            engine = each.defect.engine(engine, each, seed)
    return engine
