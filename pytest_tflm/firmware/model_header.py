"""A model as C++: ``model.h``, which a board's program includes if it is there."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from pytest_tflm.errors import OperatorMissing
from pytest_tflm.firmware.boards import sources
from pytest_tflm.model.lint import no_kernel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_tflm.firmware.arena import Arena
    from pytest_tflm.model import Model

NAME = "model.h"
_BYTES_IN_LINE = 20
_OPERATOR = re.compile(r'X\("([^"]+)", (Add\w+)\)')


@cache
def members() -> dict[str, str]:
    """The member of TFLM's MicroMutableOpResolver that registers an operator, by its name: the
    list that the firmware itself has (core/src/tflm/operator_list.h)."""
    text = (sources() / "core/src/tflm/operator_list.h").read_text(encoding="utf-8")
    return dict(_OPERATOR.findall(text))


def registrations(model: Model) -> tuple[tuple[str, str], ...]:
    """Name and member of every operator that ``model`` uses, and of no other.

    Raises OperatorMissing for one that TFLM does not have.
    """
    used, known = model.operator_names, members()
    missing = [name for name in used if name not in known]
    if missing:
        whats = dict.fromkeys(no_kernel(name) for name in missing)
        raise OperatorMissing(
            f"{model.name} uses {', '.join(missing)}, which TFLM does not have: "
            + "; ".join(f"{what}. To do: {remedy}" for what, remedy in whats)
            + ". A kernel of your own is registered in a project made without --model"
        )
    return tuple((name, known[name]) for name in used)


def model_header(model: Model, arenas: Sequence[Arena], origin: str) -> str:
    """The text of ``model.h``. ``arenas`` has the default last; ``origin`` says where their sizes
    come from."""
    name = re.sub(r"[^\w.-]", "_", model.name, flags=re.ASCII)
    operators = registrations(model)
    lines = [
        f"// {name}: {model.size} bytes, CRC-32 {model.crc32:08x}.",
        "// Written by pytest-tflm firmware --model; write it again when the model changes.",
        "#ifndef PYTEST_TFLM_MODEL_H_",
        "#define PYTEST_TFLM_MODEL_H_",
        "",
        "#include <stdint.h>",
        "",
        f"// {origin}",
        *_arena_lines(arenas),
        "",
        "// The operators that the model uses.",
        " \\\n".join(
            ["#define PYTEST_TFLM_OPERATORS(X)"]
            + [f'  X("{operator}", {member})' for operator, member in operators]
        ),
        "",
        f"#define PYTEST_TFLM_MODEL_SIZE {model.size}",
        "alignas(16) static const uint8_t pytest_tflm_model[PYTEST_TFLM_MODEL_SIZE] = {",
        *(
            "".join(f"{byte}," for byte in model.data[at : at + _BYTES_IN_LINE])
            for at in range(0, model.size, _BYTES_IN_LINE)
        ),
        "};",
        "",
        "#endif  // PYTEST_TFLM_MODEL_H_",
    ]
    return "\n".join(lines) + "\n"


def _arena_lines(arenas: Sequence[Arena]) -> list[str]:
    *others, default = [f"#define PYTEST_TFLM_ARENA {arena.size}" for arena in arenas]
    if not others:
        return [default]
    lines: list[str] = []
    for arena, line in zip(arenas, others, strict=False):
        lines += [f"#{'elif' if lines else 'if'} {arena.condition}", line]
    return [*lines, "#else", default, "#endif"]
