"""Which operators a whole model uses, also in the subgraphs that others call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_tflm.model import accessors
from pytest_tflm.model.read import text
from pytest_tflm.model.verify import structure as check

if TYPE_CHECKING:
    from pytest_tflm.model.model import Model


def used_operators(model: Model) -> tuple[str, ...]:
    """Names of the operators of all subgraphs, sorted, each once: the builtin's (``CONV_2D``) or
    the custom code. What the file's table of operators names and nothing uses is not in it."""
    root = accessors.schema().Model.GetRootAs(model.data, 0)
    names = set()
    for i in range(root.SubgraphsLength()):
        graph = root.Subgraphs(i)
        for k in range(graph.OperatorsLength()):
            code = root.OperatorCodes(graph.Operators(k).OpcodeIndex())
            number = check.builtin_code(code)
            if number == check.CUSTOM:
                names.add(text(code.CustomCode()))
            else:
                names.add(check.builtin_names().get(number, f"OP_{number}"))
    return tuple(sorted(names))
