"""An engine whose kernels of some operator types are bad: it runs the model operator by operator.

Each bad operator, and each run of good ones between them, is a model of its own in an interpreter
of its own. A model without a bad operator runs as it does without a defect.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_tflm.errors import CannotCut
from pytest_tflm.model.transform.cut import cut_operator
from pytest_tflm.simulator.defects.kernel import Kernel
from pytest_tflm.simulator.defects.kernel_arithmetic import ARITHMETIC
from pytest_tflm.simulator.defects.kernel_outputs import OUTPUTS
from pytest_tflm.simulator.engine.segments import SegmentedEngine, Segments
from pytest_tflm.simulator.engine.wrapper import CODES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_tflm.model import Model
    from pytest_tflm.simulator.defects.kernel import Defective
    from pytest_tflm.simulator.defects.registry import Chosen
    from pytest_tflm.simulator.engine.wrapper import SimulatedEngine

KERNELS = {**OUTPUTS, **ARITHMETIC}
"""What makes a kernel bad, by the defect's name."""

_FIRST = ("CONV_2D", "FULLY_CONNECTED")


class KernelEngine(SegmentedEngine):
    """``engine`` with the kernel defects ``chosen``.

    A defect that was given no operator type takes the one of the first model on which it can be
    seen: CONV_2D if that has one, else FULLY_CONNECTED, else the first type; and keeps it, as the
    kernels of a board do not change with the model.
    """

    def __init__(self, engine: SimulatedEngine, chosen: Sequence[Chosen]) -> None:
        super().__init__(engine)
        self._defects = [(KERNELS[each.defect.name], each.number or 0) for each in chosen]
        self._types: list[str | None] = [each.operator for each in chosen]

    def cut(self, model: Model, arena: int) -> Segments | None:
        for at, (defective, number) in enumerate(self._defects):
            if self._types[at] is None:
                # Interpreters that are started to find out are not kept.
                trial = Segments(model, arena)
                self._types[at] = _type(trial, defective, number)
        segments = Segments(model, arena)
        done = 0
        for index, kernel in self._bad(segments):
            segments.add_healthy(done, index - 1)
            segments.add(kernel.cut, kernel.run)
            done = index + 1
        if not done:
            return None
        segments.add_healthy(done, len(model.operators) - 1)
        return segments

    def _bad(self, segments: Segments) -> Iterator[tuple[int, Kernel]]:
        """The bad operators, by index."""
        for operator in segments.model.operators:
            if operator.name not in self._types:
                continue
            kernel = Kernel(cut_operator(segments.model, operator.index), segments)
            is_bad = False
            for (defective, number), name in zip(self._defects, self._types, strict=True):
                run = defective(kernel, number) if name == operator.name else None
                if run is not None:
                    kernel.run, is_bad = run, True
            if is_bad:
                yield operator.index, kernel


def _type(segments: Segments, defective: Defective, number: int) -> str | None:
    """The operator type on which a defect can be seen in this model; None if there is none."""
    model = segments.model
    names = [operator.name for operator in model.operators]
    for name in dict.fromkeys([*_FIRST, *names]):
        for operator in model.operators:
            if operator.name != name or not any(
                model.tensors[index].dtype in CODES for index in operator.outputs
            ):
                continue
            try:
                kernel = Kernel(cut_operator(model, operator.index), segments)
            except CannotCut:
                continue
            if defective(kernel, number) is not None:
                return name
    return None
