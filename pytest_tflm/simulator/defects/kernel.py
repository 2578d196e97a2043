"""One operator of a model whose kernel is to be bad."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pytest_tflm.model.arithmetic.single import Single
from pytest_tflm.model.graph import pack, unpack

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_tflm.model.transform.cut import Cut
    from pytest_tflm.simulator.engine.segments import Arrays, Run, Segments, Tflm

    Defective = Callable[["Kernel", int], Run | None]
    """What makes a kernel bad, by its number: gives what runs in its place, None if nothing."""


class Kernel:
    """An operator, cut out. ``run`` computes it: TFLM's kernel, until a defect is put there.

    ``segments`` starts the interpreters.
    """

    def __init__(self, cut: Cut, segments: Segments) -> None:
        self.cut = cut
        self.single = Single(cut.model)
        self.run: Run = self._honest
        self._segments = segments

    def bent(self, bend: Callable[[Any], None]) -> Tflm:
        """TFLM's kernel on the operator's model as ``bend`` leaves it, a ``ModelT``."""
        table = unpack(self.cut.model.data)
        bend(table)
        return self._segments.start(pack(table), len(self.cut.outputs))

    @cached_property
    def _tflm(self) -> Tflm:
        return self._segments.start(self.cut.model.data, len(self.cut.outputs))

    def _honest(self, arrays: Arrays) -> list[NDArray[Any]]:
        # Only started where a defect needs it.
        return self._tflm(arrays)
