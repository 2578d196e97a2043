"""Which samples the tests to come will ask for, so that board and reference begin them before.

pytest's list of tests says what comes. A test counts if it is *plain* for a runtime: the one thing
that it does with it is ``run(tflm_sample)``. The suite's own ``test_outputs`` is plain. A user's
test function is after one of its tests was seen to be, until one is seen not to be. See
docs/architecture.md, "How the suite pipelines".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from pytest_tflm.runtime.ahead import packed
from pytest_tflm.suite.state import State, settings_of

if TYPE_CHECKING:
    from pytest_tflm.model import Model
    from pytest_tflm.record.samples import Sample, Samples
    from pytest_tflm.runtime.base import Runtime

DEVICE, REFERENCE = "_tflm_device", "_tflm_reference"
"""The fixtures, which stand for the role of a runtime in a test."""
_MOST_MISSES = 3
"""Samples of a test function that were expected and not asked for, before it is left alone."""


class _Sampled(NamedTuple):
    """What a test does with ``role`` if it is plain."""

    model: Model
    runtimes: object
    samples: Samples
    number: int


class _Seen(NamedTuple):
    """Where a runtime was before a test."""

    runtime: Runtime
    calls: int
    asked: int
    missed: int


class Pipeline:
    """Looks ahead in the tests of a run."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._positions: dict[int, int] = {}
        self._items: list[pytest.Item] = []
        self._next: pytest.Item | None = None
        self._plain: dict[tuple[object, str], bool] = {}
        self._misses: dict[tuple[object, str], int] = {}
        self._seen: dict[str, _Seen] = {}

    def begin(self, item: pytest.Item, nextitem: pytest.Item | None) -> None:
        """``item`` is about to be run, and ``nextitem`` after it."""
        self._items = item.session.items
        self._next = nextitem
        self._seen.clear()

    def prepare(self, item: pytest.Item, runtime: Runtime, role: str) -> None:
        """``item`` has been given a runtime. Let it expect the item's sample, and those of the
        items behind it."""
        ahead = runtime.ahead
        self._seen[role] = _Seen(runtime, runtime.calls, ahead.asked, ahead.missed)
        if ahead.is_under_way or runtime.model.is_stream or not self._is_plain(item, role):
            return
        if not self._is_shared(item):
            runtime.expect(self._following(item, role))

    def indices(self, item: pytest.Item, role: str) -> Iterator[int]:
        """The samples that come after the item's in a stream, one after the other."""
        samples = self._sampled(item, role)
        if samples is None or self._is_shared(item):
            return
        for each in self._runs_behind(item, role):
            if each[:-1] != samples[:-1] or each.number != samples.number + 1:
                return
            samples = each
            yield each.number

    def called(self, item: pytest.Item) -> None:
        """``item`` was run. Learn from what it did."""
        for role, seen in self._seen.items():
            key = _key(item, role)
            ahead = seen.runtime.ahead
            if ahead.missed > seen.missed:
                self._misses[key] = self._misses.get(key, 0) + 1
            if self._misses.get(key, 0) >= _MOST_MISSES:
                self._plain[key] = False
            if _is_suite(item) or self._plain.get(key) is False:
                continue
            calls, asked = seen.runtime.calls - seen.calls, ahead.asked - seen.asked
            if not calls and not asked:
                continue  # it was skipped, or failed before
            if (calls, asked) != (1, 1):
                self._plain[key] = False
            elif key not in self._plain:
                self._plain[key] = self._asked_for_its_sample(item, seen.runtime)
        self._seen.clear()

    def _asked_for_its_sample(self, item: pytest.Item, runtime: Runtime) -> bool:
        found = self._sampled(item, DEVICE)
        if found is None:
            return False
        arrays = found.model.quantize(found.samples[found.number])
        return packed(arrays) == runtime.ahead.last

    def _following(self, item: pytest.Item, role: str) -> Iterator[Sample]:
        """The sample of ``item``, and those of the tests behind it."""
        found = self._sampled(item, role)
        if found is None:
            return
        first = found
        yield found.samples[found.number]
        for each in self._runs_behind(item, role):
            if each.model is not first.model or each.runtimes != first.runtimes:
                return
            yield each.samples[each.number]

    def _runs_behind(self, item: pytest.Item, role: str) -> Iterator[_Sampled]:
        """What the tests behind ``item`` do, up to the first that does something else."""
        for each in self._behind(item):
            if role not in getattr(each, "fixturenames", ()):
                continue
            found = self._sampled(each, role) if self._is_plain(each, role) else None
            if found is None:
                return
            yield found

    def _behind(self, item: pytest.Item) -> Iterator[pytest.Item]:
        """The tests behind ``item``, as far as they are known: with pytest-xdist, one."""
        if len(self._positions) != len(self._items):
            self._positions = {id(each): at for at, each in enumerate(self._items)}
        at = self._positions.get(id(item))
        if at is None or self._next is None:
            return
        if at + 1 >= len(self._items) or self._items[at + 1] is not self._next or _is_worker(item):
            yield self._next
            return
        for position in range(at + 1, len(self._items)):
            yield self._items[position]

    def _is_plain(self, item: pytest.Item, role: str) -> bool:
        if "tflm_sample" not in _parameters(item):
            return False
        return self._plain.get(_key(item, role), _is_suite(item))

    def _is_shared(self, item: pytest.Item) -> bool:
        """One board is device and reference: neither can run ahead of the other."""
        settings = settings_of(item, self._state)
        return settings.board is not None and settings.board == settings.reference

    def _sampled(self, item: pytest.Item, role: str) -> _Sampled | None:
        parameters = _parameters(item)
        if "tflm_sample" not in parameters:
            return None
        path = item.path if _is_suite(item) else parameters.get("tflm_model")
        if path is None:
            return None
        model, settings = self._state.open(path), settings_of(item, self._state)
        samples = self._state.survey(model, settings).samples
        runtimes = (settings.board if role == DEVICE else None, settings.reference)
        return _Sampled(model, runtimes, samples, parameters["tflm_sample"])


def _parameters(item: pytest.Item) -> dict[str, Any]:
    call = getattr(item, "callspec", None)
    return {} if call is None else call.params


def _key(item: pytest.Item, role: str) -> tuple[object, str]:
    """One for all tests of a function."""
    return getattr(item, "function", item.nodeid), role


def _is_suite(item: pytest.Item) -> bool:
    return item.path.suffix == ".tflite"


def _is_worker(item: pytest.Item) -> bool:
    return hasattr(item.config, "workerinput")


PIPELINE = pytest.StashKey[Pipeline]()
