"""What this process finds out, on its way into the record of the run.

Tests add facts; each test's report carries those that came since the last one (so also from a
worker of pytest-xdist) to the process that writes the record.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any, Protocol

from pytest_tflm.record.facts import codes, digest, fact, finite, key_of, model_value

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_tflm.compare.comparison import Comparison
    from pytest_tflm.model import Model
    from pytest_tflm.options import Settings
    from pytest_tflm.record.samples import Samples
    from pytest_tflm.record.survey import Survey
    from pytest_tflm.runtime.base import Outputs
    from pytest_tflm.runtime.board import BoardHost

_FIRST = 1000
"""Failing samples of a test of many that are kept where no file about all was asked for."""
_WORST = 10
"""Samples of a model whose inputs are kept: those that differ most."""


class Judged(Protocol):
    """What :class:`~pytest_tflm.suite.judgement.Judgement` says."""

    @property
    def comparison(self) -> Comparison: ...

    @property
    def passed(self) -> bool: ...


class Facts:
    """Facts that no report has taken yet. ``survey(model, settings)`` looks at samples."""

    def __init__(self, survey: Callable[[Model, Settings], Survey]) -> None:
        self._survey = survey
        self._waiting: list[dict[str, Any]] = []
        self._described: set[str] = set()
        self._worst: dict[str, list[float]] = {}
        self._versions: dict[str, dict[str, str]] = {}

    def add(
        self,
        name: str,
        value: Any,
        model: Model | None = None,
        settings: Settings | None = None,
    ) -> None:
        """Add a fact; if it is about ``model``, on the board of ``settings``."""
        board = "" if settings is None else settings.board_name
        key = None if model is None else key_of(model, board)
        self._waiting.append(fact(name, value, key))

    def take(self) -> list[dict[str, Any]]:
        """Those that came since this was asked last."""
        taken, self._waiting = self._waiting, []
        return taken

    def describe(self, model: Model, settings: Settings) -> None:
        """Add what a model is, once for each board."""
        key = key_of(model, settings.board_name)
        if key in self._described:
            return
        self._described.add(key)
        survey = self._survey(model, settings)
        value = model_value(
            model,
            board=settings.board_name,
            reference=settings.reference.name,
            tolerance=settings.tolerance_words,
            source=survey.samples.source,
            notes=survey.notes,
        )
        self.add("model", value)

    def board(self, host: BoardHost | None, versions: dict[str, str]) -> None:
        """Add who the board is and what runs, where that is new."""
        if host is None or host.identity is None:
            return
        name = host.spec.board
        if self._versions.get(name) == versions:
            return
        self._versions[name] = versions
        value = {
            "board": name,
            "port": host.spec.port,
            "name": host.identity.board,
            "kind": host.kind,
            "text": host.identity.describe(),
        }
        self.add("board", value)
        self.add("versions", versions)

    def sample(
        self,
        test: str,
        model: Model,
        settings: Settings,
        samples: Samples,
        index: int,
        got: Outputs,
        expected: Outputs,
        comparison: Comparison,
        passed: bool,
    ) -> None:
        """Add a sample that was compared; ``passed`` by more than the comparison if what differs is
        rounding."""
        self.describe(model, settings)
        key = key_of(model, settings.board_name)
        inputs = model.quantize(samples[index])
        size = max(float(comparison.largest_lsb), comparison.largest_float or 0.0)
        value = {
            "index": index,
            "test": test,
            "outcome": _outcome(comparison, passed),
            "largest_lsb": comparison.largest_lsb,
            "largest_float": finite(comparison.largest_float),
            "beyond": sum(each.beyond for each in comparison.tensors),
            "elements": sum(each.differences.size for each in comparison.tensors),
            "label": samples.labels[index] if samples.labels is not None else None,
            "microseconds": got.invoke_microseconds,
            "digest": digest(inputs),
            "board": codes(got.arrays),
            "reference": codes(expected.arrays),
            "inputs": codes(inputs) if size and self._is_among_the_worst(key, size) else [],
        }
        self.add("runtimes", [f"{got.runtime} against {expected.runtime}"], model, settings)
        self.add("sample", value, model, settings)

    def of_many(
        self, test: str, model: Model, settings: Settings, samples: Samples
    ) -> Callable[[int, Outputs, Outputs, Judged | None], None]:
        """Takes the samples of one test that runs many: all of them if a file about all was asked
        for, else the first that fail. ``test`` begins
        the name of the test of one, up to its number."""
        from pytest_tflm.compare.comparison import compare

        wants_all = any(each is not None for each in (settings.json, settings.csv, settings.html))
        left = _FIRST

        def take(number: int, got: Outputs, expected: Outputs, found: Judged | None) -> None:
            nonlocal left
            fails = found is not None and not found.passed
            if not wants_all and not (fails and left):
                return
            left -= fails
            comparison = found.comparison if found is not None else compare(got, expected)
            passed = found is None or found.passed
            name = f"{test}{number}]"
            self.sample(name, model, settings, samples, number, got, expected, comparison, passed)

        return take

    def _is_among_the_worst(self, key: str, size: float) -> bool:
        kept = self._worst.setdefault(key, [])
        if len(kept) < _WORST:
            heapq.heappush(kept, size)
            return True
        return heapq.heappushpop(kept, size) < size


def _outcome(comparison: Comparison, passed: bool) -> str:
    if not passed:
        return "beyond"
    if not comparison.passed:
        return "rounding"
    is_equal = not comparison.largest_lsb and not comparison.largest_float
    return "equal" if is_equal else "within"
