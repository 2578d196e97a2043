"""The defects that a simulated board can be started with: ``sim?defect=NAME:OPERATOR:NUMBER``.

Each is declared where it is done, by a decorator: :func:`defect` on an engine that is put around
the board's, :func:`plan_defect` on what makes a part of a model bad, :func:`kernel_defect` on what
makes the kernels of one operator type bad. All else is read from the registry.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from pytest_tflm.simulator.defects.operators import KernelsOfType
from pytest_tflm.simulator.defects.wrapper import EngineWrapper

if TYPE_CHECKING:
    from pytest_tflm.simulator.defects.operators import BadKernel, BadPlan
    from pytest_tflm.simulator.engine.base import SimulatedEngine

    Engine = TypeVar("Engine", bound="type[DefectiveEngine]")
    Planned = TypeVar("Planned", bound=BadPlan)
    KernelMaker = TypeVar("KernelMaker", bound="BadKernel | Callable[[], BadKernel]")

CODED = "operators with int8, uint8 or int16 outputs"
SUMMING = "quantised CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED"
WINDOWED = "CONV_2D, DEPTHWISE_CONV_2D, AVERAGE_POOL_2D, MAX_POOL_2D"
"""Where defects are seen, as the table says it."""

DECLARED: dict[str, Defect] = {}
"""By name, in the order of import: :mod:`~pytest_tflm.simulator.defects.catalogue` sorts them."""


@dataclass(frozen=True)
class Defect:
    """A way to be a bad board.

    ``says`` is what it does, ``cause`` the name of the cause that a verdict must find, ``shows``
    the models on which it can be seen, ``module`` where it is declared. ``operator``: it can be
    given an operator type. ``number`` is the default of the number it takes, None if it takes none,
    ``number_is`` what that is, and ``numbers`` what it may be (any, if that is None). It is put
    around the engine by ``engine``, or into the models that it runs by ``plan``; where it has both,
    an operator type chooses ``plan``.
    """

    name: str
    says: str
    cause: str
    shows: str
    module: str
    operator: bool = True
    number: int | None = None
    number_is: str = ""
    numbers: range | None = None
    engine: type[DefectiveEngine] | None = None
    plan: Callable[[Chosen], BadPlan] | None = None


@dataclass(frozen=True)
class Chosen:
    """A defect that a board has, with its operator type (None: not given) and its number.

    ``written`` is as the user wrote it.
    """

    defect: Defect
    operator: str | None = None
    number: int | None = None
    written: str = ""

    @property
    def plan(self) -> BadPlan | None:
        """What it does to the models that are run, of this board; None if it is around them."""
        defect = self.defect
        if defect.plan is None or (defect.engine is not None and self.operator is None):
            return None
        return defect.plan(self)


class DefectiveEngine(EngineWrapper):
    """An engine with the defect ``chosen``; ``seed`` is of what it does by chance."""

    def __init__(self, engine: SimulatedEngine, chosen: Chosen, seed: int) -> None:
        super().__init__(engine)
        self.chosen = chosen
        self.seed = seed


def defect(
    name: str,
    *,
    says: str,
    cause: str,
    shows: str = "every model",
    operator: bool = False,
    number: int | None = None,
    number_is: str = "",
    numbers: range | None = None,
    kernel: BadKernel | None = None,
) -> Callable[[Engine], Engine]:
    """Declare the defect that a class of engine has. ``kernel`` is the same of one kernel."""

    def declare(engine: Engine) -> Engine:
        plan = _of_kernels(kernel) if kernel is not None else None
        takes_operator = operator or kernel is not None
        DECLARED[name] = Defect(
            name, says, cause, shows, engine.__module__, takes_operator, number, number_is, numbers,
            engine, plan,
        )  # fmt: skip
        return engine

    return declare


def plan_defect(name: str, *, says: str, cause: str, shows: str) -> Callable[[Planned], Planned]:
    """Declare a defect that is somewhere in the models that have such a place."""

    def declare(bad: Planned) -> Planned:
        DECLARED[name] = Defect(
            name, says, cause, shows, bad.__module__, operator=False, plan=lambda chosen: bad
        )
        return bad

    return declare


def kernel_defect(
    name: str,
    *,
    says: str,
    shows: str,
    cause: str = "kernel-differs",
    number: int | None = None,
    number_is: str = "",
    numbers: range | None = None,
) -> Callable[[KernelMaker], KernelMaker]:
    """Declare a defect of the kernels of one operator type.

    A function makes one kernel bad; a class, made once for each board, does if it is called.
    """

    def declare(bad: KernelMaker) -> KernelMaker:
        DECLARED[name] = Defect(
            name, says, cause, shows, bad.__module__, True, number, number_is, numbers,
            plan=_of_kernels(bad),
        )  # fmt: skip
        return bad

    return declare


def _of_kernels(bad: BadKernel | Callable[[], BadKernel]) -> Callable[[Chosen], BadPlan]:
    def plan(chosen: Chosen) -> BadPlan:
        made: BadKernel = bad() if isinstance(bad, type) else bad  # type: ignore[assignment]
        return KernelsOfType(made, chosen.operator, chosen.number or 0)

    return plan
