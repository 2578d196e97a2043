"""What is wrong in a board's memory: the model's bytes, or two tensors in one place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_tflm.errors import BoardError, CannotCut, InterpreterError, ModelError, NotSupported
from pytest_tflm.model.arithmetic.single import Single
from pytest_tflm.model.transform.extend import beside, copy_tensor, keep_tensors
from pytest_tflm.verdict.evidence import Evidence, Fact, OperatorResult, experiment, worst_of
from pytest_tflm.verdict.kernel_edits import with_another_scale
from pytest_tflm.verdict.localise import observed, on_board

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_tflm.model import Model, Operator
    from pytest_tflm.model.transform.cut import Cut
    from pytest_tflm.runtime.base import Arrays

_VARIANTS = 400
"""Ways in which two tensors may overlap that are tried, of one operator."""
_ALIGNMENT = 16
_WITNESSES = 2
_RUNS = 16
_TOLD = 8
"""So many bytes that are found elsewhere, half of them of different values, are no chance."""


@dataclass(frozen=True)
class ModelChanged(Fact):
    """The model's bytes in the board's memory: ``count`` are not the file's, the first at
    ``offset``, where ``expected`` should be and ``found`` is. That is in the constant ``tensor``
    (index and name) of the operators ``operators``; -1 if it is in none."""

    count: int
    size: int
    offset: int
    expected: int
    found: int
    tensor: int
    name: str
    operators: tuple[int, ...]


@experiment
def model_memory(evidence: Evidence) -> ModelChanged | bool:
    """The model's memory read back: what is not the file's; True if all is, False if the board does
    not show it."""
    model = evidence.model
    runtime: Any = evidence.board.load(model)
    if not hasattr(runtime, "read_model"):
        return False
    try:
        # After runs: what Invoke writes over it is seen, too, now or later.
        for sample in evidence.samples[:_RUNS]:
            runtime.run(sample)
        found = runtime.read_model()
    except NotSupported:
        return False
    mine, theirs = np.frombuffer(model.data, "u1"), np.frombuffer(found, "u1")
    wrong = np.flatnonzero(mine != theirs)
    if not len(wrong):
        return True
    offset = int(wrong[0])
    index = _constant_at(model, offset)
    users = tuple(each.index for each in model.operators if index in each.inputs)
    name = model.tensors[index].name if index >= 0 else ""
    return ModelChanged(
        len(wrong), model.size, offset, int(mine[offset]), int(theirs[offset]), index, name, users
    )


def _constant_at(model: Model, offset: int) -> int:
    """The constant whose data lies at a place of the file; -1 if none does."""
    for tensor in model.tensors:
        stored = model.constant(tensor.index) if tensor.is_constant else None
        if stored is None or not stored.nbytes:
            continue
        data, at = stored.tobytes(), -1
        while (at := model.data.find(data, at + 1)) >= 0 and at <= offset:
            if offset < at + len(data):
                return tensor.index
    return -1


@experiment
def is_cured_by_keeping_inputs(evidence: Evidence) -> bool:
    """The board is right with a model whose inputs are outputs as well: then their memory is used
    for nothing else, and what Invoke finds there the next time is still the input."""
    inputs = [tensor.index for tensor in evidence.model.inputs]
    try:
        model = keep_tensors(evidence.model, inputs)
        want = evidence.oracle[0].attempt(model, evidence.samples).outputs()
        got = evidence.board.attempt(model, evidence.samples).outputs()
    except (BoardError, ModelError, InterpreterError):
        return False
    return evidence.alike(got, want)


@experiment
def planned_otherwise(evidence: Evidence) -> frozenset[str]:
    """The types of operators that differ alone on the board, and differ otherwise if their memory
    is planned otherwise: an operator alone, with its inputs kept, gets the same inputs."""
    where = on_board(evidence)
    if where is None or where.explains is not False:
        return frozenset()
    return frozenset(
        name
        for name, results in where.by_type.items()
        if _is_changed_by_planning(evidence, worst_of(results))
    )


def _is_changed_by_planning(evidence: Evidence, result: OperatorResult) -> bool:
    if result.cut is None:
        return False
    model, count = result.cut.model, len(result.cut.model.outputs)
    inputs = [tensor.index for tensor in model.inputs]
    try:
        for other in (keep_tensors(model, inputs), copy_tensor(model, inputs[0])):
            made = evidence.board.attempt(other, result.inputs).outputs()
            if not evidence.alike([arrays[:count] for arrays in made], result.alone):
                return True
    except (BoardError, ModelError):
        pass
    return False


@experiment
def is_cured_by_one_more(evidence: Evidence) -> bool:
    """With one more operator at its end the model's outputs are right on the board, and what that
    operator makes is not."""
    model = evidence.model
    try:
        longer = copy_tensor(model, model.outputs[0].index)
        want = evidence.oracle[0].attempt(longer, evidence.samples).outputs()
        got = evidence.board.attempt(longer, evidence.samples).outputs()
    except (BoardError, ModelError, InterpreterError):
        return False
    return evidence.alike([a[:-1] for a in got], [a[:-1] for a in want]) and not evidence.alike(
        [a[-1:] for a in got], [a[-1:] for a in want]
    )


@dataclass(frozen=True)
class Shared(Fact):
    """Operator ``operator``, of type ``name``, is right beside a copy of itself, and wrong beside
    the same operator with another scale: memory is planned alike in both."""

    name: str
    operator: int


@experiment
def shares_parameters(evidence: Evidence) -> Shared | None:
    """A type of operator whose kernel has one set of parameters for several operators, among the
    types that the model has several of."""
    where = on_board(evidence)
    if where is None or where.explains is not False:
        return None
    right = [r for r in where.operators if r.cut is not None and not r.differs and r.inputs]
    names = [result.operator.name for result in right]
    for name in dict.fromkeys(name for name in names if names.count(name) > 1):
        result = next(r for r in right if r.operator.name == name)
        if _is_disturbed(evidence, result):
            return Shared(name, result.operator.index)
    return None


def _is_disturbed(evidence: Evidence, result: OperatorResult) -> bool:
    from pytest_tflm.model import model_from_bytes

    assert result.cut is not None
    model, count = result.cut.model, len(result.cut.model.outputs)
    given = [(*arrays, *arrays) for arrays in result.inputs[:_WITNESSES]]
    trusted = result.trusted[: len(given)]
    edited = with_another_scale(Single(model), 0.5)
    if edited is None or model.is_stream:
        return False
    try:
        other = model_from_bytes(edited, "another scale")
        alike, unlike = (
            evidence.board.attempt(beside(model, second), given).outputs()
            for second in (model, other)
        )
    except (BoardError, ModelError):
        return False
    return evidence.alike([a[:count] for a in alike], trusted) and not evidence.alike(
        [a[:count] for a in unlike], trusted
    )


@dataclass(frozen=True)
class Kept(Fact):
    """The model with all its tensors as outputs, so that none shares memory with another.
    ``is_right``: all of them are. Else ``written`` is one that is not and holds bytes of ``by``
    (indices), -1 where no two are known."""

    is_right: bool
    written: int = -1
    by: int = -1


@experiment
def all_kept(evidence: Evidence) -> Kept | None:
    """What becomes of the model's tensors if all are kept until the end; None if the board has no
    room for that."""
    model = evidence.model
    seen = observed(evidence)
    if not model.is_stream:
        seen = seen[:_WITNESSES]
    made = [i for operator in model.operators for i in operator.outputs if i in seen[0].tensors]
    kept = [*(tensor.index for tensor in model.inputs), *made]
    given = [tuple(o.tensors[t.index] for t in model.inputs) for o in seen]
    try:
        whole = keep_tensors(model, kept)
        want = evidence.oracle[0].attempt(whole, given).outputs()
        got = evidence.board.attempt(whole, given).outputs()
    except (BoardError, ModelError, InterpreterError, KeyError):
        return None
    if evidence.alike(got, want):
        return Kept(True)
    indices = [tensor.index for tensor in whole.outputs]
    for ours, theirs in zip(got, want, strict=True):
        for position, index in enumerate(indices):
            if ours[position].tobytes() == theirs[position].tobytes():
                continue
            part = _changed_part(ours[position], theirs[position])
            if len(part) < _TOLD or len(set(part)) < _TOLD // 2:
                continue  # as much may be equal by chance
            for other, by in enumerate(indices):
                if by == index or part not in ours[other].tobytes():
                    continue
                # A RESHAPE, or a CONCATENATION, holds the same bytes as it should.
                if not _hold_the_same(theirs[position], theirs[other]):
                    return Kept(False, index, by)
    return Kept(False)


def _hold_the_same(first: NDArray[Any], second: NDArray[Any]) -> bool:
    a, b = first.tobytes(), second.tobytes()
    return a in b or b in a


@dataclass(frozen=True)
class Overlap(Fact):
    """In the part of the model that ends with ``operator`` (of type ``name``) a tensor is wrong,
    and in none that ends before. ``written`` is the tensor that is written over and ``by`` the one
    whose bytes are found there (indices), -1 where that is not known. ``is_one_value``: all that is
    wrong in it holds one byte."""

    operator: int
    name: str
    written: int = -1
    by: int = -1
    is_one_value: bool = False

    @property
    def is_known(self) -> bool:
        return self.by >= 0


@experiment
def overlap(evidence: Evidence) -> Overlap | None:
    """Where the model's first operators, run together on the board, first go wrong; None if they
    do nowhere."""
    count = len(evidence.model.operators)
    last = _Part.run(evidence, count - 1)
    if last is None or last.is_right:
        return None
    right, wrong = -1, last
    while wrong.end - right > 1:
        middle = _Part.run(evidence, (right + wrong.end) // 2)
        if middle is None:
            return Overlap(wrong.end, wrong.operator.name)
        if middle.is_right:
            right = middle.end
        else:
            wrong = middle
    return wrong.overlap(evidence)


@dataclass(frozen=True, eq=False)
class _Part:
    """The operators up to ``end`` on the board: what its outputs are and should be."""

    cut: Cut
    end: int
    got: list[Arrays]
    want: list[Arrays]
    is_right: bool

    @classmethod
    def run(cls, evidence: Evidence, end: int) -> _Part | None:
        from pytest_tflm.model.transform.cut import cut_operators

        try:
            cut = cut_operators(evidence.model, 0, end)
        except CannotCut:
            return None
        seen = observed(evidence)
        if not evidence.model.is_stream:
            seen = seen[:_WITNESSES]
        try:
            given = [tuple(o.tensors[i] for i in cut.inputs) for o in seen]
            want = [tuple(o.tensors[i] for i in cut.outputs) for o in seen]
        except KeyError:
            return None
        try:
            got = evidence.board.attempt(cut.model, given).outputs()
        except BoardError:  # more of its tensors live at once than in the whole model
            return None
        return cls(cut, end, got, want, evidence.alike(got, want))

    @property
    def operator(self) -> Operator:
        return self.cut.operator

    def overlap(self, evidence: Evidence) -> Overlap:
        """Which tensor is written over by which, if the bytes tell."""
        found = Overlap(self.end, self.operator.name)
        for position, index in enumerate(self.cut.outputs):
            for got, want in zip(self.got, self.want, strict=True):
                if index in self.operator.outputs or got[position].tobytes() == (
                    want[position].tobytes()
                ):
                    continue
                # It was right before this operator ran.
                part = _changed_part(got[position], want[position])
                is_one_value = len(set(part)) == 1
                found = Overlap(self.end, self.operator.name, index, is_one_value=is_one_value)
                if is_one_value:
                    continue
                for other, by in enumerate(self.cut.outputs):
                    if by in self.operator.outputs and part in got[other].tobytes():
                        return Overlap(self.end, self.operator.name, index, by)
        return found if found.written >= 0 else self._inputs_overlap(evidence) or found

    def _inputs_overlap(self, evidence: Evidence) -> Overlap | None:
        """Which earlier tensor, written over one of the operator's inputs, makes exactly what the
        board makes."""
        from pytest_tflm.model.transform.cut import cut_operator

        model, seen = evidence.model, observed(evidence)[0]
        try:
            cut = cut_operator(model, self.end)
        except CannotCut:
            return None
        outputs = [i for i in cut.outputs if i in self.cut.outputs]
        board = tuple(self.got[0][self.cut.outputs.index(i)] for i in outputs)
        given = [seen.tensors[i] for i in cut.inputs]
        names, tried = [], []
        for position, index in enumerate(cut.inputs):
            made_by = next((o.index for o in model.operators if index in o.outputs), -1)
            between = [i for o in model.operators[made_by + 1 : self.end] for i in o.outputs]
            for by in between:
                if by == index or by not in seen.tensors:
                    continue
                for data in _written_over(given[position], seen.tensors[by]):
                    names.append((index, by))
                    tried.append(tuple(data if i == position else a for i, a in enumerate(given)))
        if not tried:
            return None
        made = evidence.oracle[0].attempt(cut.model, tried[:_VARIANTS]).outputs()
        for (index, by), arrays in zip(names, made, strict=False):
            kept = tuple(arrays[cut.outputs.index(i)] for i in outputs)
            if evidence.alike([kept], [board]):
                return Overlap(self.end, self.operator.name, index, by)
        return None


def _changed_part(got: NDArray[Any], want: NDArray[Any]) -> bytes:
    """The bytes from the first to the last that differ."""
    ours = got.tobytes()
    places = np.flatnonzero(np.frombuffer(ours, "u1") != np.frombuffer(want.tobytes(), "u1"))
    return ours[int(places[0]) : int(places[-1]) + 1]


def _written_over(array: NDArray[Any], other: NDArray[Any]) -> Sequence[NDArray[Any]]:
    """An array with the bytes of another one in it: from its start, or shifted by a multiple of the
    arena's alignment."""
    mine, theirs = array.tobytes(), other.tobytes()
    found = []
    step = max(_ALIGNMENT, -(-(len(mine) + len(theirs)) // 64) // _ALIGNMENT * _ALIGNMENT)
    for shift in sorted(range(-len(theirs) + step, len(mine), step), key=abs):
        data = bytearray(mine)
        start, end = max(0, shift), min(len(mine), shift + len(theirs))
        data[start:end] = theirs[start - shift : end - shift]
        found.append(np.frombuffer(bytes(data), array.dtype).reshape(array.shape))
    quarter = -(-len(mine) // 4)
    for share in (quarter, len(mine) // 2):
        data = bytearray(mine)
        data[: min(share, len(theirs))] = theirs[:share]
        found.insert(0, np.frombuffer(bytes(data), array.dtype).reshape(array.shape))
    return found
