"""Who stands on the ladder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_tflm.runtime import packages
from pytest_tflm.runtime.spec import RuntimeSpec

if TYPE_CHECKING:
    from pytest_tflm.runtime.base import Host
    from pytest_tflm.runtime.hosts import Hosts


@dataclass(frozen=True)
class Row:
    """Who stands on the ladder. ``tflm`` is None where host TFLM is not installed, ``board`` where
    only runtimes of this machine are compared; ``reference`` is what the user evaluated with, and
    may be one of the others."""

    board: Host | None
    tflm: Host | None
    builtin_ref: Host
    reference: Host
    without_delegates: Host
    """The reference's interpreter with its optimised kernels and no delegate."""

    @classmethod
    def made(cls, hosts: Hosts, board: RuntimeSpec | None, reference: RuntimeSpec) -> Row:
        """The row from ``board`` to ``reference``, of the hosts of a run. Raises InterpreterMissing
        where an interpreter other than TFLM is not installed."""
        family = reference.kind if reference.kind == "tensorflow" else "litert"
        tflm = RuntimeSpec("tflm")
        return cls(
            hosts.open(board) if board is not None else None,
            hosts.open(tflm) if packages.is_installed("tflm") else None,
            hosts.open(RuntimeSpec.of_interpreter(family)),
            hosts.open(reference),
            hosts.open(RuntimeSpec(family, "builtin_without_default_delegates")),
        )


def versions_of(row: Row) -> dict[str, str]:
    """Of everything that takes part: packages, and what the board says of itself."""
    import platform
    from importlib import metadata

    found = {"pytest-tflm": metadata.version("pytest-tflm"), "numpy": metadata.version("numpy")}
    for host in (row.tflm, row.builtin_ref, row.reference):
        if host is not None and not host.spec.is_board:
            found |= host.versions()
    found["python"] = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if row.board is not None:
        found["board"] = row.board.describe()
    if row.reference.spec.is_board:
        found["reference"] = row.reference.describe()
    return found
