"""How the suite gets into a run: a .tflite file is collected like a test module."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_tflm.errors import TflmError
from pytest_tflm.suite.state import STATE, State, settings_of

if TYPE_CHECKING:
    from types import ModuleType

    from pytest_tflm.model import Model
    from pytest_tflm.options import Settings


_ASKED: dict[str, Callable[[Settings], bool]] = {
    "test_accuracy": lambda settings: any(
        limit is not None
        for limit in (
            settings.min_accuracy,
            settings.max_accuracy_drop,
            settings.min_agreement,
        )
    ),
    "test_latency": lambda settings: (
        settings.max_latency is not None or bool(settings.max_operator_latency)
    ),
    "test_memory": lambda settings: settings.max_arena is not None,
    "test_baseline": lambda settings: settings.baseline is not None,
}
"""Tests that are part of the suite when options ask for them."""


class ModelFile(pytest.Module):
    """A .tflite file whose tests are those of ``suite.checks``; ``test_fuzz`` and ``test_kernel``
    are among them if ``--tflm-fuzz`` and ``--tflm-conformance`` ask for them."""

    def _getobj(self) -> ModuleType:
        from pytest_tflm.suite import checks

        return checks

    def _has_labels(self, state: State) -> bool:
        try:
            return state.samples(state.open(self.path), state.settings).labels is not None
        except TflmError:
            return False  # the test of outputs says why

    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        state = self.config.stash[STATE]
        settings = state.settings
        unasked = {"test_fuzz"} if not settings.fuzz else set()
        unasked.add("test_outputs" if self.is_streamed() else "test_all_outputs")
        unasked |= {name for name, asks in _ASKED.items() if not asks(settings)}
        if "test_accuracy" in unasked and self._has_labels(state):
            unasked.remove("test_accuracy")
        if not settings.conformance or not kernels_of(state.open(self.path)):
            unasked.add("test_kernel")
        tests = super().collect()
        return _located(
            [node for node in tests if getattr(node, "originalname", node.name) not in unasked],
            self.path,
        )

    def is_streamed(self) -> bool:
        """Whether one test runs all samples. Samples that cannot be read are another's error."""
        state = self.config.stash[STATE]
        if self.named():
            return False
        try:
            count = len(state.samples(state.open(self.path), state.settings))
        except TflmError:
            return False
        return not state.settings.is_test_each(count)

    def named(self) -> list[int]:
        """The samples that were asked for by the names of their tests, where nothing else of this
        file was: of a million samples, only those tests are made."""
        directory = self.config.invocation_params.dir
        numbers = []
        for argument in self.config.args:
            path, _, name = argument.partition("::")
            if (directory / path).resolve() != self.path.resolve():
                continue
            found = re.fullmatch(r"test_outputs\[(?:[\w-]+-)?([0-9]+)\]", name)
            if found is None:
                return []
            numbers.append(int(found[1]))
        return sorted(set(numbers))


def kernels_of(model: Model) -> list[str]:
    """The types of operators of ``model`` of which models can be generated, in its order."""
    from pytest_tflm.fuzz.kernels.operators import OPERATORS

    names = dict.fromkeys(operator.name for operator in model.operators)
    return [name for name in names if name in OPERATORS]


class ReplayFile(pytest.Module):
    """A .tflm-replay file, which is one test."""

    def _getobj(self) -> ModuleType:
        from pytest_tflm.suite import replay_checks

        return replay_checks

    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        return _located(super().collect(), self.path)


def _located(
    nodes: Iterable[pytest.Item | pytest.Collector], path: Path
) -> list[pytest.Item | pytest.Collector]:
    """The tests as those of the user's file and not of the module of ours that they stand in."""
    nodes = list(nodes)
    for node in nodes:
        if isinstance(node, pytest.Item):
            node.reportinfo = partial(_info, path, node.name)  # type: ignore[method-assign]
    return nodes


def _info(path: Path, name: str) -> tuple[Path, int, str]:
    return path, 0, name


def models_of(node: pytest.Item | pytest.Collector, state: State) -> list[Model]:
    """The models that a test runs on: that of its file if it is part of the suite, those of its
    marker, or all of the run."""
    file = node.getparent(ModelFile)
    if file is not None:
        return [state.open(file.path)]
    settings = settings_of(node, state)
    if settings.models != state.settings.models:
        return [state.open(path) for path in settings.models]
    return list(state.models.values())


def add_suite(session: pytest.Session, items: list[pytest.Item], models: Iterable[Path]) -> None:
    """Append the suite's tests for those models of which no test was asked for by name."""
    collected = {item.path for item in items if item.getparent(ModelFile)}
    for path in models:
        if path not in collected:
            file = ModelFile.from_parent(session, path=path, nodeid=_nodeid(session, path))
            items.extend(session.genitems(file))


def _nodeid(session: pytest.Session, path: Path) -> str:
    root = session.config.rootpath
    return (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()


def parametrize(metafunc: pytest.Metafunc) -> None:
    """One test for each board that has a name, for each model, and for each sample of the model
    where the test takes one."""
    state = metafunc.config.stash[STATE]
    node = metafunc.definition
    if "tflm_board" in metafunc.fixturenames:
        boards = _boards(node, state)
        if boards:  # pytest runs all tests of a board before those of the next
            metafunc.parametrize("tflm_board", boards, indirect=True, scope="session")
    if "tflm_model" not in metafunc.fixturenames:
        return
    in_suite = node.getparent(ModelFile)
    if in_suite is not None and metafunc.function.__name__ == "test_outputs":
        if in_suite.is_streamed():
            return  # test_all_outputs is collected in its place
        wanted = in_suite.named()
    else:
        wanted = []
    try:
        models = models_of(node, state)
        settings = settings_of(node, state)
        if "tflm_sample" in metafunc.fixturenames:
            cases = [
                (model, index)
                for model in models
                for index in _numbers(len(state.samples(model, settings)), wanted)
            ]
        else:
            cases = [(model, -1) for model in models]
    except TflmError as error:
        raise _collect_error(error) from None
    if not cases:
        return  # the fixtures skip, and say why
    if in_suite is not None and "tflm_kernel" in metafunc.fixturenames:
        metafunc.parametrize("tflm_kernel", kernels_of(models[0]))
    names = [] if in_suite is not None else ["tflm_model"]
    names += ["tflm_sample"] if cases[0][1] >= 0 else []
    if not names:
        return
    short = {model.path: model.name for model, _ in cases}
    if len(set(short.values())) != len(short):
        short = {path: str(path) for path in short}
    values, ids = [], []
    for model, index in cases:
        value: list[object] = [] if in_suite is not None else [model.path]
        label = [] if in_suite is not None else [short[model.path]]
        if index >= 0:
            value.append(index)
            label.append(str(index))
        values.append(value)
        ids.append("-".join(label))
    metafunc.parametrize(names, values, ids=ids, indirect=True)


def _boards(node: pytest.Function, state: State) -> tuple[str, ...]:
    try:
        return settings_of(node, state).boards
    except TflmError as error:
        raise _collect_error(error) from None


def _collect_error(error: TflmError) -> pytest.Collector.CollectError:
    """Of all errors, pytest shows this one without a traceback."""
    return pytest.Collector.CollectError(f"{type(error).__name__}: {error}")


def _numbers(count: int, wanted: list[int]) -> Iterable[int]:
    """All samples, or those of ``wanted`` that there are."""
    return [number for number in wanted if number < count] if wanted else range(count)
