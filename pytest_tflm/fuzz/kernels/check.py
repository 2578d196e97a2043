"""One kernel of the board under test, on generated models: what ``test_kernel`` of the suite is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_tflm.errors import BoardCrashed, ModelRejected, OutputMismatch
from pytest_tflm.fuzz.kernels.conformance import interrupts_deferred
from pytest_tflm.fuzz.kernels.pair import CRASHED, DIFFERS, SHAPES, BoardBroke, Pair
from pytest_tflm.fuzz.kernels.search import Search
from pytest_tflm.replay.record import again
from pytest_tflm.runtime.spec import RuntimeSpec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_tflm.options import Settings
    from pytest_tflm.replay.format import Replay
    from pytest_tflm.runtime.base import Host
    from pytest_tflm.runtime.hosts import Hosts

_MOST_CRASHES = 40
_MISMATCHES = (DIFFERS, SHAPES)


def check_kernel(
    operator: str,
    board: Host,
    hosts: Hosts,
    settings: Settings,
    keep: Callable[[Replay], Path | None],
    progress: Callable[[str, int, int], None],
) -> None:
    """Try ``settings.conformance`` generated models of ``operator`` on ``board``, beside TFLM
    on this machine, which computes what a correct board does: no LSB is allowed. What TFLM here
    refuses or dies of is not sent to the board, which may die of it too: that would be no fault of
    the board.

    Raises OutputMismatch if outputs differ, BoardCrashed or ModelRejected if the board crashes or
    refuses what TFLM here runs, all with the smallest model found and the file that
    ``keep(replay)`` wrote; whatever breaks the link, or the board for good; InterpreterMissing
    without TFLM.
    """
    reference = hosts.for_search(RuntimeSpec.of_interpreter("tflm"))
    pair = Pair(board, reference, reference_first=True, most_crashes=_MOST_CRASHES)
    count = settings.conformance
    try:
        with interrupts_deferred() as check_interrupt:
            search = Search(
                operator,
                pair,
                examples=count,
                seed=settings.seed,
                tried=lambda number: progress(f"kernel {operator}", number, count),
                shrinking=lambda what: progress(what, 0, 1),
                before_run=check_interrupt,
            )
            findings = search.run().findings
    except BoardBroke as broke:
        raise broke.error from None
    finally:
        progress("", 1, 1)
    if not findings:
        return
    findings = sorted(findings, key=lambda finding: finding.kind not in _MISMATCHES)
    text = "\n".join(f"{each.describe()}\n{again(keep, each.replay)}" for each in findings)
    if findings[0].kind in _MISMATCHES:
        raise OutputMismatch(text)
    crashed = any(finding.kind == CRASHED for finding in findings)
    raise BoardCrashed(text) if crashed else ModelRejected(text)
