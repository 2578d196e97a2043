"""Who stands on the ladder."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_tflm.verdict.target import BoardTarget, HostTarget


@dataclass(frozen=True)
class Row:
    """Who stands on the ladder. ``tflm`` is None where host TFLM is not installed, ``board`` where
    host runtimes alone are compared; ``reference`` is what the user evaluated with, and may be one
    of the others."""

    board: BoardTarget | None
    tflm: HostTarget | None
    builtin_ref: HostTarget
    reference: HostTarget

    @classmethod
    def made(cls, board: BoardTarget | None, kind: str, resolver: str) -> Row:
        """The row that ends in the interpreter ``kind`` with ``resolver``."""
        from pytest_tflm.errors import InterpreterMissing
        from pytest_tflm.runtime import packages

        tflm: HostTarget | None = None
        try:
            packages.check_installed("tflm")
            tflm = HostTarget("tflm")
        except InterpreterMissing:
            pass
        family = "litert" if kind == "tflm" else kind
        builtin_ref = HostTarget(family, "builtin_ref")
        if kind == "tflm":
            reference = tflm or HostTarget("tflm")
        elif resolver == "builtin_ref":
            reference = builtin_ref
        else:
            reference = HostTarget(kind, resolver)
        return cls(board, tflm, builtin_ref, reference)

    def close(self) -> None:
        """End the processes."""
        for target in (self.tflm, self.builtin_ref, self.reference):
            if target is not None:
                target.close()


def versions_of(row: Row) -> dict[str, str]:
    """Of everything that takes part: packages, and what the board says of itself."""
    import platform
    from importlib import metadata

    from pytest_tflm.runtime import packages

    found = {"pytest-tflm": metadata.version("pytest-tflm"), "numpy": metadata.version("numpy")}
    for target in (row.tflm, row.builtin_ref, row.reference):
        if target is not None:
            found |= packages.versions(target.kind)
    found["python"] = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if row.board is not None and row.board.description:
        found["board"] = row.board.description
    return found
